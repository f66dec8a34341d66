//! What each fault did.
//!
//! A fault's figures are of its *reach*: from its beginning until five seconds after its end, or until the next fault
//! begins, but never before its own end. Faults that overlap share what happens meanwhile: nobody can tell which did it.

use std::time::Duration;

use super::super::record::{Evidence, FaultSpan, Moment};
use super::absences::Absence;
use super::delays::{Receipt, Spread, Spreader};
use super::figures::{Moments, within};

/// How far a fault reaches beyond its end: what is lost is promised to be found in this time.
const AFTERMATH: Duration = Duration::from_secs(5);
/// A delivery that took longer than this was held up by something.
pub(super) const LATE: Duration = Duration::from_millis(500);

/// What happened in a fault's reach.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SpanFigures {
    /// Where its reach ends.
    pub(super) until: Moment,
    /// Of messages under way in it: sent before its end, received after its beginning.
    pub(super) delivery: Spread,
    /// Those of them that took longer than [`LATE`].
    pub(super) late: u64,
    /// From the fault's end until the last late delivery of them had arrived and the last client that was lost had its
    /// rooms again. `None`: not before the end of the run.
    pub(super) normal_after: Option<Duration>,
    pub(super) deferred: u64,
    pub(super) lost: u64,
    pub(super) not_let_in: u64,
    pub(super) longest_absence: Duration,
    /// What the counters gained, by their place in [`Evidence::counters`]; those that gained nothing are left out.
    pub(super) heals: Vec<(usize, f64)>,
}

/// One for each fault, in the order of the evidence.
pub(super) fn spans(
    evidence: &Evidence,
    moments: &Moments,
    receipts: &[Receipt],
    absences: &[Absence],
) -> Vec<SpanFigures> {
    let slowest = receipts.iter().map(Receipt::delay).max().unwrap_or_default();
    let mut spreader = Spreader::new();
    evidence
        .faults
        .iter()
        .map(|fault| {
            let (began, until) = (fault.began, reach(evidence, fault));
            // Receipts are by the moment of sending: none from before this can have been under way.
            let from = receipts.partition_point(|receipt| receipt.sent + slowest < began);
            let to = receipts.partition_point(|receipt| receipt.sent < until);
            let under_way = || receipts[from..to].iter().filter(|receipt| receipt.got >= began);
            let late = || under_way().filter(|receipt| receipt.delay() > LATE);
            let away = || absences.iter().filter(|absence| absence.began >= began && absence.began < until);
            let normal_after = (!away().any(|absence| absence.back.is_none())).then(|| {
                let arrived = late().map(|receipt| receipt.got).max();
                let back = away().filter_map(|absence| absence.back).max();
                arrived.max(back).unwrap_or_default().saturating_sub(fault.ended)
            });
            SpanFigures {
                until,
                delivery: spreader.spread(under_way().map(Receipt::delay)),
                late: late().count() as u64,
                normal_after,
                deferred: within(&moments.deferred, began, until),
                lost: within(&moments.lost, began, until),
                not_let_in: within(&moments.not_let_in, began, until),
                longest_absence: away().map(|absence| absence.length(evidence.ended_at)).max().unwrap_or_default(),
                heals: heals(evidence, began, until),
            }
        })
        .collect()
}

fn reach(evidence: &Evidence, fault: &FaultSpan) -> Moment {
    let next = evidence.faults.iter().map(|other| other.began).filter(|began| *began > fault.ended).min();
    let aftermath = fault.ended + AFTERMATH;
    next.map_or(aftermath, |next| next.min(aftermath))
}

fn heals(evidence: &Evidence, began: Moment, until: Moment) -> Vec<(usize, f64)> {
    let gain = |steps: &[(Moment, f64)]| {
        steps.iter().filter(|(at, _)| *at >= began && *at < until).map(|(_, gain)| gain).sum::<f64>()
    };
    let gains = evidence.counters.iter().enumerate().map(|(place, counter)| (place, gain(&counter.steps)));
    gains.filter(|(_, gain)| *gain > 0.0).collect()
}
