//! Exports, on the readers' connections.

use async_trait::async_trait;
use proto::{RoomName, TaskId, Timestamp};
use sqlx::FromRow;
use uuid::Uuid;

use super::{PostgresStore, rows_of};
use crate::exports::{EXPORT_KEPT_FOR, Export, Exports};
use crate::moment::Moment;
use crate::row::{column, number};
use crate::tasks::ms;
use crate::{StoreError, StoreMetrics};

/// What an attempt before this one wrote goes with its name. It is counted, so that it goes first: once its row has the new
/// name the old one cannot be found.
const BEGIN: &str = "
    WITH before AS MATERIALIZED (
        SELECT e.content FROM exports e WHERE e.room = $1 AND e.id = $2 FOR UPDATE
    ), gone AS (
        DELETE FROM export_chunks c WHERE c.room = $1 AND c.content = (SELECT b.content FROM before b) RETURNING c.number
    )
    INSERT INTO exports AS e (room, id, content, expires_at)
    SELECT $1, $2, $3, now() + $4::bigint * interval '1 millisecond' FROM (SELECT count(*) FROM gone) g
    ON CONFLICT ON CONSTRAINT exports_pkey
    DO UPDATE SET content = excluded.content, expires_at = excluded.expires_at, chunks = NULL, bytes = NULL";
/// The lock keeps another attempt from beginning meanwhile.
const PUT: &str = "
    WITH mine AS MATERIALIZED (
        SELECT e.room, e.content FROM exports e WHERE e.room = $1 AND e.id = $2 AND e.content = $3 FOR SHARE
    )
    INSERT INTO export_chunks AS c (room, content, number, lines) SELECT m.room, m.content, $4, $5 FROM mine m
    ON CONFLICT ON CONSTRAINT export_chunks_pkey DO UPDATE SET lines = excluded.lines RETURNING c.number";
const FINISH: &str = "
    UPDATE exports e SET chunks = $4, bytes = $5, expires_at = now() + $6::bigint * interval '1 millisecond'
    WHERE e.room = $1 AND e.id = $2 AND e.content = $3 RETURNING e.chunks";
const ONE: &str = "
    SELECT e.content, e.chunks, e.bytes, e.expires_at FROM exports e
    WHERE e.room = $1 AND e.id = $2 AND e.chunks IS NOT NULL AND e.expires_at > now()";
const CHUNK: &str = "SELECT c.lines FROM export_chunks c WHERE c.room = $1 AND c.content = $2 AND c.number = $3";
const SWEEP: &str = "
    WITH old AS MATERIALIZED (
        SELECT e.room, e.id, e.content FROM exports e WHERE e.expires_at <= now()
        ORDER BY e.expires_at LIMIT 1 FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM export_chunks c
        WHERE c.room = (SELECT o.room FROM old o) AND c.content = (SELECT o.content FROM old o)
    )
    DELETE FROM exports e WHERE e.room = (SELECT o.room FROM old o) AND e.id = (SELECT o.id FROM old o) RETURNING e.id";

#[derive(FromRow)]
struct ExportRow {
    content: Uuid,
    chunks: i64,
    bytes: i64,
    expires_at: Moment,
}

#[derive(FromRow)]
struct ChunkRow {
    lines: Vec<u8>,
}

impl PostgresStore {
    fn exporting(&self) -> (&StoreMetrics, &prometheus::Histogram) {
        (&self.metrics, &self.metrics.tasks)
    }
}

#[async_trait]
impl Exports for PostgresStore {
    async fn begin_export(&self, room: &RoomName, id: TaskId, content: Uuid) -> Result<(), StoreError> {
        let query =
            sqlx::query(BEGIN).bind(room.as_str().to_owned()).bind(id.0).bind(content).bind(ms(EXPORT_KEPT_FOR));
        let (metrics, seconds) = self.exporting();
        metrics.watch(seconds, async { Ok(self.ask(&self.readers, query).await?) }).await?;
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
        let (metrics, seconds) = self.exporting();
        let rows = metrics.watch(seconds, async { Ok(self.ask(&self.readers, query).await?) }).await?;
        Ok(!rows.is_empty())
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
            .bind(ms(EXPORT_KEPT_FOR));
        let (metrics, seconds) = self.exporting();
        let rows = metrics.watch(seconds, async { Ok(self.ask(&self.readers, query).await?) }).await?;
        Ok(!rows.is_empty())
    }

    async fn export(&self, room: &RoomName, id: TaskId) -> Result<Option<Export>, StoreError> {
        let rows = self.ask_twice(|| sqlx::query(ONE).bind(room.as_str()).bind(id.0)).await?;
        let row = rows_of::<ExportRow>(&rows)?.pop();
        Ok(row.map(|ExportRow { content, chunks, bytes, expires_at: Moment(expires_at) }| Export {
            content,
            chunks: number(chunks),
            bytes: number(bytes),
            expires_at: Timestamp(expires_at.0),
        }))
    }

    async fn export_chunk(&self, room: &RoomName, content: Uuid, number: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let ask = || sqlx::query(CHUNK).bind(room.as_str()).bind(content).bind(column(number));
        Ok(rows_of::<ChunkRow>(&self.ask_twice(ask).await?)?.pop().map(|row| row.lines))
    }

    async fn sweep_export(&self) -> Result<bool, StoreError> {
        let (metrics, seconds) = self.exporting();
        let rows = metrics.watch(seconds, async { Ok(self.ask(&self.readers, sqlx::query(SWEEP)).await?) }).await?;
        Ok(!rows.is_empty())
    }
}
