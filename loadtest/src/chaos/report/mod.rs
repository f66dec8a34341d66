//! What a run found: a page for people, JSON for programs, one line for the terminal.
//!
//! Nothing here judges. The verdict is the judge's, and the figures beside it are plain counts and times of the same
//! evidence, so that one can see what the promises were held through.

mod absences;
mod chart;
mod delays;
mod escape;
mod figures;
mod html;
mod json;
mod line;
#[cfg(test)]
mod sample;
mod spans;
mod tables;
#[cfg(test)]
mod tests;
mod words;

use std::fs;
use std::io;

use super::record::Evidence;
use super::verdict::Verdict;
use crate::args::Output;
use figures::Figures;

/// What was asked for: enough to tell one run from another, and to repeat it.
#[derive(Clone, Debug, Default)]
pub(crate) struct RunInfo {
    /// What the schedule and the clients' choices were drawn from.
    pub(crate) seed: u64,
    /// The command line that repeats the run.
    pub(crate) command: String,
    /// How long faults were made for.
    pub(crate) seconds: u64,
    pub(crate) nodes: usize,
    pub(crate) rooms: usize,
    pub(crate) writers: usize,
    pub(crate) editors: usize,
    pub(crate) readers: usize,
    /// What was tested, with its version; and what it stood on, if that is known.
    pub(crate) version: String,
    /// The kinds of fault that the schedule was drawn from.
    pub(crate) kinds: Vec<String>,
}

/// One run, ready to be told.
pub(crate) struct Report<'a> {
    run: &'a RunInfo,
    evidence: &'a Evidence,
    verdict: &'a Verdict,
    figures: Figures,
}

impl<'a> Report<'a> {
    /// Counts and measures what there is to tell.
    pub(crate) fn of(run: &'a RunInfo, evidence: &'a Evidence, verdict: &'a Verdict) -> Self {
        Self { run, evidence, verdict, figures: Figures::of(evidence) }
    }

    /// Writes the page and the JSON, as far as they are wanted, and says the verdict.
    pub(crate) fn tell(&self, output: &Output) -> io::Result<()> {
        let Self { run, evidence, verdict, figures } = self;
        if let Some(file) = &output.html {
            fs::write(file, html::page(run, evidence, verdict, figures))?;
        }
        if let Some(file) = &output.json {
            fs::write(file, format!("{}\n", json::document(run, evidence, verdict, figures)))?;
        }
        println!("{}", self.line());
        for finding in &verdict.findings {
            println!("  {} in {}: {}", finding.rule.name(), finding.whereabouts, finding.detail);
        }
        Ok(())
    }

    /// The verdict in one line.
    fn line(&self) -> String {
        line::line(self.run, self.evidence, self.verdict, &self.figures)
    }
}

/// How many cores this machine lends; 0 if it does not say.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(0, std::num::NonZero::get)
}
