//! A node as far as writing goes, on real stores and lines.

// In a test program nothing is reachable from outside, and each program uses its own part of this.
#![allow(unreachable_pub, dead_code)]

mod altered;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bus::{BusEvent, LocalBus};
use prometheus::Registry;
use proto::to_client::Kept;
use proto::{Body, Entry, Envelope, Message, MessageId, PersonName, RoomName, Text, User, UserId};
use roomlog::{AppendError, Job, LaneConfig, RoomLog, RoomLogMetrics};
use store::{
    Amendment, Change, Post, PostgresConfig, PostgresStore, SqliteConfig, SqliteStore, Store, StoreMetrics, StoreView,
};
use tempfile::TempDir;
use testkit::postgres::Postgres;
use testkit::proxy::Proxy;
use tokio::sync::{mpsc, oneshot};
use trace::Trace;
use uuid::Uuid;

pub use altered::{Altered, Before};

/// What a fact may take to come true. Far more than it needs.
pub const SOON: Duration = Duration::from_secs(20);

pub type Settled = oneshot::Receiver<Result<Kept, AppendError>>;

pub fn room(name: &str) -> RoomName {
    RoomName::parse(name).unwrap()
}

pub fn ana() -> User {
    User { id: UserId(Uuid::from_u128(1)), name: PersonName::parse("Ana").unwrap() }
}

pub fn post(room: &RoomName, id: Uuid, words: &str) -> Post {
    Post { room: room.clone(), id: MessageId(id), from: ana(), text: Text::parse(words).unwrap(), reply_to: None }
}

pub fn amend(room: &RoomName, seq: u64, words: Option<&str>) -> Job {
    let change = words.map_or(Change::Delete, |words| Change::Text(Text::parse(words).unwrap()));
    Job::Amend(Amendment { room: room.clone(), seq, by: ana().id, change })
}

/// A node as far as writing goes.
pub struct Node {
    pub log: RoomLog,
    pub store: Arc<dyn Store>,
    pub bus: Arc<LocalBus>,
    pub heard: mpsc::Receiver<BusEvent>,
    pub registry: Registry,
    pub view: Arc<StoreView>,
}

impl Node {
    pub async fn open(store: Arc<dyn Store>, config: &LaneConfig) -> Self {
        let view = Arc::new(StoreView::new(store.epoch().await.unwrap()));
        Self::of(store, view, config)
    }

    pub fn of(store: Arc<dyn Store>, view: Arc<StoreView>, config: &LaneConfig) -> Self {
        let (bus, heard) = LocalBus::new(10_000);
        let (bus, registry) = (Arc::new(bus), Registry::new());
        let metrics = RoomLogMetrics::register(&registry).unwrap();
        let log = RoomLog::start(store.clone(), bus.clone(), view.clone(), config, metrics);
        Self { log, store, bus, heard, registry, view }
    }

    pub fn submit(&self, job: Job) -> Settled {
        self.submit_traced(job, None)
    }

    pub fn submit_traced(&self, job: Job, trace: Option<Arc<Trace>>) -> Settled {
        let (answer, settled) = oneshot::channel();
        self.log.submit_traced(job, trace, Box::new(move |result| _ = answer.send(result)));
        settled
    }

    pub fn says(&self, room: &RoomName, id: Uuid, words: &str) -> Settled {
        self.submit(Job::Post(post(room, id, words)))
    }

    /// What this node publishes next.
    pub async fn next_envelope(&mut self) -> Envelope {
        loop {
            let event = tokio::time::timeout(SOON, self.heard.recv()).await.unwrap().unwrap();
            if let BusEvent::Publication { envelope, .. } = event {
                return Envelope::decode(envelope).unwrap();
            }
        }
    }

    /// The entries in it.
    pub async fn next_published(&mut self) -> Vec<Entry> {
        match self.next_envelope().await.body {
            Body::Entries(entries) => entries,
            other => panic!("a room log publishes entries, not {other:?}"),
        }
    }

    pub fn counted(&self, name: &str) -> u64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name).unwrap();
        family.get_metric().iter().map(|one| one.get_counter().get_value() as u64).sum()
    }
}

pub async fn everything(store: &Arc<dyn Store>, room: &RoomName) -> Vec<Message> {
    store.changes(room, 0, usize::MAX).await.unwrap().messages
}

pub fn store_metrics() -> StoreMetrics {
    StoreMetrics::register(&Registry::new()).unwrap()
}

pub async fn postgres(url: &str, answer_timeout: Duration) -> Arc<dyn Store> {
    let acquire_timeout = answer_timeout.min(Duration::from_secs(2));
    let config = PostgresConfig { lanes: 2, readers: 2, answer_timeout, acquire_timeout, ..PostgresConfig::default() };
    Arc::new(PostgresStore::open(url, config, store_metrics()).await.unwrap())
}

pub async fn sqlite(folder: &TempDir) -> Arc<dyn Store> {
    let path = folder.path().join("rooms.db");
    Arc::new(SqliteStore::open(path.to_str().unwrap(), SqliteConfig::default(), store_metrics()).await.unwrap())
}

/// Nodes that each have their own connections to one database.
pub async fn on_postgres(url: &str, count: usize, config: &LaneConfig) -> Vec<Node> {
    let mut nodes = Vec::new();
    for _ in 0..count {
        nodes.push(Node::open(postgres(url, Duration::from_secs(5)).await, config).await);
    }
    nodes
}

/// A Postgres database behind a line that can break: the line, the address through it, and the database's name.
pub async fn behind_a_line() -> (Proxy, String, String) {
    let url = Postgres::shared().database();
    let (address, name) = url.split_once('@').unwrap().1.split_once('/').unwrap();
    let server: SocketAddr = address.parse().unwrap();
    let line = Proxy::to(server).await;
    let through = url.replace(address, &line.address().to_string());
    (line, through, name.to_owned())
}

pub async fn settled(settled: Settled) -> Result<Kept, AppendError> {
    tokio::time::timeout(SOON, settled).await.expect("it is settled").expect("settled, not dropped")
}
