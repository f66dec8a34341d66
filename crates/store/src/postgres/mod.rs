//! The memory of a cluster.
//!
//! Writers have lanes, a connection each; readers share a few others. Nothing here waits for ever: the server is told to
//! give up before we do, and a server that does not even say so is [`StoreError::Away`] and its connection gone.

mod accounts;
mod archive;
mod config;
mod connect;
mod durability;
mod evidence;
mod exports;
mod faults;
mod read;
mod retention;
mod settings;
mod survey;
mod tasks;
mod webhooks;
mod write;

pub use config::PostgresConfig;

use async_trait::async_trait;
use proto::{Epoch, RoomName, Timestamp};
use sqlx::FromRow;
use sqlx::postgres::{PgArguments, PgRow, Postgres};
use sqlx::query::Query;
use tokio::time::timeout;

use self::connect::PgOpener;
use crate::archive::{Above, Archive, GoneId, GoneIds, Records, Restoration, Restored};
use crate::migrations::Step;
use crate::retention::{Forgotten, Policy, Retention};
use crate::seats::Seats;
use crate::snapshot;
use crate::{Amendment, Changes, Durability, Heads, Outcome, Post, Store, StoreError, StoreMetrics, Tail};

type PgQuery = Query<'static, Postgres, PgArguments>;

/// A [`Store`] in Postgres, shared by all nodes.
pub struct PostgresStore {
    lanes: Vec<Seats<PgOpener>>,
    readers: Seats<PgOpener>,
    config: PostgresConfig,
    metrics: StoreMetrics,
}

impl PostgresStore {
    /// Connects, migrates, and opens the writers' lanes.
    ///
    /// Several nodes may do so at once. Passwords and addresses stay out of the errors.
    ///
    /// # Errors
    /// [`StoreError::Away`] when nobody answers or it is a standby; [`StoreError::Refused`] when the address is malformed, the
    /// server wants other credentials, or its data belongs to a newer version.
    pub async fn open(url: &str, config: PostgresConfig, metrics: StoreMetrics) -> Result<Self, StoreError> {
        let options = connect::options(url)?;
        if config.reads_only {
            let mut connection = connect::connect(&options, &config).await?;
            connect::schema(&mut connection).await?.refuse_unfinished(config.allow_newer)?;
        } else {
            connect::migrate(&options, &config).await?;
        }
        let seats = |kind, count| Seats::new(PgOpener::new(&options, &config, kind), count, config.acquire_timeout);
        let store = Self {
            lanes: (0..config.lanes.max(1)).map(|_| seats(connect::Kind::Lane, 1)).collect(),
            readers: seats(connect::Kind::Reader, config.readers.max(1)),
            config,
            metrics,
        };
        for lane in store.lanes.iter().filter(|_| !store.config.reads_only) {
            lane.take().await?.give_back();
        }
        Ok(store)
    }

    /// Only applies what is missing, and says what that was.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn migrate(url: &str, config: &PostgresConfig) -> Result<Vec<Step>, StoreError> {
        connect::migrate(&connect::options(url)?, config).await
    }

    /// One statement, one answer, or a connection less.
    async fn ask(&self, seats: &Seats<PgOpener>, query: PgQuery) -> Result<Vec<PgRow>, faults::Fault> {
        let mut seat = seats.take().await?;
        match timeout(self.config.answer_timeout, query.fetch_all(&mut seat.connection)).await {
            Ok(Ok(rows)) => {
                seat.give_back();
                Ok(rows)
            }
            Ok(Err(error)) => {
                let fault = faults::judge(&error);
                if fault.connection_lost {
                    seats.forget_idle();
                } else {
                    seat.give_back();
                }
                Err(fault)
            }
            Err(_) => {
                seats.forget_idle();
                Err(StoreError::Away("it does not answer".into()).into())
            }
        }
    }

    /// A question that changes nothing, and so may be asked a second time when the connection turns out to be dead: an
    /// idle one does not notice that the server was restarted.
    async fn ask_twice(&self, query: impl Fn() -> PgQuery) -> Result<Vec<PgRow>, StoreError> {
        match self.ask(&self.readers, query()).await {
            Err(fault) if fault.connection_lost => Ok(self.ask(&self.readers, query()).await?),
            answer => Ok(answer?),
        }
    }

    fn lane(&self, lane: usize) -> &Seats<PgOpener> {
        &self.lanes[lane % self.lanes.len()]
    }
}

fn rows_of<T: for<'r> FromRow<'r, PgRow>>(rows: &[PgRow]) -> Result<Vec<T>, StoreError> {
    rows.iter().map(|row| T::from_row(row).map_err(|error| faults::judge(&error).error)).collect()
}

#[async_trait]
impl Store for PostgresStore {
    fn lanes(&self) -> usize {
        self.lanes.len()
    }

    async fn append(&self, lane: usize, posts: &[Post]) -> Result<Vec<Outcome>, StoreError> {
        self.metrics.batch_size.observe(posts.len() as f64);
        self.metrics.watch(&self.metrics.append, self.append_in(lane, posts)).await
    }

    async fn amend(&self, lane: usize, amendments: &[Amendment]) -> Result<Vec<Outcome>, StoreError> {
        self.metrics.batch_size.observe(amendments.len() as f64);
        self.metrics.watch(&self.metrics.amend, self.amend_in(lane, amendments)).await
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
        for lane in &self.lanes {
            lane.close().await;
        }
        self.readers.close().await;
    }
}

#[async_trait]
impl Archive for PostgresStore {
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
impl Retention for PostgresStore {
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
