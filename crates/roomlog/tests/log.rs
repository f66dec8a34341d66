//! What the room log promises while several nodes write and everything under them breaks.
//!
//! Logs, stores and lines are real. The bus is that of one process: what a node publishes is heard on its own end.

// What helps a test fails like a test.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bus::{Bus, BusEvent, LocalBus};
use prometheus::Registry;
use proto::to_client::Kept;
use proto::{Body, Entry, Envelope, Epoch, Message, MessageId, PersonName, RoomName, Text, User, UserId};
use roomlog::{AppendError, Job, LaneConfig, RoomLog, RoomLogMetrics};
use store::{
    Amendment, Change, Changes, Durability, Heads, Outcome, Post, PostgresConfig, PostgresStore, SqliteConfig,
    SqliteStore, Store, StoreError, StoreMetrics, StoreView, Tail,
};
use tempfile::TempDir;
use testkit::patience;
use testkit::postgres::Postgres;
use testkit::proxy::{Proxy, Way};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

/// What a fact may take to come true. Far more than it needs.
const SOON: Duration = Duration::from_secs(20);

type Settled = oneshot::Receiver<Result<Kept, AppendError>>;

fn room(name: &str) -> RoomName {
    RoomName::parse(name).unwrap()
}

fn ana() -> User {
    User { id: UserId(Uuid::from_u128(1)), name: PersonName::parse("Ana").unwrap() }
}

fn post(room: &RoomName, id: Uuid, words: &str) -> Post {
    Post { room: room.clone(), id: MessageId(id), from: ana(), text: Text::parse(words).unwrap(), reply_to: None }
}

fn amend(room: &RoomName, seq: u64, words: Option<&str>) -> Job {
    let change = words.map_or(Change::Delete, |words| Change::Text(Text::parse(words).unwrap()));
    Job::Amend(Amendment { room: room.clone(), seq, by: ana().id, change })
}

/// A node as far as writing goes.
struct Node {
    log: RoomLog,
    store: Arc<dyn Store>,
    bus: Arc<LocalBus>,
    heard: mpsc::Receiver<BusEvent>,
    registry: Registry,
    view: Arc<StoreView>,
}

impl Node {
    async fn open(store: Arc<dyn Store>, config: &LaneConfig) -> Self {
        let view = Arc::new(StoreView::new(store.epoch().await.unwrap()));
        Self::of(store, view, config)
    }

    fn of(store: Arc<dyn Store>, view: Arc<StoreView>, config: &LaneConfig) -> Self {
        let (bus, heard) = LocalBus::new(10_000);
        let (bus, registry) = (Arc::new(bus), Registry::new());
        let metrics = RoomLogMetrics::register(&registry).unwrap();
        let log = RoomLog::start(store.clone(), bus.clone(), view.clone(), config, metrics);
        Self { log, store, bus, heard, registry, view }
    }

    fn submit(&self, job: Job) -> Settled {
        let (answer, settled) = oneshot::channel();
        self.log.submit(job, Box::new(move |result| _ = answer.send(result)));
        settled
    }

    fn says(&self, room: &RoomName, id: Uuid, words: &str) -> Settled {
        self.submit(Job::Post(post(room, id, words)))
    }

    /// What this node publishes next.
    async fn next_envelope(&mut self) -> Envelope {
        loop {
            let event = tokio::time::timeout(SOON, self.heard.recv()).await.unwrap().unwrap();
            if let BusEvent::Publication { envelope, .. } = event {
                return Envelope::decode(envelope).unwrap();
            }
        }
    }

    /// The entries in it.
    async fn next_published(&mut self) -> Vec<Entry> {
        match self.next_envelope().await.body {
            Body::Entries(entries) => entries,
            other => panic!("a room log publishes entries, not {other:?}"),
        }
    }

    fn counted(&self, name: &str) -> u64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name).unwrap();
        family.get_metric().iter().map(|one| one.get_counter().get_value() as u64).sum()
    }
}

async fn everything(store: &Arc<dyn Store>, room: &RoomName) -> Vec<Message> {
    store.changes(room, 0, usize::MAX).await.unwrap().messages
}

fn store_metrics() -> StoreMetrics {
    StoreMetrics::register(&Registry::new()).unwrap()
}

