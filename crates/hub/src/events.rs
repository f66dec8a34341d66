//! A publication's way through the hub.

use std::sync::Arc;
use std::time::Instant;

use bus::{BusEvent, Loss};
use bytes::Bytes;
use proto::{Body, Envelope, NodeId, RoomName};
use tokio::sync::mpsc;

use crate::metrics::Cause;
use crate::{Inner, traced};

impl Inner {
    /// Takes what the bus brings, in order, until the bus ends.
    pub(crate) async fn listen(self: Arc<Self>, mut events: mpsc::Receiver<BusEvent>) {
        while let Some(event) = events.recv().await {
            self.on_event(event);
        }
    }

    fn on_event(self: &Arc<Self>, event: BusEvent) {
        match event {
            BusEvent::Publication { room, envelope } => self.on_publication(&room, envelope),
            BusEvent::Subscribed(names) => self.on_subscribed(&names),
            BusEvent::Lost(loss) => {
                let cause = match loss {
                    Loss::Reconnect => Cause::Reconnect,
                    Loss::Lag => Cause::Lag,
                    Loss::Deaf => Cause::Deaf,
                };
                tracing::warn!(cause = cause.as_str(), "publications were lost");
                let (hub, rooms) = (self.clone(), self.rooms.all());
                rooms.iter().for_each(|room| room.doubt());
                self.spawn(async move { hub.compare(rooms, cause).await });
            }
            BusEvent::Reachable(up) => self.on_reachable(up),
            BusEvent::NodeGone(node) => self.on_node_gone(node),
        }
    }

    fn on_publication(self: &Arc<Self>, name: &RoomName, bytes: Bytes) {
        let Some(room) = self.rooms.get(name) else { return };
        let envelope = match Envelope::decode(bytes) {
            Ok(envelope) => envelope,
            Err(error) => {
                // It may hold numbers: what cannot be read from the bus is read from the store.
                tracing::debug!(%error, room = %name, "a publication could not be read");
                self.look_behind(&room, Cause::Version);
                return;
            }
        };
        let (age, is_ours) = (envelope.age(), envelope.origin == self.bus.node());
        if let Body::Traced { marks, .. } = &envelope.body {
            room.await_delivery(envelope.epoch, traced::received(&self.config.tracer, &envelope, marks));
        }
        match envelope.body {
            Body::Entries(entries) | Body::Traced { entries, .. } => {
                if !is_ours {
                    self.metrics.bus_lag_seconds.observe(age.as_secs_f64());
                }
                match room.take(self, envelope.epoch, entries, Instant::now().checked_sub(age)) {
                    Some(false) => {}
                    Some(true) => self.fill_gap(&room),
                    None => {
                        // One of the two nodes is behind; whichever it is, the store knows the room's numbers.
                        self.note_epoch(envelope.epoch);
                        self.look_behind(&room, Cause::Version);
                    }
                }
            }
            Body::Presence(beat) => self.on_beat(&room, envelope.origin, beat),
            Body::Typing { user, frame } => room.whisper(self, frame, Some(user)),
        }
    }

    /// Subscribed, then heads: whatever was missed before is found now.
    fn on_subscribed(self: &Arc<Self>, names: &[RoomName]) {
        let mut again = Vec::new();
        for room in names.iter().filter_map(|name| self.rooms.get(name)) {
            room.doubt();
            // In this order: whoever is let in by the subscription reads after it, and needs no second look.
            let is_warm = room.lock().is_warm();
            room.set_subscribed();
            if is_warm {
                again.push(room);
            }
        }
        if !again.is_empty() {
            let hub = self.clone();
            self.spawn(async move { hub.compare(again, Cause::Reconnect).await });
        }
    }

    fn on_reachable(self: &Arc<Self>, up: bool) {
        tracing::warn!(up, "{}", if up { "other nodes are heard again" } else { "other nodes cannot be heard" });
        self.sweep_now.notify_one();
        for room in self.rooms.all() {
            room.subscribed_now.notify_waiters(); // nobody need wait for what cannot come
            room.lock().presence.mark_news(up);
            self.presence_moved(&room);
        }
    }

    fn on_node_gone(self: &Arc<Self>, node: NodeId) {
        for room in self.rooms.all() {
            if room.lock().presence.others(node, 0) {
                self.presence_moved(&room);
            }
        }
    }
}
