//! The promise of positions, held against the parts that know of nothing but numbers: sequence, ring, batch and member,
//! moved by a script of bytes, whoever writes it: `cargo fuzz`, or the replay of its seeds in the tests.
//!
//! `tests/positions.rs` holds the same promise against whole nodes, in time. Here nothing takes time, so that a second has
//! hundreds of scripts; the hub's tasks are played by the steps of [`Scene`], each a moment under the room's lock.
//!
//! The first four bytes of a script choose the bounds; then each byte is a step, by its letter, and takes what it needs
//! from the bytes behind it. Digits are numbers, white space is nothing, and any other byte is some letter.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;
use proto::{Entry, Frame, UserId};

use crate::ring::{Ring, RingBudget};
use crate::sequence::Sequence;
use crate::{Batch, Outbox, member::Member};

/// More numbers than may wait early, in a script of a few bytes.
const MANY: u64 = 60;
const HEAD_MAX: u64 = 600;
const LISTENERS: usize = 4;
/// What one script may do, so that each is quick.
const STEPS_MAX: usize = 200;

/// Publications, losses, doubles, reorderings, reads of any moment, purges, and listeners who come anywhere: what each of
/// them gets rises, comes once, and is complete.
pub fn positions(script: &[u8]) {
    let mut script = Script(script.iter());
    let mut scene = Scene::of(&mut script);
    for at in 0..STEPS_MAX {
        let Some(step) = script.letter() else { break };
        scene.step(step, &mut script);
        scene.knows_what_it_misses();
        // To look at a long ring each time would take all the time there is.
        if at % 16 == 0 || scene.store.head() <= 2 * MANY {
            scene.ring_holds_what_it_answers_for();
        }
    }
    scene.comes_to_rest();
}

struct Script<'a>(std::slice::Iter<'a, u8>);

impl Script<'_> {
    fn letter(&mut self) -> Option<u8> {
        let byte = *self.0.find(|byte| !byte.is_ascii_whitespace())?;
        Some(if byte.is_ascii_lowercase() { byte } else { b'a' + byte % 26 })
    }

    /// A digit is itself, and any other byte a number too; nothing is 0.
    fn number(&mut self) -> u64 {
        self.0.next().map_or(0, |byte| u64::from(byte.wrapping_sub(b'0')))
    }

    fn below(&mut self, end: usize) -> usize {
        self.number() as usize % end.max(1)
    }
}

/// What a room's history is in truth.
#[derive(Default)]
struct Store {
    /// `log[n]` is the seq that number n + 1 changed.
    log: Vec<u64>,
    /// The last change of each message, by its number.
    latest: BTreeMap<u64, u64>,
    /// The number of each message's last change, by `seq`.
    rev_of: BTreeMap<u64, u64>,
    /// Messages with a `seq` at or below it are gone; `latest` and `rev_of` know them all the same.
    floor: u64,
}

impl Store {
    fn head(&self) -> u64 {
        self.log.len() as u64
    }

    /// A new message, or a change to one.
    fn write(&mut self, seq: Option<u64>) {
        let rev = self.head() + 1;
        if rev > HEAD_MAX {
            return;
        }
        let seq = seq.unwrap_or(rev);
        self.log.push(seq);
        if let Some(old) = self.rev_of.insert(seq, rev) {
            self.latest.remove(&old);
        }
        self.latest.insert(rev, seq);
    }

    fn entry(&self, rev: u64) -> Entry {
        entry(self.log[rev as usize - 1], rev)
    }

    /// Whether it numbered this entry so. Its frame is looked at where it arrives: here that would be slow.
    fn gave(&self, entry: &Entry) -> bool {
        self.log.get(entry.rev as usize - 1) == Some(&entry.seq)
    }

    /// What changed above a number, as it is now.
    fn changes(&self, after: u64, len: usize) -> Page {
        let is_kept = |(_, seq): &(&u64, &u64)| **seq > self.floor;
        let mut entries: Vec<Entry> =
            self.latest.range(after + 1..).filter(is_kept).take(len + 1).map(|(&rev, &seq)| entry(seq, rev)).collect();
        let more = entries.len() > len;
        entries.truncate(len);
        let complete_to = if more { entries.last().map_or(after, |last| last.rev) } else { self.head().max(after) };
        Page { after, complete_to, floor: self.floor, more, entries }
    }

