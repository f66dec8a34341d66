//! Opening what the configuration names: the door, the store and the bus.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bus::{Bus, BusEvent, BusMetrics, LocalBus, RedisBus, RedisConfig};
use store::{PostgresConfig, PostgresStore, SqliteConfig, SqliteStore, Store, StoreError, StoreMetrics};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::mpsc;

use crate::config::ServeConfig;
use crate::node::StartError;

/// How long an unreachable Postgres is waited for at the start.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_secs(1);
/// Events that may wait for the hub where there is no Redis.
const LOCAL_EVENTS: usize = 65_536;
/// Connections that may wait to be accepted. When all come back at once, one that finds no place tries again only after a
/// second, then three; the system cuts this to its own bound (`net.core.somaxconn`).
const ACCEPT_QUEUE: u32 = 65_535;

/// Takes the address. Whoever connects waits until somebody accepts.
pub(crate) fn door(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A node that starts again must not wait for the connections of the one before it to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(ACCEPT_QUEUE)
}

/// Opens the store, once it can be reached, and sees that its settings keep what we promise.
pub(crate) async fn store(config: &ServeConfig, metrics: StoreMetrics) -> Result<Arc<dyn Store>, StartError> {
    let store: Arc<dyn Store> = match config.database_url.as_deref() {
        Some(url) if is_postgres(url) => Arc::new(postgres(url, config, &metrics).await?),
        Some(url) => Arc::new(sqlite(url, config, &metrics).await?),
        None => {
            let path = config.data_dir.join("tertulia.db");
            Arc::new(sqlite(&path.to_string_lossy(), config, &metrics).await?)
        }
    };
    let durability = store.durability().await?;
    metrics.show_durability(&durability);
    for (setting, value) in &durability.settings {
        tracing::info!(setting, value, "durability");
    }
    if !durability.weaknesses.is_empty() {
        let sentence = durability.weaknesses.join(" ");
        if !config.allow_weak_durability {
            return Err(StartError::Weak(sentence));
        }
        tracing::warn!("{sentence}");
    }
    Ok(store)
}

fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres:") || url.starts_with("postgresql:")
}

async fn postgres(url: &str, config: &ServeConfig, metrics: &StoreMetrics) -> Result<PostgresStore, StartError> {
    let began = Instant::now();
    let settings = PostgresConfig { lanes: config.writers, readers: config.readers, ..PostgresConfig::default() };
    loop {
        match PostgresStore::open(url, settings.clone(), metrics.clone()).await {
            Ok(store) => return Ok(store),
            Err(error) if error.is_passing() && began.elapsed() < PATIENCE => {
                tracing::warn!(%error, "Postgres cannot be reached; trying again for 30 s in all");
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) if error.is_passing() => return Err(StartError::Unreachable(error)),
            Err(error) => return Err(error.into()),
        }
    }
}

async fn sqlite(path_or_url: &str, config: &ServeConfig, metrics: &StoreMetrics) -> Result<SqliteStore, StoreError> {
    let settings = SqliteConfig { readers: config.readers, ..SqliteConfig::default() };
    SqliteStore::open(path_or_url, settings, metrics.clone()).await
}

/// Starts the bus. A Redis that is away is no error: the node starts degraded.
pub(crate) fn bus(
    config: &ServeConfig,
    metrics: BusMetrics,
) -> Result<(Arc<dyn Bus>, mpsc::Receiver<BusEvent>), StartError> {
    let shares_store = config.database_url.as_deref().is_some_and(is_postgres);
    if shares_store != config.redis_url.is_some() {
        tracing::warn!(
            "Postgres and Redis belong together: without Redis nodes on one Postgres hear each other only after seconds, and \
             on SQLite there is no other node to hear"
        );
    }
    let Some(url) = &config.redis_url else {
        let (bus, events) = LocalBus::with_metrics(LOCAL_EVENTS, metrics);
        return Ok((Arc::new(bus), events));
    };
    let settings = RedisConfig { prefix: config.redis_prefix.clone(), ..RedisConfig::new(url) };
    let (bus, events) = RedisBus::start(settings, metrics)?;
    Ok((Arc::new(bus), events))
}
