//! The bounded queue to the hub, and what is owed to it while the queue is full.
//!
//! A full queue costs publications, which the hub reads back from the store, and nothing else: one `Lost(Lag)` stands
//! for all that were dropped, and the events that must arrive are gathered until there is room. What is gathered is
//! bounded by the number of rooms and nodes, however long the hub takes.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use proto::{NodeId, RoomName};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::{BusEvent, BusMetrics, Loss};

/// The bus's end of the queue of events.
pub(crate) struct Outlet {
    // Everything is sent under this lock, so that what is owed goes before what comes later. Nothing waits inside it.
    state: Mutex<State>,
    owing: Notify,
    metrics: Option<BusMetrics>,
}

struct State {
    /// `None` once closed.
    queue: Option<mpsc::Sender<BusEvent>>,
    owed: Owed,
}

impl Outlet {
    /// Makes a queue of `len` events, and keeps a task that pays what is owed until `stop`.
    pub(crate) fn open(
        len: usize,
        metrics: Option<BusMetrics>,
        stop: CancellationToken,
    ) -> (Arc<Self>, mpsc::Receiver<BusEvent>) {
        let (queue, events) = mpsc::channel(len.max(1));
        let state = Mutex::new(State { queue: Some(queue), owed: Owed::default() });
        let outlet = Arc::new(Self { state, owing: Notify::new(), metrics });
        let payer = Arc::clone(&outlet);
        tokio::spawn(async move { stop.run_until_cancelled(payer.pay()).await });
        (outlet, events)
    }

    /// Hands over a publication, or drops it if the hub is behind.
    pub(crate) fn publication(&self, room: RoomName, envelope: Bytes) {
        let mut state = self.state.lock();
        let Some(queue) = &state.queue else { return };
        let taken = state.owed.is_empty() && queue.try_send(BusEvent::Publication { room, envelope }).is_ok();
        if !taken {
            if let Some(metrics) = &self.metrics {
                metrics.dropped_events.inc();
            }
            if !state.owed.lost.contains(&Loss::Lag) {
                self.count(Loss::Lag);
            }
            state.owed.add(BusEvent::Lost(Loss::Lag));
            self.owing.notify_one();
        }
    }

    /// Hands over an event that must arrive.
    pub(crate) fn tell(&self, event: BusEvent) {
        if let BusEvent::Lost(loss) = event {
            self.count(loss);
        }
        let mut state = self.state.lock();
        let Some(queue) = &state.queue else { return };
        let event = if state.owed.is_empty() {
            match queue.try_send(event) {
                Ok(()) => return,
                Err(mpsc::error::TrySendError::Full(event) | mpsc::error::TrySendError::Closed(event)) => event,
            }
        } else {
            event
        };
        state.owed.add(event);
        self.owing.notify_one();
    }

    /// Ends the queue: the hub takes what is in it, and then nothing.
    pub(crate) fn close(&self) {
        self.state.lock().queue = None;
    }

    fn count(&self, loss: Loss) {
        if let Some(metrics) = &self.metrics {
            metrics.loss(loss);
        }
    }

    async fn pay(&self) {
        loop {
            self.owing.notified().await;
            while let Some(queue) = self.queue_owed_to() {
                let Ok(permit) = queue.reserve().await else { return };
                if let Some(event) = self.state.lock().owed.take() {
                    permit.send(event);
                }
            }
        }
    }

    fn queue_owed_to(&self) -> Option<mpsc::Sender<BusEvent>> {
        let state = self.state.lock();
        if state.owed.is_empty() { None } else { state.queue.clone() }
    }
}

/// Events that wait for room, gathered so that each kind needs at most one place.
#[derive(Default)]
struct Owed {
    lost: Vec<Loss>,
    reachable: Option<bool>,
    subscribed: HashSet<RoomName>,
    gone: BTreeSet<NodeId>,
}

impl Owed {
    fn add(&mut self, event: BusEvent) {
        match event {
            BusEvent::Lost(loss) if !self.lost.contains(&loss) => self.lost.push(loss),
            BusEvent::Reachable(reachable) => self.reachable = Some(reachable),
            BusEvent::Subscribed(rooms) => self.subscribed.extend(rooms),
            BusEvent::NodeGone(node) => _ = self.gone.insert(node),
            BusEvent::Lost(_) | BusEvent::Publication { .. } => {}
        }
    }

    /// `Subscribed` comes last of those that concern rooms: heads read after it find what the others tell of.
    fn take(&mut self) -> Option<BusEvent> {
        if let Some(loss) = self.lost.pop() {
            Some(BusEvent::Lost(loss))
        } else if let Some(reachable) = self.reachable.take() {
            Some(BusEvent::Reachable(reachable))
        } else if !self.subscribed.is_empty() {
            Some(BusEvent::Subscribed(self.subscribed.drain().collect()))
        } else {
            self.gone.pop_first().map(BusEvent::NodeGone)
        }
    }

    fn is_empty(&self) -> bool {
        self.lost.is_empty() && self.reachable.is_none() && self.subscribed.is_empty() && self.gone.is_empty()
    }
}