    /// The newest messages.
    fn tail(&self, len: usize) -> Page {
        let kept = self.rev_of.range(self.floor + 1..).rev();
        let mut entries: Vec<Entry> = kept.take(len).map(|(&seq, &rev)| entry(seq, rev)).collect();
        entries.reverse();
        Page { after: 0, complete_to: self.head(), floor: self.floor, more: false, entries }
    }

    /// Whether this number has no entry any more, since its message changed again.
    fn is_folded(&self, rev: u64) -> bool {
        self.rev_of[&self.log[rev as usize - 1]] != rev
    }
}

/// Its length tells it apart from the frames of other numbers, and fills rings unevenly.
fn entry(seq: u64, rev: u64) -> Entry {
    Entry { seq, rev, frame: Frame::json(&format!("{seq}@{rev}{}", "x".repeat((rev % 5) as usize * 20))) }
}

/// What was read at one moment, and takes effect at a later one.
struct Page {
    after: u64,
    complete_to: u64,
    floor: u64,
    more: bool,
    entries: Vec<Entry>,
}

/// A client's copy of the room.
#[derive(Default)]
struct Copy {
    head: u64,
    /// The first `seq` that must be held: what a tail left out is history.
    from_seq: u64,
    held: BTreeMap<u64, Entry>,
    is_live: bool,
}

impl Copy {
    /// What is held was right at some moment, and a later one takes its place.
    fn upsert(&mut self, given: &Entry) {
        assert_eq!(*given, entry(given.seq, given.rev), "a frame shows its own numbers");
        if let Some(held) = self.held.insert(given.seq, given.clone()) {
            assert!(held.rev < given.rev, "{} came after {}", given.rev, held.rev);
        }
    }
}

#[derive(Default)]
struct Ear(Mutex<Copy>);

impl Outbox for Ear {
    fn deliver(&self, batch: &Batch) {
        let mut copy = self.0.lock();
        assert!(copy.is_live, "nothing comes before the answer, or after leaving");
        let wire: Vec<u8> = batch.entries().iter().flat_map(|entry| entry.frame.wire().to_vec()).collect();
        assert_eq!(batch.wire(), &wire, "a batch's bytes are those of its entries");
        assert!(!batch.entries().is_empty());
        for entry in batch.entries() {
            assert!(entry.rev > copy.head, "{} came at {}", entry.rev, copy.head);
            copy.head = entry.rev;
            copy.upsert(entry);
        }
    }

    fn whisper(&self, _: &Frame) {}

    fn reset(&self) {}
}

/// A listener, how far it is on its way in, and what it hears.
#[derive(Default)]
struct Listener {
    ear: Arc<Ear>,
    /// Set while it listens.
    member: Option<Arc<Member>>,
    /// How many messages it asks for; `None`: everything above what it holds.
    tail: Option<usize>,
    /// A read for it that has not been answered.
    read: Option<Page>,
}

struct Scene {
    store: Store,
    room: Sequence,
    budget: Arc<RingBudget>,
    budget_max: usize,
    /// Another room, which shares the budget.
    beside: Ring,
    /// The next number that a publication brings if none is lost.
    next: u64,
    /// The highest number that a publication brought.
    heard: u64,
    /// Reads under way for the room.
    reads: Vec<Page>,
    /// A start under way: the room is cold until it is done.
    start: Option<Page>,
    page_len: usize,
    ring_span: u64,
    /// What was let out and not yet handed on.
    owed: Vec<Entry>,
    listeners: [Listener; LISTENERS],
}

impl Scene {
    fn of(script: &mut Script<'_>) -> Self {
        let ring_bytes_max = [0, 150, 400, 1000, 3000, 1_000_000][script.below(6)];
        let budget_max = [1_000_000, 500, 2000][script.below(3)];
        let budget = RingBudget::new(budget_max);
        Self {
            store: Store::default(),
            room: Sequence::new(Ring::new(ring_bytes_max, budget.clone())),
            beside: Ring::new(1_000_000, budget.clone()),
            budget,
            budget_max,
            next: 1,
            heard: 0,
            reads: Vec::new(),
            start: None,
            page_len: 1 + script.below(9),
            ring_span: script.number() % 20,
            owed: Vec::new(),
            listeners: Default::default(),
        }
    }

