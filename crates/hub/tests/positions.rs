//! The promise of positions, held against whole nodes: whatever the bus does, whoever comes, goes and returns anywhere at
//! any time, each listener hears each number once, rising, and ends with exactly what the store holds.
//!
//! Nodes, log and store are real; only the carrier is ours, because no real one loses on command. `PROPTEST_CASES` asks for more cases.

// In a test program nothing is reachable from outside, and what helps a test fails like a test.
#![allow(unreachable_pub, clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use common::carrier::{Fate, LossyBus, Subscribing};
use common::counting::Counting;
use common::listener::Listener;
use common::node::{Node, amendment, joins, post};
use common::{person, room, sqlite, text, tracer};
use hub::HubConfig;
use parking_lot::Mutex;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::FileFailurePersistence;
use proto::{Epoch, RoomName};
use roomlog::Job;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use store::{Change, Changes, Retention};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use uuid::Uuid;

const NODES: usize = 3;
const LISTENERS: usize = 5;
/// How long the cluster has to come to rest. Far more than it needs: running into it is a failure.
const REST: Duration = Duration::from_secs(6);

#[derive(Clone, Debug)]
enum Step {
    Says {
        node: usize,
    },
    Retries {
        node: usize,
        which: Index,
    },
    Edits {
        node: usize,
        which: Index,
    },
    Deletes {
        node: usize,
        which: Index,
    },
    /// Comes, returns, or starts again where it is; `limit` is that of a tail.
    Joins {
        who: usize,
        node: usize,
        how: How,
        limit: usize,
    },
    Leaves {
        who: usize,
    },
    Cut {
        node: usize,
    },
    Mended {
        node: usize,
    },
    Lags {
        node: usize,
        publications: usize,
    },
    Deafened {
        node: usize,
    },
    Noticed {
        node: usize,
    },
    /// The room forgets all but the newest numbers.
    Forgets {
        keep: u64,
    },
    /// The store is put back to where it was so many numbers ago, and begins another epoch.
    Restored {
        lost: u64,
    },
    Passes {
        ms: u64,
    },
}

#[derive(Clone, Copy, Debug)]
enum How {
    /// With the position it holds, if any; from the start otherwise.
    Resume,
    /// As somebody new, from the recent tail.
    Tail,
    /// As somebody new, from the start.
    Start,
}

/// Orders to a listener's driver.
enum Order {
    Join { node: usize, how: How, limit: usize },
    Leave,
}

#[derive(Clone, Debug)]
struct Weather {
    fates: Vec<Fate>,
    subscribing: Vec<(u64, u64)>,
    /// `None`: nothing is remembered; otherwise which entries are forgotten.
    memory: Option<Vec<bool>>,
    ring_bytes_max: usize,
    rings_bytes_max: usize,
    ring_span: u64,
    page_len: usize,
    inline_members_max: usize,
    /// How long the store's answers are under way, in milliseconds.
    lags: Vec<u64>,
}

fn weather() -> impl Strategy<Value = Weather> {
    let fate = prop_oneof![
        6 => Just(Fate::Pass),
        2 => Just(Fate::Lose),
        1 => Just(Fate::Double),
        2 => (0..12_u64).prop_map(|ms| Fate::Late(Duration::from_millis(ms))),
    ];
    (
        proptest::collection::vec(fate, 1..12),
        proptest::collection::vec((0..4_u64, 0..25_u64), 1..5),
        prop::option::of(proptest::collection::vec(prop::bool::weighted(0.1), 1..30)),
        prop_oneof![Just(1_usize), Just(700), Just(2_500), Just(1_000_000)],
        prop_oneof![1 => Just(1_000_usize), 3 => Just(10_000_000)],
        prop_oneof![Just(1_u64), Just(4), Just(256)],
        1..6_usize,
        prop_oneof![Just(0_usize), Just(1), Just(16)],
        proptest::collection::vec(prop_oneof![Just(0_u64), 0..6_u64], 1..8),
    )
        .prop_map(|(fates, subscribing, memory, ring, rings, ring_span, page_len, inline_members_max, lags)| {
            Weather {
                fates,
                subscribing,
                memory,
                ring_bytes_max: ring,
                rings_bytes_max: rings,
                ring_span,
                page_len,
                inline_members_max,
                lags,
            }
        })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let node = 0..NODES;
    let index = any::<Index>();
    let how = prop_oneof![4 => Just(How::Resume), 2 => Just(How::Tail), 1 => Just(How::Start)];
    let step = prop_oneof![
        14 => node.clone().prop_map(|node| Step::Says { node }),
        2 => (node.clone(), index.clone()).prop_map(|(node, which)| Step::Retries { node, which }),
        5 => (node.clone(), index.clone()).prop_map(|(node, which)| Step::Edits { node, which }),
        2 => (node.clone(), index).prop_map(|(node, which)| Step::Deletes { node, which }),
        8 => (0..LISTENERS, node.clone(), how, 1..8_usize)
            .prop_map(|(who, node, how, limit)| Step::Joins { who, node, how, limit }),
        3 => (0..LISTENERS).prop_map(|who| Step::Leaves { who }),
        1 => node.clone().prop_map(|node| Step::Cut { node }),
        2 => node.clone().prop_map(|node| Step::Mended { node }),
        1 => (node.clone(), 1..5_usize).prop_map(|(node, publications)| Step::Lags { node, publications }),
        1 => node.clone().prop_map(|node| Step::Deafened { node }),
        2 => node.prop_map(|node| Step::Noticed { node }),
        1 => prop::option::weighted(0.4, 0..5_u64)
            .prop_map(|lost| lost.map_or(Step::Passes { ms: 1 }, |lost| Step::Restored { lost })),
        2 => (0..9_u64).prop_map(|keep| Step::Forgets { keep }),
        6 => (0..7_u64).prop_map(|ms| Step::Passes { ms }),
    ];
    proptest::collection::vec(step, 10..90)
}

