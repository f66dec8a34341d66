//! What the hub promises, one scene each: real nodes on a real store, and a carrier that loses on command.

// In a test program nothing is reachable from outside, and what helps a test fails like a test.
#![allow(unreachable_pub, clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use bus::{BusEvent, Loss};
use bytes::Bytes;
use common::carrier::{Fate, LossyBus, Subscribing};
use common::counting::Counting;
use common::listener::Listener;
use common::node::{Node, joins};
use common::{person, room, sqlite, store_metrics, tracer};
use futures_util::FutureExt;
use futures_util::future::join_all;
use hub::{Ask, Batch, HubConfig, HubError, Outbox};
use parking_lot::Mutex;
use proto::{Epoch, Frame, Position, RoomName};
use sqlx::{ConnectOptions, Connection};
use store::{PostgresConfig, PostgresStore, Retention, SqliteStore, Store};
use tempfile::TempDir;
use testkit::patience;
use testkit::postgres::Postgres;
use testkit::proxy::Proxy;
use trace::Fact;

/// What a fact may take to come true. Far more than it needs.
const SOON: Duration = Duration::from_secs(5);
/// In place of a rhythm that a scene must not depend on.
const NEVER: Duration = Duration::from_secs(600);

/// Nothing happens by itself: a scene turns on what it is about.
fn still() -> HubConfig {
    HubConfig {
        gap_wait: Duration::from_millis(20),
        sweep_every: NEVER,
        sweep_every_deaf: NEVER,
        sweep_grace: Duration::from_millis(10),
        linger: NEVER,
        ..HubConfig::default()
    }
}

/// A store in a folder of its own, and what joins the nodes on it.
struct Scene {
    store: Arc<Counting>,
    file: Arc<SqliteStore>,
    bus: Arc<LossyBus>,
    lobby: RoomName,
    folder: TempDir,
}

impl Scene {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let file = sqlite(&folder).await;
        let store = Counting::around(file.clone());
        Self { store, file, bus: LossyBus::new(), lobby: room("lobby"), folder }
    }

    async fn node(&self, config: HubConfig) -> Node {
        Node::open(&self.bus, self.store.clone(), config).await
    }

    /// Changes the file behind the store's back.
    async fn tamper(&self, statements: &[&'static str]) {
        let file = sqlx::sqlite::SqliteConnectOptions::new().filename(self.folder.path().join("rooms.db"));
        let mut connection = file.connect().await.unwrap();
        for statement in statements {
            sqlx::query(*statement).execute(&mut connection).await.unwrap();
        }
        connection.close().await.unwrap();
    }

    async fn forgets(&self, floor: u64) {
        self.file.forget(&self.lobby, floor, 1000).await.unwrap();
    }

    async fn epoch(&self) -> Epoch {
        self.store.epoch().await.unwrap()
    }
}

fn listener() -> Arc<Listener> {
    Arc::default()
}

/// Waits until somebody holds everything up to a number, without a breach of the rules.
async fn stands_at(listener: &Listener, head: u64) {
    let arrived = patience(SOON, async || (listener.heard().head >= head).then_some(())).await;
    let heard = listener.heard();
    assert_eq!((arrived.is_some(), heard.head), (true, head), "{}", heard.diary());
    assert!(heard.faults.is_empty(), "{}", heard.faults.join("\n"));
}

async fn comes_true(what: &str, fact: impl Fn() -> bool) {
    assert!(patience(SOON, async || fact().then_some(())).await.is_some(), "it never came true that {what}");
}

