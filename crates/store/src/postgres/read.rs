//! Reading, on the readers' connections.

use proto::RoomName;
use sqlx::FromRow;

use super::{PostgresStore, rows_of};
use crate::row::{self, one_more};
use crate::snapshot::Snapshot;
use crate::{Heads, StoreError};

/// A look-up for each room, not a join: a join may be planned as a walk over all heads, and one with a limit cannot.
const HEADS: &str = "
    SELECT (SELECT value FROM settings WHERE key = 'epoch') AS epoch,
        coalesce(array_agg(coalesce(h.head, 0) ORDER BY r.place), '{}') AS heads,
        coalesce(array_agg(coalesce(h.floor, 0) ORDER BY r.place), '{}') AS floors
    FROM unnest($1) WITH ORDINALITY r (room, place)
    LEFT JOIN LATERAL (SELECT n.head, n.floor FROM heads n WHERE n.room = r.room LIMIT 1) h ON true";

#[derive(FromRow)]
struct HeadsRow {
    epoch: Option<String>,
    heads: Vec<i64>,
    floors: Vec<i64>,
}

impl PostgresStore {
    pub(super) async fn read_heads(&self, rooms: &[RoomName]) -> Result<Heads, StoreError> {
        let names: Vec<&str> = rooms.iter().map(RoomName::as_str).collect();
        let rows = self.ask_twice(|| sqlx::query(HEADS).bind(&names)).await?;
        match rows_of::<HeadsRow>(&rows)?.pop() {
            Some(HeadsRow { epoch: Some(epoch), heads, floors }) => {
                let numbers = |column: Vec<i64>| column.into_iter().map(row::number).collect();
                Ok(Heads { epoch: row::epoch(&epoch)?, heads: numbers(heads), floors: numbers(floors) })
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
