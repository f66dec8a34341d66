//! What an operator can see of the bus.

use prometheus::{Gauge, IntCounter, IntGauge, Registry};
use tally::Tally;

use crate::Loss;

/// Why a connection to Redis was given up. The label of `tertulia_bus_reconnects_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It ended, or a command on it failed.
    Closed,
    /// It brought nothing although canaries were published.
    Deaf,
    /// It took three heart-beats and acknowledged none.
    Stalled,
    /// The cluster's slots moved: the new owner of a slot knows nothing of our subscriptions.
    Moved,
}

impl Cause {
    const ALL: [Self; 4] = [Self::Closed, Self::Deaf, Self::Stalled, Self::Moved];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Deaf => "deaf",
            Self::Stalled => "stalled",
            Self::Moved => "moved",
        }
    }
}

/// The bus's series, all of them there from the start. Cheap to clone.
#[derive(Clone)]
pub struct BusMetrics {
    pub(crate) up: IntGauge,
    pub(crate) canary_age_seconds: Gauge,
    pub(crate) published_ok: IntCounter,
    pub(crate) published_dropped: IntCounter,
    pub(crate) published_failed: IntCounter,
    pub(crate) received: IntCounter,
    pub(crate) subscriptions: IntGauge,
    pub(crate) dropped_events: IntCounter,
    reconnects: [IntCounter; 4],
    losses: [IntCounter; 3],
}

impl BusMetrics {
    /// Makes the series and shows them in a registry.
    ///
    /// # Errors
    /// If the registry already has one of them.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let published = registry.counters(
            "tertulia_bus_published_total",
            "Publications to other nodes: taken by Redis, dropped before it (away, or the queue was full), or failed on the way.",
            "result",
            &["ok", "dropped", "failed"],
        )?;
        let reconnects = registry.counters(
            "tertulia_bus_reconnects_total",
            "Connections to Redis given up, by what ended them.",
            "cause",
            &Cause::ALL.map(Cause::as_str),
        )?;
        let losses = registry.counters(
            "tertulia_bus_losses_total",
            "Times that publications may have been missed, by how.",
            "cause",
            &Loss::ALL.map(Loss::as_str),
        )?;
        Ok(Self {
            up: registry.gauge("tertulia_bus_up", "1 while nodes hear each other.")?,
            canary_age_seconds: registry.level(
                "tertulia_bus_canary_age_seconds",
                "How long ago this node last heard itself through Redis; 0 without Redis.",
            )?,
            published_ok: published.with_label_values(&["ok"]),
            published_dropped: published.with_label_values(&["dropped"]),
            published_failed: published.with_label_values(&["failed"]),
            received: registry
                .counter("tertulia_bus_received_total", "Publications that came from Redis, our own included.")?,
            subscriptions: registry.gauge("tertulia_bus_subscriptions", "Rooms whose subscription is confirmed.")?,
            dropped_events: registry.counter(
                "tertulia_bus_dropped_events_total",
                "Publications dropped because the hub's queue was full.",
            )?,
            reconnects: Cause::ALL.map(|cause| reconnects.with_label_values(&[cause.as_str()])),
            losses: Loss::ALL.map(|loss| losses.with_label_values(&[loss.as_str()])),
        })
    }

    pub(crate) fn reconnect(&self, cause: Cause) {
        self.reconnects[cause as usize].inc();
    }

    pub(crate) fn loss(&self, loss: Loss) {
        self.losses[loss as usize].inc();
    }
}
