//! What the traces of a batch are told. A batch without any has none of this.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use proto::{Mark, RoomName};
use store::Outcome;
use trace::{Kind, Span, Trace, Tracer};

use crate::Waiting;
use crate::lane::kept;

/// The traced jobs of a batch, by their places in it.
pub(crate) struct Traced<'a> {
    tracer: &'a Tracer,
    lane: usize,
    jobs: Vec<(usize, Arc<Trace>)>,
}

/// Publications that are being made: the marks that each room's will carry, and the spans that these name.
pub(crate) struct Publishing<'a> {
    tracer: &'a Tracer,
    marks: HashMap<&'a RoomName, BTreeMap<u64, Mark>>,
    spans: Vec<Span>,
}

impl<'a> Traced<'a> {
    /// A batch was taken: its traced jobs have waited until now.
    pub(crate) fn of(waiting: &[Waiting], lane: usize, tracer: &'a Tracer) -> Option<Self> {
        if !tracer.is_on() {
            return None;
        }
        let mut jobs = Vec::new();
        for (place, job) in waiting.iter().enumerate() {
            let Some(trace) = &job.trace else { continue };
            let now = SystemTime::now();
            let since = now.checked_sub(job.since.elapsed()).unwrap_or(now);
            tracer.end(Span::under(trace.context(), "wait").since(since).with("tertulia.lane", lane));
            jobs.push((place, trace.clone()));
        }
        (!jobs.is_empty()).then_some(Self { tracer, lane, jobs })
    }

    /// The store has answered for a part of the batch.
    pub(crate) fn committed(&self, part: Range<usize>, begun: SystemTime, retries: u64, is_kept: bool) {
        for (_, trace) in self.jobs.iter().filter(|(place, _)| part.contains(place)) {
            let span = Span::under(trace.context(), "commit")
                .since(begun)
                .with("tertulia.lane", self.lane)
                .with("tertulia.batch.jobs", part.len())
                .with("tertulia.store.retries", retries);
            self.tracer.end(if is_kept { span } else { span.failed("unavailable") });
        }
    }

    /// What was kept, from the job at `first` on, is about to be published.
    pub(crate) fn publishing<'b>(&'b self, first: usize, outcomes: &'b [Outcome]) -> Publishing<'b> {
        let mut publishing = Publishing { tracer: self.tracer, marks: HashMap::new(), spans: Vec::new() };
        for (place, trace) in &self.jobs {
            let outcome = place.checked_sub(first).and_then(|place| outcomes.get(place));
            let Some(message) = outcome.and_then(kept) else { continue };
            let span =
                Span::under(trace.context(), "publish").of_kind(Kind::Producer).with("tertulia.rev", message.rev);
            let mark = Mark { rev: message.rev, context: span.context };
            publishing.marks.entry(&message.room).or_default().insert(message.rev, mark);
            publishing.spans.push(span);
        }
        publishing
    }
}

impl Publishing<'_> {
    /// The marks of a room's publication, if any of its entries are traced.
    pub(crate) fn marks_of(&mut self, room: &RoomName) -> Option<Vec<Mark>> {
        self.marks.remove(room).map(|marks| marks.into_values().collect())
    }

    /// All of them are on the bus, or wait for it.
    pub(crate) fn done(self) {
        for span in self.spans {
            self.tracer.end(span);
        }
    }
}
