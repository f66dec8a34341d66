//! What all guests of a run count together.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use parking_lot::Mutex;

/// Counters and stopwatches. The locks are for form's sake: there is one thread.
pub(crate) struct Tally {
    /// What moments inside messages count from.
    pub(crate) began: Instant,
    pub(crate) acked: AtomicU64,
    pub(crate) delivered: AtomicU64,
    /// Connections that readers lost and made again.
    pub(crate) returns: AtomicU64,
    /// Sends that were refused, by code.
    pub(crate) refused: Mutex<BTreeMap<String, u64>>,
    pub(crate) ack_time: Stopwatch,
    pub(crate) delivery_time: Stopwatch,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            acked: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            returns: AtomicU64::new(0),
            refused: Mutex::default(),
            ack_time: Stopwatch::default(),
            delivery_time: Stopwatch::default(),
        }
    }

    pub(crate) fn acked(&self) -> u64 {
        self.acked.load(Ordering::Relaxed)
    }

    pub(crate) fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    pub(crate) fn refuse(&self, code: &[u8]) {
        *self.refused.lock().entry(String::from_utf8_lossy(code).into_owned()).or_default() += 1;
    }

    pub(crate) fn refusals(&self) -> u64 {
        self.refused.lock().values().sum()
    }

    /// A moment as it is written into a message.
    pub(crate) fn stamp(&self, moment: Instant) -> u64 {
        moment.duration_since(self.began).as_micros() as u64
    }

    /// A message that was due then has arrived.
    pub(crate) fn arrived(&self, stamp: u64) {
        let now = self.stamp(Instant::now());
        self.delivery_time.record(Duration::from_micros(now.saturating_sub(stamp)));
    }
}

/// Longer than any run.
const LONGEST: Duration = Duration::from_secs(600);

/// A distribution of times: from a microsecond up, three digits.
pub(crate) struct Stopwatch(Mutex<Option<Histogram<u64>>>);

impl Default for Stopwatch {
    fn default() -> Self {
        Self(Mutex::new(Histogram::new_with_max(LONGEST.as_micros() as u64, 3).ok()))
    }
}

impl Stopwatch {
    pub(crate) fn record(&self, time: Duration) {
        if let Some(histogram) = &mut *self.0.lock() {
            histogram.saturating_record(time.as_micros() as u64);
        }
    }

    /// The time, in milliseconds, that so much of all stayed within; 1.0 is the longest.
    pub(crate) fn ms(&self, quantile: f64) -> f64 {
        self.0.lock().as_ref().map_or(0.0, |histogram| histogram.value_at_quantile(quantile) as f64 / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_times_are_told_as_well_as_short_ones() {
        let watch = Stopwatch::default();
        [1, 2, 3_000].map(Duration::from_millis).into_iter().for_each(|time| watch.record(time));
        assert!((watch.ms(0.5) - 2.0).abs() < 0.01 && (watch.ms(1.0) - 3000.0).abs() < 3.0);
    }
}