/// What somebody holds, as texts by `seq`.
fn texts(listener: &Listener) -> BTreeMap<u64, String> {
    let text = |frame: &proto::Frame| {
        let json = String::from_utf8(frame.payload().to_vec()).unwrap();
        json.split_once(r#""text":""#).unwrap().1.split_once('"').unwrap().0.to_owned()
    };
    listener.heard().messages.iter().map(|(seq, entry)| (*seq, text(&entry.frame))).collect()
}

/// Guards the repair of what nobody notices: the last publication before silence.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_publication_that_nothing_follows_is_found_by_the_sweep_and_counted() {
    let scene = Scene::new().await;
    let config = HubConfig { sweep_every: Duration::from_millis(100), ..still() };
    let (north, south) = (scene.node(config).await, scene.node(still()).await);
    let ben = listener();
    let _seat = north.joins(&scene.lobby, &ben).await.unwrap();
    south.says(&scene.lobby, "heard").await;
    stands_at(&ben, 1).await;
    assert_eq!(north.counted("tertulia_sweep_found_total", None), 0);
    scene.bus.next([Fate::Lose]);
    south.says(&scene.lobby, "lost").await;
    stands_at(&ben, 2).await;
    assert_eq!(north.counted("tertulia_sweep_found_total", None), 1);
    assert_eq!(north.counted("tertulia_gaps_total", Some("sweep")), 1);
}

/// Guards the repair of a hole that the next publication shows.
#[tokio::test(flavor = "multi_thread")]
async fn a_skipped_number_is_read_back_and_nothing_overtakes_it() {
    let scene = Scene::new().await;
    let (north, south) = (scene.node(still()).await, scene.node(still()).await);
    let ben = listener();
    let _seat = north.joins(&scene.lobby, &ben).await.unwrap();
    scene.bus.next([Fate::Lose]);
    south.says_all(&scene.lobby, ["lost", "shows it"]).await;
    stands_at(&ben, 2).await;
    assert_eq!(ben.heard().live, 2);
    assert_eq!(north.counted("tertulia_gaps_total", Some("skip")), 1);
    assert_eq!(north.counted("tertulia_sweep_found_total", None), 0);
}

/// Guards the store from a read for every publication that is overtaken.
#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_is_only_late_is_waited_for_and_not_read() {
    let scene = Scene::new().await;
    let config = HubConfig { gap_wait: NEVER, ..still() };
    let (north, south) = (scene.node(config).await, scene.node(still()).await);
    let ben = listener();
    let _seat = north.joins(&scene.lobby, &ben).await.unwrap();
    let reads = scene.store.reads();
    scene.bus.next([Fate::Pass, Fate::Held]);
    south.says_all(&scene.lobby, ["first", "late", "overtakes"]).await;
    stands_at(&ben, 1).await;
    assert_eq!(scene.bus.held(), 1);
    scene.bus.release();
    stands_at(&ben, 3).await;
    assert_eq!(scene.store.reads(), reads);
    assert_eq!(north.counted("tertulia_gaps_total", None), 0);
}

/// Guards what traces say of a node that has to wait: each entry is handed over once, however often and early it comes.
#[tokio::test(flavor = "multi_thread")]
async fn a_traced_entry_is_told_of_whenever_it_comes_and_once_when_it_is_handed_over() {
    let scene = Scene::new().await;
    let (tracer, mut spans) = tracer(1.0);
    let config = HubConfig { gap_wait: NEVER, tracer, ..still() };
    let (north, south) = (scene.node(config.clone()).await, scene.node(config).await);
    let ben = listener();
    let _seat = north.joins(&scene.lobby, &ben).await.unwrap();
    scene.bus.next([Fate::Held, Fate::Double]);
    south.says_all(&scene.lobby, ["late", "overtakes"]).await;
    let mut told = BTreeMap::from([("receive", Vec::new()), ("deliver", Vec::new())]);
    while told["deliver"].len() < 2 {
        let span = tokio::time::timeout(SOON, spans.recv()).await.unwrap().unwrap();
        let rev = span
            .facts
            .iter()
            .find_map(|fact| if let ("tertulia.rev", Fact::Number(rev)) = fact { Some(*rev) } else { None });
        if let (Some(revs), Some(rev)) = (told.get_mut(span.name), rev) {
            revs.push(rev);
        }
        if told["receive"].len() == 2 {
            scene.bus.release();
        }
    }
    stands_at(&ben, 2).await;
    assert_eq!(told["receive"], [2, 2, 1]);
    told.values_mut().for_each(|revs| revs.sort_unstable());
    assert_eq!(told["deliver"], [1, 2]);
    north.close().await;
    south.close().await;
    assert!(spans.try_recv().is_err());
}

