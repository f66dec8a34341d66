//! Reading a room: the statements, which both databases understand, and what becomes of their rows.
//!
//! Each is one statement, so that epoch, head and messages are of one moment. Each takes the room, a number and a limit, and
//! walks the index on (room, rev) or (room, seq) from that number on. The outer joins see to it that there is
//! always a row to carry epoch and head.

use proto::{Epoch, Message, RoomName};
use sqlx::FromRow;

use crate::row::{self, Columns};
use crate::{Changes, StoreError, Tail};

macro_rules! snapshot {
    ($which:literal, $order:literal) => {
        concat!(
            "SELECT s.value AS epoch, coalesce(h.head, 0) AS head, m.seq, m.rev, m.id, m.author, m.author_name, m.text, m.at, ",
            "m.edited_at, m.deleted, m.reply_to ",
            "FROM settings s LEFT JOIN heads h ON h.room = $1 LEFT JOIN (",
            "SELECT seq, rev, id, author, author_name, text, at, edited_at, deleted, reply_to FROM messages ",
            "WHERE room = $1 AND ", $which, " ORDER BY ", $order, " LIMIT $3) m ON true ",
            "WHERE s.key = 'epoch' ORDER BY m.", $order
        )
    };
}

/// What changed after a number.
pub(crate) const CHANGES: &str = snapshot!("rev > $2", "rev");
/// The changes among the last so many numbers.
pub(crate) const NEWEST_CHANGES: &str = snapshot!("rev > (SELECT n.head FROM heads n WHERE n.room = $1) - $2", "rev");
/// Messages before a place, newest first.
pub(crate) const BEFORE: &str = snapshot!("seq < $2", "seq DESC");

#[derive(FromRow)]
pub(crate) struct SnapshotRow {
    epoch: String,
    head: i64,
    #[sqlx(flatten)]
    columns: Columns,
}

/// What one statement saw.
pub(crate) struct Snapshot {
    epoch: Epoch,
    head: u64,
    messages: Vec<Message>,
}

impl Snapshot {
    pub(crate) fn read(room: &RoomName, rows: Vec<SnapshotRow>) -> Result<Self, StoreError> {
        let first = rows.first().ok_or_else(|| StoreError::Refused("its settings lack an epoch".into()))?;
        let (epoch, head) = (row::epoch(&first.epoch)?, row::number(first.head));
        let messages =
            rows.into_iter().filter_map(|row| row.columns.message(room).transpose()).collect::<Result<_, _>>()?;
        Ok(Self { epoch, head, messages })
    }

    pub(crate) fn changes(mut self, after: u64, limit: usize) -> Changes {
        let more = self.messages.len() > limit;
        self.messages.truncate(limit);
        let complete_to = match self.messages.last() {
            Some(last) if more => last.rev,
            None if more => after,
            _ => self.head,
        };
        Changes { epoch: self.epoch, after, complete_to, more, head: self.head, messages: self.messages }
    }

    pub(crate) fn newest_changes(self, span: u64) -> Changes {
        let after = self.head.saturating_sub(span);
        self.changes(after, usize::MAX)
    }

    pub(crate) fn tail(mut self, limit: usize) -> Tail {
        let more = self.messages.len() > limit;
        self.messages.truncate(limit);
        self.messages.reverse();
        Tail { epoch: self.epoch, head: self.head, more, messages: self.messages }
    }
}
