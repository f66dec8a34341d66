//! The claims of what runs here, and their leases, which are extended while it runs.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use proto::TaskId;
use store::Claim;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::Shared;
use crate::relay::watch;

/// What this process runs, by task: a task is claimed once at a time.
#[derive(Default)]
pub(crate) struct Held(Mutex<HashMap<TaskId, One>>);

struct One {
    claim: Claim,
    /// Its lease lasts from here.
    since: Instant,
    lost: CancellationToken,
}

impl Held {
    /// Enters a claim; the token tells when it is lost.
    pub(crate) fn enter(&self, claim: Claim) -> CancellationToken {
        let lost = CancellationToken::new();
        let one = One { claim, since: Instant::now(), lost: lost.clone() };
        if let Some(before) = self.0.lock().insert(one.claim.id, one) {
            before.lost.cancel();
        }
        lost
    }

    pub(crate) fn leave(&self, claim: &Claim) {
        let mut held = self.0.lock();
        if held.get(&claim.id).is_some_and(|one| one.claim == *claim) {
            held.remove(&claim.id);
        }
    }

    fn claims(&self) -> Vec<Claim> {
        self.0.lock().values().map(|one| one.claim.clone()).collect()
    }
}

/// Extends all leases in time. Whoever is not told so has lost his claim, and so has who could not ask until the lease was over.
pub(crate) async fn hold(shared: Arc<Shared>) {
    let lease = shared.config.lease;
    let mut every = tokio::time::interval(lease / 3);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = shared.stopped.cancelled() => return,
            _ = every.tick() => {}
        }
        let claims = shared.held.claims();
        if claims.is_empty() {
            continue;
        }
        let asked = Instant::now();
        let extended = watch(&shared, shared.store.extend_tasks(&claims, lease).await);
        let mut held = shared.held.0.lock();
        for claim in &claims {
            // It may be finished meanwhile.
            let Some(one) = held.get_mut(&claim.id).filter(|one| one.claim == *claim) else { continue };
            match &extended {
                Some(ours) if ours.contains(&claim.id) => one.since = asked,
                Some(_) => one.lost.cancel(),
                None if one.since.elapsed() >= lease => one.lost.cancel(),
                None => {}
            }
        }
    }
}
