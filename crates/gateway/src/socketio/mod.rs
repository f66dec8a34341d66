//! One more door, for clients of Socket.IO as they are: the same rooms, numbers and limits, in other words.
//!
//! The engine (`engineioxide`) carries packets, whether by polling, WebSocket or from one to the other. What they say is read here, done
//! by the room log, and told by the hub, to which a session is one more outbox; no message goes any other way. A request comes in
//! at `door.rs`; a session lives in `life.rs`; `out.rs` is its way out, which to a WebSocket leads past the engine (`wire.rs`). Where the
//! engine does otherwise than clients need there is something around it: `poll.rs`, `over.rs` for the way from polling to a WebSocket,
//! `pulse.rs` and `stream.rs` for who is silent.

mod dialect;
pub(crate) mod door;
mod frames;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod handshake;
mod life;
mod lines;
mod on;
mod out;
mod over;
mod packet;
mod people;
mod poll;
mod pulse;
mod replay;
pub(crate) mod script;
mod session;
pub(crate) mod sessions;
mod stream;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use engineioxide::config::EngineIoConfig;
use engineioxide::handler::EngineIoHandler;
use engineioxide::service::EngineIoService;
use engineioxide::{DisconnectReason, Socket, Str};
use proto::FRAME_BYTES_MAX;

use session::{Attached, Session};

/// How often the engine asks whether anybody is there, and how long it waits for the answer: what clients of Socket.IO expect.
pub(crate) const PING_INTERVAL: Duration = Duration::from_secs(25);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Packets in the engine's buffer. What waits for longer waits in the session, counted.
const BUFFER: usize = 32;

/// Bytes that the engine reads at once from a WebSocket. It holds a buffer of that size for each, and what people say is short.
const READ_BYTES: usize = 512;

/// The engine, as the doors call it.
pub(crate) type Engine = EngineIoService<Handler>;

/// Takes what the engine reads.
#[derive(Debug)]
pub(crate) struct Handler;

pub(crate) fn engine() -> Engine {
    let config = EngineIoConfig::builder()
        .req_path(door::PATH)
        .ping_interval(PING_INTERVAL)
        .ping_timeout(PING_TIMEOUT)
        .max_buffer_size(BUFFER)
        .ws_read_buffer_size(READ_BYTES)
        .max_payload(FRAME_BYTES_MAX as u64)
        .ws_max_message_size(FRAME_BYTES_MAX)
        .ws_max_frame_size(FRAME_BYTES_MAX)
        .build();
    EngineIoService::with_config(Arc::new(Handler), config)
}

impl EngineIoHandler for Handler {
    type Data = Attached;

    fn on_connect(self: Arc<Self>, socket: Arc<Socket<Attached>>) {
        // The door put it there.
        let Some(session) = socket.req_parts.extensions.get::<Arc<Session>>().cloned() else { return };
        let _ = socket.data.0.set(session.clone());
        session.set_socket(Some(socket.clone()));
        let node = session.node.clone();
        // Now: the client may ask again as soon as it knows the number.
        node.sessions.add(socket.id, session.clone());
        node.spawn(life::live(session, socket.id));
    }

    fn on_disconnect(&self, socket: Arc<Socket<Attached>>, reason: DisconnectReason) {
        let Some(session) = socket.data.0.get() else { return };
        session.end(match reason {
            DisconnectReason::TransportClose => "client",
            DisconnectReason::TransportError | DisconnectReason::ClosingServer => "lost",
            DisconnectReason::HeartbeatTimeout => "idle",
            DisconnectReason::MultipleHttpPollingError | DisconnectReason::PacketParsingError => "protocol",
        });
    }

    fn on_message(self: &Arc<Self>, message: Str, socket: Arc<Socket<Attached>>) {
        if let Some(session) = socket.data.0.get() {
            session.came(message);
        }
    }

    /// No message here has attachments.
    fn on_binary(self: &Arc<Self>, _: Bytes, _: Arc<Socket<Attached>>) {}
}
