//! Takes what arrives on the subscriber connection, as fast as it comes.

use std::sync::Arc;

use bytes::Bytes;
use fred::types::Message;
use proto::NodeId;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::task::AbortOnDropHandle;

use super::Shared;
use super::beat::Beat;
use super::names::Channel;
use crate::{BusEvent, Loss};

/// A task of its own, so that subscribing never delays hearing. Ends with the connection.
pub(super) struct Reader(#[expect(dead_code, reason = "ends the task when dropped")] AbortOnDropHandle<()>);

impl Reader {
    pub(super) fn start(shared: &Arc<Shared>, messages: broadcast::Receiver<Message>) -> Self {
        Self(AbortOnDropHandle::new(tokio::spawn(read(Arc::clone(shared), messages))))
    }
}

async fn read(shared: Arc<Shared>, mut messages: broadcast::Receiver<Message>) {
    loop {
        match messages.recv().await {
            Ok(message) => take(&shared, &message),
            Err(RecvError::Lagged(count)) => {
                tracing::warn!(count, "messages from Redis came faster than they were taken");
                shared.outlet.tell(BusEvent::Lost(Loss::Lag));
            }
            Err(RecvError::Closed) => return,
        }
    }
}

fn take(shared: &Shared, message: &Message) {
    let Some(payload) = message.value.as_bytes() else { return };
    match shared.names.read(&message.channel) {
        Some(Channel::Room(room)) => {
            shared.metrics.received.inc();
            if origin_of(payload) == Some(shared.node) {
                return;
            }
            if let Some(room) = shared.wanted.find(room) {
                // A copy: the payload is a slice of fred's read buffer, and a ring that kept it would keep all of that.
                shared.outlet.publication(room, Bytes::copy_from_slice(payload));
            }
        }
        Some(Channel::Nodes(partition)) => match Beat::decode(payload) {
            Some(beat) if beat.node == shared.node => shared.pulse.heard_self(partition, beat.number),
            Some(beat) => {
                shared.pulse.heard_peer(beat);
                if beat.goodbye {
                    shared.outlet.tell(BusEvent::NodeGone(beat.node));
                }
            }
            None => {}
        },
        None => {}
    }
}

/// Where an envelope keeps its origin, in every version so far. The rest of it is not the bus's business.
fn origin_of(envelope: &[u8]) -> Option<NodeId> {
    let origin = envelope.get(10..18)?.try_into().ok()?;
    Some(NodeId(u64::from_le_bytes(origin)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use fred::types::MessageKind;
    use fred::types::config::Server;
    use proto::RoomName;

    use super::*;
    use crate::{Bus, BusMetrics, RedisBus, RedisConfig};

    #[tokio::test]
    async fn messages_that_fred_had_no_room_for_are_told_as_a_lag() {
        let metrics = BusMetrics::register(&prometheus::Registry::new()).unwrap();
        let (bus, mut events) = RedisBus::start(RedisConfig::new("redis://127.0.0.1:1"), metrics).unwrap();
        let room = RoomName::parse("lobby").unwrap();
        bus.subscribe(&room);
        let (from_fred, messages) = broadcast::channel(2);
        for number in 0..5_u8 {
            let channel = bus.shared.names.channel(&room);
            let (value, server) = (Bytes::from(vec![number]).into(), Server::new("127.0.0.1", 1));
            from_fred.send(Message { channel, value, kind: MessageKind::SMessage, server }).unwrap();
        }
        let _reader = Reader::start(&bus.shared, messages);
        let mut next = async || tokio::time::timeout(Duration::from_secs(10), events.recv()).await.unwrap().unwrap();
        assert_eq!(next().await, BusEvent::Lost(Loss::Lag));
        for number in 3..5 {
            let publication = BusEvent::Publication { room: room.clone(), envelope: vec![number].into() };
            assert_eq!(next().await, publication);
        }
    }
}
