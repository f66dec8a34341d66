//! What an operator sees of a store.

use std::future::Future;
use std::time::Instant;

use prometheus::{GaugeVec, Histogram, IntCounter, IntGauge, Opts, Registry};
use tally::Tally;

use crate::{Durability, StoreError};

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
    pub(crate) people: Histogram,
    pub(crate) due: Histogram,
    pub(crate) forget: Histogram,
    pub(crate) tasks: Histogram,
    away: IntCounter,
    conflict: IntCounter,
    refused: IntCounter,
    durability: GaugeVec,
    weak_settings: IntGauge,
}

impl StoreMetrics {
    /// Makes the series and enters them in a registry.
    ///
    /// # Errors
    /// When the registry has series of these names already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let commits = registry.seconds_by(
            "tertulia_store_commit_seconds",
            "Time to commit a batch, by what it did; tasks: any question about tasks and webhooks.",
            "op",
            &["append", "amend", "forget", "tasks"],
        )?;
        let reads = registry.seconds_by(
            "tertulia_store_read_seconds",
            "Time to answer a read, by its kind.",
            "kind",
            &["heads", "changes", "newest_changes", "tail", "before", "settings", "due"],
        )?;
        let errors = registry.counters(
            "tertulia_store_errors_total",
            "Calls without an answer: away, conflict (both passing), refused.",
            "kind",
            &["away", "conflict", "refused"],
        )?;
        let durability = GaugeVec::new(
            Opts::new("tertulia_store_durability", "The settings that decide whether a commit survives; always 1."),
            &["setting", "value"],
        )?;
        registry.register(Box::new(durability.clone()))?;
        let read = |kind| reads.with_label_values(&[kind]);
        Ok(Self {
            append: commits.with_label_values(&["append"]),
            amend: commits.with_label_values(&["amend"]),
            batch_size: registry.sizes("tertulia_store_batch_size", "Messages and changes in one commit.")?,
            heads: read("heads"),
            changes: read("changes"),
            newest_changes: read("newest_changes"),
            tail: read("tail"),
            before: read("before"),
            settings: read("settings"),
            people: registry.seconds(
                "tertulia_store_people_seconds",
                "Time to read or write something of accounts, sessions and API keys.",
            )?,
            due: read("due"),
            forget: commits.with_label_values(&["forget"]),
            tasks: commits.with_label_values(&["tasks"]),
            away: errors.with_label_values(&["away"]),
            conflict: errors.with_label_values(&["conflict"]),
            refused: errors.with_label_values(&["refused"]),
            durability,
            weak_settings: registry.gauge(
                "tertulia_store_weak_settings",
                "Settings with which a power cut may lose acknowledged messages: 0, unless they were allowed.",
            )?,
        })
    }

    /// Shows the settings in force.
    pub fn show_durability(&self, durability: &Durability) {
        self.durability.reset();
        for (setting, value) in &durability.settings {
            self.durability.with_label_values(&[*setting, value.as_str()]).set(1.0);
        }
        self.weak_settings.set(durability.weaknesses.len() as i64);
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
