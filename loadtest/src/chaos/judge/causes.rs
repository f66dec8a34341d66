//! The slow sweep finds nothing but what nobody else can find.

use super::faults::{SWEPT_WITHIN, UNKNOWABLE};
use super::findings::Findings;
use crate::chaos::record::{Evidence, Moment};
use crate::chaos::verdict::Rule;

pub(super) fn check(evidence: &Evidence, findings: &mut Findings<'_>) {
    let spans: Vec<(Moment, Moment)> = evidence
        .faults
        .iter()
        .filter(|fault| UNKNOWABLE.iter().any(|(kind, _)| kind.name() == fault.kind))
        .map(|fault| (fault.began, fault.ended + SWEPT_WITHIN))
        .collect();
    for counter in evidence.counters.iter().filter(|counter| counts_the_sweep(&counter.series)) {
        let known: f64 = counter.steps.iter().map(|(_, gain)| gain).sum();
        let outside = counter
            .steps
            .iter()
            .filter(|(at, gain)| *gain > 0.0 && !spans.iter().any(|(began, ended)| began <= at && at <= ended));
        for (at, gain) in outside {
            findings.add(Rule::FoundByCause, None, None, Some(*at), || {
                format!("{} gained {gain}: whoever missed it should have known", counter.series)
            });
        }
        // What was gained at a moment that nobody saw can only be excused as a whole.
        if counter.gain > known && spans.is_empty() {
            findings.add(Rule::FoundByCause, None, None, None, || {
                format!("{} gained {} at some time", counter.series, counter.gain - known)
            });
        }
    }
}

fn counts_the_sweep(series: &str) -> bool {
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    name == "tertulia_sweep_found_total" || (name == "tertulia_gaps_total" && labels.contains("cause=\"sweep\""))
}
