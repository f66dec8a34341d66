//! What nodes hold in common for a short time: copies of what the store knows, and the pace of what may be tried.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

/// How often something may be done: `burst` times at once, and once more after each `every`. (The generic cell rate
/// algorithm, which keeps one moment a key and nothing else.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How often at once, at least once.
    pub burst: u32,
    /// After how long once more. Nothing: there is no limit.
    pub every: Duration,
}

/// Things with an expiry that all nodes see, and that may be lost at any time. Keys are the caller's: kind and name, without
/// what should not be known.
///
/// Nothing here waits for long: a Redis that is away or slow costs milliseconds, and the answer of this node alone.
#[async_trait]
pub trait Commons: Send + Sync + 'static {
    /// The copy under a key, if there is one.
    async fn copy(&self, key: &str) -> Option<Bytes>;

    /// Leaves a copy for a while, unless there is one or it was removed a moment ago. An empty one is none.
    async fn put_copy(&self, key: &str, copy: Bytes, life: Duration);

    /// Removes a copy, and keeps anybody from leaving it again for a while: who read it before it was wrong may be slow.
    async fn remove_copy(&self, key: &str, shut: Duration);

    /// Does something once more under a key, unless that would be too often.
    ///
    /// # Errors
    /// After how long it may be tried again.
    async fn take(&self, key: &str, pace: Pace) -> Result<(), Duration>;
}
