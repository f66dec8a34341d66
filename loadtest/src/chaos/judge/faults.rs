//! What may be expected of a cluster under each kind of fault.

use std::collections::HashSet;
use std::time::Duration;

use crate::chaos::record::{Evidence, Moment, What};

/// Faults after which a publication may be gone or late, and nobody who misses it can know: only the slow sweep finds it.
/// All others are noticed by whoever misses something, and the sweep has no business after them.
pub(super) const UNKNOWABLE: [(&str, &str); 17] = [
    ("node-kill", "dies between a commit and its publication"),
    ("node-crash", "dies exactly there"),
    ("node-freeze", "stands still exactly there"),
    ("redis-restart", "nodes come back one by one: what one drops until then, those who are back cannot know"),
    ("redis-pause", "a sender gives up what is not answered, and its connection; listeners do not notice"),
    ("redis-freeze", "the same"),
    ("redis-slow", "a publication waits for those before it and may be later than the sweep's grace"),
    ("redis-output-limit", "done by lines so slow that publications are later than the sweep's grace"),
    ("cut-from-redis", "the sender drops what it cannot say; to the others it is just silent"),
    ("deaf", "before the third missed beat nobody knows, and the sweep may come first"),
    ("postgres-restart", "a commit whose answer is lost is published by a retry, later than the sweep's grace"),
    ("postgres-crash", "the same"),
    ("postgres-freeze", "the same"),
    ("postgres-full", "the same: the nodes' connections are ended"),
    ("commit-reply-lost", "the same"),
    ("cut-from-postgres", "the same"),
    ("disk-full", "the same: a server that cannot write its log ends"),
];

/// How long after such a fault the sweep may find its losses: a sender's way back, the sweep's turn and grace, the read,
/// and the asking for the counters.
pub(super) const SWEPT_WITHIN: Duration = Duration::from_secs(8);

/// Faults that turn the epoch of the history: numbers may have been given out twice. None of the kinds at hand does.
pub(super) const TURNS_EPOCH: [&str; 0] = [];

/// How soon after its acknowledgement a message is promised to be everywhere, and some grace for a busy machine.
const HEALED_WITHIN: Duration = Duration::from_secs(5 + 1);

/// Faults on the clients' own side: they do not take what is sent to them.
const OF_CLIENTS: [&str; 3] = ["half-open", "readers-stall", "storm"];

/// Faults that take the store away: what cannot be read cannot be read back.
const OF_STORE: [&str; 7] = [
    "postgres-restart",
    "postgres-crash",
    "postgres-freeze",
    "postgres-full",
    "cut-from-postgres",
    "commit-reply-lost", // done by swallowing all answers, those to reads too
    "disk-full",
];

/// A node that stands still delivers nothing, to its own clients.
const FREEZE: &str = "node-freeze";

/// A time in which nothing can be promised to be delivered, to all clients or to those of one node.
struct Excuse<'a> {
    began: Moment,
    ended: Moment,
    node: Option<&'a str>,
}

/// When messages may be late.
pub(super) struct Excuses<'a>(Vec<Excuse<'a>>);

impl<'a> Excuses<'a> {
    pub(super) fn of(evidence: &'a Evidence) -> Self {
        let lines = evidence.clients.iter().flat_map(|client| &client.lines);
        let nodes: HashSet<&str> = lines
            .filter_map(|line| match &line.what {
                What::Connected { node } => Some(node.as_str()),
                _ => None,
            })
            .collect();
        let excuse = |fault: &'a crate::chaos::record::FaultSpan| {
            let frozen = fault.kind == FREEZE;
            // A node that nobody knows by this name may be anybody's.
            let node = (frozen && nodes.contains(fault.target.as_str())).then_some(fault.target.as_str());
            (frozen || OF_CLIENTS.contains(&fault.kind) || OF_STORE.contains(&fault.kind)).then_some(Excuse {
                began: fault.began,
                ended: fault.ended,
                node,
            })
        };
        let mut excuses: Vec<Excuse<'_>> = evidence.faults.iter().filter_map(excuse).collect();
        excuses.sort_by_key(|excuse| excuse.began);
        Self(excuses)
    }

    /// Whether what was acknowledged at one moment may still be missing at the other, for a client of a node.
    pub(super) fn may_be_missing(&self, acked: Moment, at: Moment, node: &str) -> bool {
        let mut until = acked + HEALED_WITHIN;
        if at <= until {
            return true;
        }
        for excuse in self.0.iter().filter(|excuse| excuse.node.is_none_or(|of| of == node)) {
            // Each may begin before what the one before it excused is over.
            if excuse.began <= until && excuse.ended >= acked {
                until = until.max(excuse.ended + HEALED_WITHIN);
            }
        }
        at <= until
    }
}
