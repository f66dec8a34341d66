//! Where a client writes down what it did and saw.

use std::hash::{DefaultHasher, Hasher};
use std::time::Instant;

use super::record::{Digest, Line, What};

/// One client's lines, by the clock that all share.
pub(crate) struct Journal {
    began: Instant,
    lines: Vec<Line>,
}

impl Journal {
    pub(crate) fn since(began: Instant) -> Self {
        Self { began, lines: Vec::new() }
    }

    pub(crate) fn note(&mut self, what: What) {
        self.lines.push(Line { at: self.began.elapsed(), what });
    }

    pub(crate) fn into_lines(self) -> Vec<Line> {
        self.lines
    }
}

/// The digest of a text; the same in every run.
pub(crate) fn digest(text: &str) -> Digest {
    let mut hasher = DefaultHasher::new();
    hasher.write(text.as_bytes());
    Digest(hasher.finish())
}
