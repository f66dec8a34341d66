//! Where a client stands in each room, and how it joins.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::chaos::journal::{Journal, digest};
use crate::chaos::record::{RoomIndex, What};

/// All rooms of a client.
pub(super) struct Rooms {
    rooms: Vec<Room>,
}

struct Room {
    name: String,
    position: Option<Position>,
    /// When the next `join` is due; none is while one is under way or the subscription is complete.
    join_at: Option<Instant>,
    complete: bool,
}

struct Position {
    /// `None` before the first answer: a position in whatever history there is.
    epoch: Option<String>,
    number: u64,
}

impl Rooms {
    pub(super) fn new(names: &[String]) -> Self {
        let room = |name: &String| Room { name: name.clone(), position: None, join_at: None, complete: false };
        Self { rooms: names.iter().map(room).collect() }
    }

    pub(super) fn ask_for_everything(&mut self) {
        for room in &mut self.rooms {
            room.position = Some(Position { epoch: None, number: 0 });
        }
    }

    pub(super) fn name(&self, room: RoomIndex) -> &str {
        &self.rooms[room].name
    }

    pub(super) fn find(&self, frame: &Value) -> Option<RoomIndex> {
        let name = frame["room"].as_str()?;
        self.rooms.iter().position(|room| room.name == name)
    }

    /// A new connection: everything is to be joined.
    pub(super) fn welcomed(&mut self) {
        for room in &mut self.rooms {
            (room.join_at, room.complete) = (Some(Instant::now()), false);
        }
    }

    pub(super) fn lost(&mut self) {
        for room in &mut self.rooms {
            (room.join_at, room.complete) = (None, false);
        }
    }

    pub(super) fn any_complete(&self) -> bool {
        self.rooms.iter().any(|room| room.complete)
    }

    pub(super) fn positions(&self) -> Vec<Option<u64>> {
        let of = |room: &Room| room.position.as_ref().filter(|_| room.complete).map(|position| position.number);
        self.rooms.iter().map(of).collect()
    }

    /// A `join` that is to be said now.
    pub(super) fn due(&mut self, journal: &mut Journal) -> Option<Value> {
        let now = Instant::now();
        let index = self.rooms.iter().position(|room| room.join_at.is_some_and(|at| at <= now))?;
        let room = &mut self.rooms[index];
        room.join_at = None;
        journal.note(What::JoinAsked { room: index, after: room.position.as_ref().map(|position| position.number) });
        let mut join = json!({"type": "join", "room": room.name, "ref": format!("join {index}")});
        if let Some(Position { epoch, number }) = &room.position {
            join["after"] = json!(number);
            if let Some(epoch) = epoch {
                join["epoch"] = json!(epoch);
            }
        }
        Some(join)
    }

    pub(super) fn joined(&mut self, frame: &Value, journal: &mut Journal) {
        let Some(index) = self.find(frame) else { return };
        let room = &mut self.rooms[index];
        let epoch = frame["epoch"].as_str().unwrap_or_default().to_owned();
        let head = frame["head"].as_u64().unwrap_or_default();
        let (reset, more) = (frame["reset"] == true, frame["more"] == true);
        journal.note(What::Joined { room: index, epoch: epoch.clone(), head, reset, more });
        for message in frame["messages"].as_array().into_iter().flatten() {
            got(index, message, true, journal);
        }
        room.position = Some(Position { epoch: Some(epoch), number: head });
        room.complete = !more;
        room.join_at = more.then(Instant::now);
    }

    pub(super) fn message(&mut self, frame: &Value, journal: &mut Journal) {
        let Some(index) = self.find(frame) else { return };
        got(index, frame, false, journal);
        let rev = frame["rev"].as_u64().unwrap_or_default();
        if let Some(position) = &mut self.rooms[index].position {
            position.number = rev;
        }
    }

    /// An error to a `join`: it is asked again when the node says.
    pub(super) fn refused(&mut self, frame: &Value) {
        let index = frame["ref"].as_str().and_then(|reference| reference.strip_prefix("join ")?.parse::<usize>().ok());
        if let Some(room) = index.and_then(|index| self.rooms.get_mut(index)) {
            let wait = Duration::from_millis(frame["retry_after_ms"].as_u64().unwrap_or(1000));
            (room.join_at, room.complete) = (Some(Instant::now() + wait), false);
        }
    }
}

fn got(room: RoomIndex, message: &Value, page: bool, journal: &mut Journal) {
    let number = |field: &str| message[field].as_u64().unwrap_or_default();
    let text = (message["deleted"] != true).then(|| digest(message["text"].as_str().unwrap_or_default()));
    let id = message["id"].as_str().and_then(|id| id.parse().ok()).unwrap_or_default();
    journal.note(What::Got { room, seq: number("seq"), rev: number("rev"), id, text, page });
}
