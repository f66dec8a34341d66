//! A node as far as rooms go: a hub, a room log and an end of the bus.

use std::sync::Arc;

use hub::{Hub, HubConfig, HubError, HubMetrics, Seat};
use prometheus::Registry;
use proto::to_client::Kept;
use proto::{MessageId, RoomName};
use roomlog::{AppendError, Job, LaneConfig, RoomLog, RoomLogMetrics};
use store::{Amendment, Change, Post, Store, StoreView};
use tokio::sync::oneshot;
use trace::Tracer;
use uuid::Uuid;

use super::carrier::{End, Handle, LossyBus};
use super::listener::Listener;
use super::{ana, text};

pub struct Node {
    pub hub: Hub,
    pub log: RoomLog,
    pub end: Arc<End>,
    pub epoch: Arc<StoreView>,
    tracer: Tracer,
    registry: Registry,
}

impl Node {
    pub async fn open(bus: &Arc<LossyBus>, store: Arc<dyn Store>, config: HubConfig) -> Self {
        let (end, events) = bus.end();
        let registry = Registry::new();
        let epoch = Arc::new(StoreView::new(store.epoch().await.unwrap()));
        let handle = Arc::new(Handle(end.clone()));
        let tracer = config.tracer.clone();
        let metrics = HubMetrics::register(&registry).unwrap();
        let hub = Hub::start(store.clone(), handle.clone(), events, epoch.clone(), config, metrics);
        let metrics = RoomLogMetrics::register(&registry).unwrap();
        let lanes = LaneConfig { tracer: tracer.clone(), ..LaneConfig::default() };
        let log = RoomLog::start(store, handle, epoch.clone(), &lanes, metrics);
        Self { hub, log, end, epoch, tracer, registry }
    }

    pub async fn close(&self) {
        self.log.close().await;
        self.hub.close().await;
    }

    /// Puts a job into the log; the answer comes when it is settled.
    pub fn submit(&self, job: Job) -> oneshot::Receiver<Result<Kept, AppendError>> {
        let (answer, settled) = oneshot::channel();
        self.log.submit_traced(job, self.tracer.begin("send"), Box::new(move |result| _ = answer.send(result)));
        settled
    }

    async fn kept(&self, job: Job) -> Kept {
        self.submit(job).await.unwrap().unwrap()
    }

    pub async fn says(&self, room: &RoomName, words: &str) -> u64 {
        self.kept(Job::Post(post(room, Uuid::new_v4(), words))).await.seq
    }

    pub async fn says_all(&self, room: &RoomName, words: impl IntoIterator<Item = &str>) {
        for word in words {
            self.says(room, word).await;
        }
    }

    pub async fn edits(&self, room: &RoomName, seq: u64, words: &str) -> u64 {
        self.kept(Job::Amend(amendment(room, seq, Change::Text(text(words))))).await.rev
    }

    pub async fn deletes(&self, room: &RoomName, seq: u64) -> u64 {
        self.kept(Job::Amend(amendment(room, seq, Change::Delete))).await.rev
    }

    /// Enters a room and joins until the last page.
    pub async fn joins(&self, room: &RoomName, listener: &Arc<Listener>) -> Result<Seat, HubError> {
        let mut seat = self.hub.enter(room, super::person(9, "Ear"), listener.clone());
        joins(&mut seat, listener, false, 50).await?;
        Ok(seat)
    }

    pub fn ring_bytes(&self) -> u64 {
        self.counted("tertulia_ring_bytes", None)
    }

    /// The sum of a metric's series that have this label, or all of them.
    pub fn counted(&self, name: &str, label: Option<&str>) -> u64 {
        self.hub.observe();
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name).unwrap_or_else(|| panic!("no {name}"));
        let series = family.get_metric().iter();
        let wanted = series.filter(|one| label.is_none_or(|label| one.get_label().iter().any(|l| l.value() == label)));
        wanted.map(|one| one.get_counter().get_value() as u64 + one.get_gauge().get_value() as u64).sum()
    }
}

/// Joins until the last page.
pub async fn joins(seat: &mut Seat, listener: &Arc<Listener>, afresh: bool, limit: usize) -> Result<(), HubError> {
    loop {
        let mut more = false;
        seat.join(listener.ask(afresh, limit), &mut |answer| more = listener.take(answer)).await?;
        if !more {
            return Ok(());
        }
    }
}

pub fn post(room: &RoomName, id: Uuid, words: &str) -> Post {
    Post { room: room.clone(), id: MessageId(id), from: ana(), text: text(words), reply_to: None }
}

pub fn amendment(room: &RoomName, seq: u64, change: Change) -> Amendment {
    Amendment { room: room.clone(), seq, by: ana().id, change }
}
