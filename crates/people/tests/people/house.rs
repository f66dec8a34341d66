//! Nodes of one chat, as far as people go.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bus::{Bus, BusMetrics, Commons, LocalBus, RedisBus, RedisConfig};
use people::{Caller, Identity, People, PeopleConfig, PeopleMetrics};
use prometheus::Registry;
use proto::{Code, PersonName, Refusal};
use store::{Accounts, PostgresConfig, PostgresStore, SqliteConfig, SqliteStore, StoreMetrics};
use tempfile::TempDir;
use testkit::patience;
use testkit::postgres::Postgres;
use testkit::redis::Redis;

/// Far beyond what anything here takes on a busy machine; only a failing test waits for it.
pub const DEADLINE: Duration = Duration::from_secs(30);
pub const PASSWORD: &str = "correct horse";

/// What nodes share.
enum Shared {
    Alone { _folder: TempDir },
    Two { database: String, redis: Redis },
}

/// One chat.
pub struct House {
    shared: Shared,
    sqlite: Option<Arc<SqliteStore>>,
}

impl House {
    pub async fn alone() -> Self {
        let folder = TempDir::new().unwrap();
        let metrics = StoreMetrics::register(&Registry::new()).unwrap();
        let path = folder.path().join("people.db");
        let store = SqliteStore::open(path.to_str().unwrap(), SqliteConfig::default(), metrics).await.unwrap();
        Self { shared: Shared::Alone { _folder: folder }, sqlite: Some(Arc::new(store)) }
    }

    pub async fn two() -> Self {
        let (database, redis) = (Postgres::shared().database(), Redis::start().await);
        Self { shared: Shared::Two { database, redis }, sqlite: None }
    }

    pub fn redis(&self) -> &Redis {
        match &self.shared {
            Shared::Two { redis, .. } => redis,
            Shared::Alone { .. } => panic!("there is no Redis"),
        }
    }

    /// Two nodes; or the only one, twice.
    pub async fn nodes(&self) -> [Node; 2] {
        self.nodes_with(|_| {}).await
    }

    pub async fn nodes_with(&self, change: impl Fn(&mut PeopleConfig)) -> [Node; 2] {
        match &self.shared {
            Shared::Alone { .. } => {
                let node = self.node_with(&change).await;
                [node.clone(), node]
            }
            Shared::Two { .. } => [self.node_with(&change).await, self.node_with(&change).await],
        }
    }

    async fn node_with(&self, change: &impl Fn(&mut PeopleConfig)) -> Node {
        let registry = Registry::new();
        match &self.shared {
            Shared::Alone { .. } => {
                let (bus, _events) = LocalBus::new(16);
                Node::start(self.sqlite.clone().unwrap(), Arc::new(bus), registry, change)
            }
            Shared::Two { database, redis } => {
                Node::start(postgres(database, &registry).await, redis_at(&redis.url()).await, registry, change)
            }
        }
    }
}

pub async fn postgres(url: &str, registry: &Registry) -> Arc<PostgresStore> {
    // Few connections: many stores share one server here.
    let config = PostgresConfig { lanes: 1, readers: 4, ..PostgresConfig::default() };
    Arc::new(PostgresStore::open(url, config, StoreMetrics::register(registry).unwrap()).await.unwrap())
}

/// A bus that has found its Redis.
pub async fn redis_at(url: &str) -> Arc<RedisBus> {
    let metrics = BusMetrics::register(&Registry::new()).unwrap();
    let (bus, _events) = RedisBus::start(RedisConfig::new(url), metrics).unwrap();
    eventually("Redis is found", async || bus.is_up()).await;
    Arc::new(bus)
}

/// One node.
#[derive(Clone)]
pub struct Node {
    pub people: People,
    /// Past the node: what others do to the store.
    pub accounts: Arc<dyn Accounts>,
    registry: Registry,
}

impl Node {
    pub fn start(
        accounts: Arc<dyn Accounts>,
        commons: Arc<dyn Commons>,
        registry: Registry,
        change: impl Fn(&mut PeopleConfig),
    ) -> Self {
        let mut config = PeopleConfig::new("secret");
        change(&mut config);
        let metrics = PeopleMetrics::register(&registry).unwrap();
        let people = People::start(config, accounts.clone(), commons, metrics);
        Self { people, accounts, registry }
    }

    pub async fn signs_up(&self, name: &str) -> (Identity, String) {
        self.people.sign_up(&person(name), PASSWORD, &caller()).await.unwrap()
    }

    pub async fn signs_in(&self, name: &str) -> (Identity, String) {
        self.people.sign_in(&person(name), PASSWORD, &caller()).await.unwrap()
    }

    pub async fn knows(&self, token: &str) -> bool {
        match self.people.recognize(token).await {
            Ok(_) => true,
            Err(Refusal { code: Code::Unauthorized, retry_after_ms: None, .. }) => false,
            Err(other) => panic!("{other}"),
        }
    }

    pub fn endings(&self) -> tokio::sync::mpsc::Receiver<people::GrantId> {
        self.people.endings().unwrap()
    }

    /// A series' value on the metrics page.
    pub fn metric(&self, series: &str) -> f64 {
        self.metric_if_any(series).unwrap_or_else(|| panic!("no {series}"))
    }

    pub fn metric_if_any(&self, series: &str) -> Option<f64> {
        let page = prometheus::TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap();
        let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ').map(str::to_owned));
        line.map(|value| value.parse().unwrap())
    }
}

pub fn person(name: &str) -> PersonName {
    PersonName::parse(name).unwrap()
}

pub fn caller() -> Caller {
    caller_at("192.0.2.7")
}

pub fn caller_at(address: &str) -> Caller {
    Caller { agent: Some("Firefox\n".into()), address: address.parse::<IpAddr>().unwrap() }
}

pub fn code<T>(result: Result<T, Refusal>) -> Option<Code> {
    result.err().map(|refusal| refusal.code)
}

/// Looks again and again until it is so.
pub async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let found = patience(DEADLINE, async || is_so().await.then_some(())).await;
    found.unwrap_or_else(|| panic!("in vain: {what}"));
}
