//! A look at a server from outside.

use std::time::Instant;

use proto::Timestamp;
use sqlx::FromRow;
use tokio::time::timeout;

use super::{PostgresConfig, PostgresStore, connect, durability, faults};
use crate::survey::{Server, Survey};
use crate::{Durability, StoreError};

const LOOK: &str = "
    SELECT split_part(current_setting('server_version'), ' ', 1) AS version,
        current_setting('server_version_num')::bigint AS version_number,
        pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on' AS reads_only,
        coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS may_create,
        (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS clock,
        current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint AS seats,
        (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()) AS taken";

#[derive(FromRow)]
struct Found {
    version: String,
    version_number: i64,
    reads_only: bool,
    may_create: bool,
    clock: i64,
    seats: i64,
    taken: i64,
}

impl PostgresStore {
    /// Looks at a database and changes nothing.
    ///
    /// # Errors
    /// As [`open`](Self::open); a schema that is missing, old or new is no error here.
    pub async fn survey(url: &str, config: &PostgresConfig) -> Result<Survey, StoreError> {
        let look = survey(url, config);
        timeout(config.answer_timeout, look).await.map_err(|_| StoreError::Away("it does not answer".into()))?
    }
}

async fn survey(url: &str, config: &PostgresConfig) -> Result<Survey, StoreError> {
    let judge = |error| faults::judge(&error).error;
    let mut connection = connect::connect(&connect::options(url)?, config).await?;
    let durability: durability::Settings =
        sqlx::query_as(durability::READ).fetch_one(&mut connection).await.map_err(judge)?;
    let (asked, ours) = (Instant::now(), Timestamp::now());
    let found: Found = sqlx::query_as(LOOK).fetch_one(&mut connection).await.map_err(judge)?;
    // The server looked at its clock about half-way through.
    let half = i64::try_from(asked.elapsed().as_millis() / 2).unwrap_or(i64::MAX);
    Ok(Survey {
        product: format!("Postgres {}", found.version),
        schema: connect::schema(&mut connection).await?,
        durability: Some(Durability::from(durability)),
        server: Some(Server {
            is_old: found.version_number < 140_000,
            reads_only: found.reads_only,
            may_migrate: found.may_create,
            clock_ahead_ms: found.clock.saturating_sub(ours.0).saturating_sub(half),
            seats: found.seats,
            taken: found.taken,
        }),
        file: None,
    })
}
