//! Breaks a real cluster on a schedule and proves that nothing was lost, doubled or reordered.

#![allow(dead_code, reason = "nothing runs it yet")]

mod judge;
mod record;
mod verdict;
