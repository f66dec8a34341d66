//! A message as a row, the same in both databases.

use proto::{Epoch, Message, MessageId, PersonName, RoomName, Timestamp, User, UserId};
use sha2::{Digest, Sha256};
use sqlx::FromRow;
use uuid::Uuid;

use crate::archive::GoneId;
use crate::moment::Moment;
use crate::retention::Policy;
use crate::{Outcome, StoreError};

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

    /// What is left of a message that is gone.
    pub(crate) fn forgotten(&self) -> Option<Outcome> {
        let (seq, at) = self.numbered()?;
        Some(Outcome::Forgotten { id: MessageId(self.id?), seq, at })
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

/// What is to go so that the newest `$2` messages stay.
pub(crate) const DUE_BY_COUNT: &str = "
    SELECT (
        SELECT m.seq FROM messages m
        WHERE m.room = $1 AND m.seq > (SELECT h.floor FROM heads h WHERE h.room = $1)
        ORDER BY m.seq DESC LIMIT 1 OFFSET $2
    ) AS due";

/// Of the `$2` oldest messages, the last from before a moment.
pub(crate) const DUE_BY_AGE: &str = "
    SELECT max(o.seq) AS due FROM (
        SELECT m.seq, m.at FROM messages m
        WHERE m.room = $1 AND m.seq > (SELECT h.floor FROM heads h WHERE h.room = $1)
        ORDER BY m.seq LIMIT $2
    ) o WHERE o.at < $3";

/// The ids of what is gone, where the rows are still there.
pub(crate) const GONE_WITH_ROWS: &str = "
    SELECT id, text_hash, seq, at FROM messages
    WHERE room = $1 AND seq > $2 AND seq <= (SELECT h.floor FROM heads h WHERE h.room = $1) ORDER BY seq LIMIT $3";

/// The ids of what is gone, where they are all that is left.
const GONE_WITHOUT_ROWS: &str =
    "SELECT id, text_hash, seq, at FROM kept_ids WHERE room = $1 AND id >= $2 ORDER BY id LIMIT $3";
const GONE_WITHOUT_ROWS_AFTER: &str =
    "SELECT id, text_hash, seq, at FROM kept_ids WHERE room = $1 AND id > $2 ORDER BY id LIMIT $3";

/// The statement and the id for it.
pub(crate) fn gone_after(after: Option<MessageId>) -> (&'static str, Uuid) {
    after.map_or((GONE_WITHOUT_ROWS, Uuid::nil()), |MessageId(id)| (GONE_WITHOUT_ROWS_AFTER, id))
}

/// An id of a message that is gone, as a row.
#[derive(FromRow)]
pub(crate) struct GoneColumns {
    id: Uuid,
    text_hash: Vec<u8>,
    seq: i64,
    at: Moment,
}

impl GoneColumns {
    pub(crate) fn gone(self, room: &RoomName) -> Result<GoneId, StoreError> {
        let text_hash = self.text_hash.try_into().map_err(|_| {
            StoreError::Refused(format!("the hash in room {room}, message {}, was not written by us", self.seq))
        })?;
        Ok(GoneId { id: MessageId(self.id), seq: number(self.seq), at: self.at.0, text_hash })
    }
}

/// What a room keeps, as a row.
#[derive(FromRow)]
pub(crate) struct PolicyColumns {
    room: String,
    keep_days: Option<i64>,
    keep_messages: Option<i64>,
}

impl PolicyColumns {
    pub(crate) fn policy(&self) -> Policy {
        let kept = |number: Option<i64>| number.map(|number| u32::try_from(number).unwrap_or(u32::MAX));
        Policy { keep_days: kept(self.keep_days), keep_messages: kept(self.keep_messages) }
    }

    pub(crate) fn of_room(self) -> Result<(RoomName, Policy), StoreError> {
        let policy = self.policy();
        let room = room_names([self.room])?.pop();
        room.map(|room| (room, policy)).ok_or_else(|| StoreError::Refused("it lost a name".into()))
    }
}
