//! The memory of a single node, in one file.
//!
//! One connection writes, a few others read beside it (write-ahead log). One process owns the file: a second could keep
//! the numbers right, but what it writes would never reach the listeners of the first.
//!
//! There is no evidence of a restored copy here, as Postgres gives it: a file looks the same wherever it came from. Whoever
//! puts a backup back restarts the node, and with it go the positions that its clients' connections held.

mod accounts;
mod archive;
mod ask;
mod config;
mod connect;
mod durability;
mod exports;
mod faults;
mod file;
mod read;
mod retention;
mod settings;
mod survey;
mod tasks;
mod webhooks;
mod write;

pub use config::SqliteConfig;

use std::fs::File;

use async_trait::async_trait;
use parking_lot::Mutex;
use proto::{Epoch, RoomName, Timestamp};

use self::connect::{Kind, SqliteOpener};
use crate::archive::{Above, Archive, GoneId, GoneIds, Records, Restoration, Restored};
use crate::migrations::Step;
use crate::retention::{Forgotten, Policy, Retention};
use crate::seats::{Opener, Seats};
use crate::snapshot;
use crate::{Amendment, Changes, Durability, Heads, Outcome, Post, Store, StoreError, StoreMetrics, Tail};

/// A [`Store`] in an SQLite file.
pub struct SqliteStore {
    writer: Seats<SqliteOpener>,
    readers: Seats<SqliteOpener>,
    // Held, never read: the lock goes with the file.
    lock: Mutex<Option<File>>,
    metrics: StoreMetrics,
}

impl SqliteStore {
    /// Opens a file, given as a path or as `sqlite:` and a path; makes it, and its folder, where they are missing.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when the file cannot be made or read, belongs to another process, or to a newer version.
    pub async fn open(path_or_url: &str, config: SqliteConfig, metrics: StoreMetrics) -> Result<Self, StoreError> {
        let path = file::path(path_or_url)?;
        let seats = |kind, count| Seats::new(SqliteOpener::new(&path, &config, kind), count, config.busy_timeout);
        let (writer, readers) = (seats(Kind::Writer, 1), seats(Kind::Reader, config.readers.max(1)));
        // A node that has the file has brought its schema up to date.
        let lock = if config.reads_only || (config.beside && file::is_in_use(&path)) {
            file::must_exist(&path)?;
            let mut seat = readers.take().await?;
            connect::schema(&mut seat.connection).await?.refuse_unfinished(config.allow_newer)?;
            seat.give_back();
            None
        } else {
            let lock = file::own(&path)?;
            let mut seat = writer.take().await?;
            connect::migrate(&mut seat.connection, &config).await?;
            settings::found(&mut seat.connection).await?;
            seat.give_back();
            Some(lock)
        };
        Ok(Self { writer, readers, lock: Mutex::new(lock), metrics })
    }

    /// Only applies what is missing, and says what that was.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn migrate(path_or_url: &str, config: &SqliteConfig) -> Result<Vec<Step>, StoreError> {
        let path = file::path(path_or_url)?;
        let _lock = file::own(&path)?;
        let mut connection = SqliteOpener::new(&path, config, Kind::Writer).open().await?;
        let applied = connect::migrate(&mut connection, config).await?;
        settings::found(&mut connection).await?;
        SqliteOpener::close(connection).await;
        Ok(applied)
    }
}

#[async_trait]
impl Store for SqliteStore {
    /// One: SQLite has one writer at a time.
    fn lanes(&self) -> usize {
        1
    }

    async fn append(&self, _lane: usize, posts: &[Post]) -> Result<Vec<Outcome>, StoreError> {
        self.metrics.batch_size.observe(posts.len() as f64);
        self.metrics.watch(&self.metrics.append, self.append_all(posts)).await
    }

    async fn amend(&self, _lane: usize, amendments: &[Amendment]) -> Result<Vec<Outcome>, StoreError> {
        self.metrics.batch_size.observe(amendments.len() as f64);
        self.metrics.watch(&self.metrics.amend, self.amend_all(amendments)).await
    }

