//! What a failure of SQLite means to whoever asked.

use crate::StoreError;

const BUSY: i32 = 5;
const LOCKED: i32 = 6;

pub(super) fn judge(error: &sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::Database(told) => {
            let code = told.code().and_then(|code| code.parse::<i32>().ok()).unwrap_or(0);
            // The low byte is the kind; the rest says more about it.
            match code & 0xff {
                BUSY | LOCKED => StoreError::Conflict(error.to_string()),
                _ => StoreError::Refused(error.to_string()),
            }
        }
        sqlx::Error::WorkerCrashed => StoreError::Away(error.to_string()),
        _ => StoreError::Refused(error.to_string()),
    }
}
