//! The doors of Tertulia: sockets, frames and pages; one connection's whole life.
//!
//! A connection is a stranger until it is welcomed and a guest of the house from then on, whether a name or an account let it in; what a
//! guest may ask is a file each in `on/`. Frames that a room owes come from the hub straight to the connection's way out (`ws/out.rs`); its
//! own task only reads, and writes what the socket did not take at once.
//! Absent on purpose: SQL, Redis, which database or bus is behind the doors.
//!
//! Start at [`Gateway::serve`] for a connection's way in, at `ws/session.rs` for its life, at `ws/out.rs` for its way out.

mod address;
mod api;
mod config;
mod credentials;
mod http;
mod limits;
mod metrics;
mod node;
mod on;
mod places;
mod recognized;
mod refusal;
mod roster;
mod socketio;
mod stays;
mod traced;
mod writing;
mod ws;

pub use config::GatewayConfig;
pub use http::watched::Watched;
pub use metrics::GatewayMetrics;
pub use node::{Background, Gateway, Phase};
pub use proto::{Networks, NotANetwork};
#[cfg(any(test, fuzzing))]
pub use socketio::fuzzing;
