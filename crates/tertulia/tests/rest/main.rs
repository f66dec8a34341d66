//! The REST API: what it promises, what it refuses and how, and that its document tells all of it.

// A test fails by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod asking;
mod document;
mod fuzz;
mod keeping;
mod manners;
mod messages;
mod people;
mod tasks;
mod vouched;
mod webhooks;
