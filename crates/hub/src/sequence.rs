//! One room's numbers, put in order: the part that must be exactly right.
//!
//! Publications may arrive late, twice, out of order or never. [`Sequence`] lets an entry out when every number below it
//! is known: seen here, or folded into a later one as a read of the store has shown. What comes too early waits. It does
//! no input or output of its own, so that all of it can be tested by throwing numbers at it.

use std::collections::BTreeMap;

use proto::Entry;

use crate::ring::Ring;

/// Entries that may wait for a missing number. More are dropped: the read that fills the gap brings them.
const EARLY_MAX: usize = 512;

/// How far a room has come on this node.
#[derive(Debug)]
pub(crate) struct Sequence {
    /// Before the first read there is no telling what is missing: everything is early.
    seeded: bool,
    known: u64,
    /// The highest number that came, kept or dropped.
    heard: u64,
    early: BTreeMap<u64, Entry>,
    ring: Ring,
}

impl Sequence {
    pub(crate) fn new(ring: Ring) -> Self {
        Self { seeded: false, known: 0, heard: 0, early: BTreeMap::new(), ring }
    }

    /// Every number up to this one has been let out.
    pub(crate) fn known(&self) -> u64 {
        self.known
    }

    pub(crate) fn ring(&self) -> &Ring {
        &self.ring
    }

    /// Whether it stands at a number that a read has given it.
    pub(crate) fn is_seeded(&self) -> bool {
        self.seeded
    }

    /// Whether something came that has not been let out: a missing number holds it back, or it was dropped.
    pub(crate) fn has_gap(&self) -> bool {
        self.seeded && self.heard > self.known
    }

    /// Starts from what a read brought: every entry above `after`, complete to `complete_to`. Nothing of it is let out.
    /// Entries that came before the read was done stay early; the second step is [`take`](Self::take) with none.
    pub(crate) fn seed(&mut self, after: u64, entries: impl IntoIterator<Item = Entry>, complete_to: u64) {
        self.ring.restart(after);
        for entry in entries {
            self.ring.push(entry);
        }
        self.known = complete_to;
        self.seeded = true;
    }

    /// Forgets everything, for another epoch.
    pub(crate) fn restart(&mut self) {
        self.seeded = false;
        self.known = 0;
        self.heard = 0;
        self.early.clear();
        self.ring.restart(0);
    }

    /// Takes entries from the bus and returns those that may go out, rising by `rev`.
    pub(crate) fn take(&mut self, entries: impl IntoIterator<Item = Entry>) -> Vec<Entry> {
        let mut ready = Vec::new();
        for entry in entries {
            self.heard = self.heard.max(entry.rev);
            if self.seeded && entry.rev == self.known + 1 {
                self.let_out(entry, &mut ready);
            } else if entry.rev > self.known && self.early.len() < EARLY_MAX {
                self.early.insert(entry.rev, entry);
            }
        }
        self.let_out_early(&mut ready);
        ready
    }

    /// Takes what a gap read brought: every surviving entry above some number not higher than `known`, complete to
    /// `complete_to`. Returns those that may go out.
    pub(crate) fn fill(&mut self, entries: impl IntoIterator<Item = Entry>, complete_to: u64) -> Vec<Entry> {
        let mut ready = Vec::new();
        for entry in entries {
            if entry.rev > self.known && entry.rev <= complete_to {
                self.let_out(entry, &mut ready);
            }
        }
        self.known = self.known.max(complete_to);
        self.let_out_early(&mut ready);
        ready
    }

    /// What the room has forgotten up to a number goes, as far as it has come here: what is still missing is missed.
    pub(crate) fn forget(&mut self, floor: u64) {
        if self.seeded {
            self.ring.forget(floor.min(self.known));
        }
    }

    fn let_out(&mut self, entry: Entry, ready: &mut Vec<Entry>) {
        self.known = entry.rev;
        // Its number counts; what it says was forgotten before it came.
        if entry.seq <= self.ring.gone() {
            return;
        }
        self.ring.push(entry.clone());
        ready.push(entry);
    }

