//! Takes what is due, as many as there are free places, and has it run.

use std::sync::Arc;
use std::time::Duration;

use proto::TaskId;
use store::Task;
use tokio::time::sleep;

use crate::relay::watch;
use crate::{Shared, run};

/// How long the queue may keep a question that it has no answer to.
const WAIT: Duration = Duration::from_secs(1);
/// The pause after the store did not answer, and between looks at it while the queue is away.
const PAUSE: Duration = Duration::from_millis(500);

pub(crate) async fn work(shared: Arc<Shared>) {
    while !shared.leaving.is_cancelled() {
        // Waits for one place, and takes as many as are free by then: nobody else takes any.
        let Some(place) = shared.leaving.run_until_cancelled(shared.places.acquire()).await else { return };
        drop(place);
        let free = shared.places.available_permits();
        // The queue is left alone in the middle of a question, the store is not: a claim that nobody knows of would last a lease.
        let Some(taken) = shared.leaving.run_until_cancelled(shared.queue.take(free, WAIT)).await else { return };
        if claim(&shared, taken, free).await == 0 {
            // Between two looks others get the thread, whatever the queue is made of.
            tokio::task::yield_now().await;
        }
    }
}

/// Claims what the queue told and begins it; how many that were.
async fn claim(shared: &Arc<Shared>, taken: Option<Vec<TaskId>>, free: usize) -> usize {
    let kinds = shared.kinds.names();
    let Some(ids) = taken else {
        let claimed = shared.store.claim_due(free, &kinds, &shared.worker, shared.config.lease).await;
        let tasks = watch(shared, claimed).unwrap_or_default();
        shared.metrics.claimed_store.inc_by(tasks.len() as u64);
        if tasks.is_empty() {
            pause(shared).await;
        }
        return begin(shared, tasks);
    };
    if ids.is_empty() {
        return 0;
    }
    let claimed = shared.store.claim_tasks(&ids, &kinds, &shared.worker, shared.config.lease).await;
    let Some(tasks) = watch(shared, claimed) else {
        // The queue hands them out again by itself.
        pause(shared).await;
        return 0;
    };
    shared.metrics.claimed_queue.inc_by(tasks.len() as u64);
    let begun = begin(shared, tasks);
    // What could not be claimed is done, or somebody's, or of a kind that we do not know: if it is due, it is offered again.
    shared.queue.finish(&ids).await;
    begun
}

async fn pause(shared: &Shared) {
    _ = shared.leaving.run_until_cancelled(sleep(PAUSE)).await;
}

fn begin(shared: &Arc<Shared>, tasks: Vec<Task>) -> usize {
    let count = tasks.len();
    for task in tasks {
        run::begin(shared, task);
    }
    count
}
