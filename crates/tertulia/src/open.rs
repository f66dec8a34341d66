//! Opening what the configuration names: the door, the store and the bus.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bus::{Bus, BusEvent, BusMetrics, Commons, LocalBus, LocalQueue, Queue, RedisBus, RedisConfig, RedisQueue};
use prometheus::Registry;
use store::{
    Durability, Keeper, PostgresConfig, PostgresStore, SqliteConfig, SqliteStore, Step, StoreError, StoreMetrics,
};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::mpsc;

use crate::config::ServeConfig;
use crate::mask;
use crate::node::StartError;

/// How long an unreachable database is waited for.
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

/// Where messages are kept.
pub(crate) enum Place {
    Postgres(String),
    Sqlite(String),
}

impl Place {
    /// The one that the configuration names.
    pub(crate) fn of(config: &ServeConfig) -> Self {
        match &config.database_url {
            Some(url) if url.starts_with("postgres:") || url.starts_with("postgresql:") => Self::Postgres(url.clone()),
            Some(url) => Self::Sqlite(url.clone()),
            None => Self::Sqlite(config.data_dir.join("tertulia.db").to_string_lossy().into_owned()),
        }
    }

    pub(crate) fn is_shared(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// Fit to be shown.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Sqlite(path) if !path.contains("://") => path.strip_prefix("sqlite:").unwrap_or(path).into(),
            Self::Postgres(url) | Self::Sqlite(url) => mask::address(url),
        }
    }

    /// What a failure to open it means.
    fn failed(&self, error: StoreError) -> StartError {
        let (place, why) = (self.shown(), error.why().to_owned());
        if error.is_passing() { StartError::Unreachable { place, why } } else { StartError::Unfit { place, why } }
    }
}

pub(crate) fn postgres_config(config: &ServeConfig) -> PostgresConfig {
    PostgresConfig {
        lanes: config.writers,
        readers: config.readers,
        allow_newer: config.allow_newer_migrations,
        ..PostgresConfig::default()
    }
}

pub(crate) fn sqlite_config(config: &ServeConfig) -> SqliteConfig {
    SqliteConfig { readers: config.readers, allow_newer: config.allow_newer_migrations, ..SqliteConfig::default() }
}

/// Opens the store, once it can be reached, and sees that its settings keep what we promise.
pub(crate) async fn store(config: &ServeConfig, metrics: StoreMetrics) -> Result<Arc<dyn Keeper>, StartError> {
    let store = opened(config, &metrics, Use::Serve).await?;
    let durability = store.durability().await?;
    metrics.show_durability(&durability);
    for (setting, value) in &durability.settings {
        tracing::info!(setting, value, "durability");
    }
    if !durability.weaknesses.is_empty() {
        let sentences = sentences(&durability);
        if !config.allow_weak_durability {
            return Err(StartError::Weak(sentences));
        }
        tracing::warn!("{sentences}");
    }
    Ok(store)
}

/// One sentence for each weakness.
fn sentences(durability: &Durability) -> String {
    durability.weaknesses.iter().map(|weakness| format!("{weakness}.")).collect::<Vec<_>>().join(" ")
}

/// Opens the store only to read from it. Nothing is migrated, and a node may be using it.
pub(crate) async fn store_to_read(config: &ServeConfig) -> Result<Arc<dyn Keeper>, StartError> {
    opened(config, &StoreMetrics::register(&Registry::new())?, Use::Read).await
}

/// Opens the store to change what nodes look up there, beside whatever node uses it.
pub(crate) async fn beside(config: &ServeConfig) -> Result<Arc<dyn Keeper>, StartError> {
    opened(config, &StoreMetrics::register(&Registry::new())?, Use::Beside).await
}

/// What a store is opened for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Serve,
    Read,
    Beside,
}

async fn opened(config: &ServeConfig, metrics: &StoreMetrics, to: Use) -> Result<Arc<dyn Keeper>, StartError> {
    let place = Place::of(config);
    let open = async || {
        let reads_only = to == Use::Read;
        let store: Arc<dyn Keeper> = match &place {
            Place::Postgres(url) => {
                let settings = PostgresConfig { reads_only, ..postgres_config(config) };
                Arc::new(PostgresStore::open(url, settings, metrics.clone()).await?)
            }
            Place::Sqlite(path) => {
                let beside = to == Use::Beside;
                let settings = SqliteConfig { reads_only, beside, ..sqlite_config(config) };
                Arc::new(SqliteStore::open(path, settings, metrics.clone()).await?)
            }
        };
        Ok(store)
    };
    patiently(open).await.map_err(|error| place.failed(error))
}

/// Brings the schema up to date, and says what was missing.
pub(crate) async fn migrate(config: &ServeConfig) -> Result<Vec<Step>, StartError> {
    let place = Place::of(config);
    let migrate = async || match &place {
        Place::Postgres(url) => PostgresStore::migrate(url, &postgres_config(config)).await,
        Place::Sqlite(path) => SqliteStore::migrate(path, &sqlite_config(config)).await,
    };
    patiently(migrate).await.map_err(|error| place.failed(error))
}

/// Asks again for a while, as long as that can help.
pub(crate) async fn patiently<T>(mut ask: impl AsyncFnMut() -> Result<T, StoreError>) -> Result<T, StoreError> {
    let began = Instant::now();
    loop {
        match ask().await {
            Err(error) if error.is_passing() && began.elapsed() < PATIENCE => {
                tracing::warn!(%error, "the database cannot be reached; trying again for 30 s in all");
                tokio::time::sleep(PAUSE).await;
            }
            answer => return answer,
        }
    }
}

/// One bus, by what it does.
pub(crate) struct Carrier {
    /// Carries what rooms say.
    pub(crate) bus: Arc<dyn Bus>,
    /// Holds what nodes have in common for a short time.
    pub(crate) commons: Arc<dyn Commons>,
    /// What the hub must hear of.
    pub(crate) events: mpsc::Receiver<BusEvent>,
}

impl Carrier {
    fn new((bus, events): (impl Bus + Commons, mpsc::Receiver<BusEvent>)) -> Self {
        let bus = Arc::new(bus);
        Self { bus: bus.clone(), commons: bus, events }
    }
}

/// Starts the bus. A Redis that is away is no error: the node starts degraded.
pub(crate) fn bus(config: &ServeConfig, metrics: BusMetrics) -> Result<Carrier, StartError> {
    if Place::of(config).is_shared() != config.redis_url.is_some() {
        tracing::warn!(
            "Postgres and Redis belong together: without Redis nodes on one Postgres hear each other only after seconds, and \
             on SQLite there is no other node to hear"
        );
    }
    let Some(url) = &config.redis_url else {
        return Ok(Carrier::new(LocalBus::with_metrics(LOCAL_EVENTS, metrics)));
    };
    Ok(Carrier::new(RedisBus::start(redis_config(config, url), metrics)?))
}

/// Starts the queue of due tasks: beside the bus, or within the process.
pub(crate) fn queue(config: &ServeConfig) -> Result<Arc<dyn Queue>, StartError> {
    Ok(match &config.redis_url {
        Some(url) if config.workers > 0 => Arc::new(RedisQueue::start(&redis_config(config, url))?),
        _ => Arc::new(LocalQueue::default()),
    })
}

pub(crate) fn redis_config(config: &ServeConfig, url: &str) -> RedisConfig {
    RedisConfig { prefix: config.redis_prefix.clone(), ..RedisConfig::new(url) }
}
