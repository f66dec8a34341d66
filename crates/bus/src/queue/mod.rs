//! Who takes which due task next: ids, handed out one at a time.
//!
//! A queue is a hint, like the bus: what it forgets, doubles or delays costs time and nothing else, because the store has the tasks
//! and gives each to one worker only. It is offered what is due and undone each second, again and again; so it may
//! be emptied at any moment.

mod local;

use std::time::Duration;

use async_trait::async_trait;
use proto::{TaskId, Timestamp};

pub use self::local::LocalQueue;

/// Ids that a queue holds, those on their way to a worker included. What is more waits in the store.
pub const OFFERED_MAX: usize = 4_096;

/// How long an id is its taker's before it is handed out again: long enough to claim the task in the store, which is all that
/// a taker needs it for.
pub(crate) const TAKEN_FOR: Duration = Duration::from_secs(10);

/// Hands out the ids of due tasks. `None` from any method: the queue is away, and whoever asks goes to the store.
#[async_trait]
pub trait Queue: Send + Sync + 'static {
    /// Whether this node is the one that offers, for the next seconds. Asking makes it so if nobody else is.
    async fn leads(&self) -> Option<bool>;

    /// Puts in what is due, and since when: what is older goes first. What is in the queue already, or with somebody, stays as it
    /// is. How many were new.
    async fn offer(&self, due: &[(TaskId, Timestamp)]) -> Option<usize>;

    /// Takes at most `limit` ids, and waits for the first for a while. Each is handed out again unless it is
    /// [finished](Self::finish) in time.
    async fn take(&self, limit: usize, wait: Duration) -> Option<Vec<TaskId>>;

    /// These need not be handed out any more: their tasks were claimed, or there is nothing to claim.
    async fn finish(&self, ids: &[TaskId]) -> Option<()>;

    /// Lets another node offer at once, and ends all connections.
    async fn close(&self);
}