/// One store for all cases, each of which has a room of its own.
struct House {
    runtime: Runtime,
    store: Arc<dyn Retention>,
    folder: TempDir,
}

fn house() -> &'static House {
    static HOUSE: OnceLock<House> = OnceLock::new();
    HOUSE.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
        let folder = TempDir::new().unwrap();
        let store = runtime.block_on(sqlite(&folder));
        House { runtime, store, folder }
    })
}

/// What a backup put back does: the newest numbers are gone and will be given again, and the epoch is another.
async fn restore(lobby: &RoomName, lost: u64) {
    let file = SqliteConnectOptions::new().filename(house().folder.path().join("rooms.db")).busy_timeout(REST);
    let mut connection = file.connect().await.unwrap();
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let lower = "UPDATE heads SET head = max(head - $2, 0), floor = min(floor, max(head - $2, 0)) WHERE room = $1";
    let lower = sqlx::query(lower);
    let lower = lower.bind(lobby.as_str()).bind(i64::try_from(lost).unwrap());
    lower.execute(&mut *transaction).await.unwrap();
    let forget = sqlx::query("DELETE FROM messages WHERE room = $1 AND rev > (SELECT head FROM heads WHERE room = $1)");
    forget.bind(lobby.as_str()).execute(&mut *transaction).await.unwrap();
    let forget = sqlx::query("DELETE FROM kept_ids WHERE room = $1 AND seq > (SELECT head FROM heads WHERE room = $1)");
    forget.bind(lobby.as_str()).execute(&mut *transaction).await.unwrap();
    let epoch = Epoch(Uuid::new_v4().as_u64_pair().0).to_string();
    let rotate = sqlx::query("UPDATE settings SET value = $1 WHERE key = 'epoch'").bind(epoch);
    rotate.execute(&mut *transaction).await.unwrap();
    transaction.commit().await.unwrap();
}

/// A listener and the task that moves it about.
struct Driver {
    listener: Arc<Listener>,
    orders: mpsc::UnboundedSender<Order>,
    /// Orders not yet carried out.
    open: Arc<AtomicUsize>,
}

impl Driver {
    fn start(who: usize, nodes: Arc<Vec<Node>>, lobby: RoomName) -> Self {
        let listener = Arc::new(Listener::default());
        let (orders, inbox) = mpsc::unbounded_channel();
        let open = Arc::new(AtomicUsize::new(0));
        tokio::spawn(drive(who, nodes, lobby, listener.clone(), inbox, open.clone()));
        Self { listener, orders, open }
    }

    fn order(&self, order: Order) {
        self.open.fetch_add(1, Ordering::SeqCst);
        self.orders.send(order).unwrap();
    }
}

