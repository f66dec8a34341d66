//! What the room log counts.

use prometheus::{IntCounter, IntGauge, Registry};

/// Counters and gauges of the lanes.
#[derive(Clone)]
pub struct RoomLogMetrics {
    pub(crate) queue_messages: IntGauge,
    pub(crate) queue_age_ms: IntGauge,
    pub(crate) retries: IntCounter,
    pub(crate) republished: IntCounter,
}

impl RoomLogMetrics {
    /// Makes all series and registers them.
    ///
    /// # Errors
    /// When the registry already has them.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            queue_messages: IntGauge::new("tertulia_store_queue_messages", "Jobs that wait to be committed.")?,
            queue_age_ms: IntGauge::new(
                "tertulia_store_queue_age_milliseconds",
                "How long the oldest job of the last batch had waited when its commit began.",
            )?,
            retries: IntCounter::new(
                "tertulia_store_retries_total",
                "Batches tried again because the store was away.",
            )?,
            republished: IntCounter::new(
                "tertulia_republished_total",
                "Publications repeated because a known id was sent again.",
            )?,
        };
        registry.register(Box::new(metrics.queue_messages.clone()))?;
        registry.register(Box::new(metrics.queue_age_ms.clone()))?;
        registry.register(Box::new(metrics.retries.clone()))?;
        registry.register(Box::new(metrics.republished.clone()))?;
        Ok(metrics)
    }
}