async fn postgres(url: &str, answer_timeout: Duration) -> Arc<dyn Store> {
    let acquire_timeout = answer_timeout.min(Duration::from_secs(2));
    let config = PostgresConfig { lanes: 2, readers: 2, answer_timeout, acquire_timeout, ..PostgresConfig::default() };
    Arc::new(PostgresStore::open(url, config, store_metrics()).await.unwrap())
}

async fn sqlite(folder: &TempDir) -> Arc<dyn Store> {
    let path = folder.path().join("rooms.db");
    Arc::new(SqliteStore::open(path.to_str().unwrap(), SqliteConfig::default(), store_metrics()).await.unwrap())
}

/// Nodes that each have their own connections to one database.
async fn on_postgres(url: &str, count: usize, config: &LaneConfig) -> Vec<Node> {
    let mut nodes = Vec::new();
    for _ in 0..count {
        nodes.push(Node::open(postgres(url, Duration::from_secs(5)).await, config).await);
    }
    nodes
}

/// A Postgres database behind a line that can break: the line, the address through it, and the database's name.
async fn behind_a_line() -> (Proxy, String, String) {
    let url = Postgres::shared().database();
    let (address, name) = url.split_once('@').unwrap().1.split_once('/').unwrap();
    let server: SocketAddr = address.parse().unwrap();
    let line = Proxy::to(server).await;
    let through = url.replace(address, &line.address().to_string());
    (line, through, name.to_owned())
}

async fn settled(settled: Settled) -> Result<Kept, AppendError> {
    tokio::time::timeout(SOON, settled).await.expect("it is settled").expect("settled, not dropped")
}

/// What one writer was told about each of its ids, in the order it first sent them, and whether it waited for an answer
/// before it sent one again.
struct Written {
    room: RoomName,
    told: Vec<(Uuid, String, u64)>,
    is_patient: bool,
}

/// Writers on several nodes, in one hot room and some others. Each sends without waiting; some send an id again on another
/// node at once, others once they have an answer.
async fn crowd(nodes: &Arc<Vec<Node>>, each: usize) -> Vec<Written> {
    let writers: Vec<_> = (0..9_usize)
        .map(|writer| {
            let nodes = nodes.clone();
            let room = room(if writer % 3 == 2 { ["attic", "cellar", "yard"][writer / 3] } else { "hot" });
            tokio::spawn(async move {
                let is_patient = writer % 2 == 0;
                let here = &nodes[writer % nodes.len()];
                let mut answers: Vec<(Uuid, String, Vec<Settled>)> = Vec::new();
                for number in 0..each {
                    let (id, words) = (Uuid::new_v4(), format!("{writer} says {number}"));
                    let mut all = vec![here.says(&room, id, &words)];
                    if !is_patient && id.as_u128() % 3 == 0 {
                        let there = &nodes[id.as_u128() as usize % nodes.len()];
                        all.push(there.says(&room, id, &words));
                    }
                    answers.push((id, words, all));
                    if id.as_u128() % 7 == 0 {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                }
                let mut told = Vec::new();
                for (id, words, all) in answers {
                    let mut seqs = Vec::new();
                    for answer in all {
                        seqs.push(settled(answer).await.unwrap().seq);
                    }
                    if is_patient && id.as_u128() % 3 == 0 {
                        let there = &nodes[id.as_u128() as usize % nodes.len()];
                        seqs.push(settled(there.says(&room, id, &words)).await.unwrap().seq);
                    }
                    assert!(seqs.iter().all(|seq| *seq == seqs[0]), "one id, several numbers: {seqs:?}");
                    told.push((id, words, seqs[0]));
                }
                Written { room, told, is_patient }
            })
        })
        .collect();
    let mut written = Vec::new();
    for writer in writers {
        written.push(writer.await.unwrap());
    }
    written
}

/// Holds what writers were told against what is kept: numbers without a gap, each id once, each answer true.
async fn is_kept(store: &Arc<dyn Store>, written: &[Written]) {
    let mut rooms: BTreeMap<&RoomName, HashMap<Uuid, (&str, u64)>> = BTreeMap::new();
    for Written { room, told, is_patient } in written {
        rooms.entry(room).or_default().extend(told.iter().map(|(id, words, seq)| (*id, (words.as_str(), *seq))));
        // Who sends an id on another node before there is an answer has asked for a race; all others keep their order.
        if *is_patient {
            assert!(told.is_sorted_by(|a, b| a.2 < b.2), "what was sent later has a lower number");
        }
    }
    for (room, told) in rooms {
        let kept = everything(store, room).await;
        let numbers: Vec<u64> = kept.iter().map(|message| message.seq).collect();
        assert_eq!(numbers, (1..=told.len() as u64).collect::<Vec<_>>(), "{room}");
        for message in kept {
            assert_eq!(told.get(&message.id.0), Some(&(message.text.as_str(), message.seq)), "{room}");
        }
    }
}

/// Guards numbers and ids where nodes share everything but memory.
#[tokio::test(flavor = "multi_thread")]
async fn several_nodes_write_the_same_rooms_without_a_gap_and_each_id_once_on_postgres() {
    let url = Postgres::shared().database();
    let nodes = Arc::new(on_postgres(&url, 3, &LaneConfig::default()).await);
    is_kept(&nodes[0].store, &crowd(&nodes, 60).await).await;
}

/// Guards the same on the store of a single node, whose logs share its one writer.
#[tokio::test(flavor = "multi_thread")]
async fn several_logs_write_the_same_rooms_without_a_gap_and_each_id_once_on_sqlite() {
    let folder = TempDir::new().unwrap();
    let store = sqlite(&folder).await;
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(Node::open(store.clone(), &LaneConfig { batch_len: 7, ..LaneConfig::default() }).await);
    }
    is_kept(&store, &crowd(&Arc::new(nodes), 60).await).await;
}