    fn step(&mut self, step: u8, script: &mut Script<'_>) {
        match step {
            // A message; the change of one; many messages.
            b'm' => self.store.write(None),
            b'c' | b'e' => {
                let seqs = self.store.rev_of.len();
                let seq = self.store.rev_of.keys().rev().nth(script.below(seqs)).copied();
                self.store.write(seq);
            }
            b'h' => (0..MANY).for_each(|_| self.store.write(None)),
            // Publications: the next; one that is lost; those so far back, again; one ahead of its time; many.
            b'n' | b'x' => self.arrives(self.next, 1),
            b'l' => self.next += u64::from(self.next <= self.store.head()),
            b'a' => {
                let back = script.number();
                self.arrives(self.next.saturating_sub(back), 1 + script.number() % 4);
            }
            b'o' => self.arrives(self.next + 1 + script.number() % 8, 1),
            b'b' => self.arrives(self.next, MANY * (script.number() % 12)),
            // A gap read begins; one ends.
            b'g' | b'r' => {
                if self.room.is_seeded() && self.reads.len() < 4 {
                    let page = self.store.changes(self.room.known(), self.page_len);
                    self.reads.push(page);
                }
            }
            b'f' | b'i' => self.read_ends(script),
            // The room's start begins, and ends.
            b's' => {
                if !self.room.is_seeded() && self.start.is_none() {
                    let after = self.store.head().saturating_sub(self.ring_span).max(self.store.floor);
                    self.start = Some(self.store.changes(after, usize::MAX - 1));
                }
            }
            b'w' => self.starts(),
            // A listener comes back; comes as somebody new, to a tail or to the start; goes; its read begins and ends.
            b'j' | b'k' => self.joins(script.below(LISTENERS)),
            b't' => {
                let who = script.below(LISTENERS);
                let tail = Some(script.below(9)).filter(|limit| *limit > 0);
                self.leaves(who);
                self.listeners[who] = Listener { tail, ..Listener::default() };
                self.joins(who);
            }
            b'q' => self.leaves(script.below(LISTENERS)),
            b'p' => self.page_ends(script.below(LISTENERS)),
            // The store forgets all but the newest numbers; the room learns of it.
            b'v' => {
                let floor = self.store.head().saturating_sub(script.number() % 40);
                self.store.floor = self.store.floor.max(floor);
            }
            b'z' => self.room.forget(self.store.floor),
            // What is owed is handed on.
            b'd' => self.flush(),
            // The other room hears something, and takes from the budget.
            b'u' => {
                let rev = self.beside.above(self.beside.floor()).and_then(Iterator::last).map(|last| last.rev);
                let rev = rev.unwrap_or(self.beside.floor()) + 1;
                self.beside.push(entry(rev, rev));
            }
            // `y`: another epoch.
            _ => self.starts_again(script.number()),
        }
    }

    /// Publications of so many numbers come in one envelope.
    fn arrives(&mut self, from: u64, count: u64) {
        let upto = (from + count).min(self.store.head() + 1);
        let from = from.max(1);
        let entries: Vec<Entry> = (from..upto).map(|rev| self.store.entry(rev)).collect();
        if from <= self.next {
            self.next = self.next.max(upto);
        }
        self.heard = entries.last().map_or(self.heard, |last| last.rev.max(self.heard));
        let ready = self.room.take(entries);
        self.owe(ready);
    }

    /// One of the reads is answered; as in `Room::fill`, not where it would leave a hole.
    fn read_ends(&mut self, script: &mut Script<'_>) {
        if self.reads.is_empty() {
            return;
        }
        let page = self.reads.swap_remove(script.below(self.reads.len()));
        if self.room.is_seeded() && self.room.known() >= page.after {
            self.fills(page);
        }
    }

    /// As in `Room::fill`: whoever is below the floor must come back.
    fn fills(&mut self, page: Page) {
        if self.room.known() < page.floor {
            (0..LISTENERS).for_each(|who| self.leaves(who));
            self.room.restart();
            self.heard = 0;
            self.owed.clear();
            return;
        }
        let ready = self.room.fill(page.entries, page.complete_to);
        self.owe(ready);
        self.room.forget(page.floor);
    }

    fn starts(&mut self) {
        let Some(page) = self.start.take() else { return };
        self.room.seed(page.after, page.entries, page.complete_to);
        self.room.forget(page.floor);
        let ready = self.room.take([]);
        self.owe(ready);
    }

    fn owe(&mut self, ready: Vec<Entry>) {
        assert!(ready.is_sorted_by(|a, b| a.rev < b.rev));
        assert!(ready.last().is_none_or(|last| last.rev <= self.room.known()));
        if self.listeners.iter().any(|listener| listener.member.is_some()) {
            self.owed.extend(ready);
        }
    }

