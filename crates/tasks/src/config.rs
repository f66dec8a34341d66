//! What can be tuned about the workers.

use std::time::Duration;

/// How much a node does in the background.
#[derive(Clone, Debug)]
pub struct WorkersConfig {
    /// What this node is called: its worker's name begins with it.
    pub node_name: String,
    /// Tasks under way at once; 0: none, and nothing is handed out either.
    pub concurrency: usize,
    /// How long a task is its worker's without a sign of life; that much later others run what a dead one left.
    pub lease: Duration,
    /// How often what is due is put in the queue.
    pub offer_every: Duration,
    /// How often tasks are counted.
    pub count_every: Duration,
    /// Ids that are offered at once.
    pub offer_max: usize,
}

impl Default for WorkersConfig {
    fn default() -> Self {
        Self {
            node_name: "node".into(),
            concurrency: 4,
            lease: Duration::from_secs(15),
            offer_every: Duration::from_secs(1),
            count_every: Duration::from_secs(10),
            offer_max: 1_000,
        }
    }
}
