//! Rooms that forget: the floor and a batch of rows in one transaction, and the next batch in the next.

use proto::{RoomName, Timestamp};
use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;

use super::{SqliteStore, faults};
use crate::StoreError;
use crate::archive::{GoneId, GoneIds};
use crate::retention::{Forgotten, Policy};
use crate::row::{self, GoneColumns, PolicyColumns, column};

const POLICY: &str = "SELECT room, keep_days, keep_messages FROM retention WHERE room = $1";
const POLICIES: &str = "SELECT room, keep_days, keep_messages FROM retention WHERE room > $1 ORDER BY room LIMIT $2";
const SET_POLICY: &str = "
    INSERT INTO retention (room, keep_days, keep_messages) VALUES ($1, $2, $3)
    ON CONFLICT (room) DO UPDATE SET keep_days = excluded.keep_days, keep_messages = excluded.keep_messages";
const DROP_POLICY: &str = "DELETE FROM retention WHERE room = $1";

const RAISE: &str = "UPDATE heads SET floor = min($2, head) WHERE room = $1 AND floor < min($2, head)";
const FLOOR: &str = "SELECT floor FROM heads WHERE room = $1";
/// The last of those that go now.
const BATCH: &str = "
    SELECT max(seq) FROM (SELECT seq FROM messages WHERE room = $1 AND seq <= $2 ORDER BY seq LIMIT $3)";
const KEEP: &str = "
    INSERT INTO kept_ids (room, id, text_hash, seq, at)
    SELECT room, id, text_hash, seq, at FROM messages WHERE room = $1 AND seq <= $2
    ON CONFLICT (room, id) DO NOTHING";
const DROP: &str = "DELETE FROM messages WHERE room = $1 AND seq <= $2";

impl SqliteStore {
    pub(super) async fn read_policy(&self, room: &RoomName) -> Result<Policy, StoreError> {
        let rows: Vec<PolicyColumns> = self.rows(sqlx::query_as(POLICY).bind(room.as_str())).await?;
        Ok(rows.first().map_or_else(Policy::default, PolicyColumns::policy))
    }

    pub(super) async fn read_policies(
        &self,
        after: Option<&RoomName>,
        limit: usize,
    ) -> Result<Vec<(RoomName, Policy)>, StoreError> {
        let query = sqlx::query_as(POLICIES).bind(after.map_or("", RoomName::as_str)).bind(column(limit as u64));
        let rows: Vec<PolicyColumns> = self.rows(query).await?;
        rows.into_iter().map(PolicyColumns::of_room).collect()
    }

    pub(super) async fn write_policy(&self, room: &RoomName, policy: Policy) -> Result<(), StoreError> {
        let number = |kept: Option<u32>| kept.map(i64::from);
        let query = match policy.keeps_all() {
            true => sqlx::query(DROP_POLICY).bind(room.as_str()),
            false => sqlx::query(SET_POLICY)
                .bind(room.as_str())
                .bind(number(policy.keep_days))
                .bind(number(policy.keep_messages)),
        };
        self.touched(query).await?;
        Ok(())
    }

    pub(super) async fn read_due(
        &self,
        room: &RoomName,
        policy: Policy,
        now: Timestamp,
        limit: usize,
    ) -> Result<u64, StoreError> {
        let judge = |error| faults::judge(&error);
        let mut seat = self.readers.take().await?;
        let mut due = 0;
        if let Some(keep) = policy.keep_messages {
            let query = sqlx::query_scalar(row::DUE_BY_COUNT).bind(room.as_str()).bind(i64::from(keep));
            let found: Option<i64> = query.fetch_one(&mut seat.connection).await.map_err(judge)?;
            due = due.max(found.map_or(0, row::number));
        }
        if let Some(cut) = policy.cut(now) {
            let query = sqlx::query_scalar(row::DUE_BY_AGE).bind(room.as_str()).bind(column(limit as u64)).bind(cut.0);
            let found: Option<i64> = query.fetch_one(&mut seat.connection).await.map_err(judge)?;
            due = due.max(found.map_or(0, row::number));
        }
        seat.give_back();
        Ok(due)
    }

    pub(super) async fn let_go(&self, room: &RoomName, floor: u64, limit: usize) -> Result<Forgotten, StoreError> {
        let mut seat = self.writer.take().await?;
        let mut transaction =
            seat.connection.begin_with("BEGIN IMMEDIATE").await.map_err(|error| faults::judge(&error))?;
        let forgotten = let_go(&mut transaction, room.as_str(), floor, limit).await;
        let forgotten = forgotten.map_err(|error| faults::judge(&error))?;
        transaction.commit().await.map_err(|error| faults::judge(&error))?;
        seat.give_back();
        Ok(forgotten)
    }

    pub(super) async fn read_gone_ids(
        &self,
        room: &RoomName,
        from: GoneIds,
        limit: usize,
    ) -> Result<Vec<GoneId>, StoreError> {
        let query = match from {
            GoneIds::WithRows(seq) => sqlx::query_as(row::GONE_WITH_ROWS).bind(room.as_str()).bind(column(seq)),
            GoneIds::Kept(after) => {
                let (sql, id) = row::gone_after(after);
                sqlx::query_as(sql).bind(room.as_str()).bind(id)
            }
        };
        let rows: Vec<GoneColumns> = self.rows(query.bind(column(limit as u64))).await?;
        rows.into_iter().map(|row| row.gone(room)).collect()
    }
}

async fn let_go(
    connection: &mut SqliteConnection,
    room: &str,
    floor: u64,
    limit: usize,
) -> Result<Forgotten, sqlx::Error> {
    sqlx::query(RAISE).bind(room).bind(column(floor)).execute(&mut *connection).await?;
    let floor: Option<i64> = sqlx::query_scalar(FLOOR).bind(room).fetch_optional(&mut *connection).await?;
    let floor = floor.unwrap_or(0);
    let limit = column(limit as u64);
    let last: Option<i64> =
        sqlx::query_scalar(BATCH).bind(room).bind(floor).bind(limit).fetch_one(&mut *connection).await?;
    let mut messages = 0;
    if let Some(last) = last {
        sqlx::query(KEEP).bind(room).bind(last).execute(&mut *connection).await?;
        messages = sqlx::query(DROP).bind(room).bind(last).execute(&mut *connection).await?.rows_affected();
    }
    let more = limit > 0 && messages == limit.cast_unsigned();
    Ok(Forgotten { floor: row::number(floor), messages: usize::try_from(messages).unwrap_or(usize::MAX), more })
}
