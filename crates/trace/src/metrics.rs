//! What tracing counts.

use prometheus::{IntCounter, Registry};
use tally::Tally;

/// The spans' series, there from the start also where nothing is traced.
#[derive(Clone, Debug)]
pub struct TraceMetrics {
    /// Spans that the collector took.
    pub exported: IntCounter,
    /// Spans that found no place or no collector.
    pub dropped: IntCounter,
}

impl TraceMetrics {
    /// Makes all series and registers them.
    ///
    /// # Errors
    /// When the registry already has them.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            exported: registry.counter("tertulia_trace_spans_exported_total", "Spans that the collector took.")?,
            dropped: registry.counter(
                "tertulia_trace_spans_dropped_total",
                "Spans dropped: too many waited, or the collector did not take them.",
            )?,
        })
    }
}
