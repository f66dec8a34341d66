//! Rooms that leave whole, and rooms that come in.

use proto::{MessageId, RoomName};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, FromRow};
use tokio::time::timeout;
use uuid::Uuid;

use super::{PostgresStore, faults, rows_of, settings};
use crate::StoreError;
use crate::archive::{Above, GoneId, Present, Record, Records, Restoration, Restored, TextHash};
use crate::moment::Moment;
use crate::row::{self, GoneColumns, column, one_more};
use crate::snapshot::{self, RecordColumns};

const ROOMS: &str = "SELECT room FROM heads WHERE room > $1 AND head > 0 ORDER BY room LIMIT $2";

/// Locks the head as every writer does, and keeps its numbers for what comes.
const RESERVE: &str = "
    INSERT INTO heads AS h (room, head, floor) VALUES ($1, $2, $3)
    ON CONFLICT ON CONSTRAINT heads_pkey
    DO UPDATE SET head = greatest(h.head, excluded.head), floor = greatest(h.floor, excluded.floor)
    RETURNING floor";

const GONE: &str = "
    SELECT k.* FROM unnest($2::uuid[]) w (id) CROSS JOIN LATERAL (
        SELECT n.id, n.text_hash, n.seq, n.at FROM kept_ids n
        WHERE n.room = $1 AND n.id BETWEEN w.id AND w.id ORDER BY n.id LIMIT 1) k";

const KEEP_IDS: &str = "
    INSERT INTO kept_ids (room, id, text_hash, seq, at)
    SELECT $1, g.* FROM unnest($2::uuid[], $3::bytea[], $4::bigint[], $5::timestamptz[]) g";

/// Look-ups one by one, in an order that only the right index has; see `tertulia_append` for why.
const PRESENT: &str = "
    WITH place AS (
        SELECT m.seq FROM unnest($2::bigint[]) w (seq) CROSS JOIN LATERAL (
            SELECT n.seq FROM messages n WHERE n.room = $1 AND n.seq BETWEEN w.seq AND w.seq ORDER BY n.seq LIMIT 1) m
        UNION
        SELECT m.seq FROM unnest($3::bigint[]) w (rev) CROSS JOIN LATERAL (
            SELECT n.seq FROM messages n WHERE n.room = $1 AND n.rev BETWEEN w.rev AND w.rev ORDER BY n.rev LIMIT 1) m
        UNION
        SELECT m.seq FROM unnest($4::uuid[]) w (id) CROSS JOIN LATERAL (
            SELECT n.seq FROM messages n WHERE n.room = $1 AND n.id BETWEEN w.id AND w.id ORDER BY n.id LIMIT 1) m
    )
    SELECT m.* FROM place p CROSS JOIN LATERAL (
        SELECT n.* FROM messages n WHERE n.room = $1 AND n.seq BETWEEN p.seq AND p.seq ORDER BY n.seq LIMIT 1) m";

/// A message that is there is one that has changed since: its origin stays.
const KEEP: &str = "
    INSERT INTO messages (room, seq, rev, id, text_hash, author, author_name, text, at, edited_at, deleted, reply_to)
    SELECT $1, r.* FROM unnest(
        $2::bigint[], $3::bigint[], $4::uuid[], $5::bytea[], $6::uuid[], $7::text[], $8::text[], $9::timestamptz[],
        $10::timestamptz[], $11::boolean[], $12::bigint[]) r
    ON CONFLICT (room, seq) DO UPDATE SET
        rev = excluded.rev, text = excluded.text, edited_at = excluded.edited_at, deleted = excluded.deleted";

#[derive(FromRow)]
struct Name {
    room: String,
}

impl PostgresStore {
    pub(super) async fn list_rooms(&self, after: Option<&RoomName>, limit: usize) -> Result<Vec<RoomName>, StoreError> {
        let after = after.map_or("", RoomName::as_str);
        let ask = || sqlx::query(ROOMS).bind(after.to_owned()).bind(column(limit as u64));
        let names: Vec<Name> = rows_of(&self.ask_twice(ask).await?)?;
        crate::row::room_names(names.into_iter().map(|name| name.room))
    }

    pub(super) async fn read_records(
        &self,
        room: &RoomName,
        above: Above,
        limit: usize,
    ) -> Result<Records, StoreError> {
        let (sql, number) = snapshot::records_above(above);
        let ask = || sqlx::query(sql).bind(room.as_str()).bind(column(number)).bind(one_more(limit));
        let rows = self.ask_twice(ask).await?;
        snapshot::records(room, rows_of(&rows)?, limit)
    }

    /// One transaction of several statements. A failure of any closes the connection, and Postgres rolls back.
    pub(super) async fn put_back(&self, wanted: &Restoration<'_>) -> Result<Restored, StoreError> {
        let mut seat = self.lane(0).take().await?;
        let restored = timeout(self.config.answer_timeout, put_back(&mut seat.connection, wanted))
            .await
            .map_err(|_| StoreError::Away("it does not answer".into()))??;
        seat.give_back();
        Ok(restored)
    }
}

