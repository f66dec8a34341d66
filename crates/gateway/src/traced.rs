//! How a traced request ends: with its answer, and with that the whole.

use proto::RoomName;
use proto::to_client::Kept;
use roomlog::AppendError;
use trace::{Span, Trace, Tracer};

use crate::refusal;

/// A traced request whose answer is being made.
pub(crate) struct Answering {
    answer: Span,
    whole: Span,
}

impl Answering {
    /// The room log has said what became of it.
    pub(crate) fn begins(trace: &Trace, room: &RoomName, settled: &Result<Kept, AppendError>) -> Self {
        let answer = Span::under(trace.context(), "ack");
        let whole = trace.whole().with("tertulia.room", room.as_str());
        let whole = match settled {
            Ok(kept) => whole
                .with("tertulia.message.id", kept.id.to_string())
                .with("tertulia.seq", kept.seq)
                .with("tertulia.rev", kept.rev),
            Err(error) => whole.failed(refusal::of_append(error).code.as_str()),
        };
        Self { answer, whole }
    }

    /// The answer is on its way out.
    pub(crate) fn ends(self, tracer: &Tracer) {
        tracer.end(self.answer);
        tracer.end(self.whole);
    }
}
