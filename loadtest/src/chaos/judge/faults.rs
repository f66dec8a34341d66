//! What may be expected of a cluster under each kind of fault.

use std::collections::HashSet;
use std::time::Duration;

use crate::chaos::Kind;
use crate::chaos::record::{Evidence, FaultSpan, Moment, What};

/// Faults after which a publication may be gone or late, and nobody who misses it can know: only the slow sweep finds it.
/// All others are noticed by whoever misses something, and the sweep has no business after them.
pub(super) const UNKNOWABLE: [(Kind, &str); 17] = [
    (Kind::NodeKill, "dies between a commit and its publication"),
    (Kind::NodeCrash, "dies exactly there"),
    (Kind::NodeFreeze, "stands still exactly there"),
    (Kind::RedisRestart, "nodes come back one by one: what one drops until then, those who are back cannot know"),
    (Kind::RedisPause, "a sender gives up what is not answered, and its connection; listeners do not notice"),
    (Kind::RedisFreeze, "the same"),
    (Kind::RedisSlow, "a publication waits for those before it and may be later than the sweep's grace"),
    (Kind::RedisOutputLimit, "done by lines so slow that publications are later than the sweep's grace"),
    (Kind::CutFromRedis, "the sender drops what it cannot say; to the others it is just silent"),
    (Kind::Deaf, "before the third missed beat nobody knows, and the sweep may come first"),
    (Kind::PostgresRestart, "a commit whose answer is lost is published by a retry, later than the sweep's grace"),
    (Kind::PostgresCrash, "the same"),
    (Kind::PostgresFreeze, "the same"),
    (Kind::PostgresFull, "the same: the nodes' connections are ended"),
    (Kind::CommitReplyLost, "the same"),
    (Kind::CutFromPostgres, "the same"),
    (Kind::DiskFull, "the same: a server that cannot write its log ends"),
];

/// How long after such a fault the sweep may find its losses: a sender's way back, the sweep's turn and grace, the read,
/// and the asking for the counters.
pub(super) const SWEPT_WITHIN: Duration = Duration::from_secs(8);

/// Faults that turn the epoch of the history: numbers may have been given out twice. None of the kinds at hand does.
pub(super) const TURNS_EPOCH: [Kind; 0] = [];

/// How soon after its acknowledgement a message is promised to be everywhere, and some grace for a busy machine.
const HEALED_WITHIN: Duration = Duration::from_secs(5 + 1);

/// Faults on the clients' own side: they do not take what is sent to them.
const OF_CLIENTS: [Kind; 3] = [Kind::HalfOpen, Kind::ReadersStall, Kind::Storm];

/// Faults that take the store away: what cannot be read cannot be read back.
const OF_STORE: [Kind; 7] = [
    Kind::PostgresRestart,
    Kind::PostgresCrash,
    Kind::PostgresFreeze,
    Kind::PostgresFull,
    Kind::CutFromPostgres,
    Kind::CommitReplyLost, // done by swallowing all answers, those to reads too
    Kind::DiskFull,
];

/// A node that stands still delivers nothing, to its own clients.
const FREEZE: Kind = Kind::NodeFreeze;

/// Whether a fault is of one of these kinds.
pub(super) fn is_of(fault: &FaultSpan, kinds: &[Kind]) -> bool {
    kinds.iter().any(|kind| kind.name() == fault.kind)
}

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
        let excuse = |fault: &'a FaultSpan| {
            let frozen = is_of(fault, &[FREEZE]);
            // A node that nobody knows by this name may be anybody's.
            let node = (frozen && nodes.contains(fault.target.as_str())).then_some(fault.target.as_str());
            (frozen || is_of(fault, &OF_CLIENTS) || is_of(fault, &OF_STORE)).then_some(Excuse {
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
