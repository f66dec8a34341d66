//! A room's recent entries, bounded in bytes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proto::Entry;

/// What an entry costs beside its frame, roughly.
const ENTRY_OVERHEAD: usize = 64;

/// How many bytes all rings of a node hold and may hold.
#[derive(Debug)]
pub(crate) struct RingBudget {
    used: AtomicUsize,
    max: usize,
}

impl RingBudget {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0), max })
    }

    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn is_over(&self) -> bool {
        self.used() > self.max
    }
}

/// Every surviving entry with `rev` above [`floor`](Self::floor), rising by `rev`: an entry whose message changed later
/// is purged, for the later one says it all. What falls out at the front can still be read from the store, unless the room
/// has forgotten it.
#[derive(Debug)]
pub(crate) struct Ring {
    entries: VecDeque<Entry>,
    floor: u64,
    /// Messages with a `seq` at or below it are gone for good.
    gone: u64,
    bytes: usize,
    bytes_max: usize,
    budget: Arc<RingBudget>,
}

impl Ring {
    pub(crate) fn new(bytes_max: usize, budget: Arc<RingBudget>) -> Self {
        Self { entries: VecDeque::new(), floor: 0, gone: 0, bytes: 0, bytes_max, budget }
    }

    /// The ring holds every number above this one.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn floor(&self) -> u64 {
        self.floor
    }

    /// Forgets everything; complete from `floor` on.
    pub(crate) fn restart(&mut self, floor: u64) {
        self.entries.clear();
        self.charge(0);
        self.floor = floor;
        self.gone = 0;
    }

    /// What the room has forgotten.
    pub(crate) fn gone(&self) -> u64 {
        self.gone
    }

    /// Purges messages with a `seq` at or below a number, all of which have come here or are below the floor. Positions
    /// below it are answered for no longer.
    pub(crate) fn forget(&mut self, gone: u64) {
        if gone <= self.gone {
            return;
        }
        self.gone = gone;
        self.floor = self.floor.max(gone);
        self.entries.retain(|entry| entry.seq > gone);
        self.charge(self.entries.iter().map(cost).sum());
    }

    /// Adds an entry whose `rev` is above all others.
    pub(crate) fn push(&mut self, entry: Entry) {
        debug_assert!(entry.rev > self.entries.back().map_or(self.floor, |last| last.rev));
        let mut bytes = self.bytes + cost(&entry);
        // A message as it was sent has no older version; only a change looks for one.
        if entry.rev != entry.seq
            && let Some(old) = self.entries.iter().position(|held| held.seq == entry.seq)
        {
            bytes -= self.entries.remove(old).map_or(0, |old| cost(&old));
        }
        self.entries.push_back(entry);
        self.charge(bytes);
        while self.bytes > self.bytes_max || (self.budget.is_over() && self.entries.len() > 1) {
            let Some(oldest) = self.entries.pop_front() else { break };
            self.floor = oldest.rev;
            self.charge(self.bytes - cost(&oldest));
        }
    }

    /// The entries above a number, rising; `None` if the ring does not go back that far.
    pub(crate) fn above(&self, after: u64) -> Option<impl Iterator<Item = &Entry>> {
        let from = self.entries.partition_point(|entry| entry.rev <= after);
        (after >= self.floor).then(|| self.entries.range(from..))
    }

    /// The newest `limit` messages by `seq`; `None` if the ring cannot be sure to hold them all.
    pub(crate) fn tail(&self, limit: usize) -> Option<Vec<&Entry>> {
        // Every message with a seq above the floor is here, since its rev is no smaller; below it there may be others.
        let mut tail: Vec<&Entry> = self.entries.iter().filter(|entry| entry.seq > self.floor).collect();
        if tail.len() < limit && self.floor > self.gone {
            return None;
        }
        tail.sort_unstable_by_key(|entry| entry.seq);
        Some(tail.split_off(tail.len().saturating_sub(limit)))
    }

    fn charge(&mut self, bytes: usize) {
        if bytes >= self.bytes {
            self.budget.used.fetch_add(bytes - self.bytes, Ordering::Relaxed);
        } else {
            self.budget.used.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
        }
        self.bytes = bytes;
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.charge(0);
    }
}

fn cost(entry: &Entry) -> usize {
    entry.frame.wire().len() + ENTRY_OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::Frame;

    fn entry(seq: u64, rev: u64) -> Entry {
        Entry { seq, rev, frame: Frame::json(&"x".repeat(34)) } // 38 bytes on the wire
    }

    fn revs<'a>(entries: impl Iterator<Item = &'a Entry>) -> Vec<u64> {
        entries.map(|entry| entry.rev).collect()
    }

    #[test]
    fn a_change_purges_the_older_version() {
        let mut ring = Ring::new(10_000, RingBudget::new(10_000));
        for (seq, rev) in [(1, 1), (2, 2), (1, 3), (4, 4), (1, 5)] {
            ring.push(entry(seq, rev));
        }
        assert_eq!(ring.above(0).map(revs), Some(vec![2, 4, 5]));
        assert_eq!(ring.above(3).map(revs), Some(vec![4, 5]));
        assert_eq!(ring.tail(2).map(|t| revs(t.into_iter())), Some(vec![2, 4]));
        assert_eq!(ring.tail(9).map(|t| revs(t.into_iter())), Some(vec![5, 2, 4]));
    }

    #[test]
    fn what_falls_out_raises_the_floor_and_is_no_longer_answered_for() {
        let mut ring = Ring::new(3 * cost(&entry(1, 1)), RingBudget::new(10_000));
        for number in 1..=5 {
            ring.push(entry(number, number));
        }
        assert_eq!(ring.floor(), 2);
        assert_eq!(ring.above(2).map(revs), Some(vec![3, 4, 5]));
        assert!(ring.above(1).is_none());
        assert!(ring.tail(4).is_none());
        assert_eq!(ring.tail(3).map(|t| t.len()), Some(3));
    }

    #[test]
    fn what_is_forgotten_is_purged_and_not_missed() {
        let budget = RingBudget::new(10_000);
        let mut ring = Ring::new(10_000, budget.clone());
        for (seq, rev) in [(1, 1), (2, 2), (3, 3), (1, 4), (5, 5), (3, 6)] {
            ring.push(entry(seq, rev));
        }
        ring.forget(2);
        assert_eq!((ring.floor(), budget.used()), (2, 2 * cost(&entry(1, 1))));
        assert!(ring.above(1).is_none());
        assert_eq!(ring.above(2).map(revs), Some(vec![5, 6]));
        assert_eq!(ring.tail(9).map(|t| revs(t.into_iter())), Some(vec![6, 5]), "there are no others");
        ring.forget(1);
        assert_eq!((ring.floor(), ring.gone()), (2, 2));
        ring.restart(4);
        assert!(ring.tail(1).is_none(), "another history has another floor");
    }

    #[test]
    fn all_rings_together_keep_to_the_budget_and_give_back_what_they_held() {
        let budget = RingBudget::new(5 * cost(&entry(1, 1)));
        let mut rings: Vec<Ring> = (0..3).map(|_| Ring::new(10_000, budget.clone())).collect();
        for number in 1..=9 {
            for ring in &mut rings {
                ring.push(entry(number, number));
            }
        }
        assert!(budget.used() <= 5 * cost(&entry(1, 1)));
        drop(rings);
        assert_eq!(budget.used(), 0);
    }
}