/// Guards the store in a storm of returns: all of one node's listeners stand at the same number.
#[tokio::test]
async fn joins_from_the_same_position_share_one_read_of_the_store() {
    let scene = Scene::new().await;
    let north = scene.node(HubConfig { ring_span: 1, ..still() }).await;
    north.says_all(&scene.lobby, ["1", "2", "3", "4", "5"]).await;
    let _warm = north.joins(&scene.lobby, &listener()).await.unwrap();
    let reads = scene.store.reads();
    let many: Vec<_> = (0..20).map(|_| listener()).collect();
    scene.store.shut_gate();
    let mut joining = Box::pin(join_all(many.iter().map(|one| north.joins(&scene.lobby, one))));
    assert!(joining.as_mut().now_or_never().is_none(), "all have asked, and none is answered");
    scene.store.open_gate();
    let seats = joining.await;
    assert!(seats.iter().all(Result::is_ok));
    assert_eq!(scene.store.reads() - reads, 1);
    for one in &many {
        stands_at(one, 5).await;
        assert_eq!(one.heard().messages.len(), 5);
    }
}

/// Guards the first join on a node from a read that the bus's memory can spare, and its answer from the memory's holes.
#[tokio::test(flavor = "multi_thread")]
async fn a_cold_room_is_answered_from_what_the_bus_remembers_unless_that_has_a_hole() {
    for (forgets, source) in [(vec![false], "cache"), (vec![false, false, true], "store")] {
        let scene = Scene::new().await;
        scene.bus.remember(forgets);
        let (north, south) = (scene.node(still()).await, scene.node(still()).await);
        // The second entry is the one that is forgotten in the second round.
        south.says_all(&scene.lobby, ["one", "two", "three"]).await;
        south.edits(&scene.lobby, 1, "uno").await;
        let ben = listener();
        let _seat = north.joins(&scene.lobby, &ben).await.unwrap();
        stands_at(&ben, 4).await;
        let held: Vec<String> = texts(&ben).into_values().collect();
        assert_eq!(held, ["uno", "two", "three"], "{source}");
        assert_eq!(north.counted("tertulia_joins_total", Some(source)), 1, "{source}");
        assert_eq!(scene.store.reads() == 0, source == "cache");
    }
}

/// Guards what was taken back from being shown again.
#[tokio::test(flavor = "multi_thread")]
async fn a_ring_answers_with_the_newest_version_only() {
    let scene = Scene::new().await;
    let north = scene.node(still()).await;
    let ben = listener();
    let _seat = north.joins(&scene.lobby, &ben).await.unwrap();
    north.says_all(&scene.lobby, ["a secret", "a mistake", "fine"]).await;
    north.deletes(&scene.lobby, 1).await;
    north.edits(&scene.lobby, 2, "put right").await;
    stands_at(&ben, 5).await;
    let reads = scene.store.reads();
    let (from_start, tail) = (listener(), listener());
    let _other = north.joins(&scene.lobby, &from_start).await.unwrap();
    let mut third = north.hub.enter(&scene.lobby, person(8, "Third"), tail.clone());
    joins(&mut third, &tail, true, 50).await.unwrap();
    assert_eq!(scene.store.reads(), reads, "the ring answered");
    for late in [&from_start, &tail] {
        stands_at(late, 5).await;
        assert_eq!(late.heard().answered, 3);
        assert_eq!(texts(late).into_values().collect::<Vec<_>>(), ["", "put right", "fine"]);
    }
}

/// Guards clients from a history that ended: they are told to come back, and then to start afresh.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_epoch_sends_everybody_back_to_start_afresh() {
    let scene = Scene::new().await;
    let north = scene.node(HubConfig { sweep_every: Duration::from_millis(50), ..still() }).await;
    let ben = listener();
    let mut seat = north.joins(&scene.lobby, &ben).await.unwrap();
    north.says(&scene.lobby, "of the old days").await;
    stands_at(&ben, 1).await;
    let old = scene.epoch().await;
    let new = scene.store.rotate_epoch(old).await.unwrap();
    comes_true("the outbox is reset", || ben.heard().resets == 1).await;
    assert_eq!(ben.heard().epoch, Some(old));
    joins(&mut seat, &ben, false, 50).await.unwrap();
    assert_eq!(ben.heard().fresh_starts, 1);
    assert_eq!(ben.heard().epoch, Some(new));
    north.says(&scene.lobby, "of the new").await;
    stands_at(&ben, 2).await;
    assert_eq!(ben.heard().resets, 1, "once is enough");
}

