//! Writing, in the lanes: one call of one database function a batch.

use sqlx::FromRow;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::{PostgresStore, rows_of};
use crate::row::{Columns, text_hash};
use crate::{Amendment, Change, Outcome, Post, StoreError};

const APPEND: &str = "SELECT * FROM tertulia_append($1, $2, $3, $4, $5, $6, $7)";
const AMEND: &str = "SELECT * FROM tertulia_amend($1, $2, $3, $4)";

/// What the functions call their outcomes.
mod status {
    pub(super) const KEPT: i32 = 0;
    pub(super) const KNOWN: i32 = 1;
    pub(super) const ID_TAKEN: i32 = 2;
    pub(super) const NOT_FOUND: i32 = 3;
    pub(super) const FORBIDDEN: i32 = 4;
    pub(super) const FORGOTTEN: i32 = 5;
}

#[derive(FromRow)]
struct OutcomeRow {
    idx: i64,
    status: i32,
    #[sqlx(flatten)]
    columns: Columns,
}

impl PostgresStore {
    pub(super) async fn append_in(&self, lane: usize, posts: &[Post]) -> Result<Vec<Outcome>, StoreError> {
        let rooms: Vec<&str> = posts.iter().map(|post| post.room.as_str()).collect();
        let ids: Vec<Uuid> = posts.iter().map(|post| post.id.0).collect();
        let hashes: Vec<[u8; 16]> = posts.iter().map(|post| text_hash(post.text.as_str())).collect();
        let authors: Vec<Uuid> = posts.iter().map(|post| post.from.id.0).collect();
        let names: Vec<&str> = posts.iter().map(|post| post.from.name.as_str()).collect();
        let texts: Vec<&str> = posts.iter().map(|post| post.text.as_str()).collect();
        let replies: Vec<Option<i64>> = posts.iter().map(|post| post.reply_to.map(u64::cast_signed)).collect();
        let query =
            sqlx::query(APPEND).bind(rooms).bind(ids).bind(hashes).bind(authors).bind(names).bind(texts).bind(replies);
        let rows = self.ask(self.lane(lane), query).await?;
        outcomes(&rows, posts, |post, row| match row.status {
            status::KEPT => Ok(row.columns.numbered().map(|(seq, at)| Outcome::Kept(post.kept(seq, at)))),
            status::KNOWN => Ok(row.columns.message(&post.room)?.map(Outcome::Known)),
            status::FORGOTTEN => Ok(row.columns.forgotten()),
            status::ID_TAKEN => Ok(Some(Outcome::IdTaken)),
            _ => Ok(None),
        })
    }

    pub(super) async fn amend_in(&self, lane: usize, amendments: &[Amendment]) -> Result<Vec<Outcome>, StoreError> {
        let rooms: Vec<&str> = amendments.iter().map(|amendment| amendment.room.as_str()).collect();
        let seqs: Vec<i64> = amendments.iter().map(|amendment| crate::row::column(amendment.seq)).collect();
        let people: Vec<Uuid> = amendments.iter().map(|amendment| amendment.by.0).collect();
        let texts: Vec<Option<&str>> = amendments
            .iter()
            .map(|amendment| match &amendment.change {
                Change::Text(text) => Some(text.as_str()),
                Change::Delete => None,
            })
            .collect();
        let query = sqlx::query(AMEND).bind(rooms).bind(seqs).bind(people).bind(texts);
        let rows = self.ask(self.lane(lane), query).await?;
        outcomes(&rows, amendments, |amendment, row| match row.status {
            status::KEPT => Ok(row.columns.message(&amendment.room)?.map(Outcome::Kept)),
            status::KNOWN => Ok(row.columns.message(&amendment.room)?.map(Outcome::Known)),
            status::NOT_FOUND => Ok(Some(Outcome::NotFound)),
            status::FORBIDDEN => Ok(Some(Outcome::Forbidden)),
            _ => Ok(None),
        })
    }
}

/// Puts the answers in the order of the questions. Each must have one: what we cannot read must not pass for kept.
fn outcomes<Q>(
    rows: &[PgRow],
    asked: &[Q],
    read: impl Fn(&Q, OutcomeRow) -> Result<Option<Outcome>, StoreError>,
) -> Result<Vec<Outcome>, StoreError> {
    let mut outcomes: Vec<Option<Outcome>> = asked.iter().map(|_| None).collect();
    for row in rows_of::<OutcomeRow>(rows)? {
        let place = usize::try_from(row.idx - 1).unwrap_or(usize::MAX);
        if let (Some(question), Some(outcome)) = (asked.get(place), outcomes.get_mut(place)) {
            *outcome = read(question, row)?;
        }
    }
    let told: Option<Vec<Outcome>> = outcomes.into_iter().collect();
    told.ok_or_else(|| StoreError::Refused("its function left a question open".into()))
}