/// Guards what was accepted from a database that throws its connections out in the middle of commits.
#[tokio::test(flavor = "multi_thread")]
async fn connections_ended_during_commits_lose_nothing_and_double_nothing() {
    let server = Postgres::shared();
    let url = server.database();
    let config = LaneConfig { batch_len: 5, patience: SOON, ..LaneConfig::default() };
    let nodes = Arc::new(on_postgres(&url, 3, &config).await);
    let writing = tokio::spawn({
        let nodes = nodes.clone();
        async move { crowd(&nodes, 120).await }
    });
    let database = url.rsplit('/').next().unwrap().to_owned();
    let cutting = tokio::task::spawn_blocking(move || {
        for _ in 0..15 {
            let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() \
                       AND application_name = 'tertulia lane'";
            server.execute(&database, sql);
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    let written = writing.await.unwrap();
    cutting.await.unwrap();
    let retries: u64 = nodes.iter().map(|node| node.counted("tertulia_store_retries_total")).sum();
    assert!(retries > 0, "nothing was cut");
    is_kept(&nodes[0].store, &written).await;
}

/// Guards the same on a line that breaks: then nobody is told what became of a commit.
#[tokio::test(flavor = "multi_thread")]
async fn a_line_cut_during_commits_loses_nothing_and_doubles_nothing() {
    let (line, url, _) = behind_a_line().await;
    let config = LaneConfig { batch_len: 5, patience: SOON, ..LaneConfig::default() };
    let nodes = Arc::new(on_postgres(&url, 2, &config).await);
    let writing = tokio::spawn({
        let nodes = nodes.clone();
        async move { crowd(&nodes, 120).await }
    });
    for _ in 0..20 {
        line.cut();
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    let written = writing.await.unwrap();
    let retries: u64 = nodes.iter().map(|node| node.counted("tertulia_store_retries_total")).sum();
    assert!(retries > 0, "nothing was cut");
    is_kept(&nodes[0].store, &written).await;
}

/// Guards the case that retries are for: it was committed, and the answer never came.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_settled_with_the_number_it_has_and_published() {
    let (line, url, database) = behind_a_line().await;
    let store = postgres(&url, Duration::from_millis(400)).await;
    let mut node = Node::open(store.clone(), &LaneConfig { patience: SOON, ..LaneConfig::default() }).await;
    let hot = room("hot");
    node.bus.subscribe(&hot);
    // The connection knows its statement from now on: the next post is one question and one answer.
    settled(node.says(&hot, Uuid::new_v4(), "hello")).await.unwrap();
    assert_eq!(node.next_published().await.len(), 1);
    line.swallow(Way::ToClient);
    let answer = node.says(&hot, Uuid::new_v4(), "did you get this?");
    let count = async || {
        let (database, sql) = (database.clone(), "SELECT count(*) FROM messages");
        tokio::task::spawn_blocking(move || Postgres::shared().execute(&database, sql)).await.unwrap()
    };
    let committed = patience(SOON, async || (count().await.trim() == "2").then_some(())).await;
    assert!(committed.is_some(), "it was never committed");
    line.cut();
    line.pass();
    assert_eq!(settled(answer).await.unwrap().seq, 2);
    assert!(node.counted("tertulia_store_retries_total") > 0);
    assert_eq!(node.next_published().await.len(), 1);
    assert_eq!(everything(&store, &hot).await.len(), 2);
}

/// Guards a sender from waiting for ever, and from a second message when it asks again.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_away_beyond_patience_is_unknown_and_the_same_id_settles_afterwards() {
    let (line, url, _) = behind_a_line().await;
    let store = postgres(&url, Duration::from_millis(400)).await;
    let config = LaneConfig { patience: Duration::from_millis(300), ..LaneConfig::default() };
    let node = Node::open(store.clone(), &config).await;
    let hot = room("hot");
    line.refuse();
    let ids: Vec<Uuid> = (0..20).map(|_| Uuid::new_v4()).collect();
    let answers: Vec<Settled> = ids.iter().map(|id| node.says(&hot, *id, "hello?")).collect();
    for answer in answers {
        assert_eq!(settled(answer).await, Err(AppendError::Unknown { retry_after_ms: 1000 }));
    }
    assert!(!node.view.is_up());
    line.pass();
    for (id, number) in ids.iter().zip(1..) {
        let again = patience(SOON, async || settled(node.says(&hot, *id, "hello?")).await.ok()).await;
        assert_eq!(again.unwrap().seq, number);
    }
    assert!(node.view.is_up());
    assert_eq!(everything(&store, &hot).await.len(), ids.len());
}

/// Guards a node's memory while its store is slow: more than the bound is refused, and what was accepted is kept.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_lane_is_busy_and_keeps_what_it_has_taken() {
    let (line, url, _) = behind_a_line().await;
    let store = postgres(&url, Duration::from_millis(400)).await;
    let config = LaneConfig { queue_len: 3, batch_len: 1, patience: SOON, ..LaneConfig::default() };
    let node = Node::open(store.clone(), &config).await;
    let hot = room("hot");
    line.refuse();
    let mut taken = vec![node.says(&hot, Uuid::new_v4(), "under way")];
    let under_way = patience(SOON, async || (!node.view.is_up()).then_some(())).await;
    assert!(under_way.is_some(), "the lane never tried");
    taken.extend((0..3).map(|_| node.says(&hot, Uuid::new_v4(), "waits")));
    let refused = settled(node.says(&hot, Uuid::new_v4(), "one too many")).await;
    assert!(matches!(refused, Err(AppendError::Busy { retry_after_ms: 1.. })), "{refused:?}");
    line.pass();
    for (answer, number) in taken.into_iter().zip(1..) {
        assert_eq!(settled(answer).await.unwrap().seq, number);
    }
    assert_eq!(everything(&store, &hot).await.len(), 4);
}

/// Guards what a node committed and could not publish before it died: whoever sends the id again, anywhere, makes it heard.
#[tokio::test(flavor = "multi_thread")]
async fn a_known_id_is_published_again_where_it_is_sent_again_as_it_is_now() {
    let url = Postgres::shared().database();
    let mut nodes = on_postgres(&url, 2, &LaneConfig::default()).await;
    let (hot, id) = (room("hot"), Uuid::new_v4());
    assert_eq!(settled(nodes[0].says(&hot, id, "once")).await.unwrap().seq, 1);
    settled(nodes[0].submit(amend(&hot, 1, Some("put right")))).await.unwrap();
    nodes[1].bus.subscribe(&hot);
    let again = settled(nodes[1].says(&hot, id, "once")).await.unwrap();
    assert_eq!((again.seq, again.rev), (1, 1));
    let published = nodes[1].next_published().await;
    let kept: Vec<Entry> = everything(&nodes[1].store, &hot).await.iter().map(Message::entry).collect();
    assert_eq!(published, kept);
    assert_eq!(nodes[1].counted("tertulia_republished_total"), 1);
    assert_eq!(nodes[0].counted("tertulia_republished_total"), 0);
}

/// Guards a sender's own order across kinds of jobs: they go in different transactions, one after another.
#[tokio::test(flavor = "multi_thread")]
async fn posts_and_changes_of_one_sender_take_effect_in_the_order_they_are_submitted() {
    let folder = TempDir::new().unwrap();
    let mut node = Node::open(sqlite(&folder).await, &LaneConfig::default()).await;
    let hot = room("hot");
    node.bus.subscribe(&hot);
    let answers = [
        node.says(&hot, Uuid::new_v4(), "helo"),
        node.submit(amend(&hot, 1, Some("hello"))),
        node.submit(amend(&hot, 1, Some("hello!"))),
        node.says(&hot, Uuid::new_v4(), "bye"),
        node.submit(amend(&hot, 1, None)),
    ];
    let mut revs = Vec::new();
    for answer in answers {
        revs.push(settled(answer).await.unwrap().rev);
    }
    assert_eq!(revs, [1, 2, 3, 4, 5]);
    let mut published = Vec::new();
    while published.len() < 5 {
        published.extend(node.next_published().await);
    }
    assert_eq!(
        published.iter().map(|entry| (entry.seq, entry.rev)).collect::<Vec<_>>(),
        [(1, 1), (1, 2), (1, 3), (4, 4), (1, 5)]
    );
}

/// Guards a drain: what was accepted is kept and answered, and what comes too late is refused.
#[tokio::test(flavor = "multi_thread")]
async fn closing_settles_everything_that_was_accepted_and_takes_nothing_more() {
    let folder = TempDir::new().unwrap();
    let store = sqlite(&folder).await;
    let node = Node::open(store.clone(), &LaneConfig { batch_len: 10, ..LaneConfig::default() }).await;
    let hot = room("hot");
    let answers: Vec<Settled> = (0..300).map(|_| node.says(&hot, Uuid::new_v4(), "a word")).collect();
    tokio::time::timeout(SOON, node.log.close()).await.unwrap();
    for (mut answer, number) in answers.into_iter().zip(1..) {
        assert_eq!(answer.try_recv().expect("settled before the end").unwrap().seq, number);
    }
    let late = settled(node.says(&hot, Uuid::new_v4(), "too late")).await;
    assert!(matches!(late, Err(AppendError::Busy { .. })), "{late:?}");
    assert_eq!(everything(&store, &hot).await.len(), 300);
}

/// Guards neighbours in a batch from one that the store will never take.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_the_store_refuses_does_not_take_its_neighbours_with_it() {
    let server = Postgres::shared();
    let url = server.database();
    let store = postgres(&url, Duration::from_secs(5)).await;
    let database = url.rsplit('/').next().unwrap();
    server.execute(database, "ALTER TABLE messages ADD CHECK (text <> 'poison')");
    // While the first is under way, the others gather.
    let node = Node::open(store.clone(), &LaneConfig::default()).await;
    let hot = room("hot");
    let words: Vec<&str> = (0..40).map(|number| if number % 13 == 7 { "poison" } else { "a word" }).collect();
    let answers: Vec<Settled> = words.iter().map(|words| node.says(&hot, Uuid::new_v4(), words)).collect();
    let mut number = 0;
    for (answer, words) in answers.into_iter().zip(words) {
        let answer = settled(answer).await;
        if words == "poison" {
            assert!(matches!(answer, Err(AppendError::Unknown { .. })), "{answer:?}");
        } else {
            number += 1;
            assert_eq!(answer.unwrap().seq, number);
        }
    }
    assert_eq!(everything(&store, &hot).await.len(), 37);
}

