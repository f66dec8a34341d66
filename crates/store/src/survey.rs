//! What can be told about a database without changing it.

use std::path::PathBuf;

use crate::Durability;
use crate::migrations::Schema;

/// A database, seen from outside.
#[derive(Clone, Debug)]
pub struct Survey {
    /// Its name and version.
    pub product: String,
    /// How its schema stands to this program.
    pub schema: Schema,
    /// The settings in force, where the server decides them. With SQLite each node sets its own.
    pub durability: Option<Durability>,
    /// Of a server only.
    pub server: Option<Server>,
    /// Of a file only.
    pub file: Option<LoneFile>,
}

/// What only a file has.
#[derive(Clone, Debug)]
pub struct LoneFile {
    /// Where it is, or will be when it is first needed.
    pub path: PathBuf,
    /// Whether it is there already.
    pub exists: bool,
    /// Whether a node holds it for itself now.
    pub in_use: bool,
}

/// What only a server has.
#[derive(Clone, Copy, Debug)]
pub struct Server {
    /// Its makers no longer care for this version.
    pub is_old: bool,
    /// A standby, or otherwise not to be written to.
    pub reads_only: bool,
    /// Whether we may make tables in it.
    pub may_migrate: bool,
    /// How far its clock is ahead of ours.
    pub clock_ahead_ms: i64,
    /// Connections that it takes …
    pub seats: i64,
    /// … and those in use now.
    pub taken: i64,
}
