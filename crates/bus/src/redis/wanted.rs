//! The rooms that the hub wants, and which of them were touched since the manager last looked.
//!
//! A set instead of a queue: however often a room is wanted and left, it waits once, so nothing is ever lost and
//! nothing needs a bound beyond the number of rooms.

use std::collections::{HashMap, HashSet};

use parking_lot::Mutex;
use proto::RoomName;
use tokio::sync::Notify;

#[derive(Default)]
pub(super) struct Wanted {
    // Held for a look-up; publications take it too, so that one of a room just left goes nowhere.
    rooms: Mutex<Rooms>,
    changed: Notify,
}

#[derive(Default)]
struct Rooms {
    /// By the text of its name, so that what came from Redis finds its room without making one.
    wanted: HashMap<Box<str>, RoomName>,
    touched: HashSet<RoomName>,
}

impl Wanted {
    pub(super) fn want(&self, room: &RoomName) {
        let mut rooms = self.rooms.lock();
        rooms.wanted.insert(room.as_str().into(), room.clone());
        rooms.touched.insert(room.clone());
        drop(rooms);
        self.changed.notify_one();
    }

    pub(super) fn leave(&self, room: &RoomName) {
        let mut rooms = self.rooms.lock();
        rooms.wanted.remove(room.as_str());
        rooms.touched.insert(room.clone());
        drop(rooms);
        self.changed.notify_one();
    }

    /// The room of this name, if it is wanted.
    pub(super) fn find(&self, name: &str) -> Option<RoomName> {
        self.rooms.lock().wanted.get(name).cloned()
    }

    /// All wanted rooms, for a connection that has none of them yet; what was touched before is part of it.
    pub(super) fn all(&self) -> Vec<RoomName> {
        let mut rooms = self.rooms.lock();
        rooms.touched.clear();
        rooms.wanted.values().cloned().collect()
    }

    /// The rooms touched since the last time, and whether each is wanted now.
    pub(super) fn take_touched(&self) -> Vec<(RoomName, bool)> {
        let mut rooms = self.rooms.lock();
        let touched = std::mem::take(&mut rooms.touched);
        touched.into_iter().map(|room| (room.clone(), rooms.wanted.contains_key(room.as_str()))).collect()
    }

    /// Waits until something was touched.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }
}
