//! Work for later: what a task is, and where it is kept until it is done.
//!
//! The table is the truth and the outbox: what a message causes is inserted in the message's own transaction. Whoever
//! hands tasks out (Redis, or a queue in the process) may lose, double and delay them; only who *claims* one here may run it.

use std::time::Duration;

use async_trait::async_trait;
use proto::{TaskId, Timestamp};
use uuid::Uuid;

use crate::StoreError;

/// Longest text that is kept of what went wrong.
const ERROR_MAX: usize = 1_000;

/// Tasks are counted up to here, so that a look costs the same however many there are.
pub const COUNTED_MAX: u64 = 10_000;

/// A task that is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTask {
    /// Its id, made by whoever adds it: so adding may be tried again.
    pub id: TaskId,
    /// Who runs it: the name of a kind.
    pub kind: String,
    /// At most one undone task has a key. `None`: there may be many like it.
    pub key: Option<String>,
    /// What its kind must know: JSON.
    pub payload: String,
    /// How long from now it becomes due, by the store's clock.
    pub after: Duration,
    /// How often it may be tried; `None`: as often as its kind says.
    pub max_attempts: Option<u32>,
    /// How long it is remembered once it is done; zero: not at all.
    pub kept_for: Duration,
}

impl NewTask {
    /// A task that is due at once.
    pub fn now(kind: &str, payload: impl Into<String>) -> Self {
        Self {
            id: TaskId(Uuid::now_v7()),
            kind: kind.into(),
            key: None,
            payload: payload.into(),
            after: Duration::ZERO,
            max_attempts: None,
            kept_for: Duration::ZERO,
        }
    }

    /// With an idempotency key.
    #[must_use]
    pub fn keyed(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }
}

/// What became of a task that was to be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// It is there now.
    New(TaskId),
    /// It was there before, or another undone task has its key.
    Known(TaskId),
}

impl Added {
    /// The task that has the key now.
    pub fn id(self) -> TaskId {
        match self {
            Self::New(id) | Self::Known(id) => id,
        }
    }
}

/// A task as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its id: the same over all attempts, and so the idempotency key for whoever it is told to.
    pub id: TaskId,
    /// Who runs it.
    pub kind: String,
    /// At most one undone task has it.
    pub key: Option<String>,
    /// What its kind must know: JSON.
    pub payload: String,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it is due; while it is under way, the end of the lease.
    pub due_at: Timestamp,
    /// How often it was begun, the present attempt included.
    pub attempts: u32,
    /// How often it may be; `None`: as its kind says.
    pub max_attempts: Option<u32>,
    /// Until when it is its worker's.
    pub leased_until: Option<Timestamp>,
    /// Who runs it, or ran it last.
    pub worker: Option<String>,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// Since when it is not tried any more.
    pub dead_at: Option<Timestamp>,
    /// Since when it is done.
    pub done_at: Option<Timestamp>,
}

impl Task {
    /// The claim that this row was given with.
    pub fn claim(&self) -> Claim {
        Claim { id: self.id, worker: self.worker.clone().unwrap_or_default(), attempt: self.attempts }
    }
}

/// The right to run a task once: it ends with the lease, unless that is extended. Another claim has another attempt.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Claim {
    /// The task.
    pub id: TaskId,
    /// The worker, whose name nobody else ever had.
    pub worker: String,
    /// Which attempt it is, from 1 on.
    pub attempt: u32,
}

/// A task that waits, and since or until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The task.
    pub id: TaskId,
    /// When it became due.
    pub due_at: Timestamp,
}

/// Which tasks are to be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Waiting or under way, the one that is due first before the others.
    Undone,
    /// Not tried any more, the latest first.
    Dead,
    /// Done and still remembered, the latest first.
    Done,
}

/// A place in a list: the moment that orders it, and the id.
pub type Place = (Timestamp, TaskId);

impl Task {
    /// Where it stands in a list; the next page begins behind it.
    pub fn place(&self, which: Which) -> Place {
        let moment = match which {
            Which::Undone => None,
            Which::Dead => self.dead_at,
            Which::Done => self.done_at,
        };
        (moment.unwrap_or(self.due_at), self.id)
    }
}

/// How many tasks of a kind there are, each count up to [`COUNTED_MAX`] of all kinds together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KindCount {
    /// The kind.
    pub kind: String,
    /// Not due yet, or due and not begun.
    pub waiting: u64,
    /// Under way.
    pub running: u64,
    /// Not tried any more.
    pub dead: u64,
    /// How long ago the oldest of those that wait became due; zero if none is due.
    pub due_for: Duration,
}

