//! The counts and times of a run.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::record::{Evidence, Moment, OVER, What};
use super::absences::{Absence, absences};
use super::delays::{Receipt, Spread, Spreader, first_acked, first_sent, receipts};
use super::spans::{SpanFigures, spans};

/// How often something happened, by its reason.
pub(super) type ByReason = BTreeMap<String, u64>;

/// How often what happened.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Counts {
    /// Messages, each counted once.
    pub(super) sent: u64,
    /// Writes to a socket, retries included.
    pub(super) writes: u64,
    /// Messages acknowledged, each counted once.
    pub(super) acknowledged: u64,
    /// Sends refused for now, by code.
    pub(super) deferred: ByReason,
    /// Sends and changes refused for good, by code.
    pub(super) given_up: ByReason,
    pub(super) changes_asked: u64,
    pub(super) changes_acknowledged: u64,
    /// Messages that reached a client, live or in a page, changed ones too.
    pub(super) deliveries: u64,
    /// Those of them that came in pages of `joined`.
    pub(super) paged: u64,
    pub(super) connections: u64,
    /// Connections that ended, by how.
    pub(super) lost: ByReason,
    /// Connections that could not be made, by why.
    pub(super) not_let_in: ByReason,
    pub(super) joins: u64,
    pub(super) pages: u64,
    pub(super) resets: u64,
    pub(super) rows: u64,
}

/// When things happened, each list rising.
#[derive(Clone, Debug, Default)]
pub(super) struct Moments {
    pub(super) acked: Vec<Moment>,
    pub(super) deferred: Vec<Moment>,
    pub(super) lost: Vec<Moment>,
    pub(super) not_let_in: Vec<Moment>,
    /// Connections made by clients that had had one before.
    pub(super) returned: Vec<Moment>,
}

/// Everything that is told of a run beside the verdict.
#[derive(Clone, Debug)]
pub(super) struct Figures {
    pub(super) counts: Counts,
    pub(super) moments: Moments,
    /// By when the message was sent.
    pub(super) receipts: Vec<Receipt>,
    pub(super) absences: Vec<Absence>,
    /// From a message's first writing to a client's receipt.
    pub(super) delivery: Spread,
    /// From a message's first writing to its first acknowledgement.
    pub(super) acknowledgement: Spread,
    pub(super) longest_absence: Duration,
    /// Whose it was.
    pub(super) longest_away: Option<String>,
    /// Clients that were away at the end.
    pub(super) not_back: usize,
    /// The longest time between two deliveries to one client, absent or not.
    pub(super) longest_silence: Duration,
    /// One for each of [`Evidence::faults`].
    pub(super) spans: Vec<SpanFigures>,
}

impl Figures {
    pub(super) fn of(evidence: &Evidence) -> Self {
        let sent = first_sent(evidence);
        let acked = first_acked(evidence);
        let receipts = receipts(evidence, &sent);
        let absences = absences(evidence);
        let mut counts = count(evidence);
        counts.sent = sent.len() as u64;
        counts.acknowledged = acked.len() as u64;
        let mut moments = moments(evidence);
        moments.acked.extend(acked.values());
        moments.acked.sort_unstable();
        let mut spreader = Spreader::new();
        let waits = acked.iter().filter_map(|(message, at)| Some(at.saturating_sub(*sent.get(message)?)));
        let longest = absences.iter().max_by_key(|absence| absence.length(evidence.ended_at));
        let spans = spans(evidence, &moments, &receipts, &absences);
        Self {
            delivery: spreader.spread(receipts.iter().map(Receipt::delay)),
            acknowledgement: spreader.spread(waits),
            longest_absence: longest.map(|absence| absence.length(evidence.ended_at)).unwrap_or_default(),
            longest_away: longest.and_then(|absence| Some(evidence.clients.get(absence.client)?.name.clone())),
            not_back: absences.iter().filter(|absence| absence.back.is_none()).count(),
            longest_silence: longest_silence(evidence),
            counts,
            moments,
            receipts,
            absences,
            spans,
        }
    }

    /// The longest time from a fault's end until all was normal again; `None` where it never was, or there was no fault.
    pub(super) fn slowest_recovery(&self) -> Option<Duration> {
        self.spans.iter().map(|span| span.normal_after).max_by_key(|after| after.unwrap_or(Duration::MAX)).flatten()
    }

