//! What was found, a line each.

use std::fmt;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Ok,
    Warning,
    Problem,
}

struct Finding {
    verdict: Verdict,
    about: &'static str,
    what: String,
    /// What to do; empty if nothing is to be done.
    advice: String,
}

/// All findings, in the order they were made.
#[derive(Default)]
pub(super) struct Report(Vec<Finding>);

impl Report {
    pub(super) fn ok(&mut self, about: &'static str, what: impl Into<String>) {
        self.add(Verdict::Ok, about, what.into(), String::new());
    }

    /// A node would serve, but not as well as it might.
    pub(super) fn warning(&mut self, about: &'static str, what: impl Into<String>, advice: impl Into<String>) {
        self.add(Verdict::Warning, about, what.into(), advice.into());
    }

    /// A node would not serve, or not as it should.
    pub(super) fn problem(&mut self, about: &'static str, what: impl Into<String>, advice: impl Into<String>) {
        self.add(Verdict::Problem, about, what.into(), advice.into());
    }

    fn add(&mut self, verdict: Verdict, about: &'static str, what: String, advice: String) {
        self.0.push(Finding { verdict, about, what, advice });
    }

    pub(super) fn is_clear(&self) -> bool {
        self.count(Verdict::Problem) == 0
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.0.iter().filter(|finding| finding.verdict == verdict).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Finding { verdict, about, what, advice } in &self.0 {
            let verdict = match verdict {
                Verdict::Ok => "ok",
                Verdict::Warning => "warning",
                Verdict::Problem => "problem",
            };
            write!(f, "{verdict:<8} {about:<12} {what}")?;
            writeln!(f, "{}{advice}", if advice.is_empty() { "" } else { " → " })?;
        }
        let plural = |count: usize, word| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
        let (problems, warnings) = (self.count(Verdict::Problem), self.count(Verdict::Warning));
        writeln!(f, "{}, {}", plural(problems, "problem"), plural(warnings, "warning"))
    }
}
