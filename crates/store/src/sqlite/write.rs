//! Writing: one transaction a batch, which holds the only writer's place from its first statement on.
//!
//! Every statement is a trip to SQLite's thread and back, which costs more than the row: a batch takes four of them,
//! and one more where somebody outside is to be told.
//! A transaction that begins as a reader and turns to writing later would fail at once when another wrote in between; hence
//! IMMEDIATE. Whatever goes wrong inside drops the connection, and SQLite rolls back.

use std::collections::{BTreeMap, HashMap};

use proto::Timestamp;
use sqlx::sqlite::{Sqlite, SqliteConnection};
use sqlx::{Connection, FromRow, QueryBuilder};
use uuid::Uuid;

use super::webhooks::{Happened, Hooks};
use super::{SqliteStore, faults};
use crate::row::{self, Columns, GoneColumns, text_hash};
use crate::{Amendment, Change, Events, Outcome, Post, StoreError};

const BY_SEQ: &str = "
    SELECT seq, rev, id, author, author_name, text, at, edited_at, deleted, reply_to
    FROM messages WHERE room = $1 AND seq = $2";
const AMEND: &str =
    "UPDATE messages SET rev = $3, text = $4, edited_at = $5, deleted = $6 WHERE room = $1 AND seq = $2";

/// Rows in one statement: each has up to ten values, and SQLite takes 32,766.
const ROWS_MAX: usize = 1_000;

/// Whether to keep a prepared statement of so many rows: the lone post's is used again, that of a crowd seldom.
fn is_kept(rows: usize) -> bool {
    rows == 1
}

#[derive(FromRow)]
struct KnownRow {
    idx: i64,
    text_hash: Vec<u8>,
    #[sqlx(flatten)]
    columns: Columns,
}

/// What is known of an id whose row is gone.
#[derive(FromRow)]
struct GoneRow {
    idx: i64,
    #[sqlx(flatten)]
    gone: GoneColumns,
}

/// Where a room stands in a transaction.
#[derive(Clone, Copy, Default)]
struct Standing {
    head: u64,
    floor: u64,
    moved: bool,
}

/// Where a transaction's rooms stand; and who outside is told of these rooms.
struct Numbers<'a> {
    rooms: BTreeMap<&'a str, Standing>,
    hooks: Hooks,
}

#[derive(FromRow)]
struct HeadRow {
    room: String,
    head: i64,
    floor: i64,
    webhook: Option<Uuid>,
    events: Option<i32>,
}

impl<'a> Numbers<'a> {
    async fn read(
        connection: &mut SqliteConnection,
        rooms: impl Iterator<Item = &'a str>,
    ) -> Result<Self, sqlx::Error> {
        let mut rooms: BTreeMap<&str, Standing> = rooms.map(|room| (room, Standing::default())).collect();
        let mut hooks = Hooks::default();
        let names: Vec<&str> = rooms.keys().copied().collect();
        for names in names.chunks(ROWS_MAX) {
            // One trip for both: for a room without webhooks it costs a look at an index.
            let mut query = QueryBuilder::<Sqlite>::new("WITH wanted (room) AS (");
            query.push_values(names, |mut values, name| {
                values.push_bind(*name);
            });
            query.push(
                ") SELECT r.room, coalesce(h.head, 0) AS head, coalesce(h.floor, 0) AS floor,
                    w.id AS webhook, w.events FROM wanted r
                LEFT JOIN heads h ON h.room = r.room
                LEFT JOIN webhooks w ON w.room = r.room AND w.direction = 'out' AND w.disabled_at IS NULL",
            );
            let rows: Vec<HeadRow> =
                query.build_query_as().persistent(is_kept(names.len())).fetch_all(&mut *connection).await?;
            for HeadRow { room, head, floor, webhook, events } in rows {
                if let Some(standing) = rooms.get_mut(room.as_str()) {
                    (standing.head, standing.floor) = (row::number(head), row::number(floor));
                }
                if let (Some(webhook), Some(events)) = (webhook, events) {
                    hooks.add(&room, webhook, events);
                }
            }
        }
        Ok(Self { rooms, hooks })
    }

