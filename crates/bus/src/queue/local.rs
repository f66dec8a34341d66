//! The queue of a single process.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use proto::{TaskId, Timestamp};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::{OFFERED_MAX, Queue, TAKEN_FOR};

/// A queue within one process, which always leads.
#[derive(Default)]
pub struct LocalQueue {
    inner: Mutex<Inner>,
    offered: Notify,
}

#[derive(Default)]
struct Inner {
    ready: BTreeSet<(Timestamp, TaskId)>,
    /// What is ready and what is with somebody; for the latter until when.
    known: HashMap<TaskId, Place>,
}

#[derive(Clone, Copy)]
struct Place {
    due_at: Timestamp,
    taken_until: Option<Instant>,
}

impl LocalQueue {
    fn take_now(&self, limit: usize) -> Vec<TaskId> {
        let inner = &mut *self.inner.lock();
        let now = Instant::now();
        for (id, place) in &mut inner.known {
            if place.taken_until.is_some_and(|until| until <= now) {
                place.taken_until = None;
                inner.ready.insert((place.due_at, *id));
            }
        }
        let mut taken = Vec::new();
        while taken.len() < limit
            && let Some((_, id)) = inner.ready.pop_first()
        {
            if let Some(place) = inner.known.get_mut(&id) {
                place.taken_until = Some(now + TAKEN_FOR);
                taken.push(id);
            }
        }
        taken
    }
}

#[async_trait]
impl Queue for LocalQueue {
    async fn leads(&self) -> Option<bool> {
        Some(true)
    }

    async fn offer(&self, due: &[(TaskId, Timestamp)]) -> Option<usize> {
        let mut fresh = 0;
        {
            let inner = &mut *self.inner.lock();
            for &(id, due_at) in due {
                if inner.known.len() < OFFERED_MAX && !inner.known.contains_key(&id) {
                    inner.known.insert(id, Place { due_at, taken_until: None });
                    inner.ready.insert((due_at, id));
                    fresh += 1;
                }
            }
        }
        if fresh > 0 {
            self.offered.notify_waiters();
        }
        Some(fresh)
    }

    async fn take(&self, limit: usize, wait: Duration) -> Option<Vec<TaskId>> {
        let deadline = Instant::now() + wait;
        loop {
            // Listened for before the look, so that nothing can come in between.
            let offered = self.offered.notified();
            let taken = self.take_now(limit);
            if !taken.is_empty() || timeout_at(deadline, offered).await.is_err() {
                return Some(taken);
            }
        }
    }

    async fn finish(&self, ids: &[TaskId]) -> Option<()> {
        let inner = &mut *self.inner.lock();
        for id in ids {
            if let Some(place) = inner.known.remove(id) {
                inner.ready.remove(&(place.due_at, *id));
            }
        }
        Some(())
    }

    async fn close(&self) {}
}