    /// The run in slots of so many seconds.
    pub(super) fn timeline(&self, slot_seconds: u64, ended_at: Moment) -> Vec<Slot> {
        let slot_seconds = slot_seconds.max(1);
        let mut spreader = Spreader::new();
        let slots = ended_at.as_millis().div_ceil(u128::from(slot_seconds) * 1000).max(1) as u64;
        (0..slots)
            .map(|slot| {
                let began = Duration::from_secs(slot * slot_seconds);
                let until = Duration::from_secs((slot + 1) * slot_seconds);
                let first = self.receipts.partition_point(|receipt| receipt.sent < began);
                let last = self.receipts.partition_point(|receipt| receipt.sent < until);
                let delays = self.receipts[first..last].iter().map(Receipt::delay);
                Slot {
                    began,
                    delivery: (first < last).then(|| spreader.spread(delays)),
                    acked: within(&self.moments.acked, began, until),
                    deferred: within(&self.moments.deferred, began, until),
                    lost: within(&self.moments.lost, began, until),
                    not_let_in: within(&self.moments.not_let_in, began, until),
                    returned: within(&self.moments.returned, began, until),
                }
            })
            .collect()
    }
}

/// A stretch of the run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Slot {
    pub(super) began: Moment,
    /// Of messages first sent in it, whenever they arrived. `None` if none arrived.
    pub(super) delivery: Option<Spread>,
    pub(super) acked: u64,
    pub(super) deferred: u64,
    pub(super) lost: u64,
    pub(super) not_let_in: u64,
    pub(super) returned: u64,
}

/// How many of these rising moments are in `[began, until)`.
pub(super) fn within(moments: &[Moment], began: Moment, until: Moment) -> u64 {
    let before = |end: Moment| moments.partition_point(|at| *at < end);
    before(until).saturating_sub(before(began)) as u64
}

fn count(evidence: &Evidence) -> Counts {
    let mut counts = Counts::default();
    let add = |to: &mut ByReason, reason: &str| *to.entry(reason.to_owned()).or_default() += 1;
    for line in evidence.clients.iter().flat_map(|client| &client.lines) {
        match &line.what {
            What::Sent { .. } => counts.writes += 1,
            What::Acked { .. } => {}
            What::Deferred { code, .. } => add(&mut counts.deferred, code),
            What::Refused { code, .. } | What::ChangeRefused { code, .. } => add(&mut counts.given_up, code),
            What::ChangeAsked { .. } => counts.changes_asked += 1,
            What::ChangeAcked { .. } => counts.changes_acknowledged += 1,
            What::Connected { .. } => counts.connections += 1,
            What::Lost { why } if why == OVER => {}
            What::Lost { why } => add(&mut counts.lost, why),
            What::NotLetIn { why } => add(&mut counts.not_let_in, why),
            What::JoinAsked { .. } => counts.joins += 1,
            What::Joined { reset, .. } => {
                counts.pages += 1;
                counts.resets += u64::from(*reset);
            }
            What::Got { page, .. } => {
                counts.deliveries += 1;
                counts.paged += u64::from(*page);
            }
        }
    }
    counts.rows = evidence.store.iter().map(|room| room.messages.len() as u64).sum();
    counts
}

fn moments(evidence: &Evidence) -> Moments {
    let mut moments = Moments::default();
    for client in &evidence.clients {
        let mut known = false;
        for line in &client.lines {
            match &line.what {
                What::Deferred { .. } => moments.deferred.push(line.at),
                What::Lost { why } if why != OVER => moments.lost.push(line.at),
                What::NotLetIn { .. } => moments.not_let_in.push(line.at),
                What::Connected { .. } if known => moments.returned.push(line.at),
                What::Connected { .. } => known = true,
                _ => {}
            }
        }
    }
    for list in [&mut moments.deferred, &mut moments.lost, &mut moments.not_let_in, &mut moments.returned] {
        list.sort_unstable();
    }
    moments
}

fn longest_silence(evidence: &Evidence) -> Duration {
    let mut longest = Duration::ZERO;
    for client in &evidence.clients {
        let mut before = None;
        for line in client.lines.iter().filter(|line| matches!(line.what, What::Got { .. })) {
            let silence = before.map_or(Duration::ZERO, |before| line.at.saturating_sub(before));
            longest = longest.max(silence);
            before = Some(line.at);
        }
    }
    longest
}
