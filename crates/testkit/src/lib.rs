//! A cluster in a test: nodes, clients, and ways to break them.

pub mod proxy;
pub mod redis;
