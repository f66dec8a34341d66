//! Somebody who listens to a room, upserts what comes, and writes down every breach of the rules.

use std::collections::{BTreeMap, BTreeSet};

use hub::{Answer, Ask, Batch, Outbox};
use parking_lot::{Mutex, MutexGuard};
use proto::{Entry, Epoch, Frame, Position};
use tokio::sync::Notify;

/// A client's copy of a room, and what was wrong on the way to it. The rules are those of `testkit::replica`, held
/// against entries and at the moment they come; a breach is noted, not thrown, since it happens inside the hub.
#[derive(Default)]
pub struct Listener {
    heard: Mutex<Heard>,
    /// Told when positions are worth nothing.
    pub come_back: Notify,
}

#[derive(Default)]
pub struct Heard {
    /// Everything up to here is held.
    pub head: u64,
    pub epoch: Option<Epoch>,
    /// The first `seq` that must be held: what a tail left out is history.
    pub from_seq: u64,
    pub messages: BTreeMap<u64, Entry>,
    /// Whether live entries may come.
    pub is_live: bool,
    /// How often the outbox was told that positions are worth nothing.
    pub resets: usize,
    /// Answers that asked to start afresh.
    pub fresh_starts: usize,
    /// Entries that came live.
    pub live: usize,
    /// Entries that came with answers.
    pub answered: usize,
    pub faults: Vec<String>,
    asked: Option<Position>,
    /// What came live between a question and its answer: a subscription that starts again may bring that again.
    may_repeat_to: u64,
    diary: Vec<String>,
}

impl Listener {
    pub fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock()
    }

    /// Asks for what is missing; from the tail where nothing is held and `afresh` says so.
    pub fn ask(&self, afresh: bool, limit: usize) -> Ask {
        let mut heard = self.heard.lock();
        let position = match heard.epoch {
            Some(epoch) => Some(Position { epoch: Some(epoch), after: heard.head }),
            None if afresh => None,
            None => Some(Position { epoch: None, after: 0 }),
        };
        heard.asked = position;
        Ask { position, limit }
    }

    /// Forgets everything, as a new client.
    pub fn forget(&self) {
        let mut heard = self.heard.lock();
        let faults = std::mem::take(&mut heard.faults);
        let diary = std::mem::take(&mut heard.diary);
        *heard = Heard { faults, diary, ..Heard::default() };
        heard.note("forgets".into());
    }

    /// From now on, until the next answer, nothing may come.
    pub fn has_left(&self) {
        let mut heard = self.heard.lock();
        heard.is_live = false;
        heard.note("has left".into());
    }

    /// Takes an answer; whether to ask again.
    pub fn take(&self, answer: &Answer<'_>) -> bool {
        let mut heard = self.heard.lock();
        let revs: Vec<(u64, u64)> = answer.entries.iter().map(|entry| (entry.seq, entry.rev)).collect();
        let told = format!(
            "is answered: epoch {} head {} reset {} more {} entries {revs:?}",
            answer.epoch, answer.head, answer.reset, answer.more
        );
        heard.note(told);
        heard.answered += revs.len();
        let is_tail = answer.reset || heard.asked.is_none();
        if answer.reset {
            heard.fresh_starts += 1;
        }
        if is_tail {
            heard.messages.clear();
            heard.head = 0;
            if !revs.is_sorted_by_key(|(seq, _)| *seq) {
                heard.fault("a tail rises by seq");
            }
            if answer.more {
                heard.fault("a tail has no more");
            }
            heard.from_seq = revs.first().map_or(0, |(seq, _)| *seq);
        } else {
            if heard.epoch.is_some_and(|epoch| epoch != answer.epoch) {
                heard.fault("another epoch without a reset");
            }
            let after = heard.asked.map_or(0, |asked| asked.after);
            if heard.head > after {
                heard.may_repeat_to = heard.head;
                heard.head = after;
            }
            if !revs.is_sorted_by(|a, b| a.1 < b.1) || revs.first().is_some_and(|(_, rev)| *rev <= heard.head) {
                heard.fault("a page rises by rev from the position on");
            }
            if answer.head < heard.head {
                heard.fault("an answer is not behind what was asked for");
            }
        }
        if revs.iter().map(|(seq, _)| seq).collect::<BTreeSet<_>>().len() < revs.len() {
            heard.fault("an answer shows each message once, as it is now");
        }
        if revs.iter().any(|(_, rev)| *rev > answer.head) {
            heard.fault("nothing in an answer is above its head");
        }
        answer.entries.iter().for_each(|entry| heard.upsert(entry));
        heard.head = answer.head;
        heard.epoch = Some(answer.epoch);
        heard.is_live = !answer.more;
        answer.more
    }
}

impl Outbox for Listener {
    fn deliver(&self, batch: &Batch) {
        let mut heard = self.heard.lock();
        let revs: Vec<(u64, u64)> = batch.entries().iter().map(|entry| (entry.seq, entry.rev)).collect();
        heard.note(format!("hears {revs:?}"));
        if !heard.is_live {
            heard.fault("nothing is delivered before the last page, after leaving, or after a reset");
        }
        let wire: Vec<u8> = batch.entries().iter().flat_map(|entry| entry.frame.wire().to_vec()).collect();
        if wire != *batch.wire() {
            heard.fault("a batch's bytes are those of its entries");
        }
        for entry in batch.entries() {
            if entry.rev <= heard.head {
                heard.fault("a number rises, comes once, and is above the answer's head");
            }
            heard.head = heard.head.max(entry.rev);
            heard.live += 1;
            heard.upsert(entry);
        }
    }

    fn whisper(&self, _frame: &Frame) {}

    fn reset(&self) {
        let mut heard = self.heard.lock();
        heard.note("must come back".into());
        heard.resets += 1;
        heard.is_live = false;
        drop(heard);
        self.come_back.notify_one();
    }
}

impl Heard {
    fn upsert(&mut self, entry: &Entry) {
        if self.messages.get(&entry.seq).is_some_and(|held| held.rev >= entry.rev) {
            if entry.rev > self.may_repeat_to {
                self.fault("no older version comes after a newer");
            }
            return;
        }
        self.messages.insert(entry.seq, entry.clone());
    }

    fn note(&mut self, what: String) {
        self.diary.push(what);
    }

    fn fault(&mut self, rule: &str) {
        let diary = self.diary.join("\n    ");
        self.faults.push(format!("broken: {rule}\n    {diary}"));
    }

    /// What was held and heard, for whoever must find out what went wrong.
    pub fn diary(&self) -> String {
        self.diary.join("\n    ")
    }
}
