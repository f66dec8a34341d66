//! A span: one stretch of a message's way.

use std::num::NonZeroU64;
use std::time::SystemTime;

use proto::TraceContext;

/// What a span is to the spans of other programs and nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It answers a client.
    Server,
    /// It is nobody else's matter.
    Internal,
    /// It hands something to other nodes.
    Producer,
    /// It takes what a node handed over.
    Consumer,
}

/// Something that is known about a span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A word.
    Text(String),
    /// A number.
    Number(u64),
}

/// One stretch of a message's way: what was done, from when to when, and what is known about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// What was done.
    pub name: &'static str,
    /// For whom.
    pub kind: Kind,
    /// The trace, and this span in it.
    pub context: TraceContext,
    /// The span that it is a part of, unless it is the whole.
    pub parent: Option<NonZeroU64>,
    /// When it began.
    pub start: SystemTime,
    /// When it ended; as long as it has not, when it was made.
    pub end: SystemTime,
    /// What is known about it.
    pub facts: Vec<(&'static str, Fact)>,
    /// Why it came to nothing, if it did.
    pub failure: Option<&'static str>,
}

impl Span {
    pub(crate) fn new(
        name: &'static str,
        kind: Kind,
        context: TraceContext,
        parent: Option<NonZeroU64>,
        start: SystemTime,
    ) -> Self {
        Self { name, kind, context, parent, start, end: start, facts: Vec::new(), failure: None }
    }

    /// A part of another span, which begins now.
    pub fn under(parent: TraceContext, name: &'static str) -> Self {
        let context = TraceContext { span: rand::random(), ..parent };
        Self::new(name, Kind::Internal, context, Some(parent.span), SystemTime::now())
    }

    /// It is of this kind.
    #[must_use]
    pub fn of_kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// It began earlier.
    #[must_use]
    pub fn since(self, start: SystemTime) -> Self {
        Self { start, ..self }
    }

    /// Something is known about it.
    #[must_use]
    pub fn with(mut self, name: &'static str, fact: impl Into<Fact>) -> Self {
        self.facts.push((name, fact.into()));
        self
    }

    /// It came to nothing.
    #[must_use]
    pub fn failed(self, why: &'static str) -> Self {
        Self { failure: Some(why), ..self }
    }
}

impl From<u64> for Fact {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<usize> for Fact {
    fn from(number: usize) -> Self {
        Self::Number(number as u64)
    }
}

impl From<String> for Fact {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Fact {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}
