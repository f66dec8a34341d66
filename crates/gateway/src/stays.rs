//! How long somebody who is connected may stay, whichever door they came by.
//!
//! A guest may stay for good and is not among these. Who came by a session, a key or a voucher of another application goes when
//! that has ended: [`People`] tells of it, or the clock asks.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures_util::StreamExt;
use futures_util::stream;
use parking_lot::Mutex;
use people::{GrantId, Identity, People, Standing};

/// Questions that the clock asks at a time.
const ASKED_AT_ONCE: usize = 16;
/// How soon it asks again where no answer could be had.
const AGAIN: Duration = Duration::from_secs(5);
/// For how long it is remembered that a grant has ended: somebody may have been recognized by it just before and not be here yet.
const REMEMBERED: Duration = Duration::from_secs(60);

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
    ended: HashMap<GrantId, Instant>,
}

struct Stay {
    identity: Arc<Identity>,
    visitor: Arc<dyn Visitor>,
    /// When the clock asks; `None`: never, or it is asking.
    check_at: Option<SystemTime>,
}

/// Somebody's entry, taken out when dropped.
pub(crate) struct Staying {
    stays: Arc<Stays>,
    number: u64,
}

impl Stays {
    /// Whoever was recognized stays for as long as that holds; `None` if that is for good.
    pub(crate) fn begin(self: &Arc<Self>, identity: Identity, visitor: Arc<dyn Visitor>) -> Option<Box<Staying>> {
        let grant = grant_of(&identity);
        if grant.is_none() && identity.check_at.is_none() {
            return None;
        }
        let mut inner = self.inner.lock();
        let number = inner.next;
        inner.next += 1;
        // What has ended meanwhile would not be told again.
        let is_over = grant.is_some_and(|grant| inner.ended.contains_key(&grant));
        let check_at = identity.check_at;
        inner.here.insert(number, Stay { identity: Arc::new(identity), visitor: visitor.clone(), check_at });
        drop(inner);
        if is_over {
            visitor.dismiss();
        }
        Some(Box::new(Staying { stays: self.clone(), number }))
    }

    /// Dismisses everybody who is here by one of these grants, now or in a moment.
    pub(crate) fn end(&self, grants: &[GrantId]) {
        let now = Instant::now();
        let mut inner = self.inner.lock();
        inner.ended.retain(|_, at| now.duration_since(*at) < REMEMBERED);
        inner.ended.extend(grants.iter().map(|grant| (*grant, now)));
        let is_over = |stay: &&Stay| grant_of(&stay.identity).is_some_and(|grant| inner.ended.contains_key(&grant));
        let gone: Vec<_> = inner.here.values().filter(is_over).map(|stay| stay.visitor.clone()).collect();
        drop(inner);
        gone.iter().for_each(|visitor| visitor.dismiss());
    }

    /// Asks once a second about everybody whose time to be asked about has come, for ever.
    pub(crate) async fn watch(&self, people: &People) {
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        seconds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            seconds.tick().await;
            let due = stream::iter(self.take_due(SystemTime::now()));
            due.for_each_concurrent(ASKED_AT_ONCE, |(number, identity)| async move {
                let answer = people.check_again(&identity).await;
                let next = match answer {
                    Ok(next) => next,
                    Err(refusal) if refusal.retry_after_ms.is_some() => Some(SystemTime::now() + AGAIN),
                    Err(_) => return self.dismiss(number),
                };
                if let Some(stay) = self.inner.lock().here.get_mut(&number) {
                    stay.check_at = next;
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

fn grant_of(identity: &Identity) -> Option<GrantId> {
    match identity.standing {
        Standing::Account { grant, .. } => Some(grant),
        Standing::Guest | Standing::Vouched => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use proto::{PersonName, User, UserId};
    use uuid::Uuid;

    use super::*;

    #[derive(Default)]
    struct Dismissed(AtomicUsize);

    impl Visitor for Dismissed {
        fn dismiss(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn identity(standing: Standing) -> Identity {
        let user = User { id: UserId(Uuid::from_u128(7)), name: PersonName::parse("Ana").unwrap() };
        Identity { user, standing, check_at: None }
    }

    fn by(grant: u128) -> Identity {
        identity(Standing::Account { grant: GrantId(Uuid::from_u128(grant)), admin: false })
    }

    #[test]
    fn who_is_here_by_a_grant_goes_with_it_and_nobody_else_does() {
        let stays = Arc::new(Stays::default());
        let (ana, ben) = (Arc::new(Dismissed::default()), Arc::new(Dismissed::default()));
        let _ana = stays.begin(by(1), ana.clone());
        let _ben = stays.begin(by(2), ben.clone());
        stays.end(&[GrantId(Uuid::from_u128(1))]);
        assert_eq!((ana.0.load(Ordering::Relaxed), ben.0.load(Ordering::Relaxed)), (1, 0));
    }

    #[test]
    fn who_was_recognized_before_a_grant_ended_and_comes_after_goes_too() {
        let stays = Arc::new(Stays::default());
        stays.end(&[GrantId(Uuid::from_u128(1))]);
        let late = Arc::new(Dismissed::default());
        let _late = stays.begin(by(1), late.clone());
        assert_eq!(late.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_guest_costs_nothing_and_who_leaves_is_forgotten() {
        let stays = Arc::new(Stays::default());
        assert!(stays.begin(identity(Standing::Guest), Arc::new(Dismissed::default())).is_none());
        drop(stays.begin(by(1), Arc::new(Dismissed::default())));
        assert!(stays.inner.lock().here.is_empty());
    }
}
