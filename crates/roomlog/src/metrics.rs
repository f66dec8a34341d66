//! What the room log counts.

use prometheus::{Histogram, IntCounter, IntGauge, Registry};
use tally::Tally;

/// The lanes' series; every one is there from the start.
#[derive(Clone)]
pub struct RoomLogMetrics {
    pub(crate) queue_messages: IntGauge,
    pub(crate) queue_seconds: Histogram,
    pub(crate) retries: IntCounter,
    pub(crate) republished: IntCounter,
}

impl RoomLogMetrics {
    /// Makes all series and registers them.
    ///
    /// # Errors
    /// When the registry already has them.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            queue_messages: registry.gauge(
                "tertulia_store_queue_messages",
                "Messages and changes that wait to be committed, or are being committed.",
            )?,
            queue_seconds: registry.seconds(
                "tertulia_store_queue_seconds",
                "How long the oldest of each batch had waited when its commit began.",
            )?,
            retries: registry
                .counter("tertulia_store_retries_total", "Batches tried again because the store was away.")?,
            republished: registry
                .counter("tertulia_republished_total", "Publications repeated because a known id was sent again.")?,
        })
    }
}
