//! All that a node counts, gathered before anything runs; `docs/metrics.md` is made from it.

use bus::BusMetrics;
use gateway::GatewayMetrics;
use hub::HubMetrics;
use people::PeopleMetrics;
use prometheus::process_collector::ProcessCollector;
use prometheus::{Error, IntGaugeVec, Opts, Registry};
use roomlog::RoomLogMetrics;
use store::StoreMetrics;
use tokio::runtime::Handle;
use trace::TraceMetrics;

use crate::background::BackgroundMetrics;
use crate::runtime::RuntimeCollector;

#[cfg(test)]
mod page;

/// Every series of a node, and the registry that shows them.
pub(crate) struct Metrics {
    pub(crate) registry: Registry,
    pub(crate) store: StoreMetrics,
    pub(crate) bus: BusMetrics,
    pub(crate) room_log: RoomLogMetrics,
    pub(crate) hub: HubMetrics,
    pub(crate) people: PeopleMetrics,
    pub(crate) gateway: GatewayMetrics,
    pub(crate) tasks: BackgroundMetrics,
    pub(crate) traces: TraceMetrics,
}

impl Metrics {
    pub(crate) fn of_node(name: &str) -> Result<Self, Error> {
        let registry = Registry::new();
        about_the_process(&registry, name)?;
        Ok(Self {
            store: StoreMetrics::register(&registry)?,
            bus: BusMetrics::register(&registry)?,
            room_log: RoomLogMetrics::register(&registry)?,
            hub: HubMetrics::register(&registry)?,
            people: PeopleMetrics::register(&registry)?,
            gateway: GatewayMetrics::register(&registry)?,
            tasks: BackgroundMetrics::register(&registry)?,
            traces: TraceMetrics::register(&registry)?,
            registry,
        })
    }
}

/// Those of a process that only works in the background.
pub(crate) struct WorkerMetrics {
    pub(crate) registry: Registry,
    pub(crate) store: StoreMetrics,
    pub(crate) tasks: BackgroundMetrics,
}

impl WorkerMetrics {
    pub(crate) fn of_worker(name: &str) -> Result<Self, Error> {
        let registry = Registry::new();
        about_the_process(&registry, name)?;
        Ok(Self { store: StoreMetrics::register(&registry)?, tasks: BackgroundMetrics::register(&registry)?, registry })
    }
}

/// What is running, what it takes from the machine, and how busy it is.
fn about_the_process(registry: &Registry, node: &str) -> Result<(), Error> {
    registry.register(Box::new(ProcessCollector::for_self()))?;
    registry.register(Box::new(RuntimeCollector::new(Handle::current().metrics())?))?;
    let opts = Opts::new("tertulia_build_info", "1, with what is running.");
    let build = IntGaugeVec::new(opts, &["version", "revision", "node"])?;
    // Whoever builds from a known revision says so in this variable; a plain `cargo build` doesn't know.
    let revision = option_env!("TERTULIA_REVISION").unwrap_or("unknown");
    build.with_label_values(&[env!("CARGO_PKG_VERSION"), revision, node]).set(1);
    registry.register(Box::new(build))
}