    fn next(&mut self, room: &'a str) -> u64 {
        let standing = self.rooms.entry(room).or_default();
        standing.head += 1;
        standing.moved = true;
        standing.head
    }

    /// What is at or below it is gone.
    fn floor(&self, room: &str) -> u64 {
        self.rooms.get(room).map_or(0, |standing| standing.floor)
    }

    async fn keep(self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let moved: Vec<(&str, u64)> = self
            .rooms
            .into_iter()
            .filter_map(|(room, standing)| standing.moved.then_some((room, standing.head)))
            .collect();
        for heads in moved.chunks(ROWS_MAX) {
            let mut query = QueryBuilder::<Sqlite>::new("INSERT INTO heads (room, head) ");
            query.push_values(heads, |mut values, (room, head)| {
                values.push_bind(*room).push_bind(row::column(*head));
            });
            query.push(" ON CONFLICT (room) DO UPDATE SET head = excluded.head");
            query.build().persistent(is_kept(heads.len())).execute(&mut *connection).await?;
        }
        Ok(())
    }
}

impl SqliteStore {
    pub(super) async fn append_all(&self, posts: &[Post]) -> Result<Vec<Outcome>, StoreError> {
        let mut seat = self.writer.take().await?;
        let mut transaction =
            seat.connection.begin_with("BEGIN IMMEDIATE").await.map_err(|error| faults::judge(&error))?;
        let rooms = posts.iter().map(|post| post.room.as_str());
        let mut numbers = Numbers::read(&mut transaction, rooms).await.map_err(|error| faults::judge(&error))?;
        let mut known = known(&mut transaction, posts, &numbers).await?;
        gone(&mut transaction, posts, &numbers, &mut known).await?;
        let at = Timestamp::now();
        let mut fresh = Vec::with_capacity(posts.len());
        let mut outcomes = Vec::with_capacity(posts.len());
        for (index, post) in posts.iter().enumerate() {
            outcomes.push(known.remove(&index).unwrap_or_else(|| {
                let seq = numbers.next(post.room.as_str());
                fresh.push((post, seq));
                Outcome::Kept(post.kept(seq, at))
            }));
        }
        insert(&mut transaction, &fresh, at).await.map_err(|error| faults::judge(&error))?;
        let said = fresh.iter().map(|(post, seq)| (post.room.as_str(), *seq));
        let happened: Vec<_> =
            said.map(|(room, seq)| Happened { room, seq, rev: seq, event: Events::MESSAGE }).collect();
        numbers.hooks.tell(&mut transaction, &happened, at).await.map_err(|error| faults::judge(&error))?;
        numbers.keep(&mut transaction).await.map_err(|error| faults::judge(&error))?;
        transaction.commit().await.map_err(|error| faults::judge(&error))?;
        seat.give_back();
        Ok(outcomes)
    }

