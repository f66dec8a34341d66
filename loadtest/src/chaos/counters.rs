//! What the nodes count, asked for every second and added up over their restarts.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use testkit::node::raw_http;

use super::record::{CounterGain, Moment};

/// How often nodes are asked.
const PERIOD: Duration = Duration::from_millis(500);
/// A node that does not answer in this time is asked again later.
const PATIENCE: Duration = Duration::from_millis(400);
/// The counters that tell of losses, heals and refusals.
const FAMILIES: [&str; 11] = [
    "tertulia_gaps_total",
    "tertulia_sweep_found_total",
    "tertulia_joins_total",
    "tertulia_admission_refused_total",
    "tertulia_disconnects_total",
    "tertulia_bus_losses_total",
    "tertulia_bus_reconnects_total",
    "tertulia_bus_published_total",
    "tertulia_store_retries_total",
    "tertulia_republished_total",
    "tertulia_refusals_total",
];

/// The gains so far.
#[derive(Default)]
pub(crate) struct Counters {
    gains: Mutex<BTreeMap<String, CounterGain>>,
}

impl Counters {
    /// Asks a node until this is dropped.
    pub(crate) async fn watch(&self, node: SocketAddr, began: Instant) {
        let mut last = BTreeMap::new();
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {node}\r\nConnection: close\r\n\r\n");
        loop {
            let answer = tokio::time::timeout(PATIENCE, raw_http(node, request.as_bytes())).await;
            if let Ok(Some((200, _, body))) = answer {
                self.take(&mut last, &body, began.elapsed());
            }
            tokio::time::sleep(PERIOD).await;
        }
    }

    fn take(&self, last: &mut BTreeMap<String, f64>, body: &str, at: Moment) {
        let mut gains = self.gains.lock();
        for line in body.lines() {
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            let family = series.split('{').next().unwrap_or_default();
            let Ok(value) = value.parse::<f64>() else { continue };
            if !FAMILIES.contains(&family) {
                continue;
            }
            let before = last.insert(series.to_owned(), value).unwrap_or(0.0);
            // One that fell belongs to a new process and began at 0.
            let gain = if value < before { value } else { value - before };
            if gain > 0.0 {
                let entry = gains.entry(series.to_owned()).or_insert_with(|| CounterGain {
                    series: series.to_owned(),
                    gain: 0.0,
                    steps: Vec::new(),
                });
                entry.gain += gain;
                entry.steps.push((at, gain));
            }
        }
    }

    pub(crate) fn gains(&self) -> Vec<CounterGain> {
        self.gains.lock().values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gains_are_added_up_over_the_restart_of_a_process() {
        let (counters, mut last) = (Counters::default(), BTreeMap::new());
        for (seconds, value) in [(1, 2), (2, 5), (3, 5), (4, 1), (5, 4)] {
            let body = format!("# HELP x\ntertulia_gaps_total{{cause=\"skip\"}} {value}\nother_total 9\n");
            counters.take(&mut last, &body, Duration::from_secs(seconds));
        }
        let gains = counters.gains();
        assert_eq!(gains.len(), 1);
        assert_eq!(gains[0].gain, 9.0);
        let steps: Vec<_> = gains[0].steps.iter().map(|(at, gain)| (at.as_secs(), *gain)).collect();
        assert_eq!(steps, [(1, 2.0), (2, 3.0), (4, 1.0), (5, 3.0)]);
    }
}
