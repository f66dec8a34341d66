//! Writing: one transaction a batch, which holds the only writer's place from its first statement on.
//!
//! A transaction that begins as a reader and turns to writing later would fail at once when another wrote in between; hence
//! IMMEDIATE. Whatever goes wrong inside drops the connection, and SQLite rolls back.

use std::collections::BTreeMap;

use proto::{RoomName, Timestamp};
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, FromRow};

use super::{SqliteStore, faults};
use crate::row::{self, Columns, text_hash};
use crate::{Amendment, Change, Outcome, Post, StoreError};

const HEAD: &str = "SELECT head FROM heads WHERE room = $1";
const SET_HEAD: &str =
    "INSERT INTO heads (room, head) VALUES ($1, $2) ON CONFLICT (room) DO UPDATE SET head = excluded.head";
const INSERT: &str = "
    INSERT INTO messages (room, seq, rev, id, text_hash, author, author_name, text, at, reply_to)
    VALUES ($1, $2, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (room, id) DO NOTHING";
const BY_ID: &str = "
    SELECT text_hash, seq, rev, id, author, author_name, text, at, edited_at, deleted, reply_to
    FROM messages WHERE room = $1 AND id = $2";
const BY_SEQ: &str = "
    SELECT seq, rev, id, author, author_name, text, at, edited_at, deleted, reply_to
    FROM messages WHERE room = $1 AND seq = $2";
const AMEND: &str =
    "UPDATE messages SET rev = $3, text = $4, edited_at = $5, deleted = $6 WHERE room = $1 AND seq = $2";

#[derive(FromRow)]
struct KnownRow {
    text_hash: Vec<u8>,
    #[sqlx(flatten)]
    columns: Columns,
}

/// The heads of the rooms that a transaction has touched so far.
#[derive(Default)]
struct Numbers<'a>(BTreeMap<&'a RoomName, (u64, bool)>);

impl<'a> Numbers<'a> {
    async fn next(&mut self, connection: &mut SqliteConnection, room: &'a RoomName) -> Result<u64, sqlx::Error> {
        if let Some((head, _)) = self.0.get(room) {
            return Ok(head + 1);
        }
        let head: Option<i64> = sqlx::query_scalar(HEAD).bind(room.as_str()).fetch_optional(connection).await?;
        let head = head.map_or(0, row::number);
        self.0.insert(room, (head, false));
        Ok(head + 1)
    }

    fn take(&mut self, room: &'a RoomName, number: u64) {
        self.0.insert(room, (number, true));
    }

    async fn keep(self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        for (room, (head, moved)) in self.0 {
            if moved {
                let query = sqlx::query(SET_HEAD).bind(room.as_str()).bind(row::column(head));
                query.execute(&mut *connection).await?;
            }
        }
        Ok(())
    }
}

impl SqliteStore {
    pub(super) async fn append_all(&self, posts: &[Post]) -> Result<Vec<Outcome>, StoreError> {
        let mut seat = self.writer.take().await?;
        let mut transaction =
            seat.connection.begin_with("BEGIN IMMEDIATE").await.map_err(|error| faults::judge(&error))?;
        let mut numbers = Numbers::default();
        let mut outcomes = Vec::with_capacity(posts.len());
        let at = Timestamp::now();
        for post in posts {
            outcomes.push(append(&mut transaction, &mut numbers, post, at).await?);
        }
        numbers.keep(&mut transaction).await.map_err(|error| faults::judge(&error))?;
        transaction.commit().await.map_err(|error| faults::judge(&error))?;
        seat.give_back();
        Ok(outcomes)
    }

    pub(super) async fn amend_all(&self, amendments: &[Amendment]) -> Result<Vec<Outcome>, StoreError> {
        let mut seat = self.writer.take().await?;
        let mut transaction =
            seat.connection.begin_with("BEGIN IMMEDIATE").await.map_err(|error| faults::judge(&error))?;
        let mut numbers = Numbers::default();
        let mut outcomes = Vec::with_capacity(amendments.len());
        let at = Timestamp::now();
        for amendment in amendments {
            outcomes.push(amend(&mut transaction, &mut numbers, amendment, at).await?);
        }
        numbers.keep(&mut transaction).await.map_err(|error| faults::judge(&error))?;
        transaction.commit().await.map_err(|error| faults::judge(&error))?;
        seat.give_back();
        Ok(outcomes)
    }
}

async fn append<'a>(
    connection: &mut SqliteConnection,
    numbers: &mut Numbers<'a>,
    post: &'a Post,
    at: Timestamp,
) -> Result<Outcome, StoreError> {
    let judge = |error| faults::judge(&error);
    let seq = numbers.next(connection, &post.room).await.map_err(judge)?;
    let hash = text_hash(post.text.as_str());
    let inserted = sqlx::query(INSERT)
        .bind(post.room.as_str())
        .bind(row::column(seq))
        .bind(post.id.0)
        .bind(hash.to_vec())
        .bind(post.from.id.0)
        .bind(post.from.name.as_str())
        .bind(post.text.as_str())
        .bind(at.0)
        .bind(post.reply_to.map(u64::cast_signed))
        .execute(&mut *connection)
        .await
        .map_err(judge)?;
    if inserted.rows_affected() == 1 {
        numbers.take(&post.room, seq);
        return Ok(Outcome::Kept(post.kept(seq, at)));
    }
    let known: KnownRow =
        sqlx::query_as(BY_ID).bind(post.room.as_str()).bind(post.id.0).fetch_one(connection).await.map_err(judge)?;
    if known.text_hash != hash {
        return Ok(Outcome::IdTaken);
    }
    Ok(known.columns.message(&post.room)?.map_or(Outcome::IdTaken, Outcome::Known))
}

async fn amend<'a>(
    connection: &mut SqliteConnection,
    numbers: &mut Numbers<'a>,
    amendment: &'a Amendment,
    at: Timestamp,
) -> Result<Outcome, StoreError> {
    let judge = |error| faults::judge(&error);
    let found: Option<Columns> = sqlx::query_as(BY_SEQ)
        .bind(amendment.room.as_str())
        .bind(row::column(amendment.seq))
        .fetch_optional(&mut *connection)
        .await
        .map_err(judge)?;
    let Some(mut message) = found.map(|columns| columns.message(&amendment.room)).transpose()?.flatten() else {
        return Ok(Outcome::NotFound);
    };
    if message.from.id != amendment.by {
        return Ok(Outcome::Forbidden);
    }
    match &amendment.change {
        Change::Delete if message.deleted => return Ok(Outcome::Known(message)),
        Change::Text(_) if message.deleted => return Ok(Outcome::NotFound),
        Change::Text(text) if text.as_str() == message.text => return Ok(Outcome::Known(message)),
        Change::Delete => {
            message.text.clear();
            message.deleted = true;
        }
        Change::Text(text) => {
            text.as_str().clone_into(&mut message.text);
            message.edited_at = Some(at);
        }
    }
    message.rev = numbers.next(connection, &amendment.room).await.map_err(judge)?;
    sqlx::query(AMEND)
        .bind(amendment.room.as_str())
        .bind(row::column(amendment.seq))
        .bind(row::column(message.rev))
        .bind(message.text.clone())
        .bind(message.edited_at.map(|moment| moment.0))
        .bind(message.deleted)
        .execute(connection)
        .await
        .map_err(judge)?;
    numbers.take(&amendment.room, message.rev);
    Ok(Outcome::Kept(message))
}