    pub(super) async fn amend_all(&self, amendments: &[Amendment]) -> Result<Vec<Outcome>, StoreError> {
        let mut seat = self.writer.take().await?;
        let mut transaction =
            seat.connection.begin_with("BEGIN IMMEDIATE").await.map_err(|error| faults::judge(&error))?;
        let rooms = amendments.iter().map(|amendment| amendment.room.as_str());
        let mut numbers = Numbers::read(&mut transaction, rooms).await.map_err(|error| faults::judge(&error))?;
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

/// What became before of those posts whose ids are kept already, by their place in the batch.
async fn known(
    connection: &mut SqliteConnection,
    posts: &[Post],
    numbers: &Numbers<'_>,
) -> Result<HashMap<usize, Outcome>, StoreError> {
    let mut known = HashMap::new();
    for (first, posts) in (0..).step_by(ROWS_MAX).zip(posts.chunks(ROWS_MAX)) {
        let mut query = QueryBuilder::<Sqlite>::new("WITH post (idx, room, id) AS (");
        query.push_values(posts.iter().zip(0i64..), |mut values, (post, index)| {
            values.push_bind(index).push_bind(post.room.as_str()).push_bind(post.id.0);
        });
        query.push(
            ") SELECT p.idx, m.text_hash, m.seq, m.rev, m.id, m.author, m.author_name, m.text, m.at, m.edited_at,
                m.deleted, m.reply_to
            FROM post p CROSS JOIN messages m ON m.room = p.room AND m.id = p.id",
        );
        let rows: Vec<KnownRow> = query
            .build_query_as()
            .persistent(is_kept(posts.len()))
            .fetch_all(&mut *connection)
            .await
            .map_err(|error| faults::judge(&error))?;
        for KnownRow { idx, text_hash: hash, columns } in rows {
            let index = usize::try_from(idx).unwrap_or(usize::MAX);
            let Some(post) = posts.get(index) else { continue };
            let same = hash == text_hash(post.text.as_str());
            let floor = numbers.floor(post.room.as_str());
            let outcome = match columns.numbered() {
                Some((seq, _)) if same && seq <= floor => columns.forgotten(),
                _ if same => columns.message(&post.room)?.map(Outcome::Known),
                _ => None,
            };
            known.insert(first + index, outcome.unwrap_or(Outcome::IdTaken));
        }
    }
    Ok(known)
}

/// Adds what became of those whose ids are all that is left. Rooms that keep everything are not asked about.
async fn gone(
    connection: &mut SqliteConnection,
    posts: &[Post],
    numbers: &Numbers<'_>,
    known: &mut HashMap<usize, Outcome>,
) -> Result<(), StoreError> {
    let asked: Vec<(usize, &Post)> = posts
        .iter()
        .enumerate()
        .filter(|(index, post)| numbers.floor(post.room.as_str()) > 0 && !known.contains_key(index))
        .collect();
    for asked in asked.chunks(ROWS_MAX) {
        let mut query = QueryBuilder::<Sqlite>::new("WITH post (idx, room, id) AS (");
        query.push_values(asked.iter().zip(0i64..), |mut values, ((_, post), index)| {
            values.push_bind(index).push_bind(post.room.as_str()).push_bind(post.id.0);
        });
        query.push(
            ") SELECT p.idx, k.text_hash, k.seq, k.id, k.at
            FROM post p CROSS JOIN kept_ids k ON k.room = p.room AND k.id = p.id",
        );
        let rows: Vec<GoneRow> = query
            .build_query_as()
            .persistent(is_kept(asked.len()))
            .fetch_all(&mut *connection)
            .await
            .map_err(|error| faults::judge(&error))?;
        for GoneRow { idx, gone } in rows {
            let Some((index, post)) = usize::try_from(idx).ok().and_then(|at| asked.get(at)) else { continue };
            let gone = gone.gone(&post.room)?;
            let same = gone.text_hash == text_hash(post.text.as_str());
            let forgotten = Outcome::Forgotten { id: gone.id, seq: gone.seq, at: gone.at };
            known.insert(*index, if same { forgotten } else { Outcome::IdTaken });
        }
    }
    Ok(())
}

async fn insert(connection: &mut SqliteConnection, fresh: &[(&Post, u64)], at: Timestamp) -> Result<(), sqlx::Error> {
    for rows in fresh.chunks(ROWS_MAX) {
        let mut query = QueryBuilder::<Sqlite>::new(
            "INSERT INTO messages (room, seq, rev, id, text_hash, author, author_name, text, at, reply_to) ",
        );
        query.push_values(rows, |mut values, (post, seq)| {
            values
                .push_bind(post.room.as_str())
                .push_bind(row::column(*seq))
                .push_bind(row::column(*seq))
                .push_bind(post.id.0)
                .push_bind(text_hash(post.text.as_str()).to_vec())
                .push_bind(post.from.id.0)
                .push_bind(post.from.name.as_str())
                .push_bind(post.text.as_str())
                .push_bind(at.0)
                .push_bind(post.reply_to.map(u64::cast_signed));
        });
        query.build().persistent(is_kept(rows.len())).execute(&mut *connection).await?;
    }
    Ok(())
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
    if message.seq <= numbers.floor(amendment.room.as_str()) {
        return Ok(Outcome::NotFound);
    }
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
    message.rev = numbers.next(amendment.room.as_str());
    let event = if message.deleted { Events::DELETE } else { Events::EDIT };
    let happened = Happened { room: amendment.room.as_str(), seq: amendment.seq, rev: message.rev, event };
    numbers.hooks.tell(connection, &[happened], at).await.map_err(judge)?;
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
    Ok(Outcome::Kept(message))
}
