//! The watch over what is revoked: each second it reads from the store what was revoked lately, whatever Redis does, and tells the
//! gateway which of the grants that people are connected by have ended.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use proto::Timestamp;
use store::{Accounts, Revocations, StoreError};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use crate::GrantId;
use crate::live::Registry;
use crate::metrics::PeopleMetrics;

const EACH: Duration = Duration::from_secs(1);
/// How old the last look may be for copies to be believed. Older than that, what was missed is looked for among all that are in use.
const FRESH: Duration = Duration::from_secs(3);
/// A revocation bears the moment when it began; it can be seen once it is committed, which may take a while.
const MARGIN: Duration = Duration::from_secs(60);
/// What was revoked before this, no copy is left of. Where a look begins that has no fresh one before it.
const FIRST_LOOK: Duration = Duration::from_secs(120);
const AT_ONCE: usize = 10_000;
/// How often long-ended grants are deleted, how many at a time, and how long they stay for whoever wants to know.
const TIDY_EACH: Duration = Duration::from_secs(600);
const TIDY_MAX: usize = 1_000;
const ENDED_FOR: Duration = Duration::from_secs(30 * 24 * 3_600);

/// What the watch knows, for those who ask.
pub(crate) struct Watch {
    pub(crate) registry: Arc<Registry>,
    last: Mutex<Option<Look>>,
    /// The last that saw all there was to see.
    whole: Mutex<Option<Look>>,
}

/// The store's clock, and when it was asked for.
#[derive(Clone, Copy)]
struct Look {
    began: Instant,
    store: Timestamp,
}

impl Watch {
    pub(crate) fn new() -> Self {
        Self { registry: Arc::default(), last: Mutex::default(), whole: Mutex::default() }
    }

    /// The store's clock now, or a little ahead of it; `None` while it is not known what was revoked.
    pub(crate) fn now(&self) -> Option<Timestamp> {
        let whole = (*self.whole.lock())?;
        let age = whole.began.elapsed();
        (age <= FRESH).then(|| plus(whole.store, age))
    }

    /// Watches for ever.
    pub(crate) async fn keep(
        &self,
        accounts: Arc<dyn Accounts>,
        endings: mpsc::Sender<GrantId>,
        metrics: PeopleMetrics,
    ) {
        let mut tick = interval(EACH);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut tidied = Instant::now();
        let mut is_away = false;
        loop {
            tokio::select! {
                _ = tick.tick() => {
                    let looked = self.look(&*accounts).await;
                    match &looked {
                        Err(error) if !is_away => tracing::warn!(%error, "what was revoked cannot be read; trying on"),
                        _ => {}
                    }
                    is_away = looked.is_err();
                    self.registry.forget_old();
                }
                () = self.registry.news.notified() => {}
            }
            self.registry.tell(|grant| {
                let Ok(room) = endings.try_reserve() else { return false };
                metrics.ended.inc();
                room.send(grant);
                true
            });
            let age = self.whole.lock().map_or(0.0, |look| look.began.elapsed().as_secs_f64());
            metrics.watch_age_seconds.set(age);
            if !is_away && tidied.elapsed() >= TIDY_EACH {
                tidied = Instant::now();
                if let Err(error) = accounts.forget_grants(ENDED_FOR, TIDY_MAX).await {
                    tracing::debug!(%error, "long-ended grants were not deleted");
                }
            }
        }
    }

    async fn look(&self, accounts: &dyn Accounts) -> Result<(), StoreError> {
        let last = *self.last.lock();
        let fresh = last.filter(|look| look.began.elapsed() <= FRESH);
        let since = match fresh {
            Some(look) => minus(look.store, MARGIN),
            // Asked about the far future, it tells its clock.
            None => minus(accounts.revoked_after(Timestamp(i64::MAX), 1).await?.read_at, FIRST_LOOK),
        };
        let began = Instant::now();
        let Revocations { read_at, grants, more } = accounts.revoked_after(since, AT_ONCE).await?;
        self.registry.end(grants.into_iter().map(|(grant, _)| grant));
        if more || (last.is_some() && fresh.is_none()) {
            self.look_at_all(accounts).await?;
        }
        let look = Some(Look { began, store: read_at });
        *self.last.lock() = look;
        // What was not read may be what a copy is of.
        if !more {
            *self.whole.lock() = look;
        }
        Ok(())
    }

    /// Asks about every grant that somebody is connected by.
    async fn look_at_all(&self, accounts: &dyn Accounts) -> Result<(), StoreError> {
        let live = self.registry.live();
        let holding: std::collections::HashSet<_> = accounts.holding(&live).await?.into_iter().collect();
        self.registry.end(live.into_iter().filter(|grant| !holding.contains(grant)));
        Ok(())
    }
}

fn plus(moment: Timestamp, time: Duration) -> Timestamp {
    Timestamp(moment.0.saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX)))
}

fn minus(moment: Timestamp, time: Duration) -> Timestamp {
    Timestamp(moment.0.saturating_sub(i64::try_from(time.as_millis()).unwrap_or(i64::MAX)))
}
