//! Rooms that forget: the floor first, then the rows, a batch at a time.

use proto::{RoomName, Timestamp};
use sqlx::FromRow;

use super::{PostgresStore, rows_of};
use crate::StoreError;
use crate::archive::{GoneId, GoneIds};
use crate::moment::Moment;
use crate::retention::{Forgotten, Policy};
use crate::row::{self, GoneColumns, PolicyColumns, column};

const POLICY: &str = "SELECT room, keep_days, keep_messages FROM retention WHERE room = $1";
const POLICIES: &str = "SELECT room, keep_days, keep_messages FROM retention WHERE room > $1 ORDER BY room LIMIT $2";
const SET_POLICY: &str = "
    INSERT INTO retention (room, keep_days, keep_messages) VALUES ($1, $2, $3)
    ON CONFLICT ON CONSTRAINT retention_pkey
    DO UPDATE SET keep_days = excluded.keep_days, keep_messages = excluded.keep_messages";
const DROP_POLICY: &str = "DELETE FROM retention WHERE room = $1";

/// Takes the head's lock for a moment, as every writer does: whoever numbers or changes a message knows the floor.
const RAISE: &str = "UPDATE heads SET floor = least($2, head) WHERE room = $1 AND floor < least($2, head)";

/// Without the head's lock: a row is in one of the two tables in any snapshot, and nobody changes what is below the floor. Two
/// who forget at once take different rows.
const MOVE: &str = "
    WITH bound AS MATERIALIZED (
        SELECT h.floor FROM heads h WHERE h.room = $1
    ), place AS MATERIALIZED (
        SELECT m.ctid AS row FROM messages m
        WHERE m.room = $1 AND m.seq <= (SELECT b.floor FROM bound b) ORDER BY m.seq LIMIT $2
        FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM messages m WHERE m.room = $1 AND m.ctid = ANY (ARRAY(SELECT p.row FROM place p))
        RETURNING m.room, m.id, m.text_hash, m.seq, m.at
    ), kept AS (
        INSERT INTO kept_ids (room, id, text_hash, seq, at) SELECT g.* FROM gone g
        ON CONFLICT ON CONSTRAINT kept_ids_pkey DO NOTHING
    )
    SELECT coalesce((SELECT b.floor FROM bound b), 0) AS floor, (SELECT count(*) FROM gone) AS messages";

#[derive(FromRow)]
struct MovedRow {
    floor: i64,
    messages: i64,
}

#[derive(FromRow)]
struct DueRow {
    due: Option<i64>,
}

impl PostgresStore {
    pub(super) async fn read_policy(&self, room: &RoomName) -> Result<Policy, StoreError> {
        let rows = self.ask_twice(|| sqlx::query(POLICY).bind(room.as_str())).await?;
        Ok(rows_of::<PolicyColumns>(&rows)?.pop().map_or_else(Policy::default, |row| row.policy()))
    }

    pub(super) async fn read_policies(
        &self,
        after: Option<&RoomName>,
        limit: usize,
    ) -> Result<Vec<(RoomName, Policy)>, StoreError> {
        let after = after.map_or("", RoomName::as_str);
        let rows = self.ask_twice(|| sqlx::query(POLICIES).bind(after).bind(column(limit as u64))).await?;
        rows_of::<PolicyColumns>(&rows)?.into_iter().map(PolicyColumns::of_room).collect()
    }

    pub(super) async fn write_policy(&self, room: &RoomName, policy: Policy) -> Result<(), StoreError> {
        let query = if policy.keeps_all() {
            sqlx::query(DROP_POLICY).bind(room.as_str().to_owned())
        } else {
            let number = |kept: Option<u32>| kept.map(i64::from);
            sqlx::query(SET_POLICY)
                .bind(room.as_str().to_owned())
                .bind(number(policy.keep_days))
                .bind(number(policy.keep_messages))
        };
        self.ask(&self.readers, query).await?;
        Ok(())
    }

    pub(super) async fn read_due(
        &self,
        room: &RoomName,
        policy: Policy,
        now: Timestamp,
        limit: usize,
    ) -> Result<u64, StoreError> {
        let mut due = 0;
        if let Some(keep) = policy.keep_messages {
            let ask = || sqlx::query(row::DUE_BY_COUNT).bind(room.as_str()).bind(i64::from(keep));
            due = due.max(self.due(self.ask_twice(ask).await?)?);
        }
        if let Some(cut) = policy.cut(now) {
            let limit = column(limit as u64);
            let ask = || sqlx::query(row::DUE_BY_AGE).bind(room.as_str()).bind(limit).bind(Moment(cut));
            due = due.max(self.due(self.ask_twice(ask).await?)?);
        }
        Ok(due)
    }

    fn due(&self, rows: Vec<sqlx::postgres::PgRow>) -> Result<u64, StoreError> {
        Ok(rows_of::<DueRow>(&rows)?.pop().and_then(|row| row.due).map_or(0, row::number))
    }

    pub(super) async fn let_go(&self, room: &RoomName, floor: u64, limit: usize) -> Result<Forgotten, StoreError> {
        if floor > 0 {
            self.ask(&self.readers, sqlx::query(RAISE).bind(room.as_str().to_owned()).bind(column(floor))).await?;
        }
        let query = sqlx::query(MOVE).bind(room.as_str().to_owned()).bind(column(limit as u64));
        let rows = self.ask(&self.readers, query).await?;
        let MovedRow { floor, messages } =
            rows_of(&rows)?.pop().ok_or_else(|| StoreError::Refused("it does not say what it let go of".into()))?;
        let messages = usize::try_from(messages).unwrap_or(0);
        Ok(Forgotten { floor: row::number(floor), messages, more: limit > 0 && messages == limit })
    }

    pub(super) async fn read_gone_ids(
        &self,
        room: &RoomName,
        from: GoneIds,
        limit: usize,
    ) -> Result<Vec<GoneId>, StoreError> {
        let limit = column(limit as u64);
        let rows = match from {
            GoneIds::WithRows(seq) => {
                let ask = || sqlx::query(row::GONE_WITH_ROWS).bind(room.as_str()).bind(column(seq)).bind(limit);
                self.ask_twice(ask).await?
            }
            GoneIds::Kept(after) => {
                let (sql, id) = row::gone_after(after);
                let ask = || sqlx::query(sql).bind(room.as_str()).bind(id).bind(limit);
                self.ask_twice(ask).await?
            }
        };
        rows_of::<GoneColumns>(&rows)?.into_iter().map(|row| row.gone(room)).collect()
    }
}
