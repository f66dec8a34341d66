//! The real store, with a count of what was read from it and a gate to hold an answer back at.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use proto::{Epoch, RoomName};
use store::{Amendment, Changes, Durability, Heads, Outcome, Post, Store, StoreError, Tail};
use tokio::sync::Semaphore;

const OPEN: usize = 1000;

/// Hands everything on and counts the reads of messages.
pub struct Counting {
    store: Arc<dyn Store>,
    pub changes: AtomicUsize,
    pub tails: AtomicUsize,
    pub newest: AtomicUsize,
    /// While there are none, what was read is not handed on yet.
    gate: Semaphore,
    /// Reads that wait at the gate.
    pub waiting: AtomicUsize,
    /// How long answers are under way, again and again.
    lags: Vec<Duration>,
    answers: AtomicUsize,
}

impl Counting {
    pub fn around(store: Arc<dyn Store>) -> Arc<Self> {
        Self::far_from(store, Vec::new())
    }

    /// The same, and each answer to a read takes its time to arrive: what it tells was true a while ago.
    pub fn far_from(store: Arc<dyn Store>, lags: Vec<Duration>) -> Arc<Self> {
        Arc::new(Self {
            store,
            changes: 0.into(),
            tails: 0.into(),
            newest: 0.into(),
            gate: Semaphore::new(OPEN),
            waiting: 0.into(),
            lags,
            answers: 0.into(),
        })
    }

    /// From now on reads of messages are made and then held back.
    pub fn shut_gate(&self) {
        self.gate.forget_permits(OPEN);
    }

    pub fn open_gate(&self) {
        self.gate.add_permits(OPEN);
    }

    async fn travel(&self) {
        let answer = self.answers.fetch_add(1, Ordering::SeqCst);
        match self.lags.get(answer % self.lags.len().max(1)) {
            Some(lag) if !lag.is_zero() => tokio::time::sleep(*lag).await,
            _ => {}
        }
    }

    async fn pass_gate(&self) {
        self.travel().await;
        self.waiting.fetch_add(1, Ordering::SeqCst);
        drop(self.gate.acquire().await);
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }

    /// Reads of messages so far, of any kind.
    pub fn reads(&self) -> usize {
        [&self.changes, &self.tails, &self.newest].map(|count| count.load(Ordering::SeqCst)).iter().sum()
    }
}

#[async_trait]
impl Store for Counting {
    fn lanes(&self) -> usize {
        self.store.lanes()
    }

    async fn append(&self, lane: usize, posts: &[Post]) -> Result<Vec<Outcome>, StoreError> {
        self.store.append(lane, posts).await
    }

    async fn amend(&self, lane: usize, amendments: &[Amendment]) -> Result<Vec<Outcome>, StoreError> {
        self.store.amend(lane, amendments).await
    }

    async fn heads(&self, rooms: &[RoomName]) -> Result<Heads, StoreError> {
        let heads = self.store.heads(rooms).await;
        self.travel().await;
        heads
    }

    async fn changes(&self, room: &RoomName, after: u64, limit: usize) -> Result<Changes, StoreError> {
        self.changes.fetch_add(1, Ordering::SeqCst);
        let read = self.store.changes(room, after, limit).await;
        self.pass_gate().await;
        read
    }

    async fn newest_changes(&self, room: &RoomName, span: u64) -> Result<Changes, StoreError> {
        self.newest.fetch_add(1, Ordering::SeqCst);
        let read = self.store.newest_changes(room, span).await;
        self.pass_gate().await;
        read
    }

    async fn tail(&self, room: &RoomName, limit: usize) -> Result<Tail, StoreError> {
        self.tails.fetch_add(1, Ordering::SeqCst);
        let tail = self.store.tail(room, limit).await;
        self.pass_gate().await;
        tail
    }

    async fn before(&self, room: &RoomName, seq: u64, limit: usize) -> Result<Tail, StoreError> {
        self.tails.fetch_add(1, Ordering::SeqCst);
        let page = self.store.before(room, seq, limit).await;
        self.pass_gate().await;
        page
    }

    async fn rooms(&self, after: Option<&RoomName>, limit: usize) -> Result<Vec<RoomName>, StoreError> {
        self.store.rooms(after, limit).await
    }

    async fn epoch(&self) -> Result<Epoch, StoreError> {
        let epoch = self.store.epoch().await;
        self.travel().await;
        epoch
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
