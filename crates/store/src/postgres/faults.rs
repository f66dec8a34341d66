//! What a failure of Postgres means to whoever asked.

use crate::StoreError;

/// A failure, and whether its connection may be used again.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) error: StoreError,
    pub(super) connection_lost: bool,
}

/// Nothing was asked yet, or the connection was let go of already: there is nothing to lose.
impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self { error, connection_lost: false }
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        fault.error
    }
}

pub(super) fn judge(error: &sqlx::Error) -> Fault {
    let said = error.to_string();
    match error {
        sqlx::Error::Database(told) => by_code(told.code().as_deref().unwrap_or_default(), told.message()),
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => {
            Fault { error: StoreError::Away(said), connection_lost: true }
        }
        _ => Fault { error: StoreError::Refused(said), connection_lost: true },
    }
}

/// By SQLSTATE, as Postgres's manual lists them in its appendix of error codes.
fn by_code(code: &str, said: &str) -> Fault {
    let said = format!("{said} ({code}){}", advice(code));
    match code {
        // Serialization failure, deadlock, lock not available.
        "40001" | "40P01" | "55P03" => Fault { error: StoreError::Conflict(said), connection_lost: false },
        // Cancelled: it took too long. Out of memory.
        "57014" | "53200" => Fault { error: StoreError::Away(said), connection_lost: false },
        // Read-only: it was a primary once, and the real one is elsewhere. Too many connections.
        "25006" | "53300" => Fault { error: StoreError::Away(said), connection_lost: true },
        // Shut down, crashed, starting up, idle for too long, connection failures.
        "57P01" | "57P02" | "57P03" | "57P05" | "25P03" => {
            Fault { error: StoreError::Away(said), connection_lost: true }
        }
        _ if code.starts_with("08") => Fault { error: StoreError::Away(said), connection_lost: true },
        _ => Fault { error: StoreError::Refused(said), connection_lost: false },
    }
}

/// What whoever set this up can do.
fn advice(code: &str) -> &'static str {
    match code {
        "28000" | "28P01" => "; are the user and the password in its address right?",
        "3D000" => "; make that database first, or correct its name in the address",
        "42501" => "; give that role the right to do so, or connect as another",
        _ => "",
    }
}
