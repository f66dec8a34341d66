//! What an operator can see of the bus.

use prometheus::{Gauge, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

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
        let gauge = |name: &str, help: &str| -> Result<IntGauge, prometheus::Error> {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let counter = |name: &str, help: &str| -> Result<IntCounter, prometheus::Error> {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let family = |name: &str, help: &str, label: &str| -> Result<IntCounterVec, prometheus::Error> {
            let family = IntCounterVec::new(Opts::new(name, help), &[label])?;
            registry.register(Box::new(family.clone()))?;
            Ok(family)
        };
        let published = family(
            "tertulia_bus_published_total",
            "Publications to other nodes: taken by Redis, dropped before it (away, or the queue was full), or failed on the way.",
            "result",
        )?;
        let reconnects =
            family("tertulia_bus_reconnects_total", "Connections to Redis given up, by what ended them.", "cause")?;
        let losses = family("tertulia_bus_losses_total", "Times that publications may have been missed.", "cause")?;
        let canary_age_seconds =
            Gauge::new("tertulia_bus_canary_age_seconds", "Seconds since this node last heard itself through Redis.")?;
        registry.register(Box::new(canary_age_seconds.clone()))?;
        Ok(Self {
            up: gauge("tertulia_bus_up", "1 while nodes hear each other.")?,
            canary_age_seconds,
            published_ok: published.with_label_values(&["ok"]),
            published_dropped: published.with_label_values(&["dropped"]),
            published_failed: published.with_label_values(&["failed"]),
            received: counter("tertulia_bus_received_total", "Publications that came from Redis, our own included.")?,
            subscriptions: gauge("tertulia_bus_subscriptions", "Rooms whose subscription is confirmed.")?,
            dropped_events: counter(
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
