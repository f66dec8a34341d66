//! The epoch as this node knows it.

use std::sync::atomic::{AtomicU64, Ordering};

use proto::Epoch;

/// One cell that all parts of a node share: the hub finds a new epoch, the room log writes it on what it publishes.
#[derive(Debug)]
pub struct EpochCell(AtomicU64);

impl EpochCell {
    /// Starts with the epoch that the store gave at start.
    pub fn new(epoch: Epoch) -> Self {
        Self(AtomicU64::new(epoch.0))
    }

    /// The epoch in force, as far as this node knows.
    pub fn get(&self) -> Epoch {
        Epoch(self.0.load(Ordering::Acquire))
    }

    /// Notes a new one; `true` if it is another than before.
    pub fn set(&self, epoch: Epoch) -> bool {
        self.0.swap(epoch.0, Ordering::AcqRel) != epoch.0
    }
}