type Before = dyn Fn(&[Post]) -> Result<(), StoreError> + Send + Sync;

/// A real store, and what happens before and after each append.
struct Altered {
    store: Arc<dyn Store>,
    before: Box<Before>,
    after: Box<dyn Fn() + Send + Sync>,
}

#[async_trait]
impl Store for Altered {
    fn lanes(&self) -> usize {
        self.store.lanes()
    }

    async fn append(&self, lane: usize, posts: &[Post]) -> Result<Vec<Outcome>, StoreError> {
        (self.before)(posts)?;
        let outcomes = self.store.append(lane, posts).await;
        (self.after)();
        outcomes
    }

    async fn amend(&self, lane: usize, amendments: &[Amendment]) -> Result<Vec<Outcome>, StoreError> {
        self.store.amend(lane, amendments).await
    }

    async fn heads(&self, rooms: &[RoomName]) -> Result<Heads, StoreError> {
        self.store.heads(rooms).await
    }

    async fn changes(&self, room: &RoomName, after: u64, limit: usize) -> Result<Changes, StoreError> {
        self.store.changes(room, after, limit).await
    }

    async fn newest_changes(&self, room: &RoomName, span: u64) -> Result<Changes, StoreError> {
        self.store.newest_changes(room, span).await
    }

    async fn tail(&self, room: &RoomName, limit: usize) -> Result<Tail, StoreError> {
        self.store.tail(room, limit).await
    }

