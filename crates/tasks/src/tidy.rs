//! Forgets what nobody will ask for any more.

use std::sync::Arc;
use std::time::Duration;

use store::{Task, Tasks};

use crate::{Failure, Kind, Manner};

/// How long dead letters are kept.
const DEAD_FOR: Duration = Duration::from_secs(30 * 86_400);
/// Rows that go in one transaction.
const BATCH: usize = 1_000;

/// The kind `tidy`: each ten minutes, tasks that are done and were to be remembered for a while, and dead letters after 30 days.
pub struct Tidy(Arc<dyn Tasks>);

impl Tidy {
    /// Of this store.
    pub fn new(store: Arc<dyn Tasks>) -> Self {
        Self(store)
    }
}

impl Kind for Tidy {
    const NAME: &'static str = "tidy";

    fn manner(&self) -> Manner {
        Manner { every: Some(Duration::from_secs(600)), attempts_max: 3, ..Manner::default() }
    }

    async fn run(&self, _: &Task) -> Result<(), Failure> {
        while self.0.sweep_tasks(DEAD_FOR, BATCH).await? > 0 {}
        Ok(())
    }
}
