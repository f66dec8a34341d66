//! How Tertulia counts: every kind of series made in one way, with one set of bounds.
//!
//! A label has a closed list of values, given when the family is made, and all its series are there from the start: silence reads as
//! zero, and nothing that a client says can add one. Absent on purpose: what is counted; each crate's own `metrics.rs` says that.

use prometheus::core::Collector;
use prometheus::{
    Error, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

/// Bounds of what is measured in seconds: half a millisecond is a commit on a good disk, ten seconds are noticed by everybody.
pub const SECONDS: [f64; 14] = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];

/// Bounds of what is counted in things: one is a quiet room, some hundreds a full batch.
pub const SIZES: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// Makes series and shows them in a registry. Each fails if the registry has one of that name.
pub trait Tally {
    /// What only rises.
    ///
    /// # Errors
    /// If the name is taken, or no name.
    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, Error>;

    /// What only rises, by the values of a label.
    ///
    /// # Errors
    /// As [`counter`](Self::counter).
    fn counters(&self, name: &str, help: &str, label: &str, values: &[&str]) -> Result<IntCounterVec, Error>;

    /// What rises and falls, in whole things.
    ///
    /// # Errors
    /// As [`counter`](Self::counter).
    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, Error>;

    /// What rises and falls, in whole things, by the values of a label.
    ///
    /// # Errors
    /// As [`counter`](Self::counter).
    fn gauges(&self, name: &str, help: &str, label: &str, values: &[&str]) -> Result<IntGaugeVec, Error>;

    /// What rises and falls, in parts.
    ///
    /// # Errors
    /// As [`counter`](Self::counter).
    fn level(&self, name: &str, help: &str) -> Result<Gauge, Error>;

    /// Times.
    ///
    /// # Errors
    /// As [`counter`](Self::counter).
    fn seconds(&self, name: &str, help: &str) -> Result<Histogram, Error>;

    /// Times, by the values of a label.
    ///
    /// # Errors
    /// As [`counter`](Self::counter).
    fn seconds_by(&self, name: &str, help: &str, label: &str, values: &[&str]) -> Result<HistogramVec, Error>;

    /// How many at once.
    ///
    /// # Errors
    /// As [`counter`](Self::counter).
    fn sizes(&self, name: &str, help: &str) -> Result<Histogram, Error>;
}

impl Tally for Registry {
    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, Error> {
        shown(self, IntCounter::new(name, help)?)
    }

    fn counters(&self, name: &str, help: &str, label: &str, values: &[&str]) -> Result<IntCounterVec, Error> {
        let family = IntCounterVec::new(Opts::new(name, help), &[label])?;
        values.iter().for_each(|value| _ = family.with_label_values(&[value]));
        shown(self, family)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, Error> {
        shown(self, IntGauge::new(name, help)?)
    }

    fn gauges(&self, name: &str, help: &str, label: &str, values: &[&str]) -> Result<IntGaugeVec, Error> {
        let family = IntGaugeVec::new(Opts::new(name, help), &[label])?;
        values.iter().for_each(|value| _ = family.with_label_values(&[value]));
        shown(self, family)
    }

    fn level(&self, name: &str, help: &str) -> Result<Gauge, Error> {
        shown(self, Gauge::new(name, help)?)
    }

    fn seconds(&self, name: &str, help: &str) -> Result<Histogram, Error> {
        shown(self, Histogram::with_opts(HistogramOpts::new(name, help).buckets(SECONDS.to_vec()))?)
    }

    fn seconds_by(&self, name: &str, help: &str, label: &str, values: &[&str]) -> Result<HistogramVec, Error> {
        let family = HistogramVec::new(HistogramOpts::new(name, help).buckets(SECONDS.to_vec()), &[label])?;
        values.iter().for_each(|value| _ = family.with_label_values(&[value]));
        shown(self, family)
    }

    fn sizes(&self, name: &str, help: &str) -> Result<Histogram, Error> {
        shown(self, Histogram::with_opts(HistogramOpts::new(name, help).buckets(SIZES.to_vec()))?)
    }
}

fn shown<C: Collector + Clone + 'static>(registry: &Registry, series: C) -> Result<C, Error> {
    registry.register(Box::new(series.clone()))?;
    Ok(series)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_value_of_a_label_is_there_from_the_start() {
        let registry = Registry::new();
        registry.counters("visits_total", "Visits.", "door", &["front", "back"]).unwrap();
        registry.seconds_by("stay_seconds", "How long they stayed.", "door", &["front", "back"]).unwrap();
        let series: Vec<usize> = registry.gather().iter().map(|family| family.get_metric().len()).collect();
        assert_eq!(series, [2, 2]);
    }

    #[test]
    fn a_name_is_given_once() {
        let registry = Registry::new();
        registry.counter("visits_total", "Visits.").unwrap();
        assert!(registry.counter("visits_total", "Other visits.").is_err());
    }
}
