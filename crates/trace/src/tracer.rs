//! Who decides what is traced, and where spans go.

use std::sync::Arc;
use std::time::SystemTime;

use proto::TraceContext;
use tokio::sync::mpsc;

use crate::{Kind, Span, TraceMetrics};

/// A request that is traced, from the moment it was received.
#[derive(Debug)]
pub struct Trace {
    name: &'static str,
    context: TraceContext,
    received: SystemTime,
}

impl Trace {
    /// The span of the whole request: all others of this node are parts of it.
    pub fn context(&self) -> TraceContext {
        self.context
    }

    /// That span, to be ended with the request.
    pub fn whole(&self) -> Span {
        Span::new(self.name, Kind::Server, self.context, None, self.received)
    }
}

/// Takes spans, if there is anybody to take them to. Cheap to clone; the default one is off and costs nothing.
#[derive(Clone, Debug, Default)]
pub struct Tracer(Option<Arc<On>>);

#[derive(Debug)]
struct On {
    ratio: f64,
    queue: mpsc::Sender<Span>,
    metrics: TraceMetrics,
}

impl Tracer {
    /// A tracer that begins a trace for this share of requests (0 to 1), and the queue of what it is told. Traces that other
    /// nodes began are told whatever the share.
    pub fn on(ratio: f64, queue_len: usize, metrics: TraceMetrics) -> (Self, mpsc::Receiver<Span>) {
        let (queue, spans) = mpsc::channel(queue_len.max(1));
        (Self(Some(Arc::new(On { ratio, queue, metrics }))), spans)
    }

    /// Whether anybody wants to know.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// A request was received: `None` unless it is one of those to be traced.
    pub fn begin(&self, name: &'static str) -> Option<Arc<Trace>> {
        let on = self.0.as_ref()?;
        (rand::random::<f64>() < on.ratio).then(|| {
            let context = TraceContext { trace: rand::random(), span: rand::random() };
            Arc::new(Trace { name, context, received: SystemTime::now() })
        })
    }

    /// Ends a span now and hands it on. One that finds no place is dropped and counted.
    pub fn end(&self, mut span: Span) {
        let Some(on) = &self.0 else { return };
        // The clock may have been put back, or the beginning be told by another node's.
        span.end = SystemTime::now().max(span.start);
        if on.queue.try_send(span).is_err() {
            on.metrics.dropped.inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus::Registry;

    fn tracer(ratio: f64, queue_len: usize) -> (Tracer, mpsc::Receiver<Span>, TraceMetrics) {
        let metrics = TraceMetrics::register(&Registry::new()).unwrap();
        let (tracer, spans) = Tracer::on(ratio, queue_len, metrics.clone());
        (tracer, spans, metrics)
    }

    #[test]
    fn off_or_at_nothing_no_request_is_traced_and_at_one_all_are() {
        assert!(Tracer::default().begin("send").is_none());
        let begun = |ratio| {
            let (tracer, ..) = tracer(ratio, 1);
            (0..1000).filter(|_| tracer.begin("send").is_some()).count()
        };
        assert_eq!((begun(0.0), begun(1.0)), (0, 1000));
        assert!((1..1000).contains(&begun(0.5)));
    }

    #[test]
    fn parts_know_the_whole() {
        let (tracer, mut spans, _) = tracer(1.0, 2);
        let trace = tracer.begin("send").unwrap();
        tracer.end(Span::under(trace.context(), "commit").with("tertulia.batch.jobs", 3_u64));
        tracer.end(trace.whole());
        let (part, whole) = (spans.try_recv().unwrap(), spans.try_recv().unwrap());
        assert_eq!((part.context.trace, part.parent), (whole.context.trace, Some(whole.context.span)));
        assert_eq!((whole.parent, whole.kind), (None, Kind::Server));
        assert!(whole.start <= part.start && part.end <= whole.end);
    }

    #[test]
    fn a_full_queue_costs_spans_and_nothing_else() {
        let (tracer, _spans, metrics) = tracer(1.0, 2);
        let trace = tracer.begin("send").unwrap();
        (0..5).for_each(|_| tracer.end(trace.whole()));
        assert_eq!(metrics.dropped.get(), 3);
    }

    #[test]
    fn a_span_never_ends_before_it_begins() {
        let (tracer, mut spans, _) = tracer(1.0, 1);
        let later = SystemTime::now() + std::time::Duration::from_secs(60);
        tracer.end(tracer.begin("send").unwrap().whole().since(later));
        assert_eq!(spans.try_recv().unwrap().end, later);
    }
}
