//! What one client holds of one room, and how it came to hold it.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::faults::Excuses;
use super::findings::Findings;
use super::known::KnownRoom;
use crate::chaos::record::{Digest, Moment, RoomIndex, StoredRoom};
use crate::chaos::verdict::Rule;

/// A message as a client got it.
#[derive(Clone, Copy)]
pub(super) struct Got {
    pub(super) seq: u64,
    pub(super) rev: u64,
    pub(super) id: Uuid,
    pub(super) text: Option<Digest>,
}

/// A page of an answer, of `joined`.
#[derive(Clone, Copy)]
pub(super) struct Answer<'a> {
    pub(super) epoch: &'a str,
    pub(super) head: u64,
    pub(super) reset: bool,
    pub(super) more: bool,
}

/// Where something is found: by whom and in which room, and what is known of that room.
pub(super) struct Scene<'a, 'b> {
    pub(super) room: RoomIndex,
    pub(super) who: &'a str,
    pub(super) known: &'a KnownRoom<'a>,
    /// The epoch of the whole run; `None` if something was done that may turn it.
    pub(super) epoch: Option<&'a str>,
    pub(super) excuses: &'a Excuses<'a>,
    pub(super) findings: &'a mut Findings<'b>,
}

impl Scene<'_, '_> {
    pub(super) fn find(&mut self, rule: Rule, at: Option<Moment>, detail: impl FnOnce() -> String) {
        self.findings.add(rule, Some(self.room), Some(self.who), at, detail);
    }
}

/// A client's side of one room, through all its connections.
#[derive(Default)]
pub(super) struct View<'a> {
    /// Whether it ever asked to be let in.
    wanted: bool,
    /// The `after` of the join under way.
    asked: Option<Option<u64>>,
    epoch: Option<&'a str>,
    /// Everything up to here is held, as far as it is claimed.
    position: u64,
    /// Everything above here is claimed; `None` before the first answer.
    start: Option<u64>,
    /// The messages from here up to the start are claimed too: the tail.
    tail_from: Option<u64>,
    /// The page whose messages are coming.
    page: Option<Page>,
    /// Since when everything comes by itself.
    live_since: Option<Moment>,
    held: HashMap<u64, (u64, Option<Digest>)>,
    /// Numbers that were passed over while they stood, and when.
    skipped: HashMap<u64, Moment>,
}

struct Page {
    at: Moment,
    /// A tail rises by `seq`, everything else by `rev`.
    is_tail: bool,
    last: u64,
    head: u64,
    /// The messages named so far.
    named: HashSet<u64>,
}

impl<'a> View<'a> {
    /// The connection is gone, or another begins.
    pub(super) fn cut(&mut self, known: &KnownRoom<'_>) {
        self.end_page(known);
        (self.asked, self.live_since) = (None, None);
    }

    pub(super) fn ask(&mut self, after: Option<u64>, known: &KnownRoom<'_>) {
        self.end_page(known);
        (self.wanted, self.asked) = (true, Some(after));
    }

    /// A page begins. Whoever had no position, or whose position was taken, starts afresh with it.
    pub(super) fn answer(&mut self, at: Moment, answer: Answer<'a>, scene: &mut Scene<'_, '_>) {
        self.end_page(scene.known);
        let Answer { epoch, head, reset, more } = answer;
        let after = self.asked.take().unwrap_or_else(|| {
            scene.find(Rule::RisingOnce, Some(at), || format!("an answer complete to {head}, which was not asked"));
            Some(self.position)
        });
        self.judge_epoch(at, answer, scene);
        self.epoch = Some(epoch);
        match after.filter(|_| !reset) {
            None => {
                self.held.clear();
                self.skipped.clear();
                (self.start, self.tail_from) = (Some(head), None);
                self.page = Some(Page { at, is_tail: true, last: 0, head, named: HashSet::new() });
            }
            Some(after) => {
                self.start.get_or_insert(after);
                if head < after {
                    scene.find(Rule::RisingOnce, Some(at), || format!("asked after {after}, complete to {head} only"));
                }
                self.page = Some(Page { at, is_tail: false, last: after, head, named: HashSet::new() });
            }
        }
        self.position = head;
        self.live_since = (!more).then_some(at);
    }

    fn judge_epoch(&self, at: Moment, Answer { epoch, reset, .. }: Answer<'_>, scene: &mut Scene<'_, '_>) {
        let (held, of_run) = (self.epoch, scene.epoch);
        if reset && held.is_none_or(|held| held == epoch) {
            let position = self.position;
            scene.find(Rule::NoNeedlessReset, Some(at), || format!("at {position} of epoch {epoch}, which goes on"));
        } else if let Some(before) = of_run.filter(|of_run| *of_run != epoch) {
            scene.find(Rule::NoNeedlessReset, Some(at), || {
                format!("epoch {epoch} instead of {before}, and nothing was done that turns it")
            });
        } else if let Some(held) = held.filter(|held| *held != epoch && !reset) {
            scene.find(Rule::NoNeedlessReset, Some(at), || format!("from epoch {held} to {epoch} without a reset"));
        }
    }

