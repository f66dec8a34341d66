//! What a client has written and not yet seen acknowledged.

use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::SmallRng;
use serde_json::{Value, json};
use uuid::Uuid;

use super::rooms::Rooms;
use crate::chaos::journal::{Journal, digest};
use crate::chaos::record::{RoomIndex, What};

/// Messages under way at most; a client that is not answered writes no more.
const UNDER_WAY_MAX: usize = 64;

pub(super) struct Outbox {
    period: Option<Duration>,
    next: Instant,
    rooms: usize,
    author: String,
    written: u64,
    messages: Vec<Written>,
    rng: SmallRng,
}

struct Written {
    room: RoomIndex,
    id: Uuid,
    text: String,
    /// When it is to be sent; none while an answer is awaited.
    send_at: Option<Instant>,
}

impl Outbox {
    pub(super) fn new(a_second: f64, rooms: usize, author: &str, rng: SmallRng) -> Self {
        let period = (a_second > 0.0).then(|| Duration::from_secs_f64(1.0 / a_second));
        Self { period, next: Instant::now(), rooms, author: author.to_owned(), written: 0, messages: Vec::new(), rng }
    }

    pub(super) fn owed(&self) -> usize {
        self.messages.len()
    }

    /// A new connection: everything is sent again, in the order in which it was written.
    pub(super) fn again(&mut self) {
        let now = Instant::now();
        self.messages.iter_mut().for_each(|message| message.send_at = Some(now));
    }

    /// Writes what is due by now. What was due while nobody could send is not made up for.
    pub(super) fn write(&mut self, text_bytes: usize) {
        let Some(period) = self.period else { return };
        let now = Instant::now();
        if now.duration_since(self.next) > Duration::from_secs(1) {
            self.next = now;
        }
        while self.next <= now && self.messages.len() < UNDER_WAY_MAX {
            self.next += period;
            self.written += 1;
            let mut text = format!("{} says {} ", self.author, self.written);
            text.extend(std::iter::repeat_n('.', text_bytes.saturating_sub(text.len())));
            let (room, id) = (self.rng.random_range(0..self.rooms), Uuid::from_u128(self.rng.random()));
            self.messages.push(Written { room, id, text, send_at: Some(now) });
        }
    }

    /// A `send` that is to be said now.
    pub(super) fn due(&mut self, rooms: &Rooms, journal: &mut Journal) -> Option<Value> {
        let now = Instant::now();
        let message = self.messages.iter_mut().find(|message| message.send_at.is_some_and(|at| at <= now))?;
        message.send_at = None;
        journal.note(What::Sent { room: message.room, id: message.id, text: digest(&message.text) });
        Some(json!({"type": "send", "room": rooms.name(message.room), "id": message.id, "text": message.text}))
    }

    /// Returns what may be changed from now on.
    pub(super) fn acked(&mut self, frame: &Value, rooms: &Rooms, journal: &mut Journal) -> Option<(RoomIndex, u64)> {
        let (room, id, seq) = (rooms.find(frame)?, read_id(frame)?, frame["seq"].as_u64()?);
        journal.note(What::Acked { room, id, seq });
        self.messages.retain(|message| message.id != id);
        Some((room, seq))
    }

    pub(super) fn refused(&mut self, frame: &Value, journal: &mut Journal) {
        let Some(index) = read_id(frame).and_then(|id| self.messages.iter().position(|message| message.id == id))
        else {
            return;
        };
        let message = &mut self.messages[index];
        let (room, id, code) = (message.room, message.id, frame["code"].as_str().unwrap_or_default().to_owned());
        if let Some(wait) = frame["retry_after_ms"].as_u64() {
            message.send_at = Some(Instant::now() + Duration::from_millis(wait));
            journal.note(What::Deferred { room, id, code });
        } else {
            self.messages.remove(index);
            journal.note(What::Refused { room, id, code });
        }
    }
}

fn read_id(frame: &Value) -> Option<Uuid> {
    frame["id"].as_str()?.parse().ok()
}
