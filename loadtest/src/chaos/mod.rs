//! Breaks a real cluster on a schedule and proves that nothing was lost, doubled or reordered.

mod record;
mod report;
mod verdict;
