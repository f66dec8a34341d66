//! The bus of a single process: what is published is heard at once, and there is nobody else.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use proto::{Entry, Epoch, NodeId, RoomName};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::outlet::Outlet;
use crate::pacer::{Copies, Pacer};
use crate::{Bus, BusEvent, BusMetrics, Commons, Pace, Recent};

/// A bus within one process. It keeps nothing: the hub's ring holds the recent messages, and all people are here.
pub struct LocalBus {
    node: NodeId,
    wanted: Mutex<HashSet<RoomName>>,
    outlet: Arc<Outlet>,
    copies: Copies,
    pacer: Pacer,
    stop: DropGuard,
}

impl LocalBus {
    /// A bus whose events wait in a queue of `queue_len`. Must be called within a Tokio runtime.
    pub fn new(queue_len: usize) -> (Self, mpsc::Receiver<BusEvent>) {
        Self::open(queue_len, None)
    }

    /// The same, shown on metrics.
    pub fn with_metrics(queue_len: usize, metrics: BusMetrics) -> (Self, mpsc::Receiver<BusEvent>) {
        metrics.up.set(1);
        Self::open(queue_len, Some(metrics))
    }

    fn open(queue_len: usize, metrics: Option<BusMetrics>) -> (Self, mpsc::Receiver<BusEvent>) {
        let stop = CancellationToken::new();
        let (outlet, events) = Outlet::open(queue_len, metrics, stop.clone());
        let wanted = Mutex::new(HashSet::new());
        let (copies, pacer) = (Copies::default(), Pacer::default());
        (Self { node: NodeId(rand::random()), wanted, outlet, copies, pacer, stop: stop.drop_guard() }, events)
    }
}

#[async_trait]
impl Bus for LocalBus {
    fn node(&self) -> NodeId {
        self.node
    }

    fn publish(&self, room: &RoomName, envelope: Bytes) {
        if self.wanted.lock().contains(room) {
            self.outlet.publication(room.clone(), envelope);
        }
    }

    fn remember(&self, _room: &RoomName, _epoch: Epoch, _entries: &[Entry]) {}

    fn forget(&self, _room: &RoomName, _epoch: Epoch, _floor: u64) {}

    fn subscribe(&self, room: &RoomName) {
        self.wanted.lock().insert(room.clone());
        self.outlet.tell(BusEvent::Subscribed(vec![room.clone()]));
    }

    fn unsubscribe(&self, room: &RoomName) {
        self.wanted.lock().remove(room);
    }

    async fn recall(&self, _room: &RoomName, _epoch: Epoch) -> Option<Recent> {
        None
    }

    fn announce(&self, _room: &RoomName, _count: u64) {}

    fn suppose(&self, _node: NodeId) {}

    async fn presence(&self, _room: &RoomName) -> Vec<(NodeId, u64)> {
        Vec::new()
    }

    fn is_up(&self) -> bool {
        true
    }

    async fn close(&self) {
        self.outlet.close();
        self.stop.token().cancel();
    }
}

#[async_trait]
impl Commons for LocalBus {
    async fn copy(&self, key: &str) -> Option<Bytes> {
        self.copies.get(key)
    }

    async fn put_copy(&self, key: &str, copy: Bytes, life: Duration) {
        self.copies.put(key, copy, life);
    }

    async fn remove_copy(&self, key: &str, shut: Duration) {
        self.copies.remove(key, shut);
    }

    async fn take(&self, key: &str, pace: Pace) -> Result<(), Duration> {
        if pace.every.is_zero() { Ok(()) } else { self.pacer.take(key, pace) }
    }
}