/// Carries out orders, the newest first of all: a join under way is dropped when another order comes, as a connection
/// that breaks would.
async fn drive(
    who: usize,
    nodes: Arc<Vec<Node>>,
    lobby: RoomName,
    listener: Arc<Listener>,
    mut inbox: mpsc::UnboundedReceiver<Order>,
    open: Arc<AtomicUsize>,
) {
    let mut seat = None;
    let mut at = 0;
    let mut limit = 3;
    let mut afresh = false;
    loop {
        let order = tokio::select! {
            order = inbox.recv() => order,
            () = listener.come_back.notified(), if seat.is_some() => {
                open.fetch_add(1, Ordering::SeqCst);
                Some(Order::Join { node: at, how: How::Resume, limit })
            }
        };
        let mut next = order;
        while let Some(order) = next.take() {
            let Order::Join { node, how, limit: of } = order else {
                seat = None;
                listener.has_left();
                open.fetch_sub(1, Ordering::SeqCst);
                continue;
            };
            if seat.is_none() || node != at {
                drop(seat.take());
                listener.has_left();
            }
            (at, limit) = (node, of);
            if !matches!(how, How::Resume) {
                drop(seat.take());
                listener.forget();
                afresh = matches!(how, How::Tail);
            }
            let mut sitting = seat
                .take()
                .unwrap_or_else(|| nodes[at].hub.enter(&lobby, person(who as u128, "Ear"), listener.clone()));
            let joined = tokio::select! {
                joined = joins(&mut sitting, &listener, afresh, limit) => Some(joined),
                sooner = inbox.recv() => {
                    next = sooner;
                    None
                }
            };
            match joined {
                Some(Ok(())) => seat = Some(sitting),
                // The store is there: an answer that could not be made may be asked for again.
                Some(Err(_)) => {
                    drop(sitting);
                    listener.has_left();
                    tokio::task::yield_now().await;
                    next = Some(Order::Join { node, how: How::Resume, limit });
                    continue;
                }
                None => {
                    drop(sitting);
                    listener.has_left();
                }
            }
            open.fetch_sub(1, Ordering::SeqCst);
        }
        if inbox.is_closed() && inbox.is_empty() {
            return;
        }
    }
}

async fn play(weather: Weather, steps: Vec<Step>) -> Result<(), TestCaseError> {
    static CASE: AtomicUsize = AtomicUsize::new(0);
    let store = house().store.clone();
    let lobby = room(&format!("lobby-{}", CASE.fetch_add(1, Ordering::Relaxed)));
    let bus = LossyBus::new();
    let times = weather.subscribing.iter().map(|&(works, told)| Subscribing {
        works_after: Duration::from_millis(works),
        told_after: Duration::from_millis(told),
    });
    bus.subscribing(times.collect());
    bus.rhythm(weather.fates.clone());
    if let Some(forgets) = weather.memory.clone() {
        bus.remember(forgets);
    }
    let config = HubConfig {
        ring_bytes_max: weather.ring_bytes_max,
        rings_bytes_max: weather.rings_bytes_max,
        ring_span: weather.ring_span,
        page_len: weather.page_len,
        reads_max: 2,
        gap_wait: Duration::from_millis(4),
        subscribe_wait: Duration::from_millis(15),
        sweep_every: Duration::from_millis(40),
        sweep_every_deaf: Duration::from_millis(10),
        sweep_grace: Duration::from_millis(4),
        linger: Duration::from_millis(10),
        presence_every: Duration::from_millis(20),
        inline_members_max: weather.inline_members_max,
        // Half of it in publications of the other kind.
        tracer: tracer(0.5).0,
    };
    let lags: Vec<Duration> = weather.lags.iter().map(|ms| Duration::from_millis(*ms)).collect();
    let mut nodes = Vec::new();
    for _ in 0..NODES {
        nodes.push(Node::open(&bus, Counting::far_from(store.clone(), lags.clone()), config.clone()).await);
    }
    let nodes = Arc::new(nodes);
    let drivers: Vec<Driver> = (0..LISTENERS).map(|who| Driver::start(who, nodes.clone(), lobby.clone())).collect();

    let said: Arc<Mutex<Vec<(Uuid, String, u64)>>> = Arc::default();
    let (mut ids, mut words) = (Vec::new(), 0);
    let mut unsettled = Vec::new();
    let mut came = [false; LISTENERS];
    for step in steps {
        match step {
            Step::Says { node } => {
                words += 1;
                let (id, says) = (Uuid::new_v4(), format!("word {words}"));
                ids.push((id, says.clone()));
                let settled = nodes[node].submit(Job::Post(post(&lobby, id, &says)));
                let said = said.clone();
                unsettled.push(tokio::spawn(async move {
                    let kept = settled.await.unwrap().unwrap();
                    said.lock().push((id, says, kept.seq));
                }));
            }
            Step::Retries { node, which } if !ids.is_empty() => {
                let (id, says) = which.get(&ids);
                let settled = nodes[node].submit(Job::Post(post(&lobby, *id, says)));
                unsettled.push(tokio::spawn(async move { _ = settled.await.unwrap().unwrap() }));
            }
            Step::Edits { node, which } | Step::Deletes { node, which } => {
                let Some(seq) = ({
                    let said = said.lock();
                    (!said.is_empty()).then(|| which.get(&said).2)
                }) else {
                    continue;
                };
                words += 1;
                let change = match step {
                    Step::Edits { .. } => Change::Text(text(&format!("edit {words}"))),
                    _ => Change::Delete,
                };
                let settled = nodes[node].submit(Job::Amend(amendment(&lobby, seq, change)));
                // To edit what is deleted is refused, and changes nothing.
                unsettled.push(tokio::spawn(async move { _ = settled.await.unwrap() }));
            }
            Step::Retries { .. } => {}
            Step::Joins { who, node, how, limit } => {
                came[who] = true;
                drivers[who].order(Order::Join { node, how, limit });
            }
            Step::Leaves { who } => drivers[who].order(Order::Leave),
            Step::Cut { node } => nodes[node].end.cut(),
            Step::Mended { node } => nodes[node].end.mend(),
            Step::Lags { node, publications } => nodes[node].end.lag(publications),
            Step::Deafened { node } => nodes[node].end.deafen(),
            Step::Noticed { node } => nodes[node].end.notice(),
            Step::Restored { lost } => restore(&lobby, lost).await,
            Step::Forgets { keep } => {
                let heads = store.heads(std::slice::from_ref(&lobby)).await.unwrap();
                store.forget(&lobby, heads.heads[0].saturating_sub(keep), 1000).await.unwrap();
            }
            Step::Passes { ms } => tokio::time::sleep(Duration::from_millis(ms)).await,
        }
    }
    for settled in unsettled {
        settled.await.unwrap();
    }
    // Deafness is noticed within seconds; whoever is cut off stays so, and the sweep carries.
    nodes.iter().for_each(|node| node.end.notice());
    // Whoever was ever here comes back with what it holds, to whichever node; some of them never left.
    for (at, driver) in drivers.iter().enumerate() {
        if came[at] {
            driver.order(Order::Join { node: at % NODES, how: How::Resume, limit: 3 });
        }
    }
    let held = everything_is_held(&store, &lobby, &drivers).await;
    let faults: Vec<String> = drivers.iter().flat_map(|driver| driver.listener.heard().faults.clone()).collect();
    for node in nodes.iter() {
        node.close().await;
    }
    prop_assert!(faults.is_empty(), "{}", faults.join("\n"));
    held
}