/// Guards against a message that its room has forgotten and a node goes on telling.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_room_forgets_the_sweep_purges_and_who_stands_below_starts_afresh() {
    let scene = Scene::new().await;
    scene.bus.remember(Vec::new());
    let sweeps = HubConfig { sweep_every: Duration::from_millis(50), ..still() };
    let (north, south) = (scene.node(sweeps).await, scene.node(still()).await);
    let (ben, cy, dan) = (listener(), listener(), listener());
    let _ben_sits = north.joins(&scene.lobby, &ben).await.unwrap();
    let cy_sat = north.joins(&scene.lobby, &cy).await.unwrap();
    north.says_all(&scene.lobby, ["one", "two"]).await;
    stands_at(&cy, 2).await;
    drop(cy_sat);
    cy.has_left();
    north.says_all(&scene.lobby, ["three", "four"]).await;
    north.edits(&scene.lobby, 1, "uno").await;
    stands_at(&ben, 5).await;
    let before = north.ring_bytes();
    scene.forgets(3).await;
    comes_true("the ring is purged", || north.ring_bytes() < before).await;

    // Who has heard all of it loses nothing and is not sent back; who stands below the floor starts afresh; who comes anew is
    // told what is left, also by a node that has only Redis to ask.
    north.says(&scene.lobby, "five").await;
    stands_at(&ben, 6).await;
    assert_eq!(ben.heard().resets, 0);
    assert_eq!(texts(&ben).len(), 5, "what it holds is its own");
    let _cy_sits = north.joins(&scene.lobby, &cy).await.unwrap();
    stands_at(&cy, 6).await;
    assert_eq!(cy.heard().fresh_starts, 1);
    assert_eq!(texts(&cy), BTreeMap::from([(4, "four".into()), (6, "five".into())]));
    let reads = scene.store.reads();
    let mut seat = south.hub.enter(&scene.lobby, person(7, "Dan"), dan.clone());
    joins(&mut seat, &dan, true, 50).await.unwrap();
    stands_at(&dan, 6).await;
    assert_eq!(texts(&dan), texts(&cy));
    assert_eq!(scene.store.reads(), reads, "the bus remembered, and the ring knows that there is no more");
    let history = south.hub.history(&scene.lobby, None, 50).await.unwrap();
    assert_eq!((history.entries().len(), history.more()), (2, false));
    // A position at the floor is as good as any.
    let mut seat = south.hub.enter(&scene.lobby, person(6, "Eve"), listener());
    let at = Position { epoch: None, after: 3 };
    let mut told = (0, true);
    seat.join(Ask { position: Some(at), limit: 50 }, &mut |answer| told = (answer.entries.len(), answer.reset))
        .await
        .unwrap();
    assert_eq!(told, (2, false));
}

/// Guards against a hole that nobody is told of: a node that was cut off for longer than its rooms remember.
#[tokio::test(flavor = "multi_thread")]
async fn who_missed_what_is_now_forgotten_is_sent_back_and_starts_afresh() {
    let scene = Scene::new().await;
    let (north, south) = (scene.node(still()).await, scene.node(still()).await);
    let ben = listener();
    let mut seat = north.joins(&scene.lobby, &ben).await.unwrap();
    south.says(&scene.lobby, "heard").await;
    stands_at(&ben, 1).await;
    north.end.deafen();
    south.says_all(&scene.lobby, ["missed", "missed too", "kept"]).await;
    scene.forgets(3).await;
    north.end.notice();
    comes_true("ben is sent back", || ben.heard().resets == 1).await;
    joins(&mut seat, &ben, false, 50).await.unwrap();
    stands_at(&ben, 4).await;
    assert_eq!(ben.heard().fresh_starts, 1);
    assert_eq!(texts(&ben).into_values().collect::<Vec<_>>(), ["kept"]);
    south.says(&scene.lobby, "goes on").await;
    stands_at(&ben, 5).await;
    assert_eq!(ben.heard().resets, 1, "once is enough");
}

