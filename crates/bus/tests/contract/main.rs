//! What every bus promises, and what the one on Redis promises on bad days.
//!
//! `both` runs on each bus. The others break a real Redis, or the way to it, and wait for facts, never for time.

#![expect(clippy::unwrap_used, reason = "a test that cannot have this cannot go on")]

mod away;
mod both;
mod cluster;
mod commons;
mod people;
mod queue;
mod recent;
mod scene;
mod sentinel;
