//! Kinds of tasks: what is done, how long it may take, and what becomes of a failure.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use store::Task;

/// What a kind does. The same task may be run again, also after it was done: a worker may die between doing it and saying so. So
/// running it twice must be as good as once, or whoever it reaches must know it again by [`Task::id`].
///
/// ```
/// # use tasks::{Failure, Kind, Task};
/// struct Greet;
///
/// impl Kind for Greet {
///     const NAME: &'static str = "greet";
///
///     async fn run(&self, task: &Task) -> Result<(), Failure> {
///         if task.payload.is_empty() { Err(Failure::give_up("there is nobody to greet")) } else { Ok(()) }
///     }
/// }
/// ```
pub trait Kind: Send + Sync + 'static {
    /// Its name, in the table and on metrics: lower-case letters, digits and `_`. Never changed: rows have it.
    const NAME: &'static str;

    /// How it is run.
    fn manner(&self) -> Manner {
        Manner::default()
    }

    /// Does it. The future may be dropped at any point where it waits: when time is up, when the claim is lost, at the end of a drain.
    fn run(&self, task: &Task) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// How tasks of a kind are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// How long one attempt may take; after that it has failed.
    pub time_limit: Duration,
    /// How often a task is tried before it is dead, unless its row says otherwise.
    pub attempts_max: u32,
    /// The longest pause after the first failure. It doubles with each …
    pub first_pause: Duration,
    /// … up to this one.
    pub longest_pause: Duration,
    /// If it happens again and again by itself: one task each so many whole seconds, whatever the number of nodes.
    pub every: Option<Duration>,
}

impl Default for Manner {
    /// A minute an attempt, and eight attempts within at most ten minutes or so.
    fn default() -> Self {
        Self {
            time_limit: Duration::from_secs(60),
            attempts_max: 8,
            first_pause: Duration::from_secs(2),
            longest_pause: Duration::from_secs(300),
            every: None,
        }
    }
}

impl Manner {
    /// The longest pause after the attempt of this number failed: `first_pause`, doubled with each, at most `longest_pause`.
    pub fn pause_max(&self, attempt: u32) -> Duration {
        let doubled = self.first_pause.saturating_mul(2u32.saturating_pow(attempt.saturating_sub(1)));
        doubled.min(self.longest_pause)
    }

    /// Anything between nothing and [`pause_max`](Self::pause_max), all equally likely: so tasks that failed together
    /// do not come back together.
    pub(crate) fn pause(&self, attempt: u32) -> Duration {
        self.pause_max(attempt).mul_f64(rand::random_range(0.0..=1.0))
    }
}

/// Why a task was not done, and what is to become of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It may work later: it is tried again after a pause, unless it has been tried often enough.
    Retry {
        /// What went wrong. It is kept, and shown to operators: no secrets.
        why: String,
        /// The shortest pause, for who was told when to come back.
        after: Duration,
    },
    /// It will never work: a dead letter at once.
    GiveUp {
        /// What went wrong. It is kept, and shown to operators: no secrets.
        why: String,
    },
}

impl Failure {
    /// It may work later.
    pub fn retry(why: impl ToString) -> Self {
        Self::Retry { why: why.to_string(), after: Duration::ZERO }
    }

    /// It may work later, but not before this pause.
    pub fn retry_after(why: impl ToString, after: Duration) -> Self {
        Self::Retry { why: why.to_string(), after }
    }

    /// It will never work.
    pub fn give_up(why: impl ToString) -> Self {
        Self::GiveUp { why: why.to_string() }
    }
}

/// A store that does not answer will later; one that refuses will again.
impl From<store::StoreError> for Failure {
    fn from(error: store::StoreError) -> Self {
        if error.is_passing() { Self::retry(error) } else { Self::give_up(error) }
    }
}

/// The kinds that this program can run. What it does not know it leaves to others.
#[derive(Clone, Default)]
pub struct Kinds(BTreeMap<&'static str, Arc<dyn Runner>>);

impl Kinds {
    /// With one more.
    #[must_use]
    pub fn with<K: Kind>(mut self, kind: K) -> Self {
        self.0.insert(K::NAME, Arc::new(kind));
        self
    }

    /// Their names.
    pub fn names(&self) -> Vec<&'static str> {
        self.0.keys().copied().collect()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<dyn Runner>> {
        self.0.get(name)
    }

    /// Those that happen by themselves, and how often.
    pub(crate) fn periodic(&self) -> impl Iterator<Item = (&'static str, Duration)> {
        self.0.iter().filter_map(|(name, kind)| Some((*name, kind.manner().every?)))
    }
}

/// A [`Kind`], whichever it is.
pub(crate) trait Runner: Send + Sync {
    fn name(&self) -> &'static str;
    fn manner(&self) -> Manner;
    fn run<'a>(&'a self, task: &'a Task) -> BoxFuture<'a, Result<(), Failure>>;
}

impl<K: Kind> Runner for K {
    fn name(&self) -> &'static str {
        K::NAME
    }

    fn manner(&self) -> Manner {
        Kind::manner(self)
    }

    fn run<'a>(&'a self, task: &'a Task) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(Kind::run(self, task))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_doubles_up_to_the_longest_and_is_of_any_length_below() {
        let manner = Manner::default();
        let most: Vec<u64> = [1, 2, 3, 8, 9, 100].map(|attempt| manner.pause_max(attempt).as_secs()).into();
        assert_eq!(most, [2, 4, 8, 256, 300, 300]);
        let pauses: Vec<Duration> = (0..1_000).map(|_| manner.pause(3)).collect();
        let (least, most) = (pauses.iter().min().copied(), pauses.iter().max().copied());
        assert!(least < Some(Duration::from_secs(1)) && most > Some(Duration::from_secs(7)));
        assert!(most <= Some(Duration::from_secs(8)));
    }
}
