//! Moments in columns: `timestamptz` in Postgres, milliseconds since 1970 in SQLite.

use proto::Timestamp;
use sqlx::decode::Decode;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgTypeInfo, PgValueRef, Postgres};
use sqlx::sqlite::{Sqlite, SqliteTypeInfo, SqliteValueRef};
use sqlx::types::Type;

/// A [`Timestamp`] as it is read from a row.
pub(crate) struct Moment(pub(crate) Timestamp);

const TIMESTAMPTZ: Oid = Oid(1184);
/// Postgres counts microseconds since 2000.
const MS_FROM_1970_TO_2000: i64 = 946_684_800_000;

impl Type<Postgres> for Moment {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(TIMESTAMPTZ)
    }
}

impl Decode<'_, Postgres> for Moment {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        let us = i64::from_be_bytes(value.as_bytes()?.try_into()?);
        Ok(Self(Timestamp(us.div_euclid(1000).saturating_add(MS_FROM_1970_TO_2000))))
    }
}

impl Type<Sqlite> for Moment {
    fn type_info() -> SqliteTypeInfo {
        <i64 as Type<Sqlite>>::type_info()
    }

    fn compatible(given: &SqliteTypeInfo) -> bool {
        <i64 as Type<Sqlite>>::compatible(given)
    }
}

impl Decode<'_, Sqlite> for Moment {
    fn decode(value: SqliteValueRef<'_>) -> Result<Self, BoxDynError> {
        <i64 as Decode<Sqlite>>::decode(value).map(|ms| Self(Timestamp(ms)))
    }
}
