//! The work in the background: which kinds there are, and who does them.

use std::sync::Arc;

use outgoing::Client;
use store::Keeper;
use tasks::{Kind, Kinds, TasksMetrics, Tidy, Workers, WorkersConfig};
use webhooks::Deliver;

use crate::config::ServeConfig;
use crate::node::StartError;
use crate::open;

/// The names of all kinds, for metrics that exist from the start.
pub(crate) const KINDS: [&str; 2] = [Tidy::NAME, Deliver::NAME];

/// What this program can do in the background. A kind more: a line here, and its name above.
fn kinds(store: &Arc<dyn Keeper>, client: &Client) -> Kinds {
    Kinds::default().with(Tidy::new(store.clone())).with(Deliver::new(store.clone(), client.clone()))
}

/// Starts the workers of a process.
pub(crate) fn start(
    config: &ServeConfig,
    store: &Arc<dyn Keeper>,
    client: &Client,
    metrics: TasksMetrics,
) -> Result<Workers, StartError> {
    let queue = open::queue(config)?;
    let workers = WorkersConfig {
        node_name: config.node_name(),
        concurrency: config.workers as usize,
        ..WorkersConfig::default()
    };
    Ok(Workers::start(store.clone(), queue, kinds(store, client), workers, metrics))
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
        let client = Client::new(outgoing::OutgoingConfig::default()).unwrap();
        assert_eq!(kinds(&store, &client).names(), named);
    }
}
