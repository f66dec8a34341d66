//! How long somebody who is connected may stay, whichever door they came by.
//!
//! A guest may stay for good and is not among these. Who came by a session, a key or a voucher of another application goes when
//! that has ended: [`People`] tells of it, or the clock asks.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::{StreamExt, stream};
use parking_lot::Mutex;
use people::{GrantId, Identity, Live, People};
use tokio::sync::mpsc;

/// Questions that the clock asks at a time.
const ASKED_AT_ONCE: usize = 16;
/// Endings that are seen to together.
const ENDED_AT_ONCE: usize = 256;

/// Somebody's connection, as far as it can be ended.
pub(crate) trait Visitor: Send + Sync {
    /// Acknowledges what was accepted, takes nothing more, and goes.
    fn dismiss(&self);
}

/// Whether a connection is asked to go, and why. A later one is the stronger word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Going {
    No,
    /// The node leaves; others are there.
    Drain,
    /// What it was let in by has ended.
    Unauthorized,
}

impl Going {
    pub(crate) fn of(number: u8) -> Self {
        match number {
            0 => Self::No,
            1 => Self::Drain,
            _ => Self::Unauthorized,
        }
    }
}

/// All who are here for as long as something holds.
#[derive(Default)]
pub(crate) struct Stays {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    next: u64,
    here: HashMap<u64, Stay>,
}

struct Stay {
    identity: Arc<Identity>,
    visitor: Arc<dyn Visitor>,
    /// When the clock asks; `None`: never, or it is asking.
    check_at: Option<SystemTime>,
    _live: Live,
}

/// Somebody's entry, taken out when dropped.
pub(crate) struct Staying {
    stays: Arc<Stays>,
    number: u64,
}

impl Stays {
    /// Whoever was recognized stays for as long as that holds; `None` if that is for good.
    pub(crate) fn begin(
        self: &Arc<Self>,
        people: &People,
        identity: Identity,
        visitor: Arc<dyn Visitor>,
    ) -> Option<Box<Staying>> {
        let check_at = identity.check_at;
        if identity.grant().is_none() && check_at.is_none() {
            return None;
        }
        // Under the lock: what is told to have ended from here on finds the entry.
        let mut inner = self.inner.lock();
        let Ok(live) = people.enter(&identity) else {
            drop(inner);
            visitor.dismiss();
            return None;
        };
        let number = inner.next;
        inner.next += 1;
        inner.here.insert(number, Stay { identity: Arc::new(identity), visitor, check_at, _live: live });
        Some(Box::new(Staying { stays: self.clone(), number }))
    }

    /// Dismisses whoever is here by grants that have ended, for ever.
    pub(crate) async fn heed(&self, mut endings: mpsc::Receiver<GrantId>) {
        let mut ended = Vec::new();
        while endings.recv_many(&mut ended, ENDED_AT_ONCE).await > 0 {
            self.end(&ended.drain(..).collect());
        }
    }

    fn end(&self, grants: &HashSet<GrantId>) {
        let is_over = |stay: &&Stay| stay.identity.grant().is_some_and(|grant| grants.contains(&grant));
        let over: Vec<_> = self.inner.lock().here.values().filter(is_over).map(|stay| stay.visitor.clone()).collect();
        over.iter().for_each(|visitor| visitor.dismiss());
    }

    /// Asks once a second about everybody whose time to be asked about has come, for ever.
    pub(crate) async fn watch(&self, people: &People) {
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        seconds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            seconds.tick().await;
            let due = stream::iter(self.take_due(SystemTime::now()));
            due.for_each_concurrent(ASKED_AT_ONCE, |(number, identity)| async move {
                match people.check_again(&identity).await {
                    Ok(next) => {
                        if let Some(stay) = self.inner.lock().here.get_mut(&number) {
                            stay.check_at = next;
                        }
                    }
                    Err(_) => self.dismiss(number),
                }
            })
            .await;
        }
    }

    fn take_due(&self, now: SystemTime) -> Vec<(u64, Arc<Identity>)> {
        let mut inner = self.inner.lock();
        let due = inner.here.iter_mut().filter(|(_, stay)| stay.check_at.is_some_and(|at| at <= now));
        due.map(|(number, stay)| {
            stay.check_at = None;
            (*number, stay.identity.clone())
        })
        .collect()
    }

    fn dismiss(&self, number: u64) {
        let visitor = self.inner.lock().here.get(&number).map(|stay| stay.visitor.clone());
        if let Some(visitor) = visitor {
            visitor.dismiss();
        }
    }
}

impl Drop for Staying {
    fn drop(&mut self) {
        let gone = self.stays.inner.lock().here.remove(&self.number);
        drop(gone); // outside the lock
    }
}
