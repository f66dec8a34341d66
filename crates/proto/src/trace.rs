//! Which trace a message belongs to, as far as it is told to other nodes.

use std::num::{NonZeroU64, NonZeroU128};

/// One span of one trace: whoever goes on with the work names it as the parent. W3C's trace context, without the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The whole trace.
    pub trace: NonZeroU128,
    /// The span in it.
    pub span: NonZeroU64,
}

/// An entry of a publication that is traced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The entry's number.
    pub rev: u64,
    /// The span that published it.
    pub context: TraceContext,
}
