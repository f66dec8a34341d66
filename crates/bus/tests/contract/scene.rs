//! Nodes in a test: a bus each, and the events that it told.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bus::{Bus, BusEvent, BusMetrics, Commons, LocalBus, RedisBus, RedisConfig};
use bytes::Bytes;
use prometheus::Registry;
use proto::{Body, Entry, Envelope, Epoch, Frame, NodeId, RoomName};
use testkit::redis::Redis;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Far beyond what anything here takes on a busy machine; only a failing test waits for it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) fn room(name: &str) -> RoomName {
    RoomName::parse(name).unwrap()
}

pub(crate) fn rooms(count: usize) -> Vec<RoomName> {
    (0..count).map(|number| room(&format!("room-{number}"))).collect()
}

pub(crate) fn entry(seq: u64, rev: u64, text: &str) -> Entry {
    Entry { seq, rev, frame: Frame::json(&text) }
}

/// One node.
pub(crate) struct Node {
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) commons: Arc<dyn Commons>,
    events: mpsc::Receiver<BusEvent>,
    registry: Registry,
}

impl Node {
    pub(crate) fn local(queue_len: usize) -> Self {
        let registry = Registry::new();
        let (bus, events) = LocalBus::with_metrics(queue_len, BusMetrics::register(&registry).unwrap());
        let bus = Arc::new(bus);
        Self { bus: bus.clone(), commons: bus, events, registry }
    }

    pub(crate) fn at(url: &str) -> Self {
        Self::with(RedisConfig::new(url))
    }

    pub(crate) fn with(config: RedisConfig) -> Self {
        let registry = Registry::new();
        let (bus, events) = RedisBus::start(config, BusMetrics::register(&registry).unwrap()).unwrap();
        let bus = Arc::new(bus);
        Self { bus: bus.clone(), commons: bus, events, registry }
    }

    /// A node that already hears the others.
    pub(crate) async fn up(url: &str) -> Self {
        let mut node = Self::at(url);
        node.reachable(true).await;
        node
    }

    /// Two nodes that know of each other.
    pub(crate) async fn pair(redis: &Redis) -> [Self; 2] {
        [Self::up(&redis.url()).await, Self::up(&redis.url()).await]
    }

    /// The next event that `wanted` makes something of; others are passed over.
    pub(crate) async fn until<T>(&mut self, what: &str, mut wanted: impl FnMut(BusEvent) -> Option<T>) -> T {
        let mut passed = Vec::new();
        let search = async {
            loop {
                let event = self.events.recv().await.unwrap_or_else(|| panic!("no more events, waiting for {what}"));
                passed.push(format!("{event:.80?}"));
                if let Some(found) = wanted(event) {
                    return found;
                }
            }
        };
        match timeout(DEADLINE, search).await {
            Ok(found) => found,
            Err(_) => panic!("waited in vain for {what}; came: {:?}", &passed[passed.len().saturating_sub(20)..]),
        }
    }

    /// What is told next, whatever it is.
    pub(crate) async fn next(&mut self) -> BusEvent {
        self.until("any event", Some).await
    }

    /// What has been told and not yet looked at.
    pub(crate) fn told(&mut self) -> Vec<BusEvent> {
        std::iter::from_fn(|| self.events.try_recv().ok()).collect()
    }

    pub(crate) async fn told_nothing_more(&mut self) -> bool {
        timeout(DEADLINE, self.events.recv()).await.unwrap().is_none()
    }

    pub(crate) async fn reachable(&mut self, wanted: bool) {
        let what = if wanted { "being reachable" } else { "being unreachable" };
        self.until(what, |event| (event == BusEvent::Reachable(wanted)).then_some(())).await;
    }

    pub(crate) async fn lost(&mut self, loss: bus::Loss) {
        self.until(loss.as_str(), |event| (event == BusEvent::Lost(loss)).then_some(())).await;
    }

    pub(crate) async fn gone(&mut self) -> NodeId {
        self.until("a node gone", |event| if let BusEvent::NodeGone(node) = event { Some(node) } else { None }).await
    }

    pub(crate) async fn joins(&mut self, rooms: &[RoomName]) {
        rooms.iter().for_each(|room| self.bus.subscribe(room));
        self.subscribed(rooms).await;
    }

    /// Waits until all these rooms were told as subscribed.
    pub(crate) async fn subscribed(&mut self, rooms: &[RoomName]) {
        let mut missing: HashSet<_> = rooms.iter().cloned().collect();
        self.until("subscriptions", |event| {
            if let BusEvent::Subscribed(rooms) = event {
                rooms.iter().for_each(|room| _ = missing.remove(room));
            }
            missing.is_empty().then_some(())
        })
        .await;
    }

    /// Publishes a message with this number.
    pub(crate) fn says(&self, room: &RoomName, number: u64) {
        self.bus.publish(room, self.envelope(number));
    }

    pub(crate) fn envelope(&self, number: u64) -> Bytes {
        let body = Body::Entries(vec![entry(number, number, "hola")]);
        Envelope { epoch: Epoch(1), origin: self.bus.node(), published_at_us: 0, body }.encode()
    }

    /// The next publications' rooms and numbers.
    pub(crate) async fn hears(&mut self, count: usize) -> Vec<(RoomName, u64)> {
        let mut heard = Vec::new();
        self.until("publications", |event| {
            if let BusEvent::Publication { room, envelope } = event {
                let Ok(Envelope { body: Body::Entries(entries), .. }) = Envelope::decode(envelope) else { return None };
                heard.push((room, entries[0].rev));
            }
            (heard.len() == count).then_some(())
        })
        .await;
        heard
    }

    /// A series' value on the metrics page, for instance `tertulia_bus_up`.
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let page = prometheus::TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap();
        let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ').map(str::to_owned));
        line.unwrap_or_else(|| panic!("no {series} in {page}")).parse().unwrap()
    }
}

/// Looks again and again until it is so.
pub(crate) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let look = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(DEADLINE, look).await.unwrap_or_else(|_| panic!("in vain: {what}"));
}
