//! Making a connection that is fit for use.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection, Row};
use tokio::time::timeout;

use super::{PostgresConfig, evidence, faults};
use crate::StoreError;
use crate::migrations::{self, Schema, Step};
use crate::seats::Opener;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations/postgres");

/// What the server must know about us. Isolation is set here because the append relies on it and a database may have another
/// default; `synchronous_commit` is not, because a weak setting must be seen, not papered over. All we ever do is look things
/// up by an index, so plans are made once and without the joins that read whole tables: asked for a thousand heads, the
/// planner would otherwise read them all.
const INTRODUCE: &str = "
    SELECT pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on',
        set_config('default_transaction_isolation', 'read committed', false),
        set_config('statement_timeout', $1, false),
        set_config('lock_timeout', $2, false),
        set_config('idle_in_transaction_session_timeout', $1, false),
        set_config('plan_cache_mode', 'force_generic_plan', false),
        set_config('enable_seqscan', 'off', false),
        set_config('enable_hashjoin', 'off', false),
        set_config('enable_mergejoin', 'off', false),
        set_config('jit', 'off', false)";

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Lane,
    Reader,
}

pub(super) struct PgOpener {
    options: PgConnectOptions,
    statement_timeout: Duration,
    lock_timeout: Duration,
}

impl PgOpener {
    pub(super) fn new(options: &PgConnectOptions, config: &PostgresConfig, kind: Kind) -> Self {
        let name = match kind {
            Kind::Lane => "tertulia lane",
            Kind::Reader => "tertulia reader",
        };
        Self {
            options: options.clone().application_name(name),
            // Earlier than we do, so that a server which is merely slow says so and the connection lives.
            statement_timeout: config.answer_timeout.mul_f32(0.9),
            lock_timeout: config.answer_timeout / 2,
        }
    }
}

impl Opener for PgOpener {
    type Connection = PgConnection;

    async fn open(&self) -> Result<PgConnection, StoreError> {
        let mut connection =
            PgConnection::connect_with(&self.options).await.map_err(|error| faults::judge(&error).error)?;
        introduce(&mut connection, self.statement_timeout, self.lock_timeout).await?;
        evidence::check(&mut connection).await?;
        Ok(connection)
    }

    async fn close(connection: PgConnection) {
        // It is as good as closed either way.
        let _ = timeout(Duration::from_secs(1), connection.close()).await;
    }
}

/// The address, read. The library takes any scheme for Postgres's; we do not.
pub(super) fn options(url: &str) -> Result<PgConnectOptions, StoreError> {
    let ours = url.starts_with("postgres://") || url.starts_with("postgresql://");
    let options = if ours { PgConnectOptions::from_str(url).ok() } else { None };
    options.map(PgConnectOptions::disable_statement_logging).ok_or_else(|| {
        StoreError::Refused("its address is not of the form postgres://user:password@host:port/database".into())
    })
}

async fn introduce(connection: &mut PgConnection, statement: Duration, lock: Duration) -> Result<(), StoreError> {
    let told = sqlx::query(INTRODUCE)
        .bind(statement.as_millis().to_string())
        .bind(lock.as_millis().to_string())
        .fetch_one(connection)
        .await
        .and_then(|row| row.try_get::<bool, _>(0));
    match told {
        Ok(false) => Ok(()),
        Ok(true) => {
            Err(StoreError::Away("the server is a standby or read-only; the primary must be somewhere else".into()))
        }
        Err(error) => Err(faults::judge(&error).error),
    }
}

/// A connection outside of the seats, for what is done once.
pub(super) async fn connect(options: &PgConnectOptions, config: &PostgresConfig) -> Result<PgConnection, StoreError> {
    timeout(config.acquire_timeout, PgConnection::connect_with(options))
        .await
        .map_err(|_| StoreError::Away("it does not answer to a new connection".into()))?
        .map_err(|error| faults::judge(&error).error)
}

/// Brings the schema up to date on a connection of its own, and says what was missing: the wait for other nodes' migrations
/// may be long, and a lock left behind by a failure ends with the connection.
pub(super) async fn migrate(options: &PgConnectOptions, config: &PostgresConfig) -> Result<Vec<Step>, StoreError> {
    let mut connection = connect(options, config).await?;
    timeout(config.acquire_timeout, introduce(&mut connection, Duration::ZERO, Duration::ZERO))
        .await
        .map_err(|_| StoreError::Away("it does not answer".into()))??;
    let applied = timeout(config.migrate_timeout, async {
        let applied = migrations::run(&MIGRATIONS, &mut connection, config.allow_newer)
            .await
            .map_err(|error| migrations::failed(error, |error| faults::judge(error).error))?;
        super::settings::found(&mut connection).await?;
        Ok::<_, StoreError>(applied)
    })
    .await
    .map_err(|_| StoreError::Away("its migrations do not end".into()))??;
    PgOpener::close(connection).await;
    Ok(applied)
}

/// How the schema stands. Nothing is changed.
pub(super) async fn schema(connection: &mut PgConnection) -> Result<Schema, StoreError> {
    let judge = |error: &sqlx::Error| faults::judge(error).error;
    let is_there: bool = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await
        .map_err(|error| judge(&error))?;
    let schema = match is_there {
        true => migrations::found(&MIGRATIONS, connection).await,
        false => Schema::read(&MIGRATIONS, &[]),
    };
    schema.map_err(|error| migrations::failed(error, judge))
}
