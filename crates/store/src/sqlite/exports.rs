//! Exports, in the same file as the rooms.

use async_trait::async_trait;
use proto::{RoomName, TaskId, Timestamp};
use sqlx::Connection;
use uuid::Uuid;

use super::{SqliteStore, faults};
use crate::StoreError;
use crate::exports::{EXPORT_KEPT_FOR, Export, Exports};
use crate::row::{column, number};
use crate::tasks::ms;

const DROP: &str = "
    DELETE FROM export_chunks WHERE room = $1 AND content = (SELECT content FROM exports WHERE room = $1 AND id = $2)";
const BEGIN: &str = "
    INSERT INTO exports (room, id, content, expires_at) VALUES ($1, $2, $3, $4)
    ON CONFLICT (room, id)
    DO UPDATE SET content = excluded.content, expires_at = excluded.expires_at, chunks = NULL, bytes = NULL";
const PUT: &str = "
    INSERT INTO export_chunks (room, content, number, lines)
    SELECT room, content, $4, $5 FROM exports WHERE room = $1 AND id = $2 AND content = $3
    ON CONFLICT (room, content, number) DO UPDATE SET lines = excluded.lines";
const FINISH: &str = "
    UPDATE exports SET chunks = $4, bytes = $5, expires_at = $6 WHERE room = $1 AND id = $2 AND content = $3";
const ONE: &str = "
    SELECT content, chunks, bytes, expires_at FROM exports
    WHERE room = $1 AND id = $2 AND chunks IS NOT NULL AND expires_at > $3";
const CHUNK: &str = "SELECT lines FROM export_chunks WHERE room = $1 AND content = $2 AND number = $3";
const OLD: &str = "SELECT room, id FROM exports WHERE expires_at <= $1 ORDER BY expires_at LIMIT 1";
const FORGET: &str = "DELETE FROM exports WHERE room = $1 AND id = $2";

fn expiry() -> i64 {
    Timestamp::now().0.saturating_add(ms(EXPORT_KEPT_FOR))
}

#[async_trait]
impl Exports for SqliteStore {
    async fn begin_export(&self, room: &RoomName, id: TaskId, content: Uuid) -> Result<(), StoreError> {
        let judge = |error| faults::judge(&error);
        let mut seat = self.writer.take().await?;
        let mut transaction = seat.connection.begin_with("BEGIN IMMEDIATE").await.map_err(judge)?;
        let room = room.as_str();
        sqlx::query(DROP).bind(room).bind(id.0).execute(&mut *transaction).await.map_err(judge)?;
        let begin = sqlx::query(BEGIN).bind(room).bind(id.0).bind(content).bind(expiry());
        begin.execute(&mut *transaction).await.map_err(judge)?;
        transaction.commit().await.map_err(judge)?;
        seat.give_back();
        Ok(())
    }

    async fn put_export_chunk(
        &self,
        room: &RoomName,
        id: TaskId,
        content: Uuid,
        number: u64,
        lines: &[u8],
    ) -> Result<bool, StoreError> {
        let query = sqlx::query(PUT)
            .bind(room.as_str().to_owned())
            .bind(id.0)
            .bind(content)
            .bind(column(number))
            .bind(lines.to_vec());
        Ok(self.change(query).await? > 0)
    }

    async fn finish_export(
        &self,
        room: &RoomName,
        id: TaskId,
        content: Uuid,
        chunks: u64,
        bytes: u64,
    ) -> Result<bool, StoreError> {
        let query = sqlx::query(FINISH)
            .bind(room.as_str().to_owned())
            .bind(id.0)
            .bind(content)
            .bind(column(chunks))
            .bind(column(bytes))
            .bind(expiry());
        Ok(self.change(query).await? > 0)
    }

    async fn export(&self, room: &RoomName, id: TaskId) -> Result<Option<Export>, StoreError> {
        let query = sqlx::query_as(ONE).bind(room.as_str().to_owned()).bind(id.0).bind(Timestamp::now().0);
        let rows: Vec<(Uuid, i64, i64, i64)> = self.look(query).await?;
        Ok(rows.into_iter().next().map(|(content, chunks, bytes, expires_at)| Export {
            content,
            chunks: number(chunks),
            bytes: number(bytes),
            expires_at: Timestamp(expires_at),
        }))
    }

    async fn export_chunk(&self, room: &RoomName, content: Uuid, number: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let query = sqlx::query_as(CHUNK).bind(room.as_str().to_owned()).bind(content).bind(column(number));
        let rows: Vec<(Vec<u8>,)> = self.look(query).await?;
        Ok(rows.into_iter().next().map(|(lines,)| lines))
    }

    async fn sweep_export(&self) -> Result<bool, StoreError> {
        let judge = |error| faults::judge(&error);
        let mut seat = self.writer.take().await?;
        let mut transaction = seat.connection.begin_with("BEGIN IMMEDIATE").await.map_err(judge)?;
        let old = sqlx::query_as(OLD).bind(Timestamp::now().0).fetch_optional(&mut *transaction);
        let old: Option<(String, Uuid)> = old.await.map_err(judge)?;
        if let Some((room, id)) = &old {
            for sql in [DROP, FORGET] {
                let drop = sqlx::query(sql).bind(room.as_str()).bind(*id);
                drop.execute(&mut *transaction).await.map_err(judge)?;
            }
        }
        transaction.commit().await.map_err(judge)?;
        seat.give_back();
        Ok(old.is_some())
    }
}
