//! A guest who sends, with some messages under way, and waits for what becomes of them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::door::Door;
use crate::ids::Ids;
use crate::pace::{Next, Pace};
use crate::scan::{CODE, REF, RETRY, SEQ, TYPE, digits};
use crate::tally::Tally;
use crate::wire::{Wire, frame};

/// How long a silence lasts before the answers that are still missing are given up.
const LAST_ANSWERS: Duration = Duration::from_secs(10);

/// One sender in one room. It does not join: it hears nothing but its acknowledgements.
pub(crate) struct Speaker {
    pub(crate) room: usize,
    room_name: String,
    wire: Wire,
    ids: Ids,
    filling: String,
    places: Places,
}

/// What is under way. A message's `ref` is the number of its place.
struct Places {
    /// When the message in each place was due.
    due: Vec<Option<Instant>>,
    free: Vec<usize>,
    /// The highest number that was acknowledged.
    head: u64,
}

/// What a speaker leaves behind.
#[derive(Debug)]
pub(crate) struct Spoken {
    pub(crate) room: usize,
    pub(crate) head: u64,
    /// Sends that were never answered.
    pub(crate) unanswered: usize,
}

impl Speaker {
    pub(crate) async fn enter(
        door: &Door,
        name: &str,
        (room, room_name): (usize, String),
        in_flight: usize,
        bytes: usize,
    ) -> io::Result<Self> {
        let wire = door.open().await?;
        let mut hello = Vec::new();
        frame(&mut hello, format!(r#"{{"type":"hello","name":"{name}"}}"#).as_bytes());
        wire.write(&hello).await?;
        let count = in_flight.max(1);
        let places = Places { due: vec![None; count], free: (0..count).collect(), head: 0 };
        Ok(Self { room, room_name, wire, ids: Ids::new(), filling: "x".repeat(bytes), places })
    }

    /// Sends as the pace says, and waits for the last answers.
    pub(crate) async fn speak(mut self, mut pace: Pace, tally: Arc<Tally>) -> io::Result<Spoken> {
        let (mut out, mut over) = (Vec::new(), false);
        loop {
            while !over && let Some(place) = self.places.free.last().copied() {
                match pace.next() {
                    Next::Due(due) => self.put(&mut out, place, due, &tally),
                    Next::Later => break,
                    Next::Over => over = true,
                }
            }
            self.wire.write(&out).await?;
            out.clear();
            if over && self.places.unanswered() == 0 {
                return Ok(self.spoken());
            }
            let mut wait = Duration::ZERO;
            let places = &mut self.places;
            let has_place = !places.free.is_empty();
            let mut take = |payload: &[u8]| wait = wait.max(places.on_answer(payload, &tally));
            tokio::select! {
                read = self.wire.read(&mut take) => read?,
                () = pace.until_due(), if !over && has_place => {}
                () = tokio::time::sleep(LAST_ANSWERS), if over => return Ok(self.spoken()),
            }
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
        }
    }

    fn put(&mut self, out: &mut Vec<u8>, place: usize, due: Instant, tally: &Tally) {
        let (room, id) = (&self.room_name, self.ids.next());
        // The moment stands first in the text; what follows it makes up the length.
        let stamp = format!("{} ", tally.stamp(due));
        let rest = &self.filling[stamp.len().min(self.filling.len())..];
        let send = format!(r#"{{"type":"send","ref":"{place}","room":"{room}","id":"{id}","text":"{stamp}{rest}"}}"#);
        frame(out, send.as_bytes());
        self.places.free.pop();
        self.places.due[place] = Some(due);
    }

    fn spoken(&self) -> Spoken {
        Spoken { room: self.room, head: self.places.head, unanswered: self.places.unanswered() }
    }
}

impl Places {
    fn unanswered(&self) -> usize {
        self.due.len() - self.free.len()
    }

    /// Frees the place of an answered send; returns how long the node asks to wait.
    fn on_answer(&mut self, payload: &[u8], tally: &Tally) -> Duration {
        let Some(place) = REF.word(payload).and_then(digits).map(|place| place as usize) else { return Duration::ZERO };
        let Some(due) = self.due.get_mut(place).and_then(Option::take) else { return Duration::ZERO };
        self.free.push(place);
        if TYPE.word(payload) != Some(b"ack") {
            tally.refuse(CODE.word(payload).unwrap_or(b"unknown"));
            return Duration::from_millis(RETRY.number(payload).unwrap_or(0));
        }
        self.head = self.head.max(SEQ.number(payload).unwrap_or(0));
        tally.ack_time.record(due.elapsed());
        tally.acked.fetch_add(1, Ordering::Relaxed);
        Duration::ZERO
    }
}
