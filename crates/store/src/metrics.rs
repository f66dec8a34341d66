//! What an operator sees of a store.

use std::future::Future;
use std::time::Instant;

use prometheus::{GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry};

use crate::{Durability, StoreError};

/// From half a millisecond to ten seconds: a commit on a good disk, and one that everybody notices.
const SECONDS: [f64; 14] = [0.0005, 0.001, 0.002, 0.004, 0.008, 0.015, 0.03, 0.06, 0.125, 0.25, 0.5, 1.0, 3.0, 10.0];
const ROWS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// The store's series. All exist from the start, so that silence reads as zero. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StoreMetrics {
    pub(crate) append: Histogram,
    pub(crate) amend: Histogram,
    pub(crate) batch_size: Histogram,
    pub(crate) heads: Histogram,
    pub(crate) changes: Histogram,
    pub(crate) newest_changes: Histogram,
    pub(crate) tail: Histogram,
    pub(crate) before: Histogram,
    pub(crate) settings: Histogram,
    away: IntCounter,
    conflict: IntCounter,
    refused: IntCounter,
    durability: GaugeVec,
}

impl StoreMetrics {
    /// Makes the series and enters them in a registry.
    ///
    /// # Errors
    /// When the registry has series of these names already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let commits = HistogramVec::new(
            HistogramOpts::new("tertulia_store_commit_seconds", "Time to commit a batch, by what it did.")
                .buckets(SECONDS.to_vec()),
            &["op"],
        )?;
        let batch_size = Histogram::with_opts(
            HistogramOpts::new("tertulia_store_batch_size", "Messages and changes in one commit.")
                .buckets(ROWS.to_vec()),
        )?;
        let reads = HistogramVec::new(
            HistogramOpts::new("tertulia_store_read_seconds", "Time to answer a read, by its kind.")
                .buckets(SECONDS.to_vec()),
            &["kind"],
        )?;
        let errors = IntCounterVec::new(
            Opts::new(
                "tertulia_store_errors_total",
                "Calls without an answer: away, conflict (both passing), refused.",
            ),
            &["kind"],
        )?;
        let durability = GaugeVec::new(
            Opts::new("tertulia_store_durability", "The settings that decide whether a commit survives; always 1."),
            &["setting", "value"],
        )?;
        registry.register(Box::new(commits.clone()))?;
        registry.register(Box::new(batch_size.clone()))?;
        registry.register(Box::new(reads.clone()))?;
        registry.register(Box::new(errors.clone()))?;
        registry.register(Box::new(durability.clone()))?;
        let read = |kind| reads.with_label_values(&[kind]);
        Ok(Self {
            append: commits.with_label_values(&["append"]),
            amend: commits.with_label_values(&["amend"]),
            batch_size,
            heads: read("heads"),
            changes: read("changes"),
            newest_changes: read("newest_changes"),
            tail: read("tail"),
            before: read("before"),
            settings: read("settings"),
            away: errors.with_label_values(&["away"]),
            conflict: errors.with_label_values(&["conflict"]),
            refused: errors.with_label_values(&["refused"]),
            durability,
        })
    }

    /// Shows the settings in force.
    pub fn show_durability(&self, durability: &Durability) {
        self.durability.reset();
        for (setting, value) in &durability.settings {
            self.durability.with_label_values(&[*setting, value.as_str()]).set(1.0);
        }
    }

    /// Takes the time of a call, failed or not, and counts its failure.
    pub(crate) async fn watch<T>(
        &self,
        seconds: &Histogram,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let began = Instant::now();
        let answer = call.await;
        seconds.observe(began.elapsed().as_secs_f64());
        match &answer {
            Ok(_) => {}
            Err(StoreError::Away(_)) => self.away.inc(),
            Err(StoreError::Conflict(_)) => self.conflict.inc(),
            Err(StoreError::Refused(_)) => self.refused.inc(),
        }
        answer
    }
}
