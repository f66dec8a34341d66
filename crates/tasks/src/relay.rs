//! From the store to the queue: what is due is offered each second, again and again, until somebody has claimed it.
//!
//! And what happens by itself becomes a task here. Every node may try: a slot yields one task, by the store's own word.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use proto::{TaskId, Timestamp};
use store::{NewTask, StoreError};
use tokio::time::{Instant, MissedTickBehavior};

use crate::Shared;

/// The pause after a full offer: more waits.
const HURRY: Duration = Duration::from_millis(100);

pub(crate) async fn offer(shared: Arc<Shared>) {
    let mut every = tokio::time::interval(shared.config.offer_every);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut counted: Option<Instant> = None;
    loop {
        tokio::select! {
            biased;
            () = shared.leaving.cancelled() => break,
            _ = every.tick() => {}
            () = shared.told.notified() => {}
        }
        let leads = shared.queue.leads().await;
        shared.metrics.lead(leads == Some(true));
        shared.queue_up.store(leads.is_some(), Ordering::Relaxed);
        shared.metrics.queue_up.set(leads.is_some().into());
        // Without a queue nobody leads, and yet time goes on.
        if leads != Some(false) && watch(&shared, add_periodic(&shared).await).is_none() {
            continue;
        }
        if leads != Some(true) {
            counted = None;
            continue;
        }
        if let Some(true) = watch(&shared, offer_due(&shared).await) {
            every.reset_after(HURRY);
        }
        if counted.is_none_or(|counted| counted.elapsed() >= shared.config.count_every) {
            counted = Some(Instant::now());
            if let Some(counts) = watch(&shared, shared.store.count_tasks().await) {
                shared.metrics.count(&counts);
            }
        }
    }
    shared.metrics.lead(false);
}

/// Whether there may be more than was offered.
async fn offer_due(shared: &Shared) -> Result<bool, StoreError> {
    let due = shared.store.due_tasks(&shared.kinds.names(), shared.config.offer_max).await?;
    if due.is_empty() {
        return Ok(false);
    }
    let ids: Vec<(TaskId, Timestamp)> = due.iter().map(|due| (due.id, due.due_at)).collect();
    let fresh = shared.queue.offer(&ids).await.unwrap_or(0);
    shared.metrics.offered.inc_by(fresh as u64);
    Ok(fresh > 0 && due.len() == shared.config.offer_max)
}

async fn add_periodic(shared: &Shared) -> Result<(), StoreError> {
    for (name, every) in shared.kinds.periodic() {
        if let Some(id) = shared.store.add_scheduled(name, every, &NewTask::now(name, "{}")).await? {
            tracing::debug!(kind = name, %id, "a slot begins");
        }
    }
    Ok(())
}

/// Counts what did not work. The store has its own word for the log; here it costs a second.
pub(crate) fn watch<T>(shared: &Shared, answer: Result<T, StoreError>) -> Option<T> {
    shared.store_up.store(!matches!(answer, Err(StoreError::Away(_))), Ordering::Relaxed);
    match answer {
        Ok(answer) => Some(answer),
        Err(error) => {
            shared.metrics.errors.inc();
            tracing::debug!(%error, "the store did not answer about tasks");
            None
        }
    }
}