/// Where tasks are kept. All times are by the store's clock. Every method may be asked again after a failure.
#[async_trait]
pub trait Tasks: Send + Sync + 'static {
    /// Adds a task, unless an undone one has its key.
    async fn add_task(&self, task: &NewTask) -> Result<Added, StoreError>;

    /// Adds the task of the present slot of a schedule, unless somebody did already, or the task of an earlier slot is still
    /// undone: its key is the schedule's name. `None` if so.
    async fn add_scheduled(&self, name: &str, every: Duration, task: &NewTask) -> Result<Option<TaskId>, StoreError>;

    /// The tasks of these kinds that are due and nobody's, the oldest first. Those whose worker fell silent are among them.
    async fn due_tasks(&self, kinds: &[&str], limit: usize) -> Result<Vec<Due>, StoreError>;

    /// Takes those of some tasks that are due, nobody's and of these kinds: each is one attempt further, and this worker's until
    /// the lease ends. Of many who claim one, one gets it.
    async fn claim_tasks(
        &self,
        ids: &[TaskId],
        kinds: &[&str],
        worker: &str,
        lease: Duration,
    ) -> Result<Vec<Task>, StoreError>;

    /// The same for whatever is due, for when nobody hands ids out.
    async fn claim_due(
        &self,
        limit: usize,
        kinds: &[&str],
        worker: &str,
        lease: Duration,
    ) -> Result<Vec<Task>, StoreError>;

    /// Makes leases last from now on. Those that are not told are not this worker's any more.
    async fn extend_tasks(&self, claims: &[Claim], lease: Duration) -> Result<Vec<TaskId>, StoreError>;

    /// It is done: forgotten, or remembered for as long as it asked. `false`: the claim did not hold any more.
    async fn task_done(&self, claim: &Claim) -> Result<bool, StoreError>;

    /// It went wrong and is due again after a while. `false`: the claim did not hold any more.
    async fn task_failed(&self, claim: &Claim, error: &str, after: Duration) -> Result<bool, StoreError>;

    /// It went wrong for good: a dead letter. `false`: the claim did not hold any more.
    async fn bury_task(&self, claim: &Claim, error: &str) -> Result<bool, StoreError>;

    /// It was not run after all: due at once, and the attempt does not count. `false`: the claim did not hold any more.
    async fn give_task_back(&self, claim: &Claim) -> Result<bool, StoreError>;

    /// One task.
    async fn task(&self, id: TaskId) -> Result<Option<Task>, StoreError>;

    /// A page of tasks, those behind `after` in their order.
    async fn list_tasks(&self, which: Which, after: Option<Place>, limit: usize) -> Result<Vec<Task>, StoreError>;

    /// Makes a dead task due at once, its attempts to be counted from none; also one that waits. `false`: there is no such
    /// task, it is under way or done, or another has its key meanwhile.
    async fn requeue_task(&self, id: TaskId) -> Result<bool, StoreError>;

    /// Forgets a task, in whatever state: one under way finishes, and nobody runs it again.
    async fn remove_task(&self, id: TaskId) -> Result<bool, StoreError>;

    /// How many there are, by kind.
    async fn count_tasks(&self) -> Result<Vec<KindCount>, StoreError>;

    /// Forgets at most `limit` done tasks that need not be remembered any more, and as many that have been dead for so long.
    /// How many that were.
    async fn sweep_tasks(&self, dead_for: Duration, limit: usize) -> Result<u64, StoreError>;
}

/// As much of an error as is kept.
pub(crate) fn excerpt(error: &str) -> &str {
    let end = error.char_indices().map(|(at, _)| at).take_while(|at| *at <= ERROR_MAX).last().unwrap_or(0);
    if error.len() <= ERROR_MAX { error } else { &error[..end] }
}

/// The key of a schedule's tasks.
pub(crate) fn schedule_key(name: &str) -> String {
    format!("schedule:{name}")
}

/// Whole milliseconds for a column; a century is as good as for ever.
pub(crate) fn ms(duration: Duration) -> i64 {
    const CENTURY: i64 = 100 * 365 * 86_400_000;
    i64::try_from(duration.as_millis()).unwrap_or(CENTURY).min(CENTURY)
}

/// Whole seconds for a column of 32 bits.
pub(crate) fn seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_error_is_cut_between_characters() {
        assert_eq!(excerpt("short"), "short");
        let long = "é".repeat(ERROR_MAX);
        assert!(excerpt(&long).len() <= ERROR_MAX && long.starts_with(excerpt(&long)));
        assert!(excerpt(&long).len() >= ERROR_MAX - 1);
    }
}
