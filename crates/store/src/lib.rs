//! The memory of Tertulia: what was said, in which order, for good.
//!
//! One trait, [`Store`], with two bodies: Postgres for a cluster, SQLite for a laptop. Both keep the same promises,
//! and one test suite (`tests/contract/`) holds them to it. [`Archive`] is for whoever carries rooms from one to the other,
//! [`Retention`] for whoever sees to it that they forget, [`Accounts`] is who has a name for good, [`Tasks`] are what is to happen
//! later, [`Webhooks`] who outside is told of a room. Everything that knows SQL is in this crate.
//! Absent on purpose: who is online, Redis, what a frame looks like.

mod accounts;
mod archive;
mod durability;
mod error;
mod exports;
mod metrics;
mod migrations;
mod model;
mod moment;
mod postgres;
mod retention;
mod row;
mod seats;
mod snapshot;
mod sqlite;
mod survey;
mod task_row;
mod tasks;
mod view;
mod webhooks;

pub use accounts::{
    Account, AccountKind, Accounts, Alteration, By, Credentials, Ended, Grant, GrantHash, GrantKind, Granted,
    NewAccount, NewGrant, Revocations, Revoke,
};
pub use archive::{Above, Archive, GoneId, GoneIds, Record, Records, Restoration, Restored, TextHash};
pub use durability::Durability;
pub use error::StoreError;
pub use exports::{EXPORT_KEPT_FOR, EXPORT_TASK, Export, Exports, export_task};
pub use metrics::StoreMetrics;
pub use migrations::{Schema, Step};
pub use model::{Amendment, Change, Changes, Heads, Outcome, Post, Tail};
pub use postgres::{PostgresConfig, PostgresStore};
pub use retention::{Forgotten, Policy, Retention};
pub use sqlite::{SqliteConfig, SqliteStore};
pub use survey::{LoneFile, Server, Survey};
pub use tasks::{Added, COUNTED_MAX, Claim, Due, KindCount, NewTask, Place, Task, Tasks, Which};
pub use view::StoreView;
pub use webhooks::{Direction, Events, WEBHOOK_TASK, Webhook, Webhooks};

use async_trait::async_trait;
use proto::{Epoch, RoomName};

/// All that a store keeps, for whoever opens one.
pub trait Keeper: Retention + Exports + Accounts + Tasks + Webhooks {}

impl<T: Retention + Exports + Accounts + Tasks + Webhooks> Keeper for T {}

/// The room log's truth. Every method is one round trip where the database allows it, and one snapshot always.
///
/// A method that fails with [`StoreError::Away`] may have taken effect: only asking again tells, and all of
/// them may be asked again.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// How many [`append`](Self::append)s and [`amend`](Self::amend)s may usefully run at once. Each has a connection
    /// of its own, so that readers cannot starve writers.
    fn lanes(&self) -> usize;

    /// Keeps new messages, all or none, and numbers them: one transaction, durable when it returns.
    ///
    /// Locks the rooms' heads in a fixed order, then looks for ids already kept, then numbers only the new ones. So
    /// numbers have no gaps and an id has one number, whatever is retried, by whom and where. Outcomes are in the order of
    /// the posts. No two posts of one call may share room and id.
    async fn append(&self, lane: usize, posts: &[Post]) -> Result<Vec<Outcome>, StoreError>;

    /// Changes kept messages, each taking its room's next number, in one transaction, durable when it returns.
    ///
    /// A change that would alter nothing (same text again, deleted already) takes no number and is [`Outcome::Known`].
    async fn amend(&self, lane: usize, amendments: &[Amendment]) -> Result<Vec<Outcome>, StoreError>;

    /// The latest numbers of some rooms, and their floors, in their order; 0 for a room never written to.
    async fn heads(&self, rooms: &[RoomName]) -> Result<Heads, StoreError>;

    /// What changed in a room above a number: the surviving entries with `rev` above `after`, rising by `rev`, at most
    /// `limit` of them, and the number that this is complete to. [`Changes::floor`] says whether the room still goes back to `after`.
    async fn changes(&self, room: &RoomName, after: u64, limit: usize) -> Result<Changes, StoreError>;

    /// The newest changes of a room: those with `rev` above the head minus `span`. [`Changes::after`] says where they begin.
    async fn newest_changes(&self, room: &RoomName, span: u64) -> Result<Changes, StoreError>;

    /// The newest messages of a room by `seq`, oldest first, and the head of the same snapshot.
    async fn tail(&self, room: &RoomName, limit: usize) -> Result<Tail, StoreError>;

    /// The messages just before a `seq`, oldest first.
    async fn before(&self, room: &RoomName, seq: u64, limit: usize) -> Result<Tail, StoreError>;

    /// The names of the rooms that have messages, in the order of their bytes.
    async fn rooms(&self, after: Option<&RoomName>, limit: usize) -> Result<Vec<RoomName>, StoreError>;

    /// The present epoch.
    async fn epoch(&self) -> Result<Epoch, StoreError>;

    /// Puts a new epoch in the place of `old`, unless somebody else already did. Returns the one in force.
    async fn rotate_epoch(&self, old: Epoch) -> Result<Epoch, StoreError>;

    /// A secret that all nodes share: the kept one, or `candidate`, which is kept from now on.
    async fn secret(&self, candidate: &str) -> Result<String, StoreError>;

    /// The settings that decide whether a commit survives a power cut, as they are in force.
    async fn durability(&self) -> Result<Durability, StoreError>;

    /// Ends all connections. What is under way is finished first.
    async fn close(&self);
}
