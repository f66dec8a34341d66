//! Making a connection that is fit for use.

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};

use super::{SqliteConfig, faults};
use crate::StoreError;
use crate::migrations::{self, Schema, Step};
use crate::seats::Opener;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations/sqlite");

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Writer,
    Reader,
}

pub(super) struct SqliteOpener {
    options: SqliteConnectOptions,
}

impl SqliteOpener {
    pub(super) fn new(path: &Path, config: &SqliteConfig, kind: Kind) -> Self {
        let options =
            SqliteConnectOptions::new().filename(path).busy_timeout(config.busy_timeout).disable_statement_logging();
        let options = match kind {
            // With the write-ahead log, anything less than FULL loses acknowledged commits in a power cut.
            Kind::Writer => options
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full),
            // Not opened read-only: that kind of connection cannot make the log's shared memory when it comes first.
            Kind::Reader => options.pragma("query_only", "on"),
        };
        Self { options }
    }
}

impl Opener for SqliteOpener {
    type Connection = SqliteConnection;

    async fn open(&self) -> Result<SqliteConnection, StoreError> {
        SqliteConnection::connect_with(&self.options).await.map_err(|error| faults::judge(&error))
    }

    async fn close(connection: SqliteConnection) {
        // What is committed is on the disk already.
        let _ = connection.close().await;
    }
}

pub(super) async fn migrate(connection: &mut SqliteConnection, config: &SqliteConfig) -> Result<Vec<Step>, StoreError> {
    let applied = migrations::run(&MIGRATIONS, connection, config.allow_newer).await;
    applied.map_err(|error| migrations::failed(error, faults::judge))
}

/// How the schema stands. Nothing is changed.
pub(super) async fn schema(connection: &mut SqliteConnection) -> Result<Schema, StoreError> {
    let is_there: bool = sqlx::query_scalar("SELECT count(*) > 0 FROM sqlite_schema WHERE name = '_sqlx_migrations'")
        .fetch_one(&mut *connection)
        .await
        .map_err(|error| faults::judge(&error))?;
    let schema = match is_there {
        true => migrations::found(&MIGRATIONS, connection).await,
        false => Schema::read(&MIGRATIONS, &[]),
    };
    schema.map_err(|error| migrations::failed(error, faults::judge))
}
