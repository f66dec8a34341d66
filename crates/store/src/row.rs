//! A message as a row, the same in both databases.

use proto::{Epoch, Message, MessageId, PersonName, RoomName, Timestamp, User, UserId};
use sha2::{Digest, Sha256};
use sqlx::FromRow;
use uuid::Uuid;

use crate::StoreError;
use crate::moment::Moment;

/// The columns of a message; all of them empty where an outer join found none.
#[derive(FromRow)]
pub(crate) struct Columns {
    seq: Option<i64>,
    rev: Option<i64>,
    id: Option<Uuid>,
    author: Option<Uuid>,
    author_name: Option<String>,
    text: Option<String>,
    at: Option<Moment>,
    edited_at: Option<Moment>,
    deleted: Option<bool>,
    reply_to: Option<i64>,
}

impl Columns {
    /// The number that was given, and when.
    pub(crate) fn numbered(&self) -> Option<(u64, Timestamp)> {
        Some((number(self.seq?), self.at.as_ref()?.0))
    }

    /// The message, if there is one.
    pub(crate) fn message(self, room: &RoomName) -> Result<Option<Message>, StoreError> {
        let (Some(seq), Some(rev), Some(id), Some(author), Some(name), Some(text), Some(at)) =
            (self.seq, self.rev, self.id, self.author, self.author_name, self.text, self.at)
        else {
            return Ok(None);
        };
        let name = PersonName::parse(&name).map_err(|_| {
            StoreError::Refused(format!("the author's name in room {room}, message {seq}, was not written by us"))
        })?;
        Ok(Some(Message {
            room: room.clone(),
            seq: number(seq),
            rev: number(rev),
            id: MessageId(id),
            from: User { id: UserId(author), name },
            text,
            at: at.0,
            edited_at: self.edited_at.map(|moment| moment.0),
            deleted: self.deleted.unwrap_or(false),
            reply_to: self.reply_to.map(i64::cast_unsigned),
        }))
    }
}

/// Half of a SHA-256: enough to tell two texts of one id apart, and nothing more is asked of it.
pub(crate) fn text_hash(text: &str) -> [u8; 16] {
    let whole: [u8; 32] = Sha256::digest(text).into();
    std::array::from_fn(|at| whole[at])
}

/// A number from a column. The store never writes a negative one.
pub(crate) fn number(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// A number for a column. What is too large to have been issued compares like the largest.
pub(crate) fn column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The names of rooms, as we wrote them.
pub(crate) fn room_names(names: impl IntoIterator<Item = String>) -> Result<Vec<RoomName>, StoreError> {
    let parse = |name: String| {
        RoomName::parse(&name).map_err(|_| StoreError::Refused(format!("its room {name:?} was not written by us")))
    };
    names.into_iter().map(parse).collect()
}

/// One more than the limit, to see whether there is more.
pub(crate) fn one_more(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)
}

/// The epoch, as `settings` has it.
pub(crate) fn epoch(value: &str) -> Result<Epoch, StoreError> {
    value.parse().map_err(|_| StoreError::Refused(format!("the epoch in its settings is malformed: {value:?}")))
}