/// Guards against numbers that are issued twice: a store that lost some must not go on as if nothing had happened.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_lost_numbers_begins_one_new_epoch_however_many_nodes_notice() {
    let scene = Scene::new().await;
    let (north, south) = (scene.node(still()).await, scene.node(still()).await);
    let (ben, cy) = (listener(), listener());
    let mut ben_sits = north.joins(&scene.lobby, &ben).await.unwrap();
    let _cy_sits = south.joins(&scene.lobby, &cy).await.unwrap();
    north.says_all(&scene.lobby, ["kept", "gone", "gone too"]).await;
    stands_at(&ben, 3).await;
    stands_at(&cy, 3).await;
    let old = scene.epoch().await;
    scene
        .tamper(&[
            "DELETE FROM messages WHERE room = 'lobby' AND seq > 1",
            "UPDATE heads SET head = 1 WHERE room = 'lobby'",
        ])
        .await;
    north.end.tell(BusEvent::Lost(Loss::Lag)); // a reason to compare
    comes_true("north's listeners are sent back", || ben.heard().resets == 1).await;
    let new = scene.epoch().await;
    assert_ne!(old, new);
    south.end.tell(BusEvent::Lost(Loss::Lag));
    comes_true("south's listeners are sent back", || cy.heard().resets == 1).await;
    assert_eq!(scene.epoch().await, new, "the second who notices finds that it is done");
    joins(&mut ben_sits, &ben, false, 50).await.unwrap();
    assert_eq!(ben.heard().fresh_starts, 1);
    assert_eq!(texts(&ben).into_values().collect::<Vec<_>>(), ["kept"]);
    north.says(&scene.lobby, "goes on").await;
    stands_at(&ben, 2).await;
}

/// Guards a rolling upgrade: what a newer node publishes is read from the store.
#[tokio::test(flavor = "multi_thread")]
async fn a_publication_of_an_unknown_version_is_read_back() {
    let scene = Scene::new().await;
    let (north, south) = (scene.node(still()).await, scene.node(still()).await);
    let ben = listener();
    let _seat = north.joins(&scene.lobby, &ben).await.unwrap();
    scene.bus.next([Fate::Lose]);
    south.says(&scene.lobby, "in tomorrow's words").await;
    north.end.tell(BusEvent::Publication { room: scene.lobby.clone(), envelope: Bytes::from_static(&[2, 1, 0]) });
    stands_at(&ben, 1).await;
    assert_eq!(north.counted("tertulia_gaps_total", Some("version")), 1);
}

/// Guards a connection from a room that it left.
#[tokio::test(flavor = "multi_thread")]
async fn who_has_left_hears_nothing_more() {
    let scene = Scene::new().await;
    let north = scene.node(still()).await;
    let (ben, cy) = (listener(), listener());
    let seat = north.joins(&scene.lobby, &ben).await.unwrap();
    let _stays = north.joins(&scene.lobby, &cy).await.unwrap();
    let log = tokio::spawn({
        let lobby = scene.lobby.clone();
        async move {
            for number in 0..200 {
                north.says(&lobby, &number.to_string()).await;
            }
            north
        }
    });
    comes_true("something was heard", || ben.heard().live > 20).await;
    drop(seat);
    ben.has_left();
    let _north = log.await.unwrap();
    stands_at(&cy, 200).await;
    let heard = ben.heard();
    assert!(heard.faults.is_empty() && heard.head < 200, "{:?}", heard.faults);
}

/// Somebody to whom a batch takes long: it says when it has begun, and ends when it may.
struct Slow {
    begun: Sender<()>,
    may_end: Mutex<Receiver<()>>,
}

impl Outbox for Slow {
    fn deliver(&self, _batch: &Batch) {
        self.begun.send(()).unwrap();
        self.may_end.lock().recv_timeout(SOON).unwrap();
    }

    fn whisper(&self, _frame: &Frame) {}

    fn reset(&self) {}
}

