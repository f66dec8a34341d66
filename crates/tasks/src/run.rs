//! One run of one task: its time, its panics, and what the store is told of it.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use store::{Claim, StoreError, Task};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::kind::{Failure, Manner, Runner};
use crate::metrics::Ending;
use crate::{FAREWELL, Shared};

/// The pause before the store is told again what it did not hear.
const RETELL: Duration = Duration::from_millis(250);

/// Begins it in a place of its own, beside others.
pub(crate) fn begin(shared: &Arc<Shared>, task: Task) {
    let Some(kind) = shared.kinds.get(&task.kind).cloned() else { return };
    let lost = shared.held.enter(task.claim());
    // There is one: only so many are claimed, and only here.
    let place = Arc::clone(&shared.places).try_acquire_owned();
    let shared = Arc::clone(shared);
    let tracker = shared.runs.clone();
    tracker.spawn(async move {
        let _place = place;
        let (claim, began) = (task.claim(), Instant::now());
        shared.metrics.began(kind.name());
        let ending = run(&shared, &kind, task, &lost).await;
        shared.held.leave(&claim);
        shared.metrics.ended(kind.name(), ending, began.elapsed().as_secs_f64());
    });
}

async fn run(shared: &Shared, kind: &Arc<dyn Runner>, task: Task, lost: &CancellationToken) -> Ending {
    let (claim, manner) = (task.claim(), kind.manner());
    let attempts_max = task.max_attempts.unwrap_or(manner.attempts_max);
    let last_error = task.last_error.clone();
    // Whoever tried it so often never came back to say why: it may be the task that ends them.
    if claim.attempt > attempts_max {
        let why = last_error.unwrap_or_else(|| "its workers died of it".into());
        return settle(shared, kind.name(), &claim, lost, Ending::Dead, &Verdict::Dead(why)).await;
    }
    let attempt = attempt(kind, task, manner);
    let result = tokio::select! {
        biased;
        () = lost.cancelled() => return Ending::Lost,
        () = shared.stopped.cancelled() => return give_back(shared, &claim).await,
        result = attempt => result,
    };
    let (ending, verdict) = judge(result, &claim, attempts_max, &manner);
    if let Verdict::Again(why, _) | Verdict::Dead(why) = &verdict {
        tracing::info!(kind = kind.name(), task = %claim.id, attempt = claim.attempt, ?ending, why, "a task failed");
    }
    settle(shared, kind.name(), &claim, lost, ending, &verdict).await
}

/// How an attempt went.
enum Attempt {
    Done,
    Failed(Failure),
    TimedOut,
    Panicked(String),
}

/// What the store is to be told.
enum Verdict {
    Done,
    Again(String, Duration),
    Dead(String),
}

/// In a task of its own, so that a panic ends nothing else; let go of, it is ended.
async fn attempt(kind: &Arc<dyn Runner>, task: Task, manner: Manner) -> Attempt {
    let kind = Arc::clone(kind);
    let handle: JoinHandle<Result<(), Failure>> = tokio::spawn(async move { kind.run(&task).await });
    match timeout(manner.time_limit, AbortOnDropHandle::new(handle)).await {
        Ok(Ok(Ok(()))) => Attempt::Done,
        Ok(Ok(Err(failure))) => Attempt::Failed(failure),
        Ok(Err(error)) => match error.try_into_panic() {
            Ok(panic) => Attempt::Panicked(message(&*panic)),
            Err(error) => Attempt::Panicked(error.to_string()),
        },
        Err(_) => Attempt::TimedOut,
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panicked: {}", text.unwrap_or("without a word"))
}

fn judge(result: Attempt, claim: &Claim, attempts_max: u32, manner: &Manner) -> (Ending, Verdict) {
    let (ending, why, after) = match result {
        Attempt::Done => return (Ending::Done, Verdict::Done),
        Attempt::Failed(Failure::GiveUp { why }) => return (Ending::Dead, Verdict::Dead(why)),
        Attempt::Failed(Failure::Retry { why, after }) => (Ending::Failed, why, after),
        Attempt::TimedOut => {
            (Ending::TimedOut, format!("not done within {} s", manner.time_limit.as_secs_f64()), Duration::ZERO)
        }
        Attempt::Panicked(why) => (Ending::Panicked, why, Duration::ZERO),
    };
    if claim.attempt >= attempts_max {
        return (if ending == Ending::Failed { Ending::Dead } else { ending }, Verdict::Dead(why));
    }
    (ending, Verdict::Again(why, manner.pause(claim.attempt).max(after)))
}

/// Tells the store, as long as the claim holds: until then nobody else runs it.
async fn settle(
    shared: &Shared,
    kind: &str,
    claim: &Claim,
    lost: &CancellationToken,
    ending: Ending,
    verdict: &Verdict,
) -> Ending {
    let tell = async {
        loop {
            match say(shared, claim, verdict).await {
                Ok(true) => {
                    if matches!(verdict, Verdict::Dead(_)) {
                        shared.metrics.buried(kind);
                    }
                    return ending;
                }
                Ok(false) => return Ending::Lost,
                Err(error) => {
                    shared.metrics.errors.inc();
                    tracing::debug!(%error, task = %claim.id, "the store did not hear how a task ended");
                    sleep(RETELL).await;
                }
            }
        }
    };
    tokio::select! {
        biased;
        ended = tell => ended,
        () = lost.cancelled() => Ending::Lost,
        () = leave(shared) => Ending::Lost,
    }
}

/// At the end of a drain there is a little time left for what the store must hear.
async fn leave(shared: &Shared) {
    shared.stopped.cancelled().await;
    sleep(FAREWELL).await;
}

async fn say(shared: &Shared, claim: &Claim, verdict: &Verdict) -> Result<bool, StoreError> {
    match verdict {
        Verdict::Done => shared.store.task_done(claim).await,
        Verdict::Again(why, after) => shared.store.task_failed(claim, why, *after).await,
        Verdict::Dead(why) => shared.store.bury_task(claim, why).await,
    }
}

async fn give_back(shared: &Shared, claim: &Claim) -> Ending {
    match timeout(FAREWELL, shared.store.give_task_back(claim)).await {
        Ok(Ok(true)) => Ending::GivenBack,
        _ => Ending::Lost,
    }
}