async fn put_back(connection: &mut PgConnection, wanted: &Restoration<'_>) -> Result<Restored, StoreError> {
    let judge = |error| faults::judge(&error).error;
    let mut transaction = connection.begin().await.map_err(judge)?;
    let room = wanted.room.as_str();
    let floor: i64 = sqlx::query_scalar(RESERVE)
        .bind(room)
        .bind(column(wanted.reach()))
        .bind(column(wanted.floor))
        .fetch_one(&mut *transaction)
        .await
        .map_err(judge)?;
    let present = present(&mut transaction, wanted, row::number(floor)).await?;
    let (write, ids) = match present.plan(wanted) {
        Ok(plan) => plan,
        Err(seq) => {
            transaction.rollback().await.map_err(judge)?;
            return Ok(Restored::Differs(seq));
        }
    };
    if !ids.is_empty() {
        keep_ids(&mut transaction, room, &ids).await.map_err(judge)?;
    }
    if !write.is_empty() {
        keep(&mut transaction, room, &write).await.map_err(judge)?;
        settings::epoch_after(wanted.void).execute(&mut *transaction).await.map_err(judge)?;
    }
    transaction.commit().await.map_err(judge)?;
    Ok(Restored::Kept(write.len()))
}

async fn present(connection: &mut PgConnection, wanted: &Restoration<'_>, floor: u64) -> Result<Present, StoreError> {
    let judge = |error| faults::judge(&error).error;
    let ids: Vec<Uuid> = wanted.ids().map(|MessageId(id)| id).collect();
    let gone: Vec<GoneColumns> = sqlx::query_as(GONE)
        .bind(wanted.room.as_str())
        .bind(ids.as_slice())
        .fetch_all(&mut *connection)
        .await
        .map_err(judge)?;
    let gone = gone.into_iter().map(|row| row.gone(wanted.room)).collect::<Result<Vec<GoneId>, _>>()?;
    let messages = || wanted.records.iter().map(|record| &record.message);
    let rows: Vec<RecordColumns> = sqlx::query_as(PRESENT)
        .bind(wanted.room.as_str())
        .bind(messages().map(|message| column(message.seq)).collect::<Vec<i64>>())
        .bind(messages().map(|message| column(message.rev)).collect::<Vec<i64>>())
        .bind(ids)
        .fetch_all(connection)
        .await
        .map_err(judge)?;
    let records = rows.into_iter().filter_map(|row| row.record(wanted.room).transpose());
    Ok(Present::new(floor, gone, records.collect::<Result<Vec<Record>, _>>()?))
}

async fn keep_ids(connection: &mut PgConnection, room: &str, ids: &[GoneId]) -> Result<(), sqlx::Error> {
    sqlx::query(KEEP_IDS)
        .bind(room)
        .bind(ids.iter().map(|gone| gone.id.0).collect::<Vec<Uuid>>())
        .bind(ids.iter().map(|gone| gone.text_hash).collect::<Vec<TextHash>>())
        .bind(ids.iter().map(|gone| column(gone.seq)).collect::<Vec<i64>>())
        .bind(ids.iter().map(|gone| Moment(gone.at)).collect::<Vec<Moment>>())
        .execute(connection)
        .await?;
    Ok(())
}

async fn keep(connection: &mut PgConnection, room: &str, records: &[&Record]) -> Result<(), sqlx::Error> {
    let messages = || records.iter().map(|record| &record.message);
    sqlx::query(KEEP)
        .bind(room)
        .bind(messages().map(|message| column(message.seq)).collect::<Vec<i64>>())
        .bind(messages().map(|message| column(message.rev)).collect::<Vec<i64>>())
        .bind(messages().map(|message| message.id.0).collect::<Vec<Uuid>>())
        .bind(records.iter().map(|record| record.text_hash).collect::<Vec<TextHash>>())
        .bind(messages().map(|message| message.from.id.0).collect::<Vec<Uuid>>())
        .bind(messages().map(|message| message.from.name.as_str()).collect::<Vec<&str>>())
        .bind(messages().map(|message| message.text.as_str()).collect::<Vec<&str>>())
        .bind(messages().map(|message| Moment(message.at)).collect::<Vec<Moment>>())
        .bind(messages().map(|message| message.edited_at.map(Moment)).collect::<Vec<Option<Moment>>>())
        .bind(messages().map(|message| message.deleted).collect::<Vec<bool>>())
        .bind(messages().map(|message| message.reply_to.map(u64::cast_signed)).collect::<Vec<Option<i64>>>())
        .execute(connection)
        .await?;
    Ok(())
}
