//! Breaks a real cluster on a schedule and proves that nothing was lost, doubled or reordered.
//!
//! A run: [`stage`] starts the cluster, [`client`]s talk and write down what they do and see, [`fault`]s happen as the
//! [`schedule`] draws them, all is mended, everything settles, the rows are read past the program ([`stored`]). What is left
//! behind ([`record`]) is judged ([`judge`]) and told ([`report`]). [`watch()`] does the same to a cluster that is not its own.

mod client;
mod counters;
mod crowd;
mod fake_clock;
mod fault;
mod journal;
mod judge;
mod record;
mod report;
mod run;
mod schedule;
mod stage;
mod stored;
mod verdict;
mod watch;

use std::path::PathBuf;

pub(crate) use fault::Kind;
pub(crate) use run::run;
pub(crate) use watch::watch;

/// The programs of nodes.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    /// What all nodes run.
    pub(crate) node: PathBuf,
    /// The same with fail-points.
    pub(crate) crashing: Option<PathBuf>,
    /// Another version.
    pub(crate) other: Option<PathBuf>,
}

/// Runs what waits without the runtime.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(work)
}
