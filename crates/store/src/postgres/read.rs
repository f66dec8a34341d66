//! Reading, on the readers' connections.

use proto::RoomName;
use sqlx::FromRow;

use super::{PostgresStore, rows_of};
use crate::row::{self, one_more};
use crate::snapshot::Snapshot;
use crate::{Heads, StoreError};

/// A look-up for each room, not a join: a join may be planned as a walk over all heads.
const HEADS: &str = "
    SELECT (SELECT value FROM settings WHERE key = 'epoch') AS epoch,
        ARRAY(
            SELECT coalesce((SELECT h.head FROM heads h WHERE h.room = r.room), 0)
            FROM unnest($1) WITH ORDINALITY r (room, place) ORDER BY r.place
        ) AS heads";

#[derive(FromRow)]
struct HeadsRow {
    epoch: Option<String>,
    heads: Vec<i64>,
}

impl PostgresStore {
    pub(super) async fn read_heads(&self, rooms: &[RoomName]) -> Result<Heads, StoreError> {
        let names: Vec<&str> = rooms.iter().map(RoomName::as_str).collect();
        let rows = self.ask_twice(|| sqlx::query(HEADS).bind(&names)).await?;
        match rows_of::<HeadsRow>(&rows)?.pop() {
            Some(HeadsRow { epoch: Some(epoch), heads }) => {
                Ok(Heads { epoch: row::epoch(&epoch)?, heads: heads.into_iter().map(row::number).collect() })
            }
            _ => Err(StoreError::Refused("its settings lack an epoch".into())),
        }
    }

    /// One of the statements in [`crate::snapshot`], with one row more than asked for.
    pub(super) async fn snapshot(
        &self,
        sql: &'static str,
        room: &RoomName,
        number: u64,
        limit: usize,
    ) -> Result<Snapshot, StoreError> {
        let ask = || sqlx::query(sql).bind(room.as_str()).bind(row::column(number)).bind(one_more(limit));
        let rows = self.ask_twice(ask).await?;
        Snapshot::read(room, rows_of(&rows)?)
    }
}
