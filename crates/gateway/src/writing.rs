//! What people write: the one way from any door to the room log, counted and traced alike.

use std::sync::Arc;
use std::time::Instant;

use proto::to_client::Kept;
use proto::{Refusal, RoomName, UserId};
use roomlog::{AppendError, Job};
use trace::Trace;

use crate::metrics::GatewayMetrics;
use crate::node::Node;
use crate::refusal;
use crate::traced::Answering;

/// What is asked of the room log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Send,
    Edit,
    Delete,
}

/// Something that somebody may write now.
pub(crate) struct Writing {
    node: Arc<Node>,
    kind: Kind,
    trace: Option<Arc<Trace>>,
    received: Instant,
}

impl Writing {
    /// Begins, unless the user has written too much lately.
    pub(crate) fn begin(node: &Arc<Node>, user: UserId, kind: Kind) -> Result<Self, Refusal> {
        node.send_rate.spend(user).inspect_err(|_| kind.count(&node.metrics, "rejected"))?;
        let trace = node.config.tracer.begin(kind.name());
        Ok(Self { node: node.clone(), kind, trace, received: Instant::now() })
    }

    /// Puts it into the lane of its room. `answer` tells the client, once, what became of it.
    pub(crate) fn submit(self, room: &RoomName, job: Job, answer: impl FnOnce(Result<Kept, Refusal>) + Send + 'static) {
        let Self { node, kind, trace, received } = self;
        let traced = trace.clone().map(|trace| (trace, room.clone()));
        let writers = node.clone();
        let settle = move |settled: Result<Kept, AppendError>| {
            let answering = traced.map(|(trace, room)| Answering::begins(&trace, &room, &settled));
            let told = settled.map_err(|error| refusal::of_append(&error));
            if told.is_ok() && kind == Kind::Send {
                node.metrics.send_ack_seconds.observe(received.elapsed().as_secs_f64());
            }
            kind.count(&node.metrics, told.as_ref().map_or_else(result_of, |_| "ok"));
            answer(told);
            if let Some(answering) = answering {
                answering.ends(&node.config.tracer);
            }
        };
        writers.room_log.submit_traced(job, trace, Box::new(settle));
    }
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Edit => "edit",
            Self::Delete => "delete",
        }
    }

    fn count(self, metrics: &GatewayMetrics, result: &str) {
        let counter = if self == Self::Send { &metrics.sends } else { &metrics.amendments };
        counter.with_label_values(&[result]).inc();
    }
}

/// What a refusal is for whoever wrote: worth coming back for, or not.
fn result_of(refusal: &Refusal) -> &'static str {
    if refusal.retry_after_ms.is_some() { "unavailable" } else { "rejected" }
}
