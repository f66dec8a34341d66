//! HTTP: the page, health, metrics, and the way to a WebSocket.

pub(crate) mod cors;
pub(crate) mod health;
pub(crate) mod page;
pub(crate) mod problem;
pub(crate) mod server;
mod strict;
pub(crate) mod watched;
