//! Open files: each connection is one, and the usual soft limit of 1024 is soon reached.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::ServeConfig;

/// Files kept aside for what is no client: the bus (some for each server of a Redis Cluster), SQLite's own, the runtime's, the log.
const ASIDE: usize = 128;
/// And for each connection to the store: SQLite opens several files for one, and one is opened before another is closed.
const ASIDE_A_STORE_CONNECTION: usize = 4;
/// However few files are allowed: so that the node can say no.
const SOCKETS_MIN: usize = 32;
/// However many are allowed: some container engines allow a thousand million.
const SOCKETS_MAX: usize = 1 << 20;

/// Raises the soft limit of open files to the hard one, which needs no rights.
pub(crate) fn raise_open_files() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum && setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_err() {
        tracing::warn!(?current, "the limit of open files could not be raised");
    }
}

/// How many sockets of clients there may be, so that store and bus always find a file.
pub(crate) fn sockets(config: &ServeConfig) -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    let store = ASIDE_A_STORE_CONNECTION * (config.writers + config.readers) as usize;
    let files = limit.map_or(SOCKETS_MAX, |limit| usize::try_from(limit).unwrap_or(SOCKETS_MAX));
    let sockets = files.saturating_sub(ASIDE + store).clamp(SOCKETS_MIN, SOCKETS_MAX);
    if sockets < 4096 {
        tracing::warn!(?limit, sockets, "few open files are allowed, and each connection needs one");
    }
    sockets
}

/// How many files this process may have open; `None`: no limit.
pub(crate) fn open_files() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}
