//! How long messages took to reach the clients.
//!
//! A delay counts from the moment a message was first written to a socket until a client has it. So it contains the
//! commit, every refusal and retry, the way through the cluster and, for a client that was away, its absence: all that
//! people would wait for. (From the acknowledgement it would hide what a writer waits for, and be nothing at all where a
//! delivery overtakes its acknowledgement.)

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use hdrhistogram::Histogram;
use uuid::Uuid;

use super::super::record::{ClientLog, Evidence, Moment, RoomIndex, What};

/// What times were like.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Spread {
    pub(super) count: u64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) max_ms: f64,
}

/// Longer than any run.
const LONGEST: Duration = Duration::from_secs(4 * 3600);

/// Makes spreads, one after another; each needs the whole histogram only while it is made.
pub(super) struct Spreader(Option<Histogram<u64>>);

impl Spreader {
    pub(super) fn new() -> Self {
        Self(Histogram::new_with_max(LONGEST.as_micros() as u64, 3).ok())
    }

    pub(super) fn spread(&mut self, times: impl IntoIterator<Item = Duration>) -> Spread {
        let Some(histogram) = &mut self.0 else { return Spread::default() };
        histogram.reset();
        let mut longest = Duration::ZERO;
        for time in times {
            longest = longest.max(time);
            histogram.saturating_record(time.as_micros() as u64);
        }
        let max_ms = ms(longest);
        // The histogram rounds up: no quantile shall be above the longest time.
        let at = |quantile| (histogram.value_at_quantile(quantile) as f64 / 1000.0).min(max_ms);
        Spread { count: histogram.len(), p50_ms: at(0.5), p99_ms: at(0.99), max_ms }
    }
}

/// One message has reached one client for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Receipt {
    pub(super) sent: Moment,
    pub(super) got: Moment,
}

impl Receipt {
    pub(super) fn delay(&self) -> Duration {
        self.got.saturating_sub(self.sent)
    }
}

type Message = (RoomIndex, Uuid);

/// When each message was first sent.
pub(super) fn first_sent(evidence: &Evidence) -> HashMap<Message, Moment> {
    firsts(evidence, |what| match what {
        What::Sent { room, id, .. } => Some((*room, *id)),
        _ => None,
    })
}

/// When each message was first acknowledged.
pub(super) fn first_acked(evidence: &Evidence) -> HashMap<Message, Moment> {
    firsts(evidence, |what| match what {
        What::Acked { room, id, .. } => Some((*room, *id)),
        _ => None,
    })
}

fn firsts(evidence: &Evidence, which: impl Fn(&What) -> Option<Message>) -> HashMap<Message, Moment> {
    let mut firsts = HashMap::new();
    for line in evidence.clients.iter().flat_map(|client| &client.lines) {
        if let Some(message) = which(&line.what) {
            let first = firsts.entry(message).or_insert(line.at);
            *first = line.at.min(*first);
        }
    }
    firsts
}

/// All first receipts, by when the message was sent.
///
/// What comes until a room was joined for the first time is history and was never late; it is left out. So are changes, and
/// messages that no client of this run sent.
pub(super) fn receipts(evidence: &Evidence, sent: &HashMap<Message, Moment>) -> Vec<Receipt> {
    let mut receipts: Vec<Receipt> = evidence.clients.iter().flat_map(|client| of_client(client, sent)).collect();
    receipts.sort_unstable();
    receipts
}

fn of_client(client: &ClientLog, sent: &HashMap<Message, Moment>) -> Vec<Receipt> {
    let mut held = HashSet::new();
    let mut complete = HashSet::new();
    let mut fresh = HashSet::new();
    let mut receipts = Vec::new();
    for line in &client.lines {
        match &line.what {
            What::JoinAsked { room, .. } if complete.contains(room) => _ = fresh.remove(room),
            What::JoinAsked { room, .. } => _ = fresh.insert(*room),
            What::Joined { room, more: false, .. } => _ = complete.insert(*room),
            What::Got { room, id, page, .. } => {
                let history = *page && fresh.contains(room);
                if held.insert((*room, *id))
                    && !history
                    && let Some(sent) = sent.get(&(*room, *id))
                {
                    receipts.push(Receipt { sent: *sent, got: line.at });
                }
            }
            _ => {}
        }
    }
    receipts
}

pub(super) fn ms(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}
