//! The work in the background: which kinds there are, and who does them.

mod export;

use std::sync::Arc;

use outgoing::Client;
use store::Keeper;
use tasks::{Kind, Kinds, Retain, RetainMetrics, TasksMetrics, Tidy, Workers, WorkersConfig};
use webhooks::Deliver;

use self::export::ExportRoom;

use crate::config::ServeConfig;
use crate::node::StartError;
use crate::open;

/// The names of all kinds, for metrics that exist from the start.
pub(crate) const KINDS: [&str; 4] = [Deliver::NAME, ExportRoom::NAME, Retain::<dyn Keeper>::NAME, Tidy::NAME];

/// What the work in the background counts.
pub(crate) struct BackgroundMetrics {
    tasks: TasksMetrics,
    retain: RetainMetrics,
}

impl BackgroundMetrics {
    pub(crate) fn register(registry: &prometheus::Registry) -> Result<Self, prometheus::Error> {
        Ok(Self { tasks: TasksMetrics::register(registry, &KINDS)?, retain: RetainMetrics::register(registry)? })
    }
}

/// What this program can do in the background. A kind more: a line here, and its name above.
fn kinds(store: &Arc<dyn Keeper>, client: &Client, retain: RetainMetrics) -> Kinds {
    Kinds::default()
        .with(Deliver::new(store.clone(), client.clone()))
        .with(ExportRoom::new(store.clone()))
        .with(Retain::<dyn Keeper>::new(store.clone(), retain))
        .with(Tidy::new(store.clone()))
}

/// Starts the workers of a process.
pub(crate) fn start(
    config: &ServeConfig,
    store: &Arc<dyn Keeper>,
    client: &Client,
    metrics: BackgroundMetrics,
) -> Result<Workers, StartError> {
    let queue = open::queue(config)?;
    let workers = WorkersConfig {
        node_name: config.node_name(),
        concurrency: config.workers as usize,
        ..WorkersConfig::default()
    };
    Ok(Workers::start(store.clone(), queue, kinds(store, client, metrics.retain), workers, metrics.tasks))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use store::{SqliteConfig, SqliteStore, StoreMetrics};

    use super::*;

    #[tokio::test]
    async fn every_kind_has_its_series() {
        let folder = tempfile::tempdir().unwrap();
        let metrics = StoreMetrics::register(&prometheus::Registry::new()).unwrap();
        let path = folder.path().join("rooms.db");
        let store = SqliteStore::open(path.to_str().unwrap(), SqliteConfig::default(), metrics).await.unwrap();
        let store: Arc<dyn Keeper> = Arc::new(store);
        let mut named = KINDS.to_vec();
        named.sort_unstable();
        let retain = RetainMetrics::register(&prometheus::Registry::new()).unwrap();
        let client = Client::new(outgoing::OutgoingConfig::default()).unwrap();
        assert_eq!(kinds(&store, &client, retain).names(), named);
    }
}
