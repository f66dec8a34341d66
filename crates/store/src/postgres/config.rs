//! What can be tuned about Postgres.

use std::time::Duration;

/// How many connections, and how long to wait.
#[derive(Clone, Debug)]
pub struct PostgresConfig {
    /// Connections for writing, each its own lane. More let more commits overlap; past the disk's or the standby's
    /// pace they only wait beside each other.
    pub lanes: u32,
    /// Connections for reading, shared.
    pub readers: u32,
    /// Longest wait for a free connection, and again for making one.
    pub acquire_timeout: Duration,
    /// Longest wait for an answer. The server is told to give up a little earlier, and on a lock after half of it.
    pub answer_timeout: Duration,
    /// Longest wait for the migrations at the start, those of other nodes included.
    pub migrate_timeout: Duration,
    /// Whether data that a newer version has migrated is accepted.
    pub allow_newer: bool,
    /// Only to read: nothing is migrated, and a schema that is not up to date is refused.
    pub reads_only: bool,
}

impl Default for PostgresConfig {
    fn default() -> Self {
        Self {
            lanes: 4,
            readers: 8,
            acquire_timeout: Duration::from_secs(2),
            answer_timeout: Duration::from_secs(4),
            migrate_timeout: Duration::from_secs(300),
            allow_newer: false,
            reads_only: false,
        }
    }
}