/// Guards the same where a batch is already on its way to the members of a moment ago.
#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_while_a_batch_is_handed_round_does_not_hear_it() {
    let scene = Scene::new().await;
    let north = scene.node(still()).await;
    let ((begun, has_begun), (end, may_end)) = (channel(), channel());
    let slow = Arc::new(Slow { begun, may_end: Mutex::new(may_end) });
    let (ben, cy) = (listener(), listener());
    let mut first = north.hub.enter(&scene.lobby, person(7, "Slow"), slow);
    first.join(Ask { position: None, limit: 1 }, &mut |_| ()).await.unwrap();
    let second = north.joins(&scene.lobby, &ben).await.unwrap();
    let _third = north.joins(&scene.lobby, &cy).await.unwrap();
    north.says(&scene.lobby, "on its way").await;
    tokio::task::block_in_place(|| has_begun.recv_timeout(SOON).unwrap());
    drop(second);
    ben.has_left();
    end.send(()).unwrap();
    stands_at(&cy, 1).await;
    stands_at(&ben, 0).await;
}

/// Guards the bus from rooms that nobody is in.
#[tokio::test(flavor = "multi_thread")]
async fn a_room_is_let_go_a_while_after_its_last_seat_and_works_when_somebody_returns() {
    let scene = Scene::new().await;
    let config = HubConfig { linger: Duration::from_millis(50), ..still() };
    let (north, south) = (scene.node(config).await, scene.node(still()).await);
    let ben = listener();
    let seat = north.joins(&scene.lobby, &ben).await.unwrap();
    assert!(north.end.wants(&scene.lobby));
    drop(seat);
    ben.has_left();
    comes_true("the room is let go", || !north.end.wants(&scene.lobby)).await;
    assert_eq!(north.counted("tertulia_rooms_active", None), 0);
    south.says(&scene.lobby, "meanwhile").await;
    let _seat = north.joins(&scene.lobby, &ben).await.unwrap();
    stands_at(&ben, 1).await;
    south.says(&scene.lobby, "afterwards").await;
    stands_at(&ben, 2).await;
    assert_eq!(ben.heard().answered, 1);
    assert_eq!(ben.heard().live, 1);
}

/// Guards the order *subscription confirmed, then heads read*, also when a join did not wait for the confirmation.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_missed_before_a_late_subscription_is_found_when_it_is_confirmed() {
    let scene = Scene::new().await;
    let late = Subscribing { works_after: Duration::from_millis(300), told_after: Duration::ZERO };
    scene.bus.subscribing(vec![late]);
    let config = HubConfig { subscribe_wait: Duration::from_millis(10), ..still() };
    let (north, south) = (scene.node(config).await, scene.node(still()).await);
    let ben = listener();
    let _seat = north.joins(&scene.lobby, &ben).await.unwrap();
    south.says(&scene.lobby, "before it works").await;
    stands_at(&ben, 1).await;
    assert_eq!(north.counted("tertulia_gaps_total", Some("reconnect")), 1);
}

/// Guards the same where the confirmation comes while the room is read for the first time, and so is not warm yet.
#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_confirmed_while_the_room_is_read_for_the_first_time_is_not_overlooked() {
    let scene = Scene::new().await;
    let late = Subscribing { works_after: NEVER, told_after: NEVER };
    scene.bus.subscribing(vec![late]);
    let config = HubConfig { subscribe_wait: Duration::from_millis(10), ..still() };
    let (north, south) = (Arc::new(scene.node(config).await), scene.node(still()).await);
    let (attic, cy) = (room("attic"), listener());
    let _above = north.joins(&attic, &cy).await.unwrap();
    scene.store.shut_gate();
    let ben = listener();
    let joining = tokio::spawn({
        let (north, ben, lobby) = (north.clone(), ben.clone(), scene.lobby.clone());
        async move { north.joins(&lobby, &ben).await }
    });
    comes_true("the room has been read", || scene.store.waiting.load(Ordering::SeqCst) == 1).await;
    south.says(&scene.lobby, "after the read, before the subscription").await;
    north.end.tell(BusEvent::Subscribed(vec![scene.lobby.clone()]));
    // Events are taken in order: once this is heard, that has been dealt with.
    north.says(&attic, "a sign").await;
    stands_at(&cy, 1).await;
    scene.store.open_gate();
    let _seat = joining.await.unwrap().unwrap();
    stands_at(&ben, 1).await;
}