    fn let_out_early(&mut self, ready: &mut Vec<Entry>) {
        while let Some(first) = self.early.first_entry() {
            if !self.seeded || *first.key() > self.known + 1 {
                return;
            }
            let entry = first.remove();
            if entry.rev == self.known + 1 {
                self.let_out(entry, ready);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::RingBudget;
    use proptest::prelude::*;
    use proto::Frame;
    use std::collections::BTreeMap;

    fn sequence() -> Sequence {
        let mut sequence = Sequence::new(Ring::new(100_000, RingBudget::new(100_000)));
        sequence.seed(0, [], 0);
        sequence
    }

    fn entry(seq: u64, rev: u64) -> Entry {
        Entry { seq, rev, frame: Frame::json(&format!("{seq}@{rev}")) }
    }

    fn revs(entries: &[Entry]) -> Vec<u64> {
        entries.iter().map(|entry| entry.rev).collect()
    }

    #[test]
    fn what_comes_early_waits_for_what_is_missing() {
        let mut room = sequence();
        assert_eq!(revs(&room.take([entry(1, 1), entry(3, 3), entry(4, 4)])), [1]);
        assert!(room.has_gap());
        assert_eq!(revs(&room.take([entry(2, 2), entry(2, 2)])), [2, 3, 4]);
        assert!(!room.has_gap());
    }

    #[test]
    fn what_comes_before_the_first_read_is_kept_for_after_it() {
        let mut room = Sequence::new(Ring::new(100_000, RingBudget::new(100_000)));
        assert_eq!(revs(&room.take([entry(1, 1), entry(2, 2)])), [] as [u64; 0]);
        assert!(!room.has_gap());
        room.seed(0, [], 0); // a read from before both
        assert_eq!(revs(&room.take([])), [1, 2]);
    }

    /// Guards against a room that takes what waited for all there was, and is silent until the sweep.
    #[test]
    fn what_was_dropped_because_too_much_waited_is_missed_until_a_read_brings_it() {
        let many = EARLY_MAX as u64 + 10;
        let mut room = sequence();
        room.take((2..=many).map(|number| entry(number, number)));
        assert_eq!(room.take([entry(1, 1)]).len(), EARLY_MAX + 1);
        assert!(room.has_gap());
        let rest: Vec<Entry> = (room.known() + 1..=many).map(|number| entry(number, number)).collect();
        assert_eq!(room.fill(rest, many).len(), 9);
        assert!(!room.has_gap());

        let mut cold = Sequence::new(Ring::new(100_000, RingBudget::new(100_000)));
        cold.take((1..=many).map(|number| entry(number, number)));
        cold.seed(EARLY_MAX as u64, [], EARLY_MAX as u64);
        assert_eq!(cold.take([]).len(), 0);
        assert!(cold.has_gap());
    }

    #[test]
    fn what_is_forgotten_before_it_comes_is_a_number_and_no_more() {
        let mut room = sequence();
        room.take([entry(1, 1), entry(2, 2), entry(3, 3)]);
        room.forget(2);
        assert_eq!(revs(&room.take([entry(1, 4), entry(3, 5), entry(2, 6)])), [5]);
        assert_eq!((room.known(), room.has_gap()), (6, false));
        // A floor that is further than what came here: the rest is missing, not forgotten.
        room.forget(8);
        assert_eq!(room.ring().gone(), 6);
        assert_eq!(revs(&room.take([entry(8, 8), entry(7, 7)])), [7, 8]);
    }

    #[test]
    fn a_number_that_was_folded_away_is_passed_over_once_a_read_says_so() {
        let mut room = sequence();
        room.take([entry(1, 1)]);
        assert_eq!(revs(&room.take([entry(2, 4)])), [] as [u64; 0]);
        assert_eq!(revs(&room.fill([entry(3, 3), entry(2, 4)], 4)), [3, 4]);
        assert_eq!((room.known(), room.has_gap()), (4, false));
    }

    /// A room's history as the store would keep it: `log[n]` is the seq that number n + 1 changed.
    fn history() -> impl Strategy<Value = Vec<u64>> {
        proptest::collection::vec(any::<Option<prop::sample::Index>>(), 1..40).prop_map(|ops| {
            let mut seqs: Vec<u64> = Vec::new();
            ops.into_iter()
                .zip(1..)
                .map(|(op, number)| match op {
                    Some(index) if !seqs.is_empty() => seqs[index.index(seqs.len())],
                    _ => {
                        seqs.push(number);
                        number
                    }
                })
                .collect()
        })
    }

    /// What a read of (after, upto] brings when the log has come to `upto`.
    fn surviving(log: &[u64], after: u64, upto: u64) -> Vec<Entry> {
        let mut latest = BTreeMap::new();
        for (index, seq) in log.iter().enumerate().take(upto as usize) {
            latest.insert(*seq, index as u64 + 1);
        }
        let mut entries: Vec<Entry> =
            latest.into_iter().filter(|(_, rev)| *rev > after).map(|(seq, rev)| entry(seq, rev)).collect();
        entries.sort_unstable_by_key(|entry| entry.rev);
        entries
    }

    #[derive(Clone, Debug)]
    enum Step {
        Arrives(prop::sample::Index),
        Read(prop::sample::Index),
    }

    proptest! {
        /// Publications in any order, any number of times or never, and reads of any snapshot in between.
        #[test]
        fn numbers_go_out_once_rising_and_complete_whatever_the_bus_does(
            log in history(),
            steps in proptest::collection::vec(
                prop_oneof![
                    3 => any::<prop::sample::Index>().prop_map(Step::Arrives),
                    1 => any::<prop::sample::Index>().prop_map(Step::Read),
                ],
                0..120,
            ),
        ) {
            let head = log.len() as u64;
            let mut room = sequence();
            let mut out: Vec<Entry> = Vec::new();
            for step in steps {
                match step {
                    Step::Arrives(index) => {
                        let at = index.index(log.len());
                        out.extend(room.take([entry(log[at], at as u64 + 1)]));
                    }
                    Step::Read(index) => {
                        let upto = index.index(log.len()) as u64 + 1;
                        if upto > room.known() {
                            out.extend(room.fill(surviving(&log, room.known(), upto), upto));
                        }
                    }
                }
                prop_assert!(out.windows(2).all(|pair| pair[0].rev < pair[1].rev));
                prop_assert_eq!(
                    room.ring().above(room.ring().floor()).map(|held| held.cloned().collect::<Vec<_>>()),
                    Some(folded(&out)),
                );
            }
            out.extend(room.fill(surviving(&log, room.known(), head), head));
            prop_assert_eq!(room.known(), head);
            // Whoever upserts what went out by seq holds exactly the store's state.
            let held: BTreeMap<u64, u64> = out.iter().map(|entry| (entry.seq, entry.rev)).collect();
            let kept: BTreeMap<u64, u64> =
                surviving(&log, 0, head).iter().map(|entry| (entry.seq, entry.rev)).collect();
            prop_assert_eq!(held, kept);
        }
    }

    fn folded(out: &[Entry]) -> Vec<Entry> {
        let latest: BTreeMap<u64, u64> = out.iter().map(|entry| (entry.seq, entry.rev)).collect();
        out.iter().filter(|entry| latest[&entry.seq] == entry.rev).cloned().collect()
    }
}
