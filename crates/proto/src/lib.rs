//! The words of Tertulia: ids, numbers, frames and error codes.
//!
//! Everything that nodes, clients and stores say to each other is spelled here and nowhere else: what a
//! client may send ([`FromClient`]), what a node answers ([`to_client`]), what travels on the bus
//! ([`Envelope`]), and what a refusal may be called ([`Code`]).
//! Absent on purpose: sockets, tasks, SQL and Redis. All of it can be tested with strings alone.

mod envelope;
mod frame;
mod from_client;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod ids;
mod message;
mod names;
mod networks;
mod refusal;
mod timestamp;
pub mod to_client;
mod token;
mod trace;

pub use envelope::{Beat, Body, Entry, Envelope, EnvelopeError};
pub use frame::Frame;
pub use from_client::{FromClient, Position, Rejected, Request, TAIL_DEFAULT, TAIL_MAX};
pub use ids::{Epoch, MessageId, NodeId, TaskId, UserId, WebhookId};
pub use message::{Message, User};
pub use names::{PersonName, RoomName, Text};
pub use networks::{Networks, NotANetwork};
pub use refusal::{Code, Refusal};
pub use timestamp::Timestamp;
pub use token::{TOKEN_BYTES_MAX, Token};
pub use trace::{Mark, TraceContext};

/// The WebSocket subprotocol that these frames belong to.
pub const SUBPROTOCOL: &str = "tertulia.v1";

/// Most bytes in one frame from a client, and in one message made of several frames.
pub const FRAME_BYTES_MAX: usize = 64 * 1024;