/// Guards who comes back within a room's linger: it is warm, and a loss meanwhile is a loss.
#[tokio::test(flavor = "multi_thread")]
async fn a_known_loss_counts_in_a_room_that_nobody_is_in_at_the_moment() {
    let scene = Scene::new().await;
    let (north, south) = (scene.node(still()).await, scene.node(still()).await);
    let ben = listener();
    drop(north.joins(&scene.lobby, &ben).await.unwrap());
    ben.has_left();
    scene.bus.next([Fate::Lose]);
    south.says(&scene.lobby, "to an empty room").await;
    north.end.tell(BusEvent::Lost(Loss::Lag));
    comes_true("it was read back", || north.counted("tertulia_gaps_total", Some("lag")) == 1).await;
    let _seat = north.joins(&scene.lobby, &ben).await.unwrap();
    stands_at(&ben, 1).await;
    assert_eq!(ben.heard().answered, 1);
}

/// Guards the node from connections that break while they join: each may cost its own read and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn joins_that_are_broken_off_do_not_keep_others_from_reading() {
    let scene = Scene::new().await;
    let north = scene.node(HubConfig { ring_span: 1, reads_max: 2, ..still() }).await;
    north.says_all(&scene.lobby, ["1", "2", "3", "4", "5"]).await;
    let _warm = north.joins(&scene.lobby, &listener()).await.unwrap();
    scene.store.shut_gate();
    for after in 1..4 {
        let gone = listener();
        gone.heard().head = after;
        gone.heard().epoch = Some(scene.epoch().await);
        let mut joining = Box::pin(north.joins(&scene.lobby, &gone));
        assert!(joining.as_mut().now_or_never().is_none(), "after {after}");
        // Far enough to have one of the two places.
        let _ = tokio::time::timeout(Duration::from_millis(100), joining).await;
    }
    scene.store.open_gate();
    let ben = listener();
    let joined = tokio::time::timeout(SOON, north.joins(&scene.lobby, &ben)).await;
    assert!(joined.is_ok_and(|joined| joined.is_ok()), "there is no place left to read");
    stands_at(&ben, 5).await;
}

/// Guards a node whose store is away: what it holds it still tells, and what it cannot know it says so.
#[tokio::test(flavor = "multi_thread")]
async fn without_its_store_a_warm_room_still_answers_and_a_cold_one_says_that_it_is_away() {
    let server = Postgres::shared();
    let url = server.database();
    let address: SocketAddr = url.split_once('@').unwrap().1.split_once('/').unwrap().0.parse().unwrap();
    let line = Proxy::to(address).await;
    let through = url.replace(&address.to_string(), &line.address().to_string());
    let store: Arc<dyn Store> = {
        let config = PostgresConfig { lanes: 1, readers: 2, ..PostgresConfig::default() };
        Arc::new(PostgresStore::open(&through, config, store_metrics()).await.unwrap())
    };
    let (bus, lobby) = (LossyBus::new(), room("lobby"));
    let north = Node::open(&bus, store.clone(), still()).await;
    let ben = listener();
    let _seat = north.joins(&lobby, &ben).await.unwrap();
    north.says_all(&lobby, ["one", "two"]).await;
    stands_at(&ben, 2).await;

    line.refuse();
    let cy = listener();
    let mut warm = north.joins(&lobby, &cy).await.unwrap();
    stands_at(&cy, 2).await;
    let dora = listener();
    assert_eq!(north.joins(&room("attic"), &dora).await.err(), Some(HubError::Away));
    assert_eq!(dora.heard().epoch, None, "nothing was announced");
    // Nor can a position be judged that is ahead of this node: another may have given it out.
    cy.heard().head = 9;
    assert_eq!(joins(&mut warm, &cy, false, 50).await, Err(HubError::Away));

    line.pass();
    let _attic = north.joins(&room("attic"), &dora).await.unwrap();
    joins(&mut warm, &cy, false, 50).await.unwrap();
    assert_eq!(cy.heard().fresh_starts, 1, "now it is known to be worth nothing");
    north.says(&lobby, "three").await;
    stands_at(&ben, 3).await;
}
