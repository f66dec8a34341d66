//! What a failure of SQLite means to whoever asked.

use super::file::MAY_WRITE;
use crate::StoreError;

const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const READONLY: i32 = 8;
const CANNOT_OPEN: i32 = 14;
const NOT_A_DATABASE: i32 = 26;

pub(super) fn judge(error: &sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::Database(told) => {
            let said = told.message();
            let code = told.code().and_then(|code| code.parse::<i32>().ok()).unwrap_or(0);
            // The low byte is the kind; the rest says more about it.
            match code & 0xff {
                BUSY | LOCKED => StoreError::Conflict(said.into()),
                READONLY | CANNOT_OPEN => StoreError::Refused(format!("{said}; {MAY_WRITE}")),
                NOT_A_DATABASE => StoreError::Refused(format!("{said}; name another place")),
                _ => StoreError::Refused(format!("{said} ({code})")),
            }
        }
        sqlx::Error::WorkerCrashed => StoreError::Away(error.to_string()),
        _ => StoreError::Refused(error.to_string()),
    }
}
