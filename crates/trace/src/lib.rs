//! The thread of Tertulia: one message's way across nodes, for whoever asks where its time went.
//!
//! A few messages are traced, most are not, and without a collector none is. Each room of the house that a traced message
//! passes tells a [`Span`] to the [`Tracer`], which puts it into a bounded queue and never waits; whoever has the other end
//! of the queue takes it from there. What other nodes must know of a trace travels in the publication
//! ([`proto::TraceContext`]).
//! Absent on purpose: collectors and how they are spoken to.
//!
//! Start at [`Tracer::begin`].

mod metrics;
mod span;
mod tracer;

pub use metrics::TraceMetrics;
pub use span::{Fact, Kind, Span};
pub use tracer::{Trace, Tracer};
