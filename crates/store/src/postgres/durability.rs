//! Whether a commit survives here.

use sqlx::FromRow;

use super::{PostgresStore, rows_of};
use crate::{Durability, StoreError};

pub(super) const READ: &str = "
    SELECT current_setting('synchronous_commit') AS synchronous_commit, current_setting('fsync') AS fsync,
        current_setting('full_page_writes') AS full_page_writes";

#[derive(FromRow)]
pub(super) struct Settings {
    synchronous_commit: String,
    fsync: String,
    full_page_writes: String,
}

impl PostgresStore {
    pub(super) async fn read_durability(&self) -> Result<Durability, StoreError> {
        let rows = self.ask_twice(|| sqlx::query(READ)).await?;
        let settings = rows_of::<Settings>(&rows)?.pop();
        settings.map(Durability::from).ok_or_else(|| StoreError::Refused("it does not tell its settings".into()))
    }
}

impl From<Settings> for Durability {
    fn from(settings: Settings) -> Self {
        let Settings { synchronous_commit, fsync, full_page_writes } = settings;
        let mut weaknesses = Vec::new();
        if !matches!(synchronous_commit.as_str(), "on" | "remote_apply") {
            weaknesses.push(format!(
                "synchronous_commit is {synchronous_commit}: what was acknowledged may be lost with the server; set it to on for \
                 this database and role"
            ));
        }
        if fsync != "on" {
            weaknesses.push(format!(
                "fsync is {fsync}: a power cut may destroy the database; set it to on and restart Postgres"
            ));
        }
        if full_page_writes != "on" {
            weaknesses.push(format!(
                "full_page_writes is {full_page_writes}: a power cut may leave half-written pages; set it to on and reload Postgres"
            ));
        }
        let settings =
            vec![("synchronous_commit", synchronous_commit), ("fsync", fsync), ("full_page_writes", full_page_writes)];
        Self { settings, weaknesses }
    }
}