    /// A message of the page.
    pub(super) fn got_in_page(&mut self, at: Moment, got: Got, scene: &mut Scene<'_, '_>) {
        let Some(page) = &mut self.page else {
            scene.find(Rule::RisingOnce, Some(at), || format!("{} at {} in no answer", got.seq, got.rev));
            return;
        };
        let by = if page.is_tail { got.seq } else { got.rev };
        let (last, head, asked_at, is_tail) = (page.last, page.head, page.at, page.is_tail);
        if by <= last || got.rev > head {
            scene.find(Rule::RisingOnce, Some(at), || {
                format!("{} at {} in an answer complete to {head}, after {last}", got.seq, got.rev)
            });
        }
        page.last = last.max(by);
        if !page.named.insert(got.seq) {
            scene.find(Rule::RisingOnce, Some(at), || format!("{} twice in one answer, again at {}", got.seq, got.rev));
        }
        if is_tail {
            self.tail_from = Some(self.tail_from.map_or(got.seq, |from| from.min(got.seq)));
        } else {
            self.skip(last, got.rev, asked_at, scene.known);
        }
        self.take(got);
    }

    /// A message by itself. `node` is where the client is connected.
    pub(super) fn got_live(&mut self, at: Moment, got: Got, node: &str, scene: &mut Scene<'_, '_>) {
        self.end_page(scene.known);
        let position = self.position;
        match self.live_since {
            None => {
                scene.find(Rule::RisingOnce, Some(at), || format!("{} live, before the last page", got.rev));
            }
            Some(_) if got.rev <= position => {
                scene.find(Rule::RisingOnce, Some(at), || format!("{} after {position}", got.rev));
            }
            Some(since) => {
                self.judge_haste(at, since, got, node, scene);
                self.skip(position, got.rev, at, scene.known);
                self.position = got.rev;
            }
        }
        self.take(got);
    }

    fn judge_haste(&self, at: Moment, since: Moment, got: Got, node: &str, scene: &mut Scene<'_, '_>) {
        // The message itself, if it is new here, and the change that brings it.
        let new = (!self.held.contains_key(&got.seq)).then_some(got.seq).filter(|seq| *seq != got.rev);
        for number in std::iter::once(got.rev).chain(new) {
            let acked = scene.known.acked_at.get(&number).copied().filter(|acked| *acked >= since);
            if let Some(acked) = acked.filter(|acked| !scene.excuses.may_be_missing(*acked, at, node)) {
                scene.find(Rule::HealedInTime, Some(at), || {
                    format!("{number} came {:?} after it was acknowledged", at.saturating_sub(acked))
                });
                return;
            }
        }
    }

    fn end_page(&mut self, known: &KnownRoom<'_>) {
        if let Some(page) = self.page.take().filter(|page| !page.is_tail) {
            self.skip(page.last, page.head.saturating_add(1), page.at, known);
        }
    }

    /// Numbers between two were passed over. That is right for those that were folded by then.
    fn skip(&mut self, above: u64, below: u64, at: Moment, known: &KnownRoom<'_>) {
        let stood = known.between(above, below).iter().filter(|fold| fold.since > at);
        self.skipped.extend(stood.map(|fold| (fold.rev, at)));
    }

    fn take(&mut self, got: Got) {
        self.skipped.remove(&got.rev);
        let held = self.held.entry(got.seq).or_insert((got.rev, got.text));
        if held.0 <= got.rev {
            *held = (got.rev, got.text);
        }
    }

    /// Whether it has all that it asked for, as long as it is connected.
    pub(super) fn is_complete(&self) -> bool {
        !self.wanted || (self.asked.is_none() && self.live_since.is_some())
    }

    /// Compares what is held in the end with the store. One that is not `connected` has a claim only up to its position.
    pub(super) fn end(mut self, connected: bool, stored: &StoredRoom, scene: &mut Scene<'_, '_>) {
        self.end_page(scene.known);
        let Some(start) = self.start else { return };
        let claim = if connected && self.is_complete() { u64::MAX } else { self.position };
        let mut missing: HashSet<u64> = HashSet::new();
        for row in stored.messages.iter().filter(|row| row.rev <= claim) {
            let held = self.held.get(&row.seq).map(|(rev, _)| *rev);
            let in_tail = self.tail_from.is_some_and(|from| (from..=start).contains(&row.seq));
            let lacks = if row.rev > start { held.is_none_or(|rev| rev < row.rev) } else { in_tail && held.is_none() };
            if lacks {
                missing.insert(row.rev);
                let at = self.skipped.get(&row.rev).copied();
                scene.find(Rule::NothingMissing, at, || match held {
                    Some(held) => format!("{}, of message {}, never came: it is held at {held}", row.rev, row.seq),
                    None => format!("{}, of message {}, never came", row.rev, row.seq),
                });
            }
        }
        let mut skipped: Vec<(Moment, u64)> = self.skipped.iter().map(|(rev, at)| (*at, *rev)).collect();
        skipped.sort_unstable();
        for (at, rev) in skipped {
            // Only what was folded since: the others are among the missing, or nobody stores them.
            let seq =
                scene.known.between(rev.saturating_sub(1), rev.saturating_add(1)).first().map_or(0, |fold| fold.seq);
            if !missing.contains(&rev) && scene.known.rows.get(&seq).is_some_and(|row| row.rev > rev) {
                scene.find(Rule::NothingMissing, Some(at), || {
                    format!("{rev}, of message {seq}, was passed over before anybody asked for a later change")
                });
            }
        }
        let mut held: Vec<_> = self.held.into_iter().collect();
        held.sort_unstable_by_key(|(seq, _)| *seq);
        for (seq, (rev, text)) in held {
            let wrong = match scene.known.rows.get(&seq) {
                None => "it is not stored".to_owned(),
                Some(row) if row.rev == rev && row.text == text => continue,
                Some(row) if row.rev == rev => "another text is stored".to_owned(),
                Some(row) if row.rev > rev && row.rev > claim => continue,
                Some(row) => format!("it is stored at {}", row.rev),
            };
            scene.find(Rule::SameEnd, None, || format!("message {seq} is held at {rev}: {wrong}"));
        }
    }
}
