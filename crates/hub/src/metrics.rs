//! What the hub counts.

use std::time::{Duration, Instant};

use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge, Registry};
use tally::Tally;

use crate::Batch;

/// Counters, gauges and histograms of the hub; every series is there from the start.
#[derive(Clone)]
pub struct HubMetrics {
    pub(crate) rooms_active: IntGauge,
    pub(crate) seats: IntGauge,
    pub(crate) ring_bytes: IntGauge,
    pub(crate) reads_running: IntGauge,
    pub(crate) store_up: IntGauge,
    pub(crate) store_epoch: IntGauge,
    pub(crate) sweep_found: IntCounter,
    pub(crate) gap_fill_seconds: Histogram,
    pub(crate) bus_lag_seconds: Histogram,
    deliver_seconds: Histogram,
    deliveries: IntCounter,
    gaps: IntCounterVec,
    joins: IntCounterVec,
    resumes: IntCounterVec,
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
        Ok(Self {
            rooms_active: registry.gauge("tertulia_rooms_active", "Rooms that this node listens to.")?,
            seats: registry.gauge("tertulia_seats", "Rooms joined, counted once for each connection.")?,
            ring_bytes: registry.gauge("tertulia_ring_bytes", "Bytes of recent frames held for returning clients.")?,
            reads_running: registry
                .gauge("tertulia_reads_running", "Reads that listeners caused and the store has not answered.")?,
            store_up: registry.gauge("tertulia_store_up", "1 if the store answered when it was last asked.")?,
            store_epoch: registry.gauge(
                "tertulia_store_epoch",
                "The epoch of the store's history, made a number: another number is another history.",
            )?,
            sweep_found: registry.counter(
                "tertulia_sweep_found_total",
                "Rooms that only the slow sweep found behind the store: a publication was lost and nobody noticed.",
            )?,
            gap_fill_seconds: registry.seconds("tertulia_gap_fill_seconds", "Time to read back what was missing.")?,
            bus_lag_seconds: registry
                .seconds("tertulia_bus_lag_seconds", "From publication on another node to receipt here, as far as their clocks agree.")?,
            deliver_seconds: registry.seconds(
                "tertulia_deliver_seconds",
                "From publication on any node, right after the commit, until the last of a room's members here was written to.",
            )?,
            deliveries: registry.counter("tertulia_deliveries_total", "Messages handed to connections.")?,
            gaps: registry.counters(
                "tertulia_gaps_total",
                "Rooms read back from the store, by cause.",
                "cause",
                &Cause::ALL.map(Cause::as_str),
            )?,
            joins: registry.counters(
                "tertulia_joins_total",
                "Joins, by what answered.",
                "source",
                &Source::ALL.map(Source::as_str),
            )?,
            resumes: registry.counters(
                "tertulia_resumes_total",
                "Returns with a position: brought up to it whole, or told to start anew.",
                "result",
                &["whole", "reset"],
            )?,
        })
    }

    /// A batch went to all members of a room; `since` is when the first of it was published.
    pub(crate) fn delivered(&self, batch: &Batch, members: usize, since: Option<Instant>) {
        self.deliveries.inc_by((batch.entries().len() * members) as u64);
        if let Some(since) = since {
            self.deliver_seconds.observe(since.elapsed().as_secs_f64());
        }
    }

    pub(crate) fn healed(&self, cause: Cause, took: Duration) {
        self.gaps.with_label_values(&[cause.as_str()]).inc();
        self.gap_fill_seconds.observe(took.as_secs_f64());
    }

    pub(crate) fn joined(&self, source: Source) {
        self.joins.with_label_values(&[source.as_str()]).inc();
    }

    /// Somebody who came with a position has been answered to the end.
    pub(crate) fn resumed(&self, reset: bool) {
        self.resumes.with_label_values(&[if reset { "reset" } else { "whole" }]).inc();
    }
}