    async fn heads(&self, rooms: &[RoomName]) -> Result<Heads, StoreError> {
        self.metrics.watch(&self.metrics.heads, self.read_heads(rooms)).await
    }

    async fn changes(&self, room: &RoomName, after: u64, limit: usize) -> Result<Changes, StoreError> {
        let read = self.snapshot(snapshot::CHANGES, room, after, limit);
        Ok(self.metrics.watch(&self.metrics.changes, read).await?.changes(after, limit))
    }

    async fn newest_changes(&self, room: &RoomName, span: u64) -> Result<Changes, StoreError> {
        let read = self.snapshot(snapshot::NEWEST_CHANGES, room, span, usize::MAX);
        Ok(self.metrics.watch(&self.metrics.newest_changes, read).await?.newest_changes(span))
    }

    async fn tail(&self, room: &RoomName, limit: usize) -> Result<Tail, StoreError> {
        let read = self.snapshot(snapshot::BEFORE, room, u64::MAX, limit);
        Ok(self.metrics.watch(&self.metrics.tail, read).await?.tail(limit))
    }

    async fn before(&self, room: &RoomName, seq: u64, limit: usize) -> Result<Tail, StoreError> {
        let read = self.snapshot(snapshot::BEFORE, room, seq, limit);
        Ok(self.metrics.watch(&self.metrics.before, read).await?.tail(limit))
    }

    async fn rooms(&self, after: Option<&RoomName>, limit: usize) -> Result<Vec<RoomName>, StoreError> {
        self.metrics.watch(&self.metrics.heads, self.list_rooms(after, limit)).await
    }

    async fn epoch(&self) -> Result<Epoch, StoreError> {
        self.metrics.watch(&self.metrics.settings, self.read_epoch()).await
    }

    async fn rotate_epoch(&self, old: Epoch) -> Result<Epoch, StoreError> {
        self.metrics.watch(&self.metrics.settings, self.rotate(old)).await
    }

    async fn secret(&self, candidate: &str) -> Result<String, StoreError> {
        self.metrics.watch(&self.metrics.settings, self.agree_on_secret(candidate)).await
    }

    async fn durability(&self) -> Result<Durability, StoreError> {
        self.metrics.watch(&self.metrics.settings, self.read_durability()).await
    }

    async fn close(&self) {
        // The writer last: whoever closes last folds the write-ahead log into the file.
        self.readers.close().await;
        self.writer.close().await;
        self.lock.lock().take();
    }
}

#[async_trait]
impl Archive for SqliteStore {
    async fn records(&self, room: &RoomName, above: Above, limit: usize) -> Result<Records, StoreError> {
        self.read_records(room, above, limit).await
    }

    async fn restore(&self, restoration: &Restoration<'_>) -> Result<Restored, StoreError> {
        self.put_back(restoration).await
    }

    async fn gone_ids(&self, room: &RoomName, from: GoneIds, limit: usize) -> Result<Vec<GoneId>, StoreError> {
        self.read_gone_ids(room, from, limit).await
    }
}

#[async_trait]
impl Retention for SqliteStore {
    async fn policy(&self, room: &RoomName) -> Result<Policy, StoreError> {
        self.metrics.watch(&self.metrics.settings, self.read_policy(room)).await
    }

    async fn set_policy(&self, room: &RoomName, policy: Policy) -> Result<(), StoreError> {
        self.metrics.watch(&self.metrics.settings, self.write_policy(room, policy)).await
    }

    async fn policies(&self, after: Option<&RoomName>, limit: usize) -> Result<Vec<(RoomName, Policy)>, StoreError> {
        self.metrics.watch(&self.metrics.settings, self.read_policies(after, limit)).await
    }

    async fn due(&self, room: &RoomName, policy: Policy, now: Timestamp, limit: usize) -> Result<u64, StoreError> {
        self.metrics.watch(&self.metrics.due, self.read_due(room, policy, now, limit)).await
    }

    async fn forget(&self, room: &RoomName, floor: u64, limit: usize) -> Result<Forgotten, StoreError> {
        self.metrics.watch(&self.metrics.forget, self.let_go(room, floor, limit)).await
    }
}
