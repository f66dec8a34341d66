//! `tertulia worker`: what is done in the background, and no door for people.

use std::sync::Arc;
use std::time::Duration;

use gateway::Watched;
use store::{Keeper, Store};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::ServeConfig;
use crate::metrics::WorkerMetrics;
use crate::node::{StartError, reachable};
use crate::signals::Signals;
use crate::{background, open, vouchers};

/// Works until it is asked to leave; then finishes what it can in time and gives the rest back.
pub(crate) async fn work(config: ServeConfig) -> Result<(), StartError> {
    failpoint::arm().map_err(StartError::Failpoints)?;
    if config.workers == 0 {
        return Err(StartError::Idle);
    }
    let mut signals = Signals::listen().map_err(StartError::Signals)?;
    let listener = open::door(config.listen).map_err(|error| StartError::Listen { address: config.listen, error })?;
    let address = listener.local_addr().unwrap_or(config.listen);
    let metrics = WorkerMetrics::of_worker(&config.node_name())?;
    let store: Arc<dyn Keeper> = tokio::select! {
        store = open::store(&config, metrics.store) => store?,
        _ = signals.next() => return Ok(()),
    };
    let client = vouchers::client(&config.vouchers)?;
    let workers = Arc::new(background::start(&config, &store, &client, metrics.tasks)?);
    tracing::info!(worker = workers.name(), "working; metrics at http://{}/metrics", reachable(address));

    let (stop, watching) = (CancellationToken::new(), TaskTracker::new());
    let (seen, node) = (Arc::clone(&workers), config.node_name());
    let watched = Watched { registry: metrics.registry, health: Box::new(move || health(&seen, &node)) };
    watching.spawn(watched.serve(listener, stop.clone()));
    watching.close();

    let leave = signals.next().await;
    tracing::info!(?leave, "leaving");
    let finish = async {
        workers.close(Duration::from_secs(config.drain_seconds)).await;
        stop.cancel();
        watching.wait().await;
        Store::close(&*store).await;
    };
    tokio::select! {
        () = finish => tracing::info!("gone"),
        _ = signals.next() => tracing::warn!("asked twice: leaving at once"),
    }
    Ok(())
}

fn health(workers: &tasks::Workers, node: &str) -> String {
    let (store, queue) = (workers.store_is_up(), workers.queue_is_up());
    let word = |up| if up { "up" } else { "away" };
    serde_json::json!({
        "status": if store && queue { "ok" } else { "degraded" },
        "node": node,
        "version": env!("CARGO_PKG_VERSION"),
        "store": word(store),
        "queue": word(queue),
    })
    .to_string()
}
