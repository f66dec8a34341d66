//! Where Redis is, and how much the bus may keep.

use std::fmt;

use crate::redis::names::Names;

/// How to reach Redis, and the bounds of what waits for it.
#[derive(Clone)]
pub struct RedisConfig {
    /// `redis://` or `rediss://` for a single server, `redis-sentinel://host?sentinelServiceName=…`,
    /// `redis-cluster://host:port`. Redis 7 or later, for sharded pub/sub.
    pub url: String,
    /// What all keys and channels begin with: several chats may share one Redis. Letters, digits, `-` `_` `.`.
    pub prefix: String,
    /// Events that may wait for the hub; beyond it publications are dropped and read back from the store.
    pub events_max: usize,
    /// Publications that may wait for Redis; beyond it they are dropped, and other nodes read the store.
    pub publications_max: usize,
    /// Seconds after its last message that a room's recent messages are kept in Redis.
    pub recent_seconds: u32,
}

impl RedisConfig {
    /// The defaults for a Redis at this address.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            prefix: "tertulia".into(),
            events_max: 16_384,
            publications_max: 8_192,
            recent_seconds: 3_600,
        }
    }
}

/// Leaves out the address, which may hold a password.
impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("prefix", &self.prefix)
            .field("events_max", &self.events_max)
            .field("publications_max", &self.publications_max)
            .field("recent_seconds", &self.recent_seconds)
            .finish_non_exhaustive()
    }
}

/// Why a bus on Redis could not be made, or asked about itself.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The address cannot be read. Trying again will not help.
    #[error("not an address of a Redis: {0}")]
    Url(String),
    /// The prefix would break the names of keys.
    #[error("a prefix of keys is 1 to 64 letters, digits or - _ . and not {0:?}")]
    Prefix(String),
    /// Nobody is there. A bus starts all the same; only whoever asks is told.
    #[error("Redis does not answer: {0}")]
    Away(String),
}

impl RedisConfig {
    pub(super) fn names(&self) -> Result<Names, BusError> {
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if self.prefix.is_empty() || self.prefix.len() > 64 || !self.prefix.chars().all(good) {
            return Err(BusError::Prefix(self.prefix.clone()));
        }
        Ok(Names::new(&self.prefix))
    }
}