    async fn before(&self, room: &RoomName, seq: u64, limit: usize) -> Result<Tail, StoreError> {
        self.store.before(room, seq, limit).await
    }

    async fn epoch(&self) -> Result<Epoch, StoreError> {
        self.store.epoch().await
    }

    async fn rotate_epoch(&self, old: Epoch) -> Result<Epoch, StoreError> {
        self.store.rotate_epoch(old).await
    }

    async fn secret(&self, candidate: &str) -> Result<String, StoreError> {
        self.store.secret(candidate).await
    }

    async fn durability(&self) -> Result<Durability, StoreError> {
        self.store.durability().await
    }

    async fn close(&self) {
        self.store.close().await;
    }
}

/// Guards a new history from the last numbers of the old one.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_committed_before_the_epoch_turned_is_not_published_under_the_new_one() {
    let folder = TempDir::new().unwrap();
    let store = sqlite(&folder).await;
    let old = store.epoch().await.unwrap();
    let view = Arc::new(StoreView::new(old));
    let turned = view.clone();
    let after = Box::new(move || _ = turned.set_epoch(Epoch(turned.epoch().0 + 1)));
    let turning = Arc::new(Altered { store, before: Box::new(|_| Ok(())), after });
    let mut node = Node::of(turning, view, &LaneConfig::default());
    let hot = room("hot");
    node.bus.subscribe(&hot);
    settled(node.says(&hot, Uuid::new_v4(), "the last of the old days")).await.unwrap();
    assert_eq!(node.next_envelope().await.epoch, old);
}

