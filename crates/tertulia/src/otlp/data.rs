//! What a span is called by OpenTelemetry.

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use proto::TraceContext;
use trace::{Fact, Kind, Span};

/// Who tells.
pub(super) fn resource(service: &str, node: &str) -> Resource {
    Resource::builder_empty()
        .with_service_name(service.to_owned())
        .with_attribute(KeyValue::new("service.instance.id", node.to_owned()))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build()
}

/// What is told.
pub(super) fn of(span: Span) -> SpanData {
    let TraceContext { trace, span: id } = span.context;
    let trace = TraceId::from(trace.get());
    let failure = span.failure.map(|why| KeyValue::new("error.type", why));
    SpanData {
        span_context: SpanContext::new(
            trace,
            SpanId::from(id.get()),
            TraceFlags::SAMPLED,
            false,
            TraceState::default(),
        ),
        parent_span_id: span.parent.map_or(SpanId::INVALID, |parent| SpanId::from(parent.get())),
        parent_span_is_remote: span.kind == Kind::Consumer,
        span_kind: match span.kind {
            Kind::Server => SpanKind::Server,
            Kind::Internal => SpanKind::Internal,
            Kind::Producer => SpanKind::Producer,
            Kind::Consumer => SpanKind::Consumer,
        },
        name: span.name.into(),
        start_time: span.start,
        end_time: span.end,
        attributes: span
            .facts
            .into_iter()
            .map(|(name, fact)| KeyValue::new(name, value(fact)))
            .chain(failure)
            .collect(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: span.failure.map_or(Status::Unset, Status::error),
        instrumentation_scope: InstrumentationScope::builder("tertulia")
            .with_version(env!("CARGO_PKG_VERSION"))
            .build(),
    }
}

fn value(fact: Fact) -> Value {
    match fact {
        Fact::Text(text) => text.into(),
        Fact::Number(number) => Value::I64(i64::try_from(number).unwrap_or(i64::MAX)),
    }
}
