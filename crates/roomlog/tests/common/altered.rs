//! A real store, and what happens before and after each append.

use std::sync::Arc;

use async_trait::async_trait;
use proto::{Epoch, RoomName};
use store::{Amendment, Changes, Durability, Heads, Outcome, Post, Store, StoreError, Tail};

/// What becomes of posts before the store has them.
pub enum Before {
    Go,
    Fail(StoreError),
    Silence,
}

type Ask = dyn Fn(&[Post]) -> Before + Send + Sync;

pub struct Altered {
    pub store: Arc<dyn Store>,
    pub before: Box<Ask>,
    pub after: Box<dyn Fn() + Send + Sync>,
}

#[async_trait]
impl Store for Altered {
    fn lanes(&self) -> usize {
        self.store.lanes()
    }

    async fn append(&self, lane: usize, posts: &[Post]) -> Result<Vec<Outcome>, StoreError> {
        match (self.before)(posts) {
            Before::Go => {}
            Before::Fail(error) => return Err(error),
            Before::Silence => std::future::pending().await,
        }
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

    async fn rooms(&self, after: Option<&RoomName>, limit: usize) -> Result<Vec<RoomName>, StoreError> {
        self.store.rooms(after, limit).await
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
