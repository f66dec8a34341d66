//! What goes into a store and what comes out.

use proto::{Epoch, Message, MessageId, RoomName, Text, Timestamp, User, UserId};

/// A new message, not yet numbered.
#[derive(Clone, Debug)]
pub struct Post {
    /// Where it is said.
    pub room: RoomName,
    /// The id its sender made.
    pub id: MessageId,
    /// Who says it.
    pub from: User,
    /// What it says.
    pub text: Text,
    /// The `seq` it answers, if any.
    pub reply_to: Option<u64>,
}

impl Post {
    /// The message it became when it was numbered.
    pub(crate) fn kept(&self, seq: u64, at: Timestamp) -> Message {
        Message {
            room: self.room.clone(),
            seq,
            rev: seq,
            id: self.id,
            from: self.from.clone(),
            text: self.text.as_str().to_owned(),
            at,
            edited_at: None,
            deleted: false,
            reply_to: self.reply_to,
        }
    }
}

/// A change to a kept message, asked for by its author.
#[derive(Clone, Debug)]
pub struct Amendment {
    /// The room.
    pub room: RoomName,
    /// The message.
    pub seq: u64,
    /// Who asks; only its author may.
    pub by: UserId,
    /// What is to change.
    pub change: Change,
}

/// What is to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It says something else from now on.
    Text(Text),
    /// Only its place stays.
    Delete,
}

/// What became of one post or amendment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It took a number: the message as it is now.
    Kept(Message),
    /// It had happened before: the message as it is now, which may have changed since. No number was taken.
    Known(Message),
    /// It had happened before, and its room has forgotten it since. No number was taken, and there is nothing to show.
    Forgotten {
        /// Its id.
        id: MessageId,
        /// The number it had.
        seq: u64,
        /// When it was kept.
        at: Timestamp,
    },
    /// The id names another text.
    IdTaken,
    /// No such message, or (for a new text) only its place is left.
    NotFound,
    /// Somebody else's message.
    Forbidden,
}

/// The latest numbers of some rooms, from one snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heads {
    /// The history they belong to.
    pub epoch: Epoch,
    /// One number a room, in the order asked.
    pub heads: Vec<u64>,
    /// The same for their floors: every message with a `seq` at or below a room's is gone.
    pub floors: Vec<u64>,
}

/// A range of a room's numbers, from one snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// The history they belong to.
    pub epoch: Epoch,
    /// Everything above this number …
    pub after: u64,
    /// … and up to this one is here: the room's head, or the last entry's `rev` where `limit` cut the range.
    pub complete_to: u64,
    /// Whether `limit` cut the range.
    pub more: bool,
    /// The room's latest number in the same snapshot.
    pub head: u64,
    /// The room's floor. If `after` is below it, what was between the two is gone untold: whoever stands there must start afresh.
    pub floor: u64,
    /// The surviving entries, rising by `rev`.
    pub messages: Vec<Message>,
}

/// Messages in the order of `seq`, from one snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tail {
    /// The history they belong to.
    pub epoch: Epoch,
    /// The room's latest number in the same snapshot.
    pub head: u64,
    /// The room's floor: there is nothing older.
    pub floor: u64,
    /// Whether there are older ones.
    pub more: bool,
    /// Oldest first, deleted ones included as tombstones.
    pub messages: Vec<Message>,
}