    fn flush(&mut self) {
        if self.owed.is_empty() {
            return;
        }
        let batch = Batch::new(std::mem::take(&mut self.owed));
        for listener in &self.listeners {
            if let Some(member) = &listener.member {
                member.deliver(&batch);
                let copy = listener.ear.0.lock();
                is_complete(&copy, copy.head.max(self.room.known()), &self.store);
            }
        }
    }

    fn leaves(&mut self, who: usize) {
        let listener = &mut self.listeners[who];
        listener.read = None;
        listener.ear.0.lock().is_live = false;
        if let Some(member) = listener.member.take() {
            member.shut();
        }
    }

    /// Comes in as `Seat::join` lets it: from the ring if that holds everything, otherwise by a read.
    fn joins(&mut self, who: usize) {
        self.leaves(who);
        if !self.room.is_seeded() {
            return;
        }
        let known = self.room.known();
        let listener = &self.listeners[who];
        let after = listener.ear.0.lock().head;
        let entries: Option<Vec<Entry>> = match listener.tail {
            // What is held may be newer than this node.
            None if after > known => None,
            None => self.room.ring().above(after).map(|entries| entries.cloned().collect()),
            Some(limit) => self.room.ring().tail(limit).map(|entries| entries.into_iter().cloned().collect()),
        };
        match entries {
            Some(entries) => {
                self.is_answered(who, &Page { after, complete_to: known, floor: 0, more: false, entries });
                self.attaches(who, known);
            }
            None => {
                let page = match listener.tail {
                    None => self.store.changes(after, self.page_len),
                    Some(limit) => self.store.tail(limit),
                };
                self.listeners[who].read = Some(page);
            }
        }
    }

    /// A listener's read is answered; as in `Seat::join`, asked again if the ring has moved past it.
    fn page_ends(&mut self, who: usize) {
        let Some(page) = self.listeners[who].read.take() else { return };
        // What came after its position is not to be had any more: it starts afresh.
        if self.listeners[who].tail.is_none() && page.after < page.floor {
            self.listeners[who] = Listener { tail: Some(3), ..Listener::default() };
            return self.joins(who);
        }
        if page.more {
            self.is_answered(who, &page);
            self.joins(who);
            return;
        }
        let known = self.room.known();
        let Some(since) = self.room.ring().above(page.complete_to) else { return self.joins(who) };
        let since: Vec<Entry> = since.cloned().collect();
        self.is_answered(who, &page);
        self.listeners[who].ear.0.lock().is_live = true;
        if !since.is_empty() {
            self.listeners[who].ear.deliver(&Batch::new(since));
        }
        self.attaches(who, known.max(page.complete_to));
    }

    fn attaches(&mut self, who: usize, start: u64) {
        let listener = &mut self.listeners[who];
        listener.ear.0.lock().is_live = true;
        listener.member = Some(Arc::new(Member::new(listener.ear.clone(), UserId(Default::default()), start, 0)));
    }

    /// What a client does with an answer, and what it may expect of one.
    fn is_answered(&mut self, who: usize, page: &Page) {
        let Listener { ear, tail, .. } = &mut self.listeners[who];
        let mut copy = ear.0.lock();
        let seqs: BTreeSet<u64> = page.entries.iter().map(|entry| entry.seq).collect();
        assert_eq!(seqs.len(), page.entries.len(), "an answer shows each message once");
        assert!(page.entries.iter().all(|entry| entry.rev <= page.complete_to), "nothing is above an answer's head");
        if let Some(limit) = tail.take() {
            assert!(page.entries.is_sorted_by(|a, b| a.seq < b.seq), "a tail rises by seq");
            assert!(page.entries.len() <= limit);
            // Fewer than were asked for are all there are.
            copy.from_seq = page.entries.first().filter(|_| page.entries.len() == limit).map_or(0, |first| first.seq);
        } else {
            assert!(page.entries.is_sorted_by(|a, b| a.rev < b.rev), "an answer rises by rev");
            assert!(page.entries.first().is_none_or(|first| first.rev > copy.head), "an answer is above the position");
            assert!(page.complete_to >= copy.head, "an answer is not behind what was asked for");
        }
        page.entries.iter().for_each(|entry| copy.upsert(entry));
        copy.head = page.complete_to;
        is_complete(&copy, copy.head, &self.store);
    }

