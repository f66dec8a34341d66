//! The ear of Tertulia: who listens on this node, and how far each room has come.
//!
//! For every room with a local listener the hub keeps the last number it has seen, a ring of recent frames and the
//! members inside. Publications may arrive late, twice or never; what leaves is in order and without holes, because a
//! skipped number is read back from the store. Heads are compared with the store's whenever the bus may have lost
//! something, and now and then in any case.
//! Absent on purpose: SQL, Redis commands, JSON; it hands on bytes that it did not write.
//!
//! Start at [`Seat::join`] for a listener's way in and at `Inner::on_event` for a publication's way through. The
//! promise, per listener and room: every number once, rising, or the later one that folds it.
//!
//! Locks: a room's state is behind one mutex that is held for moments and never across an await. Order: room map,
//! room state, member gate, whatever an outbox locks itself.

mod batch;
mod config;
mod error;
mod events;
mod fill;
mod flight;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod join;
mod look;
mod member;
mod metrics;
mod presence;
mod ring;
mod room;
mod rooms;
mod sequence;
mod sweep;
mod traced;
mod warm;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bus::{Bus, BusEvent};
use parking_lot::Mutex;
use proto::{Body, Envelope, Frame, RoomName, User, UserId, to_client};
use store::{Store, StoreError, StoreView};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use batch::Batch;
pub use config::HubConfig;
pub use error::HubError;
pub use join::{Announce, Answer, Ask, PageRead, Seat};
pub use look::{Glance, RoomsRead, Since, SinceRead};
pub use member::Outbox;
pub use metrics::HubMetrics;

use flight::SingleFlight;
use ring::RingBudget;
use room::Room;
use rooms::Rooms;

/// The hub of one node. Cheap to clone.
#[derive(Clone)]
pub struct Hub {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) rooms: Rooms,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) view: Arc<StoreView>,
    pub(crate) config: HubConfig,
    pub(crate) metrics: HubMetrics,
    pub(crate) budget: Arc<RingBudget>,
    /// Reads of the store that listeners may cause at once: the rest waits here, not in the store.
    pub(crate) reads: Semaphore,
    pub(crate) pages: SingleFlight<join::ReadKey, join::Page>,
    pub(crate) sweep_now: Notify,
    /// Rooms that have something to tell about who is here, once it may be told.
    pub(crate) moved: Mutex<Vec<Arc<Room>>>,
    pub(crate) noting_epoch: AtomicBool,
    pub(crate) checking_epoch: tokio::sync::Mutex<()>,
    pub(crate) tasks: TaskTracker,
    stop: CancellationToken,
}

impl Hub {
    /// Starts listening to the bus. Ends with [`close`](Self::close).
    pub fn start(
        store: Arc<dyn Store>,
        bus: Arc<dyn Bus>,
        events: mpsc::Receiver<BusEvent>,
        view: Arc<StoreView>,
        config: HubConfig,
        metrics: HubMetrics,
    ) -> Self {
        let inner = Arc::new(Inner {
            rooms: Rooms::new(),
            store,
            bus,
            view,
            budget: RingBudget::new(config.rings_bytes_max),
            reads: Semaphore::new(config.reads_max),
            pages: SingleFlight::new(),
            config,
            metrics,
            sweep_now: Notify::new(),
            moved: Mutex::new(Vec::new()),
            noting_epoch: AtomicBool::new(false),
            checking_epoch: tokio::sync::Mutex::new(()),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        });
        let until = |task| inner.stop.clone().run_until_cancelled_owned(task);
        inner
            .tasks
            .spawn(until(Box::pin(inner.clone().listen(events)) as futures_util::future::BoxFuture<'static, ()>));
        inner.tasks.spawn(until(Box::pin(inner.clone().sweep())));
        inner.tasks.spawn(until(Box::pin(inner.clone().tick())));
        Self { inner }
    }

    /// Takes a seat in a room: the person is counted as present until the seat is dropped. Nothing is heard before
    /// [`Seat::join`].
    pub fn enter(&self, room: &RoomName, user: User, outbox: Arc<dyn Outbox>) -> Seat {
        Seat::new(&self.inner, room, user, outbox)
    }

    /// Tells a room's other members, everywhere, that somebody is writing.
    pub fn typing(&self, room: &RoomName, user: &User) {
        self.whisper(room, user.id, to_client::typing(room, user));
    }

    /// Shows a frame to a room's other members, everywhere, as far as they keep up.
    pub fn whisper(&self, room: &RoomName, from: UserId, frame: Frame) {
        self.inner.publish(room, Body::Typing { user: from, frame });
    }

    /// The messages before a `seq`, or the newest, oldest first; [`PageRead::more`] says whether there are older ones.
    ///
    /// # Errors
    /// [`HubError::Away`].
    pub async fn history(&self, room: &RoomName, before: Option<u64>, limit: usize) -> Result<Arc<PageRead>, HubError> {
        let room = room.clone();
        let key = match before {
            Some(seq) => join::ReadKey::Before(room, seq, limit),
            None => join::ReadKey::Tail(room, limit),
        };
        self.inner.page(key).await
    }

    /// Whether nodes hear each other.
    pub fn bus_is_up(&self) -> bool {
        self.inner.bus.is_up()
    }

    /// Whether the store answered when it was last asked.
    pub fn store_is_up(&self) -> bool {
        self.inner.view.is_up()
    }

    /// Brings the gauges up to date, before they are read.
    pub fn observe(&self) {
        let Inner { metrics, rooms, budget, view, reads, config, .. } = &*self.inner;
        metrics.rooms_active.set(rooms.len() as i64);
        metrics.ring_bytes.set(budget.used() as i64);
        metrics.reads_running.set(config.reads_max.saturating_sub(reads.available_permits()) as i64);
        metrics.store_up.set(view.is_up().into());
        // As much of it as a number on a metrics page can hold.
        metrics.store_epoch.set((view.epoch().0 >> 12) as i64);
    }

    /// Ends the hub's tasks. Seats may still be dropped afterwards.
    pub async fn close(&self) {
        self.inner.stop.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }
}

impl Inner {
    pub(crate) fn publish(&self, room: &RoomName, body: Body) {
        self.bus.publish(room, Envelope::now(self.view.epoch(), self.bus.node(), body).encode());
    }

    pub(crate) async fn read_permit(&self) -> Result<tokio::sync::SemaphorePermit<'_>, HubError> {
        self.reads.acquire().await.map_err(|_| HubError::Away)
    }

    /// Takes what the store answered and notes whether it did. Listeners only need to know that it is away.
    pub(crate) fn answered<T>(&self, answer: Result<T, StoreError>) -> Result<T, HubError> {
        self.view.note(&answer);
        answer.map_err(|error| {
            tracing::warn!(%error, "a room could not be read");
            HubError::Away
        })
    }

    /// Starts a task that ends with the hub.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(task));
    }
}
