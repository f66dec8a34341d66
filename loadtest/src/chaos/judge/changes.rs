//! What was asked of one message, and what came of it.

use crate::chaos::record::{Digest, Moment};

/// All changes asked of one message.
#[derive(Default)]
pub(super) struct Changes {
    texts: Vec<Change>,
    asked: u64,
    answered: u64,
}

/// One text that a message was to have.
struct Change {
    text: Option<Digest>,
    first: Moment,
    asked: usize,
    /// The numbers under which it was seen.
    revs: Vec<u64>,
}

/// The changes of one message that a client has not heard of yet, the oldest first.
#[derive(Default)]
pub(super) struct Pending {
    texts: Vec<Option<Digest>>,
    last: Option<Option<Digest>>,
}

impl Pending {
    pub(super) fn ask(&mut self, text: Option<Digest>) {
        if !self.texts.contains(&text) {
            self.texts.push(text);
        }
    }

    /// The change that an answer is for. One that was asked twice may be answered twice.
    pub(super) fn answered(&mut self) -> Option<Option<Digest>> {
        if !self.texts.is_empty() {
            self.last = Some(self.texts.remove(0));
        }
        self.last
    }

    pub(super) fn is_settled(&self) -> bool {
        self.texts.is_empty()
    }
}

impl Changes {
    pub(super) fn ask(&mut self, at: Moment, text: Option<Digest>) {
        self.asked += 1;
        match self.texts.iter_mut().find(|change| change.text == text) {
            Some(change) => {
                change.asked += 1;
                change.first = change.first.min(at);
            }
            None => self.texts.push(Change { text, first: at, asked: 1, revs: Vec::new() }),
        }
    }

    /// Since when a number may be folded into a later one: since the first change was asked that may have done it.
    pub(super) fn fold(&self, number: u64) -> Moment {
        let may = |change: &&Change| change.revs.len() < change.asked || change.revs.iter().any(|rev| *rev > number);
        self.texts.iter().filter(may).map(|change| change.first).min().unwrap_or(Moment::ZERO)
    }

    pub(super) fn answer(&mut self) {
        self.answered += 1;
    }

    /// A text was seen under a number.
    pub(super) fn saw(&mut self, rev: u64, text: Option<Digest>) {
        let change = self.texts.iter_mut().find(|change| change.text == text);
        if let Some(change) = change.filter(|change| !change.revs.contains(&rev)) {
            change.revs.push(rev);
        }
    }

    pub(super) fn asked_for(&self, text: Option<Digest>) -> bool {
        self.texts.iter().any(|change| change.text == text)
    }

    /// Whether nobody saw another text under a number.
    pub(super) fn may_be(&self, rev: u64, text: Option<Digest>) -> bool {
        self.texts.iter().all(|change| change.text == text || !change.revs.contains(&rev))
    }

    /// How many numbers it may have taken that nobody saw, when so many were seen that no answer names.
    pub(super) fn in_doubt(&self, seen: u64) -> u64 {
        match self.texts.len() {
            // However often it was asked: the second time alters nothing.
            1 => u64::from(self.answered == 0 && seen == 0),
            _ => self.asked.saturating_sub(self.answered + seen),
        }
    }
}