    /// The store is put back by so many numbers and goes on as another history: nothing of the first may be left.
    fn starts_again(&mut self, lost: u64) {
        for who in 0..LISTENERS {
            self.leaves(who);
            self.listeners[who] = Listener { tail: Some(3), ..Listener::default() };
        }
        let log = std::mem::take(&mut self.store).log;
        for (seq, rev) in log.iter().take(log.len().saturating_sub(lost as usize)).zip(1..) {
            self.store.write((*seq != rev).then_some(*seq));
        }
        self.next = self.next.min(self.store.head() + 1);
        self.room.restart();
        self.heard = 0;
        (self.reads, self.owed, self.start) = Default::default();
        assert!(!self.room.is_seeded() && !self.room.has_gap() && self.room.known() == 0);
    }

    /// A read is asked for as long as something came that was not let out, and only then.
    fn knows_what_it_misses(&self) {
        assert_eq!(self.room.has_gap(), self.room.is_seeded() && self.heard > self.room.known());
    }

    /// Every number above its floor, up to where the room stands, or a later one that folds it; within its bounds.
    fn ring_holds_what_it_answers_for(&self) {
        let (ring, known) = (self.room.ring(), self.room.known());
        let held: Vec<&Entry> = ring.above(ring.floor()).map(Iterator::collect).unwrap_or_default();
        assert!(held.is_sorted_by(|a, b| a.rev < b.rev));
        let revs: BTreeSet<u64> = held.iter().map(|entry| entry.rev).collect();
        let seqs: BTreeSet<u64> = held.iter().map(|entry| entry.seq).collect();
        assert_eq!(seqs.len(), revs.len(), "an older version is purged");
        assert!(held.iter().all(|held| self.store.gave(held)), "what is held is what was written");
        if self.room.is_seeded() {
            assert!(ring.floor() <= known && known <= self.store.head());
            assert!(ring.gone() <= ring.floor() && ring.gone() <= self.store.floor);
            assert!(held.iter().all(|held| held.seq > ring.gone()), "what is forgotten is purged");
            for rev in ring.floor() + 1..=known {
                let is_gone = self.store.log[rev as usize - 1] <= ring.gone();
                assert!(revs.contains(&rev) || is_gone || self.store.is_folded(rev), "{rev} is missing in the ring");
            }
            assert!(revs.last().is_none_or(|last| *last <= known));
        }
        // One entry may stay in a ring although all rings together are full.
        assert!(self.budget.used() <= self.budget_max + 2 * 300, "{} bytes are held", self.budget.used());
    }

    /// Everything is read, and everybody comes and holds what the store holds.
    fn comes_to_rest(mut self) {
        // Few pages, so that it is quick.
        self.page_len = 200;
        while !self.room.is_seeded() || self.room.known() < self.store.head() {
            if self.room.is_seeded() {
                self.fills(self.store.changes(self.room.known(), self.page_len));
            } else {
                self.start = None;
                self.step(b's', &mut Script([].iter()));
                self.starts();
            }
        }
        assert!(!self.room.has_gap(), "something is missed that there is not");
        self.flush();
        self.ring_holds_what_it_answers_for();
        for who in 0..LISTENERS {
            if self.listeners[who].member.is_none() {
                self.joins(who);
            }
            // A read that began before may be answered with a short page; the others are long.
            for _ in 0..8 {
                self.page_ends(who);
            }
            let copy = self.listeners[who].ear.0.lock();
            assert!(copy.is_live && copy.head == self.store.head(), "{who} stands at {}", copy.head);
            is_complete(&copy, copy.head, &self.store);
        }
        drop((self.room, self.beside));
        assert_eq!(self.budget.used(), 0, "rings give back what they held");
    }
}

/// Whoever was given everything up to a number holds each message as it was last changed up to there, unless it has changed
/// again since, which is then still to come, or is gone; and nothing is held that was never so.
fn is_complete(copy: &Copy, upto: u64, store: &Store) {
    for (seq, rev) in store.rev_of.range(copy.from_seq.max(store.floor + 1)..) {
        let held = copy.held.get(seq).map(|held| held.rev);
        assert!(held == Some(*rev) || *rev > upto, "message {seq} is held as {held:?}, is {rev}, at {upto}");
    }
    assert!(copy.held.values().all(|held| held.rev <= upto && store.gave(held)));
}

#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
mod replay;

#[cfg(test)]
mod tests {
    /// Guards against a listener who misses a number, hears one twice, or is given an older version after a newer.
    #[test]
    fn what_a_listener_gets_rises_comes_once_and_is_complete_whatever_happens() {
        super::replay::replay("positions", 250, super::positions);
    }
}
