//! The pen of Tertulia: many posts, one commit, the next numbers, each id once.
//!
//! Rooms map to a few *lanes* by hash. A lane is one task with one store connection: while its transaction is under way
//! posts gather, then they go together, so a lone post waits for nobody and a crowd shares one flush. One lane
//! keeps a room's order; several lanes let commits overlap. What was committed is published, then acknowledged.
//! Absent on purpose: sockets, users' screens, other nodes.
//!
//! Start at [`RoomLog::submit`]; `lane.rs` is where a batch is made, committed, published and settled.

mod batch;
mod error;
mod lane;
mod metrics;
mod traced;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use bus::Bus;
use proto::RoomName;
use proto::to_client::Kept;
use store::{Amendment, Post, Store, StoreView};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use trace::{Trace, Tracer};

pub use error::AppendError;
pub use metrics::RoomLogMetrics;

/// How lanes batch and how long they try.
#[derive(Clone, Debug)]
pub struct LaneConfig {
    /// Jobs that may wait in one lane; one more is refused as [`AppendError::Busy`].
    pub queue_len: usize,
    /// Most jobs in one transaction.
    pub batch_len: usize,
    /// Most bytes of text in one transaction.
    pub batch_bytes: usize,
    /// How long a batch is tried while the store is away, before its senders are told that it is not known. Nobody
    /// who was queued behind it waits more than a second longer.
    pub patience: Duration,
    /// Who is told of jobs that are traced.
    pub tracer: Tracer,
}

impl Default for LaneConfig {
    fn default() -> Self {
        Self {
            queue_len: 8192,
            batch_len: 256,
            batch_bytes: 256 * 1024,
            patience: Duration::from_secs(5),
            tracer: Tracer::default(),
        }
    }
}

/// What can be asked of a room.
#[derive(Clone, Debug)]
pub enum Job {
    /// Say something.
    Post(Post),
    /// Change something said.
    Amend(Amendment),
}

impl Job {
    fn room(&self) -> &RoomName {
        match self {
            Self::Post(post) => &post.room,
            Self::Amend(amendment) => &amendment.room,
        }
    }
}

/// Called once, with what became of a job. It runs in the lane: it must be quick and must not wait.
pub type Settle = Box<dyn FnOnce(Result<Kept, AppendError>) + Send>;

struct Waiting {
    job: Job,
    since: Instant,
    trace: Option<Arc<Trace>>,
    settle: Settle,
}

/// Takes jobs and keeps them in the order of each room.
pub struct RoomLog {
    lanes: Vec<mpsc::Sender<Waiting>>,
    metrics: RoomLogMetrics,
    closing: CancellationToken,
    tasks: TaskTracker,
}

impl RoomLog {
    /// Starts one lane for each that the store has.
    pub fn start(
        store: Arc<dyn Store>,
        bus: Arc<dyn Bus>,
        view: Arc<StoreView>,
        config: &LaneConfig,
        metrics: RoomLogMetrics,
    ) -> Self {
        let closing = CancellationToken::new();
        let tasks = TaskTracker::new();
        let lanes = (0..store.lanes())
            .map(|number| {
                let (sender, receiver) = mpsc::channel(config.queue_len);
                let lane = lane::Lane {
                    number,
                    store: store.clone(),
                    bus: bus.clone(),
                    view: view.clone(),
                    config: config.clone(),
                    metrics: metrics.clone(),
                };
                tasks.spawn(lane.run(receiver, closing.clone()));
                sender
            })
            .collect();
        tasks.close();
        Self { lanes, metrics, closing, tasks }
    }

    /// Puts a job into its room's lane. Jobs of one room take effect in the order they are submitted. Never waits: a full
    /// lane settles the job at once as [`AppendError::Busy`].
    pub fn submit(&self, job: Job, settle: Settle) {
        self.submit_traced(job, None, settle);
    }

    /// The same, for a request that may be traced.
    pub fn submit_traced(&self, job: Job, trace: Option<Arc<Trace>>, settle: Settle) {
        let mut hasher = DefaultHasher::new();
        job.room().hash(&mut hasher);
        let lane = &self.lanes[(hasher.finish() % self.lanes.len() as u64) as usize];
        self.metrics.queue_messages.inc();
        match lane.try_send(Waiting { job, since: Instant::now(), trace, settle }) {
            Ok(()) => {}
            Err(TrySendError::Full(waiting) | TrySendError::Closed(waiting)) => {
                self.metrics.queue_messages.dec();
                (waiting.settle)(Err(AppendError::Busy { retry_after_ms: 500 }));
            }
        }
    }

    /// Takes no more jobs, settles all that were taken, and ends the lanes.
    pub async fn close(&self) {
        self.closing.cancel();
        self.tasks.wait().await;
    }
}
