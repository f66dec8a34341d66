//! The bus of a cluster: Redis carries, each node listens to the rooms it has people in.
//!
//! Two connections, each with a task that keeps it for ever: the *voice* says everything (publications, heart-beats,
//! recent messages, presence), the *ear* only subscribes and hears. Start at [`ear`]: it owns the order of events.
//! ```text
//! publish ─▶ queue ─▶ publisher ─┐                     ┌─▶ reader ─▶ outlet ─▶ the hub
//! remember ─▶ recent ────────────┼─▶ voice ─▶ Redis ─▶ ear
//! announce ─▶ people ────────────┤                     └─▶ pulse: who is alive
//!             heart ─────────────┘
//! ```
//! A node's own publications go to its outlet at once, and are dropped when they come back.
//! Names of channels and keys: [`names`]. What Redis is trusted with: nothing.

mod beat;
mod commons;
mod config;
mod ear;
mod heart;
mod link;
mod names;
mod people;
mod publisher;
mod pulse;
mod queue;
mod reader;
mod recent;
mod survey;
mod voice;
mod wanted;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use proto::{Entry, Epoch, NodeId, RoomName};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use self::commons::Paces;
pub use self::config::{BusError, RedisConfig};
use self::link::Plan;
use self::names::Names;
use self::people::People;
use self::publisher::Publications;
use self::pulse::Pulse;
pub use self::queue::RedisQueue;
use self::recent::Writer;
pub use self::survey::{RedisServer, survey};
use self::voice::Voice;
use self::wanted::Wanted;
use crate::outlet::Outlet;
use crate::{Bus, BusEvent, BusMetrics, Commons, Pace, Recent};

/// How long queued publications may delay the end.
const FAREWELL: Duration = Duration::from_secs(1);

/// What the tasks of one bus share.
struct Shared {
    node: NodeId,
    names: Names,
    plan: Plan,
    metrics: BusMetrics,
    outlet: Arc<Outlet>,
    wanted: Wanted,
    pulse: Pulse,
    voice: Voice,
    people: People,
    writer: Writer,
    paces: Paces,
    /// Whether nodes hear each other; only the ear changes it.
    up: AtomicBool,
    /// A heart-beat is wanted before its time.
    beat_now: Notify,
}

/// A bus on Redis: a single server, Sentinel or Cluster, by its address alone.
pub struct RedisBus {
    shared: Arc<Shared>,
    publications: Publications,
    tasks: TaskTracker,
    stop: DropGuard,
}

impl RedisBus {
    /// Starts without waiting for Redis, which may be away: the bus is then down, and keeps trying for ever.
    /// Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// [`BusError`], for an address or a prefix that can never work.
    pub fn start(config: RedisConfig, metrics: BusMetrics) -> Result<(Self, mpsc::Receiver<BusEvent>), BusError> {
        let (names, plan) = (config.names()?, Plan::parse(&config.url)?);
        let stop = CancellationToken::new();
        let (outlet, events) = Outlet::open(config.events_max, Some(metrics.clone()), stop.clone());
        let (publications, queue) = publisher::queue(config.publications_max);
        let shared = Arc::new(Shared {
            node: NodeId(rand::random()),
            names,
            plan,
            metrics,
            outlet,
            wanted: Wanted::default(),
            pulse: Pulse::default(),
            voice: Voice::default(),
            people: People::default(),
            writer: Writer::new(config.recent_seconds),
            paces: Paces::default(),
            up: AtomicBool::new(false),
            beat_now: Notify::new(),
        });
        let tasks = TaskTracker::new();
        macro_rules! keep {
            ($($task:path),*) => {$({
                let (shared, stop) = (Arc::clone(&shared), stop.clone());
                tasks.spawn(async move { stop.run_until_cancelled($task(&shared)).await });
            })*};
        }
        keep!(voice::keep, ear::listen, heart::beat, recent::write, people::tell);
        let (publisher, until) = (Arc::clone(&shared), stop.clone());
        tasks.spawn(async move { until.run_until_cancelled(Box::pin(publisher::publish(&publisher, queue))).await });
        tasks.close();
        Ok((Self { shared, publications, tasks, stop: stop.drop_guard() }, events))
    }
}

#[async_trait]
impl Bus for RedisBus {
    fn node(&self) -> NodeId {
        self.shared.node
    }

    fn publish(&self, room: &RoomName, envelope: Bytes) {
        let shared = &self.shared;
        if shared.wanted.find(room.as_str()).is_some() {
            shared.outlet.publication(room.clone(), envelope.clone());
        }
        // What waited for Redis to return would be late; the store has it.
        if !shared.voice.is_up() || !self.publications.add(shared.names.channel(room), envelope) {
            shared.metrics.published_dropped.inc();
        }
    }

    fn remember(&self, room: &RoomName, epoch: Epoch, entries: &[Entry]) {
        if self.shared.voice.is_up() {
            self.shared.writer.add(room, epoch, entries);
        }
    }

    fn forget(&self, room: &RoomName, epoch: Epoch, floor: u64) {
        if self.shared.voice.is_up() {
            self.shared.writer.forget(room, epoch, floor);
        }
    }

    fn subscribe(&self, room: &RoomName) {
        self.shared.wanted.want(room);
    }

    fn unsubscribe(&self, room: &RoomName) {
        self.shared.wanted.leave(room);
    }

    async fn recall(&self, room: &RoomName, epoch: Epoch) -> Option<Recent> {
        recent::recall(&self.shared, room, epoch).await
    }

    fn announce(&self, room: &RoomName, count: u64) {
        self.shared.people.set(room, count);
    }

    fn suppose(&self, node: NodeId) {
        self.shared.pulse.suppose(node);
    }

    async fn presence(&self, room: &RoomName) -> Vec<(NodeId, u64)> {
        people::presence(&self.shared, room).await
    }

    fn is_up(&self) -> bool {
        self.shared.up.load(Ordering::Relaxed)
    }

    async fn close(&self) {
        _ = tokio::time::timeout(FAREWELL, self.publications.say_goodbye()).await;
        self.stop.token().cancel();
        self.tasks.wait().await;
        self.shared.outlet.close();
    }
}

#[async_trait]
impl Commons for RedisBus {
    async fn copy(&self, key: &str) -> Option<Bytes> {
        commons::copy(&self.shared, key).await
    }

    async fn put_copy(&self, key: &str, copy: Bytes, life: Duration) {
        commons::put(&self.shared, key, copy, life).await;
    }

    async fn remove_copy(&self, key: &str, shut: Duration) {
        commons::remove(&self.shared, key, shut).await;
    }

    async fn take(&self, key: &str, pace: Pace) -> Result<(), Duration> {
        if pace.every.is_zero() { Ok(()) } else { commons::take(&self.shared, key, pace).await }
    }
}
