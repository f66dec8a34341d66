//! Reading a room: the statements, which both databases understand, and what becomes of their rows.
//!
//! Each is one statement, so that epoch, head and messages are of one moment. Each takes the room, a number and a limit, and
//! walks the index on (room, rev) or (room, seq) from that number on. The outer joins see to it that there is
//! always a row to carry epoch, head and floor.
//!
//! Nothing at or below the floor is given. What has a `seq` above it has a `rev` above it too, so no walk begins lower; a
//! message that changed later is told by its `seq`, in words that no index is tempted by.

use proto::{Epoch, Message, RoomName};
use sqlx::FromRow;

use crate::archive::{Above, Record, Records};
use crate::row::{self, Columns};
use crate::{Changes, StoreError, Tail};

macro_rules! snapshot {
    ($which:expr, $order:literal $(, $more:literal)?) => {
        concat!(
            "SELECT s.value AS epoch, coalesce(h.head, 0) AS head, coalesce(h.floor, 0) AS floor, m.seq, m.rev, m.id, m.author, m.author_name, m.text, m.at, ",
            "m.edited_at, m.deleted, m.reply_to " $(, ", m.", $more)?,
            " FROM settings s LEFT JOIN heads h ON h.room = $1 LEFT JOIN (",
            "SELECT seq, rev, id, author, author_name, text, at, edited_at, deleted, reply_to " $(, ", ", $more)?,
            " FROM messages ",
            "WHERE room = $1 AND ", $which, " ORDER BY ", $order, " LIMIT $3) m ON true ",
            "WHERE s.key = 'epoch' ORDER BY m.", $order
        )
    };
}

/// Above a number and the floor.
macro_rules! above {
    ($column:literal, $number:literal) => {
        concat!(
            $column,
            " > (SELECT CASE WHEN n.floor > ",
            $number,
            " THEN n.floor ELSE ",
            $number,
            " END FROM heads n WHERE n.room = $1)"
        )
    };
}

/// The same for `rev`, and of a message that is not gone.
macro_rules! changed_above {
    ($number:literal) => {
        concat!(above!("rev", $number), " AND seq - (SELECT n.floor FROM heads n WHERE n.room = $1) > 0")
    };
}

/// What changed after a number.
pub(crate) const CHANGES: &str = snapshot!(changed_above!("$2"), "rev");
/// The changes among the last so many numbers.
pub(crate) const NEWEST_CHANGES: &str = snapshot!(changed_above!("n.head - $2"), "rev");
/// Messages before a place, newest first.
pub(crate) const BEFORE: &str =
    snapshot!("seq < $2 AND seq > (SELECT n.floor FROM heads n WHERE n.room = $1)", "seq DESC");
/// Whole records, from a place on.
const RECORDS_BY_SEQ: &str = snapshot!(above!("seq", "$2"), "seq", "text_hash");
/// Whole records, changed after a number.
const RECORDS_BY_REV: &str = snapshot!(changed_above!("$2"), "rev", "text_hash");

#[derive(FromRow)]
pub(crate) struct SnapshotRow {
    epoch: String,
    head: i64,
    floor: i64,
    #[sqlx(flatten)]
    columns: Columns,
}

/// What one statement saw.
pub(crate) struct Snapshot {
    epoch: Epoch,
    head: u64,
    floor: u64,
    messages: Vec<Message>,
}

impl Snapshot {
    pub(crate) fn read(room: &RoomName, rows: Vec<SnapshotRow>) -> Result<Self, StoreError> {
        let first = rows.first().ok_or_else(|| StoreError::Refused("its settings lack an epoch".into()))?;
        let (epoch, head, floor) = (row::epoch(&first.epoch)?, row::number(first.head), row::number(first.floor));
        let messages =
            rows.into_iter().filter_map(|row| row.columns.message(room).transpose()).collect::<Result<_, _>>()?;
        Ok(Self { epoch, head, floor, messages })
    }

    pub(crate) fn changes(mut self, after: u64, limit: usize) -> Changes {
        let more = self.messages.len() > limit;
        self.messages.truncate(limit);
        let complete_to = match self.messages.last() {
            Some(last) if more => last.rev,
            None if more => after,
            _ => self.head,
        };
        let Self { epoch, head, floor, messages } = self;
        Changes { epoch, after, complete_to, more, head, floor, messages }
    }

    pub(crate) fn newest_changes(self, span: u64) -> Changes {
        let after = self.head.saturating_sub(span).max(self.floor);
        self.changes(after, usize::MAX)
    }

    pub(crate) fn tail(mut self, limit: usize) -> Tail {
        let more = self.messages.len() > limit;
        self.messages.truncate(limit);
        self.messages.reverse();
        let Self { epoch, head, floor, messages } = self;
        Tail { epoch, head, floor, more, messages }
    }
}

/// A message's row with the hash of its first words; empty where an outer join found none.
#[derive(FromRow)]
pub(crate) struct RecordColumns {
    text_hash: Option<Vec<u8>>,
    #[sqlx(flatten)]
    columns: Columns,
}

impl RecordColumns {
    pub(crate) fn record(self, room: &RoomName) -> Result<Option<Record>, StoreError> {
        let (Some(hash), Some(message)) = (self.text_hash, self.columns.message(room)?) else { return Ok(None) };
        let text_hash = hash.try_into().map_err(|_| {
            StoreError::Refused(format!("the hash in room {room}, message {}, was not written by us", message.seq))
        })?;
        Ok(Some(Record { message, text_hash }))
    }
}

#[derive(FromRow)]
pub(crate) struct RecordsRow {
    head: i64,
    floor: i64,
    #[sqlx(flatten)]
    columns: RecordColumns,
}

/// The statement and the number for it.
pub(crate) fn records_above(above: Above) -> (&'static str, u64) {
    match above {
        Above::Seq(seq) => (RECORDS_BY_SEQ, seq),
        Above::Rev(rev) => (RECORDS_BY_REV, rev),
    }
}

pub(crate) fn records(room: &RoomName, rows: Vec<RecordsRow>, limit: usize) -> Result<Records, StoreError> {
    let first = rows.first().ok_or_else(|| StoreError::Refused("its settings lack an epoch".into()))?;
    let (head, floor) = (row::number(first.head), row::number(first.floor));
    let mut records: Vec<Record> =
        rows.into_iter().filter_map(|row| row.columns.record(room).transpose()).collect::<Result<_, _>>()?;
    let more = records.len() > limit;
    records.truncate(limit);
    Ok(Records { head, floor, more, records })
}
