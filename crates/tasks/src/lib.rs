//! Work in the background: who runs what is due, once, again, or never more.
//!
//! The store has the tasks and is the truth about them ([`store::Tasks`]); a queue tells workers what to claim there
//! ([`bus::Queue`]), and may lose everything at any time. One node at a time, the one that leads, offers what is due to the queue.
//! ```text
//!  outbox ─▶ store ─▶ relay ─▶ queue ─▶ hands ─▶ a run of a Kind ─▶ done, again later, or dead: back in the store
//!                └──────── when the queue is away ─┘      └─ held: its lease is extended while it runs
//! ```
//! A task runs once in the ordinary case and at least once always. Absent on purpose: what the tasks do, Redis, SQL.

mod config;
mod hands;
mod held;
mod kind;
mod metrics;
mod relay;
mod retain;
mod run;
mod tidy;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bus::Queue;
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use config::WorkersConfig;
pub use kind::{Failure, Kind, Kinds, Manner};
pub use metrics::{RetainMetrics, TasksMetrics};
pub use retain::Retain;
pub use store::{NewTask, Task, Tasks};
pub use tidy::Tidy;

use crate::held::Held;

/// How long giving back may take at the end of a drain.
const FAREWELL: Duration = Duration::from_millis(500);

/// What the parts share.
struct Shared {
    store: Arc<dyn Tasks>,
    queue: Arc<dyn Queue>,
    kinds: Kinds,
    config: WorkersConfig,
    metrics: TasksMetrics,
    /// The worker's name, which nobody else ever has: what a dead one left must not pass for the living one's.
    worker: String,
    held: Held,
    /// One place for each task under way.
    places: Arc<Semaphore>,
    /// Something became due.
    told: Notify,
    runs: TaskTracker,
    store_up: AtomicBool,
    queue_up: AtomicBool,
    /// Nothing new is begun.
    leaving: CancellationToken,
    /// What runs is given back.
    stopped: CancellationToken,
}

/// Those who do the work of one process.
pub struct Workers {
    shared: Arc<Shared>,
    tasks: TaskTracker,
}

impl Workers {
    /// Starts them. Must be called within a Tokio runtime.
    pub fn start(
        store: Arc<dyn Tasks>,
        queue: Arc<dyn Queue>,
        kinds: Kinds,
        config: WorkersConfig,
        metrics: TasksMetrics,
    ) -> Self {
        let shared = Arc::new(Shared {
            store,
            queue,
            kinds,
            metrics,
            worker: format!("{}/{:016x}", config.node_name, rand::random::<u64>()),
            held: Held::default(),
            places: Arc::new(Semaphore::new(config.concurrency)),
            told: Notify::new(),
            runs: TaskTracker::new(),
            store_up: AtomicBool::new(true),
            queue_up: AtomicBool::new(true),
            leaving: CancellationToken::new(),
            stopped: CancellationToken::new(),
            config,
        });
        let tasks = TaskTracker::new();
        if shared.config.concurrency > 0 {
            tasks.spawn(relay::offer(Arc::clone(&shared)));
            tasks.spawn(hands::work(Arc::clone(&shared)));
            tasks.spawn(held::hold(Arc::clone(&shared)));
        }
        tasks.close();
        Self { shared, tasks }
    }

    /// The name of this process's worker, as it stands in the rows of its tasks.
    pub fn name(&self) -> &str {
        &self.shared.worker
    }

    /// Says that something became due just now: it need not wait for the next look.
    pub fn tell(&self) {
        self.shared.told.notify_one();
    }

    /// Whether the store answered when it was last asked.
    pub fn store_is_up(&self) -> bool {
        self.shared.store_up.load(Ordering::Relaxed)
    }

    /// Whether the queue did. Without it tasks are taken straight from the store.
    pub fn queue_is_up(&self) -> bool {
        self.shared.queue_up.load(Ordering::Relaxed)
    }

    /// Begins nothing more, waits for what is under way for at most so long, and gives the rest back: others run it at once.
    pub async fn close(&self, within: Duration) {
        let shared = &self.shared;
        shared.leaving.cancel();
        shared.runs.close();
        if timeout(within.saturating_sub(FAREWELL), shared.runs.wait()).await.is_err() {
            tracing::info!(tasks = shared.runs.len(), "giving back what is not done yet");
            shared.stopped.cancel();
            if timeout(FAREWELL, shared.runs.wait()).await.is_err() {
                tracing::warn!("some tasks could not be given back; others run them when their lease ends");
            }
        }
        shared.stopped.cancel();
        self.tasks.wait().await;
        shared.queue.close().await;
    }
}
