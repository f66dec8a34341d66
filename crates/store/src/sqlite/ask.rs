//! One statement, on a connection that is taken for it and given back once it is well done.

use sqlx::FromRow;
use sqlx::query::{Query, QueryAs};
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteRow};

use super::connect::SqliteOpener;
use super::{SqliteStore, faults};
use crate::StoreError;
use crate::seats::Seats;

impl SqliteStore {
    /// The rows of a statement, read beside the writer.
    pub(super) async fn rows<T>(&self, query: QueryAs<'_, Sqlite, T, SqliteArguments>) -> Result<Vec<T>, StoreError>
    where
        T: for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
    {
        rows_on(&self.readers, query).await
    }

    /// The rows that a statement which writes gives back.
    pub(super) async fn written<T>(&self, query: QueryAs<'_, Sqlite, T, SqliteArguments>) -> Result<Vec<T>, StoreError>
    where
        T: for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
    {
        rows_on(&self.writer, query).await
    }

    /// How many rows a statement touched.
    pub(super) async fn touched(&self, query: Query<'_, Sqlite, SqliteArguments>) -> Result<u64, StoreError> {
        let mut seat = self.writer.take().await?;
        let done = query.execute(&mut seat.connection).await.map_err(|error| faults::judge(&error))?;
        seat.give_back();
        Ok(done.rows_affected())
    }
}

async fn rows_on<T>(
    seats: &Seats<SqliteOpener>,
    query: QueryAs<'_, Sqlite, T, SqliteArguments>,
) -> Result<Vec<T>, StoreError>
where
    T: for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
{
    let mut seat = seats.take().await?;
    let rows = query.fetch_all(&mut seat.connection).await.map_err(|error| faults::judge(&error))?;
    seat.give_back();
    Ok(rows)
}
