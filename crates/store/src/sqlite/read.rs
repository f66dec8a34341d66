//! Reading, on the readers' connections.

use proto::RoomName;
use sqlx::FromRow;

use super::SqliteStore;
use crate::row::{self, one_more};
use crate::snapshot::{Snapshot, SnapshotRow};
use crate::{Heads, StoreError};

const HEADS: &str = "
    SELECT s.value AS epoch, coalesce(h.head, 0) AS head, coalesce(h.floor, 0) AS floor
    FROM settings s LEFT JOIN json_each($1) r ON true LEFT JOIN heads h ON h.room = r.value
    WHERE s.key = 'epoch' ORDER BY r.key";

#[derive(FromRow)]
struct HeadsRow {
    epoch: String,
    head: i64,
    floor: i64,
}

impl SqliteStore {
    pub(super) async fn read_heads(&self, rooms: &[RoomName]) -> Result<Heads, StoreError> {
        // Nothing in a room's alphabet needs escaping in JSON.
        let quoted: Vec<String> = rooms.iter().map(|room| format!("\"{room}\"")).collect();
        let names = format!("[{}]", quoted.join(","));
        let rows: Vec<HeadsRow> = self.rows(sqlx::query_as(HEADS).bind(names)).await?;
        let first = rows.first().ok_or_else(|| StoreError::Refused("its settings lack an epoch".into()))?;
        let epoch = row::epoch(&first.epoch)?;
        // Asked about no room, one row still carries the epoch.
        let rows = rows.iter().take(rooms.len());
        let (heads, floors) = rows.map(|row| (row::number(row.head), row::number(row.floor))).unzip();
        Ok(Heads { epoch, heads, floors })
    }

    /// One of the statements in [`crate::snapshot`], with one row more than asked for.
    pub(super) async fn snapshot(
        &self,
        sql: &'static str,
        room: &RoomName,
        number: u64,
        limit: usize,
    ) -> Result<Snapshot, StoreError> {
        let query = sqlx::query_as(sql).bind(room.as_str()).bind(row::column(number)).bind(one_more(limit));
        let rows: Vec<SnapshotRow> = self.rows(query).await?;
        Snapshot::read(room, rows)
    }
}
