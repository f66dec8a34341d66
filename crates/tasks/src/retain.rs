//! Sees to it that rooms forget what they do not keep.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use proto::{RoomName, Timestamp};
use store::{Exports, Policy, Retention, Task};
use tokio::time::Instant;

use crate::{Failure, Kind, Manner, RetainMetrics};

/// How often.
const EVERY: Duration = Duration::from_secs(60);
/// How long a run goes on. What it does not come to, the next begins with.
const RUN: Duration = Duration::from_secs(40);
/// Rows that go in one transaction.
const BATCH: usize = 500;
/// Batches of a room before it is another's turn.
const TURN: usize = 20;
/// Rooms in one question.
const PAGE: usize = 200;

/// The kind `retention`: each minute, raises the floors of rooms that do not keep everything, lets rows go in batches, and
/// drops exports that have expired.
pub struct Retain<S: ?Sized> {
    store: Arc<S>,
    metrics: RetainMetrics,
    /// Where the last run of this process stopped for lack of time.
    stopped_at: Mutex<Option<RoomName>>,
}

impl<S: Retention + Exports + ?Sized> Retain<S> {
    /// Of this store.
    pub fn new(store: Arc<S>, metrics: RetainMetrics) -> Self {
        Self { store, metrics, stopped_at: Mutex::new(None) }
    }

    /// One turn of a room; whether there is more to do.
    async fn turn(&self, room: &RoomName, policy: Policy) -> Result<bool, Failure> {
        for _ in 0..TURN {
            let floor = self.store.due(room, policy, Timestamp::now(), BATCH).await?;
            let step = self.store.forget(room, floor, BATCH).await?;
            self.metrics.forgotten.inc_by(step.messages as u64);
            if floor == 0 && !step.more {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A turn for each room behind the given one; whether one of them has more to do, and whether there was time for all.
    async fn round(&self, mut last: Option<RoomName>, until: Instant) -> Result<(bool, bool), Failure> {
        let mut more = false;
        loop {
            let page = self.store.policies(last.as_ref(), PAGE).await?;
            if page.is_empty() {
                *self.stopped_at.lock() = None;
                return Ok((more, true));
            }
            for (room, policy) in page {
                more |= self.turn(&room, policy).await?;
                last = Some(room);
                if Instant::now() >= until {
                    *self.stopped_at.lock() = last;
                    return Ok((more, false));
                }
            }
        }
    }
}

impl<S: Retention + Exports + ?Sized> Kind for Retain<S> {
    const NAME: &'static str = "retention";

    fn manner(&self) -> Manner {
        Manner { every: Some(EVERY), attempts_max: 3, ..Manner::default() }
    }

    async fn run(&self, _: &Task) -> Result<(), Failure> {
        let until = Instant::now() + RUN;
        while Instant::now() < until && self.store.sweep_export().await? {}
        let mut last = self.stopped_at.lock().take();
        loop {
            let began_late = last.is_some();
            let (more, had_time) = self.round(last.take(), until).await?;
            // Those before the place where it began have their turn, too.
            if !had_time || !(more || began_late) {
                return Ok(());
            }
        }
    }
}
