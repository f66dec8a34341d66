//! What the judge says of a run.

use super::record::Moment;

/// The promises a run is held to. Each finding breaks one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Rule {
    /// An acknowledged message is in the store, once, under the acknowledged number; every acknowledgement of an id names the same.
    AckedIsKept,
    /// Nothing is stored twice under one id.
    KeptOnce,
    /// A room's numbers have no holes.
    NoHoles,
    /// Numbers reach a client rising, none twice.
    RisingOnce,
    /// A client misses nothing: each number comes, or the later one that folds it.
    NothingMissing,
    /// What a client holds in the end is what the store holds.
    SameEnd,
    /// What was acknowledged before another was sent comes before it.
    RealTimeOrder,
    /// Nothing appears that nobody sent, nor a text that its author did not write.
    NothingInvented,
    /// An acknowledged change is in the store, or a later one.
    ChangedIsKept,
    /// A client's position is taken back only where the history itself was (an epoch that turned).
    NoNeedlessReset,
    /// Everything sent is settled, and everybody is back, once all is healed.
    Settles,
    /// What was lost on the way is found by who knows of the loss: the slow sweep is for losses that nobody can know of.
    FoundByCause,
    /// While a client was connected and nothing was broken between, a message is with it within five seconds of its acknowledgement.
    HealedInTime,
}

impl Rule {
    /// Its name in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AckedIsKept => "acked-is-kept",
            Self::KeptOnce => "kept-once",
            Self::NoHoles => "no-holes",
            Self::RisingOnce => "rising-once",
            Self::NothingMissing => "nothing-missing",
            Self::SameEnd => "same-end",
            Self::RealTimeOrder => "real-time-order",
            Self::NothingInvented => "nothing-invented",
            Self::ChangedIsKept => "changed-is-kept",
            Self::NoNeedlessReset => "no-needless-reset",
            Self::Settles => "settles",
            Self::FoundByCause => "found-by-cause",
            Self::HealedInTime => "healed-in-time",
        }
    }
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Finding {
    pub(crate) rule: Rule,
    /// `reader 7 in room tertulia-2`, `room tertulia-2`.
    pub(crate) whereabouts: String,
    /// When it showed, where there is such a moment.
    pub(crate) at: Option<Moment>,
    /// Numbers and ids enough to look it up.
    pub(crate) detail: String,
}

/// The verdict of one run.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Verdict {
    /// Empty if every promise held. At most so many a rule and room that a report stays readable; `more` counts the others.
    pub(crate) findings: Vec<Finding>,
    /// Findings left out.
    pub(crate) more: usize,
    /// What was looked at, so that an empty list means something: how many sends, acknowledgements, receipts, joins, rows.
    pub(crate) looked_at: Vec<(&'static str, u64)>,
}

impl Verdict {
    /// Whether every promise held.
    pub(crate) fn holds(&self) -> bool {
        self.findings.is_empty()
    }
}
