//! The carrier of Tertulia: numbered bytes from the node that made them to every node that listens.
//!
//! One trait, [`Bus`], with two bodies: [`RedisBus`] for a cluster, [`LocalBus`] for a single process. A bus is a hint,
//! never the truth: it may lose, double and reorder, and says so through [`BusEvent`] whenever it knows. One test suite
//! (`tests/contract.rs`) holds both to the same promises. Everything that knows Redis is in this crate.
//! Absent on purpose: what a message says, who hears it, SQL.
//!
//! Redis holds, beside the channels, things with an expiry that it may lose at any time: the recent entries of each room
//! ([`Bus::recall`]), how many people each node has in a room ([`Bus::presence`]), what nodes hold in common for a short
//! time, for whoever looks after people ([`Commons`]), and the ids of due tasks, to be handed out to workers ([`Queue`], with
//! a connection of its own).

mod commons;
mod event;
mod local;
mod metrics;
mod outlet;
mod pacer;
mod queue;
mod recent;
mod redis;

pub use commons::{Commons, Pace};
pub use event::{BusEvent, Loss};
pub use local::LocalBus;
pub use metrics::BusMetrics;
pub use queue::{LocalQueue, OFFERED_MAX, Queue};
pub use recent::Recent;
pub use redis::{BusError, RedisBus, RedisConfig, RedisQueue, RedisServer, survey};

use async_trait::async_trait;
use bytes::Bytes;
use proto::{Entry, Epoch, NodeId, RoomName};

/// Carries publications between nodes.
///
/// Nothing here waits for the network except [`recall`](Self::recall), [`presence`](Self::presence) and
/// [`close`](Self::close): a publisher never waits for a reader, and a bus that is away costs a post nothing.
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// This run's id, the `origin` of its envelopes.
    fn node(&self) -> NodeId;

    /// Hands a publication to everyone who subscribed to the room: on this node at once, through
    /// [`BusEvent::Publication`], whether or not other nodes can be reached.
    fn publish(&self, room: &RoomName, envelope: Bytes);

    /// Adds committed entries to the room's recent messages, purging older versions of what they change.
    fn remember(&self, room: &RoomName, epoch: Epoch, entries: &[Entry]);

    /// Purges messages with a `seq` at or below a floor from the room's recent ones. It may be lost, and what is remembered
    /// late may bring one back: whoever recalls them knows the floor.
    fn forget(&self, room: &RoomName, epoch: Epoch, floor: u64);

    /// Wants a room. [`BusEvent::Subscribed`] follows once publications of other nodes arrive, and again after each
    /// time that they may have been missed. Wanting it again is legal and answered in the same way.
    fn subscribe(&self, room: &RoomName);

    /// No longer wants a room.
    fn unsubscribe(&self, room: &RoomName);

    /// The room's recent messages, if any are kept under this epoch. Whether they are complete to a head is for
    /// the caller to ask: [`Recent::above`].
    async fn recall(&self, room: &RoomName, epoch: Epoch) -> Option<Recent>;

    /// Tells the other nodes' [`presence`](Self::presence) how many people this one has in a room; 0 forgets it.
    fn announce(&self, room: &RoomName, count: u64);

    /// How many people each living *other* node has in a room, as far as is known.
    async fn presence(&self, room: &RoomName) -> Vec<(NodeId, u64)>;

    /// Another node was heard of by what it said in a room. [`BusEvent::NodeGone`] follows once it falls silent, even if it
    /// died before its first heart-beat.
    fn suppose(&self, node: NodeId);

    /// Whether nodes hear each other. A bus within one process always does; one on Redis begins without, and tells
    /// each change by [`BusEvent::Reachable`].
    fn is_up(&self) -> bool;

    /// Ends all connections and tasks; queued publications are sent first, for at most a second. Afterwards the queue
    /// of events ends.
    async fn close(&self);
}
