//! What channels and keys are called.
//!
//! All names of a room share one of 128 hash tags, so that in Redis Cluster they live on one shard, and a node needs
//! one connection a shard however many rooms it has:
//! ```text
//! tertulia:{17}:room:lobby      channel   the room's publications
//! tertulia:{17}:recent:lobby    hash      its recent entries
//! tertulia:{17}:people:lobby    hash      how many people each node has in it
//! tertulia:{0}:nodes            channel   heart-beats of all nodes
//! tertulia:{17}:copy:grant:…    text      a copy of what the store knows, or an empty one
//! tertulia:{17}:pace:name:…     text      when something may be done again
//! tertulia:{tasks}:ready        sorted    ids of due tasks, by since when; and taken, by until when
//! tertulia:{tasks}:lead         text      which node offers them
//! ```
//! The number of partitions and the hash are part of what nodes of different versions agree on: never change them.

use fred::bytes_utils::Str;
use proto::RoomName;

pub(super) const PARTITIONS: u32 = 128;

#[derive(Clone)]
pub(super) struct Names {
    prefix: String,
}

/// Whose channel a message came on.
pub(super) enum Channel<'a> {
    Room(&'a str),
    Nodes(u32),
}

impl Names {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.into() }
    }

    pub(super) fn channel(&self, room: &RoomName) -> Str {
        self.of("room", room)
    }

    pub(super) fn recent(&self, room: &RoomName) -> Str {
        self.of("recent", room)
    }

    pub(super) fn people(&self, room: &RoomName) -> Str {
        self.of("people", room)
    }

    pub(super) fn tasks(&self, what: &str) -> Str {
        format!("{}:{{tasks}}:{what}", self.prefix).into()
    }

    pub(super) fn nodes(&self, partition: u32) -> Str {
        format!("{}:{{{partition}}}:nodes", self.prefix).into()
    }

    pub(super) fn copy(&self, key: &str) -> Str {
        self.shared("copy", key)
    }

    pub(super) fn pace(&self, key: &str) -> Str {
        self.shared("pace", key)
    }

    pub(super) fn read<'a>(&self, channel: &'a str) -> Option<Channel<'a>> {
        let rest = channel.strip_prefix(&self.prefix)?.strip_prefix(":{")?;
        let (partition, what) = rest.split_once("}:")?;
        match what.strip_prefix("room:") {
            Some(room) => Some(Channel::Room(room)),
            None if what == "nodes" => Some(Channel::Nodes(partition.parse().ok()?)),
            None => None,
        }
    }

    fn of(&self, kind: &str, room: &RoomName) -> Str {
        self.shared(kind, room.as_str())
    }

    fn shared(&self, kind: &str, key: &str) -> Str {
        format!("{}:{{{}}}:{kind}:{key}", self.prefix, partition(key)).into()
    }
}

/// By the hash that Redis itself uses: the same on every node, whatever it was built with.
pub(super) fn partition_of(room: &RoomName) -> u32 {
    partition(room.as_str())
}

fn partition(key: &str) -> u32 {
    u32::from(fred::util::redis_keyslot(key.as_bytes())) % PARTITIONS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_reads_back_as_the_room_it_was_made_of() {
        let names = Names::new("casa.2");
        for name in ["lobby", "a:b:room:c", "música"] {
            let room = RoomName::parse(name).unwrap();
            assert!(matches!(names.read(&names.channel(&room)), Some(Channel::Room(read)) if read == name));
        }
        assert!(matches!(names.read(&names.nodes(7)), Some(Channel::Nodes(7))));
        for other in ["casa:{1}:room:x", "casa.2:{1}:recent:x", "casa.2:room:x", ""] {
            assert!(names.read(other).is_none(), "{other}");
        }
    }

    #[test]
    fn partitions_never_change_and_share_the_rooms() {
        assert_eq!(partition_of(&RoomName::parse("lobby").unwrap()), 54);
        let mut rooms = [0; PARTITIONS as usize];
        for number in 0..12_800 {
            rooms[partition_of(&RoomName::parse(&format!("room-{number}")).unwrap()) as usize] += 1;
        }
        assert!(rooms.iter().all(|rooms| (50..200).contains(rooms)), "{rooms:?}");
    }
}