/// Waits until every listener holds what the store holds.
async fn everything_is_held(
    store: &Arc<dyn Retention>,
    lobby: &RoomName,
    drivers: &[Driver],
) -> Result<(), TestCaseError> {
    let kept = store.changes(lobby, 0, usize::MAX).await.unwrap();
    let all: BTreeMap<u64, proto::Entry> = kept.messages.iter().map(|message| (message.seq, message.entry())).collect();
    let mut missing = Vec::new();
    let rest = testkit::patience(REST, async || {
        missing = drivers
            .iter()
            .enumerate()
            .filter_map(|(who, driver)| {
                let open = driver.open.load(Ordering::SeqCst);
                let heard = driver.listener.heard();
                if open == 0 && heard.epoch.is_none() {
                    return None; // was never here
                }
                let at_rest = open == 0
                    && heard.is_live
                    && has_come_to(heard.head, &kept)
                    && heard.epoch == Some(kept.epoch)
                    && held(&heard.messages, &all, heard.from_seq, kept.floor);
                (!at_rest).then(|| {
                    format!(
                        "listener {who}: {open} orders open, head {} of {}\n    {}",
                        heard.head,
                        kept.head,
                        heard.diary()
                    )
                })
            })
            .collect();
        missing.is_empty().then_some(())
    })
    .await;
    prop_assert!(rest.is_some(), "not at rest, store at {:?}: {}", kept.epoch, missing.join("\n"));
    Ok(())
}

/// Whoever hears everything stands at the head, unless the last numbers were changes of what was forgotten before they came.
fn has_come_to(head: u64, kept: &Changes) -> bool {
    let is_last = kept.messages.last().is_none_or(|last| last.rev <= head);
    if kept.floor == 0 { head == kept.head } else { is_last && head <= kept.head }
}

/// Everything from a place on, and of what is older nothing that is out of date. What the room has forgotten may be held.
fn held(messages: &BTreeMap<u64, proto::Entry>, all: &BTreeMap<u64, proto::Entry>, from_seq: u64, floor: u64) -> bool {
    let from_seq = from_seq.max(floor + 1);
    all.range(from_seq..).eq(messages.range(from_seq..))
        && messages.range(floor + 1..).all(|(seq, entry)| all.get(seq) == Some(entry))
}

fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(250)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(),
        // What fails once may pass the next time: threads are not replayed. Then a few tries tell as much as many.
        max_shrink_iters: 10,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("seeds"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_listener_hears_each_number_once_and_ends_with_what_the_store_holds(weather in weather(), steps in steps()) {
        house().runtime.block_on(play(weather, steps))?;
    }
}
