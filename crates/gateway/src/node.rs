//! What all doors of a node share, and how the node leaves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use hub::Hub;
use people::People;
use prometheus::Registry;
use proto::{Refusal, to_client};
use roomlog::RoomLog;
use store::Keeper;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use webhooks::Hooks;

use crate::http::server;
use crate::limits::{Addresses, Admission, RequestRate, SendRate};
use crate::places::Places;
use crate::socketio::sessions::{self, Sessions};
use crate::socketio::{self, Engine};
use crate::stays::{Going, Stays};
use crate::ws::connections::Connections;
use crate::ws::out::Conn;
use crate::{GatewayConfig, GatewayMetrics};

/// How long balancers are told that no new clients should come: about two of their checks.
const LEAVING: Duration = Duration::from_secs(2);
/// How long they are then told that nobody should, before the first goodbye: two checks and a little.
const GONE: Duration = Duration::from_millis(2500);
/// Goodbyes are spread by this much each, so that not all come back elsewhere at once.
const BETWEEN_GOODBYES: Duration = Duration::from_millis(1);
/// How often users who have not sent for a while are forgotten.
const TIDY: Duration = Duration::from_secs(60);

/// How far the node has come with leaving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It takes everybody.
    Ready,
    /// It takes those who are sent to it, and asks that no new ones are.
    Leaving,
    /// It takes nobody.
    Gone,
}

/// What happens after a request, as far as somebody may ask about it.
pub struct Background {
    /// Who outside is told, and who outside may speak.
    pub hooks: Hooks,
    /// What is to be done, what never was, and what rooms keep.
    pub chores: Arc<dyn Keeper>,
}

/// The doors of one node.
#[derive(Clone)]
pub struct Gateway {
    node: Arc<Node>,
}

pub(crate) struct Node {
    pub(crate) hub: Hub,
    pub(crate) room_log: Arc<RoomLog>,
    pub(crate) people: People,
    pub(crate) hooks: Hooks,
    pub(crate) chores: Arc<dyn Keeper>,
    pub(crate) config: GatewayConfig,
    pub(crate) metrics: GatewayMetrics,
    pub(crate) registry: Registry,
    pub(crate) connections: Connections,
    pub(crate) sessions: Sessions,
    pub(crate) stays: Arc<Stays>,
    pub(crate) engine: Engine,
    pub(crate) places: Arc<Places>,
    pub(crate) addresses: Addresses,
    pub(crate) admission: Admission,
    pub(crate) send_rate: SendRate,
    pub(crate) request_rate: RequestRate,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
    phase: AtomicU8,
}

impl Gateway {
    /// Puts the doors before a room log and a hub. `registry` is what `/metrics` shows.
    pub fn new(
        hub: Hub,
        room_log: Arc<RoomLog>,
        people: People,
        background: Background,
        config: GatewayConfig,
        metrics: GatewayMetrics,
        registry: Registry,
    ) -> Self {
        let node = Node {
            hub,
            room_log,
            people,
            hooks: background.hooks,
            chores: background.chores,
            stays: Arc::default(),
            metrics,
            registry,
            connections: Connections::default(),
            sessions: Sessions::default(),
            engine: socketio::engine(),
            places: Places::new(config.sockets, config.connections_per_address),
            addresses: Addresses::default(),
            admission: Admission::new(config.connect_rate),
            send_rate: SendRate::new(config.send_rate),
            request_rate: RequestRate::new(config.request_rate),
            config,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            phase: AtomicU8::new(Phase::Ready as u8),
        };
        Self { node: Arc::new(node) }
    }

    /// Opens the doors. Returns at once; [`drain`](Self::drain) closes them.
    pub fn serve(&self, listener: TcpListener) {
        let node = &self.node;
        node.spawn(server::serve(node.clone(), listener));
        let watch = node.clone();
        node.spawn(async move { watch.connections.watch(watch.config.hello_wait, watch.config.heartbeat).await });
        let watch = node.clone();
        node.spawn(async move { sessions::watch(&watch).await });
        let watch = node.clone();
        node.spawn(async move { watch.stays.watch(&watch.people).await });
        if let Some(endings) = node.people.endings() {
            let stays = node.stays.clone();
            node.spawn(async move { stays.heed(endings).await });
        }
        let tidy = node.clone();
        node.spawn(async move {
            loop {
                tokio::time::sleep(TIDY).await;
                tidy.send_rate.tidy();
                tidy.request_rate.tidy();
            }
        });
    }

    /// Leaves: tells balancers in two steps (if `announced`), says goodbye to everybody, and closes the doors once all are
    /// gone, at the latest when `within` has passed.
    pub async fn drain(&self, announced: bool, within: Duration) {
        let node = &self.node;
        let deadline = Instant::now() + within;
        node.metrics.draining.set(1);
        if announced {
            node.set_phase(Phase::Leaving);
            tokio::time::sleep(LEAVING.min(within / 5)).await;
            node.set_phase(Phase::Gone);
            tokio::time::sleep(GONE.min(within / 4)).await;
        }
        node.set_phase(Phase::Gone);
        let (connections, sessions) = (node.connections.open.all(), node.sessions.all());
        let count = connections.len() + sessions.len();
        tracing::info!(connections = count, "saying goodbye");
        // Half of what is left is for the goodbyes, half for reading them.
        let left = deadline.saturating_duration_since(Instant::now());
        let pause = BETWEEN_GOODBYES.min(left / 2 / (count as u32).max(1));
        one_after_another(connections, pause, |conn| conn.ask_to_go(Going::Drain)).await;
        one_after_another(sessions, pause, |session| session.ask_to_go(Going::Drain)).await;
        let left = deadline.saturating_duration_since(Instant::now());
        let emptied = async { tokio::join!(node.connections.open.emptied(), node.sessions.emptied()) };
        if tokio::time::timeout(left, emptied).await.is_err() {
            let connections = node.connections.open.len() + node.sessions.len();
            tracing::warn!(connections, "some did not go in time and are cut off");
        }
        node.stop.cancel();
    }
}

/// Asks each, and lets so much time pass for each.
async fn one_after_another<T>(all: Vec<Arc<T>>, pause: Duration, ask: impl Fn(&T)) {
    for turn in all.chunks(16) {
        turn.iter().for_each(|one| ask(one));
        tokio::time::sleep(pause * turn.len() as u32).await;
    }
}

impl Node {
    /// Starts a task that ends with the node.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(task));
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Ready,
            1 => Phase::Leaving,
            _ => Phase::Gone,
        }
    }

    fn set_phase(&self, phase: Phase) {
        tracing::info!(?phase, "leaving");
        self.phase.store(phase as u8, Ordering::Release);
    }

    /// Answers with an error, and counts it.
    pub(crate) fn refuse(&self, conn: &Conn, reference: Option<&str>, id: Option<&str>, refusal: &Refusal) {
        self.metrics.refusals.with_label_values(&[refusal.code.as_str()]).inc();
        conn.answer(&to_client::error(reference, id, refusal));
    }
}
