//! Whether this is still the history that the epoch speaks of.
//!
//! A dump restored into another server finds another system identifier there; into the same one, another database or another
//! table, for what is made anew gets a number of its own. A server that went back to a point in time, and a promoted standby, have
//! another timeline. Each may lack what was acknowledged, so its numbers may be issued twice: the epoch
//! changes. This is looked at on every new connection before it serves anybody, because only a new connection can lead to
//! another server. The timeline is that of the log now being written: the control file's lags behind a promotion by
//! minutes. A copy of the whole data folder put back, and rows put back into the same table, are not seen here; the hub sees it
//! when a head falls.

use std::sync::Once;

use sqlx::FromRow;
use sqlx::postgres::PgConnection;

use super::{faults, settings};
use crate::StoreError;

const LOOK: &str = "
    SELECT (SELECT system_identifier FROM pg_control_system())::text || '/' ||
        substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) || '/' ||
        (SELECT oid FROM pg_database WHERE datname = current_database()) || '/' || 'heads'::regclass::oid AS seen,
        (SELECT value FROM settings WHERE key = 'history') AS kept";

const KEEP: &str = "INSERT INTO settings (key, value) VALUES ('history', $1) ON CONFLICT DO NOTHING";

/// The second update waits for the first: of several nodes that see the change, one makes a new epoch.
const NEW_EPOCH: &str = "
    WITH moved AS (
        UPDATE settings SET value = $2 WHERE key = 'history' AND value = $1 RETURNING key
    )
    UPDATE settings SET value = $3 WHERE key = 'epoch' AND EXISTS (SELECT FROM moved)";

#[derive(FromRow)]
struct Evidence {
    seen: Option<String>,
    kept: Option<String>,
}

pub(super) async fn check(connection: &mut PgConnection) -> Result<(), StoreError> {
    static TOLD: Once = Once::new();
    let evidence = match sqlx::query_as::<_, Evidence>(LOOK).fetch_one(&mut *connection).await {
        Ok(evidence) => evidence,
        // Some hosts do not let us ask. Then the hub's own watch on falling heads is all there is.
        Err(sqlx::Error::Database(told))
            if matches!(told.code().as_deref(), Some("42501" | "42883" | "0A000" | "55000")) =>
        {
            TOLD.call_once(|| tracing::warn!(error = %told, "the server does not say which history it holds"));
            return Ok(());
        }
        Err(error) => return Err(faults::judge(&error).error),
    };
    let Some(seen) = evidence.seen else { return Ok(()) };
    let query = match evidence.kept {
        Some(kept) if kept == seen => return Ok(()),
        None => sqlx::query(KEEP).bind(seen),
        Some(kept) => {
            tracing::warn!(%kept, %seen, "the server holds another history than before: positions of clients are void");
            sqlx::query(NEW_EPOCH).bind(kept).bind(seen).bind(settings::fresh_epoch().to_string())
        }
    };
    query.execute(connection).await.map(|_| ()).map_err(|error| faults::judge(&error).error)
}
