//! Who is connected here by which grant, and which grants ended a moment ago.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::GrantId;

/// For how long after the store last told of it a revocation is remembered: longer than any copy is believed.
const MEMORY: Duration = Duration::from_secs(180);

/// The grants that matter to this node now.
#[derive(Default)]
pub(crate) struct Registry {
    inner: Mutex<Inner>,
    /// There is something in `ending`.
    pub(crate) news: Notify,
}

#[derive(Default)]
struct Inner {
    live: HashMap<Uuid, Entry>,
    revoked: HashMap<Uuid, Instant>,
    /// Ended, and not yet told. No more than there are live ones.
    ending: VecDeque<GrantId>,
}

struct Entry {
    count: usize,
    ended: Arc<AtomicBool>,
    /// Until when it is known to hold.
    good_until: Option<SystemTime>,
}

impl Registry {
    /// One more is connected by this grant; `None` if it was revoked a moment ago.
    pub(crate) fn enter(self: &Arc<Self>, grant: Uuid) -> Option<Live> {
        let inner = &mut *self.inner.lock();
        if inner.revoked.contains_key(&grant) {
            return None;
        }
        let fresh = || Entry { count: 0, ended: Arc::default(), good_until: None };
        let entry = inner.live.entry(grant).or_insert_with(fresh);
        entry.count += 1;
        Some(Live { ended: Arc::clone(&entry.ended), of: Some((Arc::clone(self), grant)) })
    }

    /// Grants that were revoked, told once or often. Those that somebody is connected by end.
    pub(crate) fn end(&self, grants: impl IntoIterator<Item = Uuid>) -> u64 {
        let (now, inner) = (Instant::now(), &mut *self.inner.lock());
        let mut ended = 0;
        for grant in grants {
            inner.revoked.insert(grant, now);
            if let Some(entry) = inner.live.get(&grant)
                && !entry.ended.swap(true, Ordering::Relaxed)
            {
                inner.ending.push_back(GrantId(grant));
                ended += 1;
            }
        }
        if ended > 0 {
            self.news.notify_one();
        }
        ended
    }

    pub(crate) fn is_revoked(&self, grant: Uuid) -> bool {
        self.inner.lock().revoked.contains_key(&grant)
    }

    /// Those that somebody is connected by and that have not ended.
    pub(crate) fn live(&self) -> Vec<Uuid> {
        let inner = self.inner.lock();
        inner.live.iter().filter(|(_, entry)| !entry.ended.load(Ordering::Relaxed)).map(|(grant, _)| *grant).collect()
    }

    pub(crate) fn holds_until(&self, grant: Uuid, moment: Option<SystemTime>) {
        if let Some(entry) = self.inner.lock().live.get_mut(&grant) {
            entry.good_until = moment;
        }
    }

    /// Whether it may have expired, for all that is known here; if nothing is, it has so long from now on.
    pub(crate) fn may_have_expired(&self, grant: Uuid, life: Duration) -> bool {
        let (now, mut inner) = (SystemTime::now(), self.inner.lock());
        inner.live.get_mut(&grant).is_some_and(|entry| *entry.good_until.get_or_insert(now + life) <= now)
    }

    /// Hands on what has ended, as long as there is room for it.
    pub(crate) fn tell(&self, mut take: impl FnMut(GrantId) -> bool) {
        let mut inner = self.inner.lock();
        while let Some(grant) = inner.ending.front() {
            if !take(*grant) {
                return;
            }
            inner.ending.pop_front();
        }
    }

    pub(crate) fn forget_old(&self) {
        self.inner.lock().revoked.retain(|_, noted| noted.elapsed() < MEMORY);
    }
}

/// Somebody is connected, for as long as this is held. Take it before the connection can be found by
/// [`People::endings`](crate::People::endings)' listener, and look at [`has_ended`](Self::has_ended) once it can.
pub struct Live {
    ended: Arc<AtomicBool>,
    of: Option<(Arc<Registry>, Uuid)>,
}

impl Live {
    /// For whoever came without a grant.
    pub(crate) fn of_no_grant() -> Self {
        Self { ended: Arc::default(), of: None }
    }

    /// Whether what lets them be here has been revoked.
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let Some((registry, grant)) = self.of.take() else { return };
        let inner = &mut *registry.inner.lock();
        if let Some(entry) = inner.live.get_mut(&grant) {
            entry.count -= 1;
            if entry.count == 0 {
                inner.live.remove(&grant);
                inner.ending.retain(|ending| ending.0 != grant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(registry: &Registry) -> Vec<Uuid> {
        let mut told = Vec::new();
        registry.tell(|grant| {
            told.push(grant.0);
            true
        });
        told
    }

    #[test]
    fn what_somebody_is_connected_by_ends_once() {
        let (registry, [ana, ben]) = (Arc::<Registry>::default(), [1, 2].map(Uuid::from_u128));
        let lives = [ana, ana, ben].map(|grant| registry.enter(grant).unwrap());
        registry.end([ana, Uuid::from_u128(3)]);
        registry.end([ana]);
        assert_eq!(told(&registry), [ana]);
        assert_eq!(lives.map(|live| live.has_ended()), [true, true, false]);
        assert!(registry.enter(ana).is_none(), "it was revoked a moment ago");
        assert!(registry.live().is_empty(), "all have left");
    }

    #[test]
    fn what_finds_no_room_is_told_later_unless_all_have_left() {
        let (registry, [ana, ben]) = (Arc::<Registry>::default(), [1, 2].map(Uuid::from_u128));
        let [live, _other] = [ana, ben].map(|grant| registry.enter(grant).unwrap());
        registry.end([ana, ben]);
        registry.tell(|_| false);
        drop(live);
        assert_eq!(told(&registry), [ben]);
    }
}
