//! Rooms that leave whole, and rooms that come in.

use proto::{MessageId, RoomName};
use sqlx::sqlite::{Sqlite, SqliteConnection};
use sqlx::{Connection, QueryBuilder};

use super::{SqliteStore, faults, settings};
use crate::StoreError;
use crate::archive::{Above, GoneId, Present, Record, Records, Restoration, Restored};
use crate::row::{self, GoneColumns, column, one_more};
use crate::snapshot::{self, RecordColumns, RecordsRow};

const ROOMS: &str = "SELECT room FROM heads WHERE room > $1 AND head > 0 ORDER BY room LIMIT $2";
const RESERVE: &str = "
    INSERT INTO heads (room, head, floor) VALUES ($1, $2, $3)
    ON CONFLICT (room) DO UPDATE SET head = max(head, excluded.head), floor = max(floor, excluded.floor)
    RETURNING floor";

/// Rows in one statement: each has twelve values, and SQLite takes 32,766.
const ROWS_MAX: usize = 1_000;

impl SqliteStore {
    pub(super) async fn list_rooms(&self, after: Option<&RoomName>, limit: usize) -> Result<Vec<RoomName>, StoreError> {
        let query = sqlx::query_as(ROOMS).bind(after.map_or("", RoomName::as_str)).bind(column(limit as u64));
        let names: Vec<(String,)> = self.rows(query).await?;
        row::room_names(names.into_iter().map(|(name,)| name))
    }

    pub(super) async fn read_records(
        &self,
        room: &RoomName,
        above: Above,
        limit: usize,
    ) -> Result<Records, StoreError> {
        let (sql, number) = snapshot::records_above(above);
        let query = sqlx::query_as(sql).bind(room.as_str()).bind(column(number)).bind(one_more(limit));
        let rows: Vec<RecordsRow> = self.rows(query).await?;
        snapshot::records(room, rows, limit)
    }

    pub(super) async fn put_back(&self, wanted: &Restoration<'_>) -> Result<Restored, StoreError> {
        let judge = |error| faults::judge(&error);
        let mut seat = self.writer.take().await?;
        let mut transaction = seat.connection.begin_with("BEGIN IMMEDIATE").await.map_err(judge)?;
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
                seat.give_back();
                return Ok(Restored::Differs(seq));
            }
        };
        keep_ids(&mut transaction, room, &ids).await.map_err(judge)?;
        if !write.is_empty() {
            keep(&mut transaction, room, &write).await.map_err(judge)?;
            settings::epoch_after(wanted.void).execute(&mut *transaction).await.map_err(judge)?;
        }
        transaction.commit().await.map_err(judge)?;
        seat.give_back();
        Ok(Restored::Kept(write.len()))
    }
}

/// The rows that have one of the records' places, numbers or ids, each by its own index.
async fn present(
    connection: &mut SqliteConnection,
    wanted: &Restoration<'_>,
    floor: u64,
) -> Result<Present, StoreError> {
    let gone = gone(connection, wanted).await?;
    let mut present = Vec::new();
    for ids in wanted.gone.chunks(ROWS_MAX) {
        let mut query = QueryBuilder::<Sqlite>::new(
            "SELECT text_hash, seq, rev, id, author, author_name, text, at, edited_at, deleted, reply_to \
             FROM messages WHERE room = ",
        );
        query.push_bind(wanted.room.as_str()).push(" AND id IN (");
        let mut list = query.separated(", ");
        for gone in ids {
            list.push_bind(gone.id.0);
        }
        query.push(")");
        let rows: Vec<RecordColumns> = query
            .build_query_as()
            .persistent(false)
            .fetch_all(&mut *connection)
            .await
            .map_err(|error| faults::judge(&error))?;
        for row in rows {
            present.extend(row.record(wanted.room)?);
        }
    }
    for records in wanted.records.chunks(ROWS_MAX) {
        let mut query = QueryBuilder::<Sqlite>::new("");
        for (which, key) in ["seq", "rev", "id"].into_iter().enumerate() {
            query.push(if which == 0 { "" } else { " UNION " });
            query.push(
                "SELECT text_hash, seq, rev, id, author, author_name, text, at, edited_at, deleted, reply_to \
                 FROM messages WHERE room = ",
            );
            query.push_bind(wanted.room.as_str()).push(" AND ").push(key).push(" IN (");
            let mut list = query.separated(", ");
            for Record { message, .. } in records {
                match key {
                    "seq" => list.push_bind(column(message.seq)),
                    "rev" => list.push_bind(column(message.rev)),
                    _ => list.push_bind(message.id.0),
                };
            }
            query.push(")");
        }
        let rows: Vec<RecordColumns> = query
            .build_query_as()
            .persistent(false)
            .fetch_all(&mut *connection)
            .await
            .map_err(|error| faults::judge(&error))?;
        for row in rows {
            present.extend(row.record(wanted.room)?);
        }
    }
    Ok(Present::new(floor, gone, present))
}

