//! The store, as this node last saw it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use proto::Epoch;

use crate::StoreError;

/// What all parts of a node share of their knowledge of the store: the hub finds a new epoch, the room log writes it on
/// what it publishes; and whoever asks the store notes whether it answered.
#[derive(Debug)]
pub struct StoreView {
    epoch: AtomicU64,
    up: AtomicBool,
}

impl StoreView {
    /// Starts with the epoch that the store gave at start.
    pub fn new(epoch: Epoch) -> Self {
        Self { epoch: AtomicU64::new(epoch.0), up: AtomicBool::new(true) }
    }

    /// The epoch in force, as far as this node knows.
    pub fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::Acquire))
    }

    /// Notes an epoch; `true` if it is another than before.
    pub fn set_epoch(&self, epoch: Epoch) -> bool {
        self.epoch.swap(epoch.0, Ordering::AcqRel) != epoch.0
    }

    /// Whether the store answered when it was last asked.
    pub fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// Notes what came of asking the store. A refusal is an answer too.
    pub fn note<T>(&self, answer: &Result<T, StoreError>) {
        self.up.store(!matches!(answer, Err(StoreError::Away(_))), Ordering::Relaxed);
    }
}
