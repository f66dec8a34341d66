//! Edits and deletions of one's own messages: one at a time, asked again until it is known.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::SmallRng;
use serde_json::{Value, json};

use super::rooms::Rooms;
use crate::chaos::journal::{Journal, digest};
use crate::chaos::record::{RoomIndex, What};

/// So many of the latest messages may still be changed.
const MEMORY: usize = 50;
/// One change in so many is a deletion.
const DELETIONS: u32 = 6;

pub(super) struct Changes {
    period: Option<Duration>,
    next: Instant,
    mine: VecDeque<(RoomIndex, u64)>,
    under_way: Option<Change>,
    asked: u64,
    rng: SmallRng,
}

struct Change {
    room: RoomIndex,
    seq: u64,
    text: Option<String>,
    reference: String,
    /// When it is to be asked; none while an answer is awaited.
    ask_at: Option<Instant>,
}

impl Changes {
    pub(super) fn new(a_second: f64, rng: SmallRng) -> Self {
        let period = (a_second > 0.0).then(|| Duration::from_secs_f64(1.0 / a_second));
        Self { period, next: Instant::now(), mine: VecDeque::new(), under_way: None, asked: 0, rng }
    }

    pub(super) fn owed(&self) -> usize {
        usize::from(self.under_way.is_some())
    }

    /// A new connection: what is not known is asked again.
    pub(super) fn again(&mut self) {
        if let Some(change) = &mut self.under_way {
            change.ask_at = Some(Instant::now());
        }
    }

    pub(super) fn may_change(&mut self, room: RoomIndex, seq: u64) {
        // An acknowledgement may come twice, after the message was sent twice.
        if self.period.is_some() && !self.mine.contains(&(room, seq)) {
            self.mine.push_back((room, seq));
            if self.mine.len() > MEMORY {
                self.mine.pop_front();
            }
        }
    }

    /// Chooses a message and a change, if one is due.
    pub(super) fn choose(&mut self) {
        let Some(period) = self.period else { return };
        let now = Instant::now();
        if self.under_way.is_some() || self.next > now || self.mine.is_empty() {
            return;
        }
        self.next = now + period;
        self.asked += 1;
        let index = self.rng.random_range(0..self.mine.len());
        let delete = self.rng.random_ratio(1, DELETIONS);
        let at = if delete { self.mine.remove(index) } else { self.mine.get(index).copied() };
        let Some((room, seq)) = at else { return };
        let text = (!delete).then(|| format!("{seq} in other words: {}", self.asked));
        let reference = format!("change {}", self.asked);
        self.under_way = Some(Change { room, seq, text, reference, ask_at: Some(now) });
    }

    /// An `edit` or `delete` that is to be said now.
    pub(super) fn due(&mut self, rooms: &Rooms, journal: &mut Journal) -> Option<Value> {
        let now = Instant::now();
        let change = self.under_way.as_mut().filter(|change| change.ask_at.is_some_and(|at| at <= now))?;
        change.ask_at = None;
        let text = change.text.as_deref().map(digest);
        journal.note(What::ChangeAsked { room: change.room, seq: change.seq, text });
        let (room, seq, reference) = (rooms.name(change.room), change.seq, &change.reference);
        Some(match &change.text {
            Some(text) => json!({"type": "edit", "room": room, "seq": seq, "ref": reference, "text": text}),
            None => json!({"type": "delete", "room": room, "seq": seq, "ref": reference}),
        })
    }

    pub(super) fn acked(&mut self, frame: &Value, rooms: &Rooms, journal: &mut Journal) {
        let (Some(room), Some(seq), Some(rev)) = (rooms.find(frame), frame["seq"].as_u64(), frame["rev"].as_u64())
        else {
            return;
        };
        // One that was asked twice is answered twice.
        if self.under_way.as_ref().is_some_and(|change| frame["ref"] == change.reference.as_str()) {
            self.under_way = None;
            journal.note(What::ChangeAcked { room, seq, rev });
        }
    }

    /// Whether the error was for a change.
    pub(super) fn refused(&mut self, frame: &Value, journal: &mut Journal) -> bool {
        let reference = frame["ref"].as_str().unwrap_or_default();
        let Some(change) = self.under_way.as_mut().filter(|change| change.reference == reference) else {
            return reference.starts_with("change ");
        };
        if let Some(wait) = frame["retry_after_ms"].as_u64() {
            change.ask_at = Some(Instant::now() + Duration::from_millis(wait));
        } else {
            let code = frame["code"].as_str().unwrap_or_default().to_owned();
            journal.note(What::ChangeRefused { room: change.room, seq: change.seq, code });
            self.under_way = None;
        }
        true
    }
}
