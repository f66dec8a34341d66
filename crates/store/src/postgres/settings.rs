//! What the whole cluster agrees on: the epoch and the secret.
//!
//! Writes here are a statement of their own and the reading back another: a statement that waited for a rival's row would
//! otherwise go on to read the row as it was before.

use proto::Epoch;
use sqlx::FromRow;
use sqlx::postgres::PgConnection;

use super::{PgQuery, PostgresStore, faults, rows_of};
use crate::{StoreError, row};

const FOUND: &str = "INSERT INTO settings (key, value) VALUES ('epoch', $1) ON CONFLICT DO NOTHING";
const REPLACE_EPOCH: &str = "UPDATE settings SET value = $2 WHERE key = 'epoch' AND value = $1";
const OFFER_SECRET: &str = "INSERT INTO settings (key, value) VALUES ('secret', $1) ON CONFLICT DO NOTHING";
const READ: &str = "SELECT value FROM settings WHERE key = $1";

#[derive(FromRow)]
struct Setting {
    value: String,
}

/// A history begins: whoever comes first gives it its epoch.
pub(super) async fn found(connection: &mut PgConnection) -> Result<(), StoreError> {
    let epoch = fresh_epoch().to_string();
    let done = sqlx::query(FOUND).bind(epoch).execute(connection).await;
    done.map(|_| ()).map_err(|error| faults::judge(&error).error)
}

pub(super) fn fresh_epoch() -> Epoch {
    Epoch(rand::random())
}

/// A new epoch in the place of `old`, if that is still in force.
pub(super) fn epoch_after(old: Epoch) -> PgQuery {
    sqlx::query(REPLACE_EPOCH).bind(old.to_string()).bind(fresh_epoch().to_string())
}

impl PostgresStore {
    pub(super) async fn read_epoch(&self) -> Result<Epoch, StoreError> {
        row::epoch(&self.setting("epoch").await?)
    }

    pub(super) async fn rotate(&self, old: Epoch) -> Result<Epoch, StoreError> {
        self.ask(&self.readers, epoch_after(old)).await?;
        self.read_epoch().await
    }

    pub(super) async fn agree_on_secret(&self, candidate: &str) -> Result<String, StoreError> {
        self.ask(&self.readers, sqlx::query(OFFER_SECRET).bind(candidate.to_owned())).await?;
        self.setting("secret").await
    }

    async fn setting(&self, key: &'static str) -> Result<String, StoreError> {
        let rows = self.ask_twice(|| sqlx::query(READ).bind(key)).await?;
        let setting = rows_of::<Setting>(&rows)?.pop();
        setting.map(|setting| setting.value).ok_or_else(|| StoreError::Refused(format!("its settings lack {key}")))
    }
}
