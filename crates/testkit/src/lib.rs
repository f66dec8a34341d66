//! A cluster in a test: nodes, clients, and ways to break them.

// What helps a test fails like a test: by a panic with a sentence.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::time::{Duration, Instant};

pub mod build;
pub mod client;
pub mod cluster;
pub mod errand;
pub mod haproxy;
pub mod node;
pub mod postgres;
pub mod process;
pub mod prometheus;
pub mod proxy;
pub mod receiver;
pub mod redis;
pub mod replica;
pub mod socketio;

/// Asks again and again until there is an answer; `None` if there is none in time. How tests wait for facts.
pub async fn patience<T>(within: Duration, mut ask: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + within;
    loop {
        if let Some(answer) = ask().await {
            return Some(answer);
        }
        if Instant::now() >= deadline {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
