//! A store, a queue, workers on them, and a kind that does as it is told.

#![allow(dead_code, unreachable_pub)]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bus::{LocalQueue, Queue, RedisConfig, RedisQueue};
use parking_lot::Mutex;
use prometheus::Registry;
use proto::TaskId;
use store::{Keeper, PostgresConfig, PostgresStore, SqliteConfig, SqliteStore, StoreMetrics};
use tasks::{Failure, Kind, Kinds, Manner, NewTask, Task, TasksMetrics, Workers, WorkersConfig};
use tempfile::TempDir;
use testkit::patience;

/// Far beyond what anything here takes on a busy machine; only a failing test waits for it.
pub const DEADLINE: Duration = Duration::from_secs(60);

pub async fn postgres(url: &str) -> Arc<dyn Keeper> {
    let metrics = StoreMetrics::register(&Registry::new()).unwrap();
    let config = PostgresConfig { lanes: 1, readers: 4, ..PostgresConfig::default() };
    Arc::new(PostgresStore::open(url, config, metrics).await.unwrap())
}

pub async fn sqlite(folder: &TempDir) -> Arc<dyn Keeper> {
    let metrics = StoreMetrics::register(&Registry::new()).unwrap();
    let path = folder.path().join("rooms.db");
    Arc::new(SqliteStore::open(path.to_str().unwrap(), SqliteConfig::default(), metrics).await.unwrap())
}

pub fn redis(url: &str) -> Arc<dyn Queue> {
    Arc::new(RedisQueue::start(&RedisConfig::new(url)).unwrap())
}

pub fn local() -> Arc<dyn Queue> {
    Arc::new(LocalQueue::default())
}

/// Everything quick, so that what takes a lease does not take a test's whole time.
pub fn quick(name: &str) -> WorkersConfig {
    WorkersConfig {
        node_name: name.into(),
        lease: Duration::from_millis(900),
        offer_every: Duration::from_millis(50),
        count_every: Duration::from_millis(100),
        ..WorkersConfig::default()
    }
}

/// What was run, and how often each of it.
#[derive(Clone, Default)]
pub struct Book(Arc<Mutex<HashMap<TaskId, Vec<u32>>>>);

impl Book {
    pub fn write(&self, task: &Task) {
        self.0.lock().entry(task.id).or_default().push(task.attempts);
    }

    /// The attempts of a task that were begun.
    pub fn attempts(&self, id: TaskId) -> Vec<u32> {
        self.0.lock().get(&id).cloned().unwrap_or_default()
    }

    pub fn tasks(&self) -> usize {
        self.0.lock().len()
    }

    pub fn runs(&self) -> usize {
        self.0.lock().values().map(Vec::len).sum()
    }
}

/// Does what its payload says.
pub struct Obey {
    pub book: Book,
    pub every: Option<Duration>,
}

impl Kind for Obey {
    const NAME: &'static str = "obey";

    fn manner(&self) -> Manner {
        Manner {
            time_limit: Duration::from_secs(4),
            attempts_max: 3,
            first_pause: Duration::from_millis(20),
            longest_pause: Duration::from_millis(50),
            every: self.every,
        }
    }

    async fn run(&self, task: &Task) -> Result<(), Failure> {
        self.book.write(task);
        match task.payload.as_str() {
            "fail" => Err(Failure::retry("told to")),
            "fail once" if task.attempts == 1 => Err(Failure::retry("told to, once")),
            "give up" => Err(Failure::give_up("there is no point")),
            "panic" => panic!("told to"),
            "for ever" => std::future::pending().await,
            "slow" => {
                tokio::time::sleep(Duration::from_secs(3)).await;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

pub struct Crew {
    pub workers: Workers,
    pub registry: Registry,
}

impl Crew {
    pub fn start(store: &Arc<dyn Keeper>, queue: Arc<dyn Queue>, book: &Book, config: WorkersConfig) -> Self {
        Self::of(store, queue, Kinds::default().with(Obey { book: book.clone(), every: None }), config)
    }

    pub fn of(store: &Arc<dyn Keeper>, queue: Arc<dyn Queue>, kinds: Kinds, config: WorkersConfig) -> Self {
        let registry = Registry::new();
        let metrics = TasksMetrics::register(&registry, &kinds.names()).unwrap();
        Self { workers: Workers::start(store.clone(), queue, kinds, config, metrics), registry }
    }

    /// A series' value, for instance `tertulia_tasks_leads`.
    pub fn metric(&self, series: &str) -> f64 {
        let page = prometheus::TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap();
        let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ').map(str::to_owned));
        line.unwrap_or_else(|| panic!("no {series} in {page}")).parse().unwrap()
    }

    /// How many runs ended so.
    pub fn ended(&self, ending: &str) -> f64 {
        self.metric(&format!("tertulia_tasks_runs_total{{ending=\"{ending}\",kind=\"obey\"}}"))
    }
}

pub async fn add(store: &Arc<dyn Keeper>, payload: &str) -> TaskId {
    store.add_task(&NewTask::now("obey", payload)).await.unwrap().id()
}

/// Looks again and again until it is so.
pub async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let look = patience(DEADLINE, async || is_so().await.then_some(()));
    assert!(look.await.is_some(), "in vain: {what}");
}

/// Waits until the store has nothing of a task any more.
pub async fn gone(store: &Arc<dyn Keeper>, id: TaskId) {
    eventually("the task is done", async || store.task(id).await.unwrap().is_none()).await;
}

/// Waits until a task is a dead letter.
pub async fn dead(store: &Arc<dyn Keeper>, id: TaskId) -> Task {
    let look = patience(DEADLINE, async || store.task(id).await.unwrap().filter(|task| task.dead_at.is_some()));
    look.await.unwrap_or_else(|| panic!("{id} does not die"))
}
