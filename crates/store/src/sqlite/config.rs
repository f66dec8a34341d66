//! What can be tuned about SQLite.

use std::time::Duration;

/// How many connections, and how long to wait.
#[derive(Clone, Debug)]
pub struct SqliteConfig {
    /// Connections for reading. Writing has one more.
    pub readers: u32,
    /// Longest wait for a connection, and for a lock on the file.
    pub busy_timeout: Duration,
    /// Whether data that a newer version has migrated is accepted.
    pub allow_newer: bool,
    /// Only to read: the file must be there and its schema up to date, and a node may be using it.
    pub reads_only: bool,
    /// Only for accounts: a node may be using the file, and goes on doing so.
    pub beside: bool,
}

impl Default for SqliteConfig {
    fn default() -> Self {
        Self { readers: 4, busy_timeout: Duration::from_secs(5), allow_newer: false, reads_only: false, beside: false }
    }
}
