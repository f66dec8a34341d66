//! Whether a commit survives here.

use super::{SqliteStore, faults};
use crate::{Durability, StoreError};

const FULL: i64 = 2;

impl SqliteStore {
    /// Asks the writer's connection: the settings are each connection's own.
    pub(super) async fn read_durability(&self) -> Result<Durability, StoreError> {
        let mut seat = self.writer.take().await?;
        let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous")
            .fetch_one(&mut seat.connection)
            .await
            .map_err(|error| faults::judge(&error))?;
        let journal_mode: String = sqlx::query_scalar("PRAGMA journal_mode")
            .fetch_one(&mut seat.connection)
            .await
            .map_err(|error| faults::judge(&error))?;
        seat.give_back();

        let mut weaknesses = Vec::new();
        if synchronous < FULL {
            weaknesses.push(format!(
                "synchronous is {synchronous}: a power cut may take what was acknowledged; it must be 2 (full) or 3 (extra)"
            ));
        }
        // A file system without shared memory cannot keep a write-ahead log, and SQLite stays with what it can.
        if journal_mode != "wal" {
            weaknesses.push(format!(
                "journal_mode is {journal_mode}: readers and the writer wait for each other; move the file to a local disk"
            ));
        }
        let synchronous = match synchronous {
            0 => "off".into(),
            1 => "normal".into(),
            2 => "full".into(),
            3 => "extra".into(),
            other => other.to_string(),
        };
        Ok(Durability { settings: vec![("synchronous", synchronous), ("journal_mode", journal_mode)], weaknesses })
    }
}