/// What is known of the wanted ids as gone.
async fn gone(connection: &mut SqliteConnection, wanted: &Restoration<'_>) -> Result<Vec<GoneId>, StoreError> {
    let ids: Vec<MessageId> = wanted.ids().collect();
    let mut gone = Vec::new();
    for ids in ids.chunks(ROWS_MAX) {
        let mut query = QueryBuilder::<Sqlite>::new("SELECT id, text_hash, seq, at FROM kept_ids WHERE room = ");
        query.push_bind(wanted.room.as_str()).push(" AND id IN (");
        let mut list = query.separated(", ");
        for MessageId(id) in ids {
            list.push_bind(*id);
        }
        query.push(")");
        let rows: Vec<GoneColumns> = query
            .build_query_as()
            .persistent(false)
            .fetch_all(&mut *connection)
            .await
            .map_err(|error| faults::judge(&error))?;
        for row in rows {
            gone.push(row.gone(wanted.room)?);
        }
    }
    Ok(gone)
}

async fn keep_ids(connection: &mut SqliteConnection, room: &str, ids: &[GoneId]) -> Result<(), sqlx::Error> {
    for ids in ids.chunks(ROWS_MAX) {
        let mut query = QueryBuilder::<Sqlite>::new("INSERT INTO kept_ids (room, id, text_hash, seq, at) ");
        query.push_values(ids, |mut values, gone| {
            values
                .push_bind(room)
                .push_bind(gone.id.0)
                .push_bind(gone.text_hash.to_vec())
                .push_bind(column(gone.seq))
                .push_bind(gone.at.0);
        });
        query.build().persistent(false).execute(&mut *connection).await?;
    }
    Ok(())
}

/// A message that is there is one that has changed since: its origin stays.
async fn keep(connection: &mut SqliteConnection, room: &str, records: &[&Record]) -> Result<(), sqlx::Error> {
    for records in records.chunks(ROWS_MAX) {
        let mut query = QueryBuilder::<Sqlite>::new(
            "INSERT INTO messages (room, seq, rev, id, text_hash, author, author_name, text, at, edited_at, deleted, reply_to) ",
        );
        query.push_values(records, |mut values, Record { message, text_hash }| {
            values
                .push_bind(room)
                .push_bind(column(message.seq))
                .push_bind(column(message.rev))
                .push_bind(message.id.0)
                .push_bind(text_hash.to_vec())
                .push_bind(message.from.id.0)
                .push_bind(message.from.name.as_str())
                .push_bind(message.text.as_str())
                .push_bind(message.at.0)
                .push_bind(message.edited_at.map(|moment| moment.0))
                .push_bind(message.deleted)
                .push_bind(message.reply_to.map(u64::cast_signed));
        });
        query.push(
            " ON CONFLICT (room, seq) DO UPDATE SET rev = excluded.rev, text = excluded.text, \
             edited_at = excluded.edited_at, deleted = excluded.deleted",
        );
        query.build().persistent(false).execute(&mut *connection).await?;
    }
    Ok(())
}
