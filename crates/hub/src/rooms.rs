//! All rooms that somebody listens to on this node.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use parking_lot::Mutex;
use proto::RoomName;

use crate::room::Room;

const SHARDS: usize = 16;

/// A map in shards, so that joins of different rooms rarely meet.
pub(crate) struct Rooms {
    shards: [Mutex<HashMap<RoomName, Arc<Room>>>; SHARDS],
    hasher: RandomState,
}

impl Rooms {
    pub(crate) fn new() -> Self {
        Self { shards: Default::default(), hasher: RandomState::new() }
    }

    fn shard(&self, name: &RoomName) -> &Mutex<HashMap<RoomName, Arc<Room>>> {
        &self.shards[self.hasher.hash_one(name) as usize % SHARDS]
    }

    pub(crate) fn get(&self, name: &RoomName) -> Option<Arc<Room>> {
        self.shard(name).lock().get(name).cloned()
    }

    /// The room, pinned: it stays until as many [`Room::unpin`]s have come. `make` is called for a new one.
    pub(crate) fn pin(&self, name: &RoomName, make: impl FnOnce() -> Room) -> Arc<Room> {
        let mut shard = self.shard(name).lock();
        let room = shard.entry(name.clone()).or_insert_with(|| Arc::new(make())).clone();
        room.pin();
        room
    }

    /// Takes out the rooms that nobody has pinned for a while. Under the map's lock, so that none is pinned meanwhile.
    pub(crate) fn reap(&self, is_done: impl Fn(&Room) -> bool, mut gone: impl FnMut(&RoomName)) {
        for shard in &self.shards {
            shard.lock().retain(|name, room| {
                let done = is_done(room);
                if done {
                    gone(name);
                }
                !done
            });
        }
    }

    pub(crate) fn all(&self) -> Vec<Arc<Room>> {
        self.shards.iter().flat_map(|shard| shard.lock().values().cloned().collect::<Vec<_>>()).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }
}