/// Guards against senders who each wait out a patience of their own, one after another, when a batch was refused and the store
/// went away behind it (a disk that fills up does both).
#[tokio::test]
async fn once_the_store_is_away_the_rest_of_a_refused_batch_is_not_tried_one_by_one() {
    let folder = TempDir::new().unwrap();
    let store = sqlite(&folder).await;
    let view = Arc::new(StoreView::new(store.epoch().await.unwrap()));
    let alone = Arc::new(AtomicUsize::new(0));
    let tried = alone.clone();
    let before = Box::new(move |posts: &[Post]| {
        if posts.len() > 1 {
            return Err(StoreError::Refused("the disk is full".into()));
        }
        tried.fetch_add(1, Ordering::Relaxed);
        Err(StoreError::Away("and now it is gone".into()))
    });
    let failing = Arc::new(Altered { store, before, after: Box::new(|| ()) });
    let node = Node::of(failing, view, &LaneConfig { patience: Duration::ZERO, ..LaneConfig::default() });
    // One thread: all ten wait before the lane looks.
    let waiting: Vec<Settled> = (0..10).map(|_| node.says(&room("hot"), Uuid::new_v4(), "is there room?")).collect();
    for answer in waiting {
        assert_eq!(settled(answer).await, Err(AppendError::Unknown { retry_after_ms: 1000 }));
    }
    assert_eq!(alone.load(Ordering::Relaxed), 1);
}
