//! What the traces of a publication are told on this node: that it came, and that its entries were handed to the members.

use std::time::SystemTime;

use proto::{Envelope, Mark};
use trace::{Kind, Span, Tracer};

/// A traced entry on its way to the members. Its span has begun.
pub(crate) struct Delivery {
    pub(crate) rev: u64,
    span: Span,
}

/// Whatever was marked has come. It was under way since it was published, as far as the two nodes' clocks agree.
pub(crate) fn received(tracer: &Tracer, envelope: &Envelope, marks: &[Mark]) -> Vec<Delivery> {
    if !tracer.is_on() {
        return Vec::new();
    }
    let published = envelope.published_at().min(SystemTime::now());
    let receive = |mark: &Mark| {
        let span = Span::under(mark.context, "receive")
            .of_kind(Kind::Consumer)
            .since(published)
            .with("tertulia.origin", envelope.origin.to_string())
            .with("tertulia.rev", mark.rev);
        let delivery = Delivery { rev: mark.rev, span: Span::under(span.context, "deliver") };
        tracer.end(span);
        delivery
    };
    marks.iter().map(receive).collect()
}

/// The members have what they were owed.
pub(crate) fn delivered(tracer: &Tracer, deliveries: Vec<Delivery>, entries: usize, members: usize) {
    for Delivery { rev, span } in deliveries {
        tracer.end(
            span.with("tertulia.rev", rev).with("tertulia.batch.entries", entries).with("tertulia.members", members),
        );
    }
}
