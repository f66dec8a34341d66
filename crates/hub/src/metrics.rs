//! What the hub counts.

use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use crate::Batch;

/// Bounds of all time histograms, in seconds.
const SECONDS: [f64; 14] = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];

/// Counters, gauges and histograms of the hub; every series is there from the start.
#[derive(Clone)]
pub struct HubMetrics {
    pub(crate) rooms_active: IntGauge,
    pub(crate) ring_bytes: IntGauge,
    pub(crate) store_up: IntGauge,
    pub(crate) sweep_found: IntCounter,
    pub(crate) gap_fill_seconds: Histogram,
    pub(crate) bus_lag_seconds: Histogram,
    deliveries: IntCounter,
    gaps: IntCounterVec,
    joins: IntCounterVec,
}

/// Why a room was read back from the store. The label of `tertulia_gaps_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A number was skipped.
    Skip,
    /// The bus was lost and came back.
    Reconnect,
    /// Publications came faster than they were taken.
    Lag,
    /// The bus claimed to be well and brought nothing.
    Deaf,
    /// Nodes cannot hear each other: the store is all there is.
    Away,
    /// A publication that this version cannot read.
    Version,
    /// A reader's snapshot was ahead.
    Snapshot,
    /// Nobody had noticed.
    Sweep,
}

impl Cause {
    const ALL: [Self; 8] =
        [Self::Skip, Self::Reconnect, Self::Lag, Self::Deaf, Self::Away, Self::Version, Self::Snapshot, Self::Sweep];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Reconnect => "reconnect",
            Self::Lag => "lag",
            Self::Deaf => "deaf",
            Self::Away => "away",
            Self::Version => "version",
            Self::Snapshot => "snapshot",
            Self::Sweep => "sweep",
        }
    }
}

/// What answered a join. The label of `tertulia_joins_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Ring,
    Cache,
    Store,
}

impl Source {
    const ALL: [Self; 3] = [Self::Ring, Self::Cache, Self::Store];

    fn as_str(self) -> &'static str {
        match self {
            Self::Ring => "ring",
            Self::Cache => "cache",
            Self::Store => "store",
        }
    }
}

impl HubMetrics {
    /// Makes all series and registers them.
    ///
    /// # Errors
    /// When the registry already has them.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let seconds = |name, help| Histogram::with_opts(HistogramOpts::new(name, help).buckets(SECONDS.to_vec()));
        let metrics = Self {
            rooms_active: IntGauge::new("tertulia_rooms_active", "Rooms that this node listens to.")?,
            ring_bytes: IntGauge::new("tertulia_ring_bytes", "Bytes of recent frames held for returning clients.")?,
            store_up: IntGauge::new("tertulia_store_up", "1 if the store answered when it was last asked.")?,
            sweep_found: IntCounter::new(
                "tertulia_sweep_found_total",
                "Rooms that only the slow sweep found behind the store: a publication was lost and nobody noticed.",
            )?,
            gap_fill_seconds: seconds("tertulia_gap_fill_seconds", "Time to read back what was missing.")?,
            bus_lag_seconds: seconds("tertulia_bus_lag_seconds", "From publication on another node to receipt here.")?,
            deliveries: IntCounter::new("tertulia_deliveries_total", "Messages handed to connections.")?,
            gaps: IntCounterVec::new(
                Opts::new("tertulia_gaps_total", "Rooms read back from the store, by cause."),
                &["cause"],
            )?,
            joins: IntCounterVec::new(Opts::new("tertulia_joins_total", "Joins, by what answered."), &["source"])?,
        };
        Cause::ALL.iter().for_each(|cause| metrics.gaps.with_label_values(&[cause.as_str()]).reset());
        Source::ALL.iter().for_each(|source| metrics.joins.with_label_values(&[source.as_str()]).reset());
        registry.register(Box::new(metrics.rooms_active.clone()))?;
        registry.register(Box::new(metrics.ring_bytes.clone()))?;
        registry.register(Box::new(metrics.store_up.clone()))?;
        registry.register(Box::new(metrics.sweep_found.clone()))?;
        registry.register(Box::new(metrics.gap_fill_seconds.clone()))?;
        registry.register(Box::new(metrics.bus_lag_seconds.clone()))?;
        registry.register(Box::new(metrics.deliveries.clone()))?;
        registry.register(Box::new(metrics.gaps.clone()))?;
        registry.register(Box::new(metrics.joins.clone()))?;
        Ok(metrics)
    }

    pub(crate) fn delivered(&self, batch: &Batch, members: usize) {
        self.deliveries.inc_by((batch.entries().len() * members) as u64);
    }

    pub(crate) fn healed(&self, cause: Cause, took: Duration) {
        self.gaps.with_label_values(&[cause.as_str()]).inc();
        self.gap_fill_seconds.observe(took.as_secs_f64());
    }

    pub(crate) fn joined(&self, source: Source) {
        self.joins.with_label_values(&[source.as_str()]).inc();
    }
}
