//! A cluster in a test: nodes, clients, and ways to break them.

// What helps a test fails like a test: by a panic with a sentence.
#![allow(clippy::expect_used, clippy::unwrap_used)]

pub mod postgres;
pub mod process;
