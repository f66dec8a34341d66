//! The epoch and the secret.

use proto::Epoch;
use sqlx::query::Query;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteConnection};

use super::{SqliteStore, faults};
use crate::{StoreError, row};

type SqliteQuery = Query<'static, Sqlite, SqliteArguments>;

const FOUND: &str = "INSERT INTO settings (key, value) VALUES ('epoch', $1) ON CONFLICT DO NOTHING";
const REPLACE_EPOCH: &str = "UPDATE settings SET value = $2 WHERE key = 'epoch' AND value = $1";
const OFFER_SECRET: &str = "INSERT INTO settings (key, value) VALUES ('secret', $1) ON CONFLICT DO NOTHING";
const READ: &str = "SELECT value FROM settings WHERE key = $1";

/// A history begins.
pub(super) async fn found(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let done = sqlx::query(FOUND).bind(fresh_epoch()).execute(connection).await;
    done.map(|_| ()).map_err(|error| faults::judge(&error))
}

fn fresh_epoch() -> String {
    Epoch(rand::random()).to_string()
}

/// A new epoch in the place of `old`, if that is still in force.
pub(super) fn epoch_after(old: Epoch) -> SqliteQuery {
    sqlx::query(REPLACE_EPOCH).bind(old.to_string()).bind(fresh_epoch())
}

impl SqliteStore {
    pub(super) async fn read_epoch(&self) -> Result<Epoch, StoreError> {
        row::epoch(&self.setting("epoch").await?)
    }

    pub(super) async fn rotate(&self, old: Epoch) -> Result<Epoch, StoreError> {
        self.touched(epoch_after(old)).await?;
        self.read_epoch().await
    }

    pub(super) async fn agree_on_secret(&self, candidate: &str) -> Result<String, StoreError> {
        self.touched(sqlx::query(OFFER_SECRET).bind(candidate.to_owned())).await?;
        self.setting("secret").await
    }

    async fn setting(&self, key: &'static str) -> Result<String, StoreError> {
        let value = self.rows::<(String,)>(sqlx::query_as(READ).bind(key)).await?.pop();
        value.map(|(value,)| value).ok_or_else(|| StoreError::Refused(format!("its settings lack {key}")))
    }
}
