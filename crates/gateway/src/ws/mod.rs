//! WebSockets: the handshake, a connection's way out, and its life.

mod backlog;
pub(crate) mod connections;
pub(crate) mod handshake;
pub(crate) mod out;
pub(crate) mod session;
pub(crate) mod wire;
