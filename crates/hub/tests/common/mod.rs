//! Several nodes on one store, a carrier that does as it is told, and listeners that know the rules.

// In a test program nothing is reachable from outside, and each program uses its own part of this.
#![allow(unreachable_pub, dead_code, clippy::unwrap_used)]

pub mod carrier;
pub mod counting;
pub mod listener;
pub mod node;

use std::sync::Arc;

use proto::{PersonName, RoomName, Text, User, UserId};
use store::{SqliteConfig, SqliteStore, StoreMetrics};
use tempfile::TempDir;
use tokio::sync::mpsc;
use trace::{Span, TraceMetrics, Tracer};
use uuid::Uuid;

pub fn room(name: &str) -> RoomName {
    RoomName::parse(name).unwrap()
}

pub fn text(text: &str) -> Text {
    Text::parse(text).unwrap()
}

/// Whoever writes in these tests.
pub fn ana() -> User {
    person(1, "Ana")
}

pub fn person(id: u128, name: &str) -> User {
    User { id: UserId(Uuid::from_u128(id)), name: PersonName::parse(name).unwrap() }
}

pub fn store_metrics() -> StoreMetrics {
    StoreMetrics::register(&prometheus::Registry::new()).unwrap()
}

/// A tracer that begins a trace for this share of requests, and what it is told.
pub fn tracer(ratio: f64) -> (Tracer, mpsc::Receiver<Span>) {
    Tracer::on(ratio, 100, TraceMetrics::register(&prometheus::Registry::new()).unwrap())
}

/// A real store in a file of its own. It lives as long as its folder.
pub async fn sqlite(folder: &TempDir) -> Arc<SqliteStore> {
    let path = folder.path().join("rooms.db");
    Arc::new(SqliteStore::open(path.to_str().unwrap(), SqliteConfig::default(), store_metrics()).await.unwrap())
}
