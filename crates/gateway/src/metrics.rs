//! What the doors count.

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};
use proto::Code;

/// Bounds of all time histograms, in seconds.
const SECONDS: [f64; 14] = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];

/// The doors: the native one, and that of Socket.IO, whatever carries it. The label of `tertulia_connections`.
pub(crate) const TRANSPORTS: [&str; 2] = ["websocket", "socketio"];

/// Why connections end. The label of `tertulia_disconnects_total`.
pub(crate) const ENDS: [&str; 9] =
    ["client", "lost", "idle", "protocol", "no_hello", "slow", "drain", "reset", "unauthorized"];

/// What became of sends. The label of `tertulia_sends_total`.
pub(crate) const SENDS: [&str; 3] = ["ok", "rejected", "unavailable"];

/// Why newcomers are turned away: the label of `tertulia_admission_refused_total`. `displaced` are those that had to make room
/// for another before they became a WebSocket.
pub(crate) const TURNED_AWAY: [&str; 6] = ["rate", "address", "origin", "draining", "full", "displaced"];

/// Counters, gauges and histograms of the doors; every series is there from the start.
#[derive(Clone)]
pub struct GatewayMetrics {
    pub(crate) connections: IntGaugeVec,
    pub(crate) connects: IntCounterVec,
    pub(crate) disconnects: IntCounterVec,
    pub(crate) sends: IntCounterVec,
    pub(crate) refusals: IntCounterVec,
    pub(crate) turned_away: IntCounterVec,
    pub(crate) send_ack_seconds: Histogram,
    pub(crate) sent_bytes: IntCounter,
    pub(crate) backlog_bytes: IntGauge,
    pub(crate) slow_closes: IntCounter,
    pub(crate) draining: IntGauge,
    pub(crate) foreign_sids: IntCounter,
}

impl GatewayMetrics {
    /// Makes all series and registers them.
    ///
    /// # Errors
    /// When the registry already has them.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counters = |name, help, label, values: &[&str]| {
            let counters = IntCounterVec::new(Opts::new(name, help), &[label])?;
            values.iter().for_each(|value| counters.with_label_values(&[value]).reset());
            registry.register(Box::new(counters.clone()))?;
            Ok::<_, prometheus::Error>(counters)
        };
        let connections = IntGaugeVec::new(Opts::new("tertulia_connections", "Open connections."), &["transport"])?;
        TRANSPORTS.iter().for_each(|transport| connections.with_label_values(&[transport]).set(0));
        let codes = Code::ALL.map(Code::as_str);
        let metrics = Self {
            connections,
            connects: counters("tertulia_connects_total", "Connections opened.", "transport", &TRANSPORTS)?,
            disconnects: counters("tertulia_disconnects_total", "Connections ended, by reason.", "reason", &ENDS)?,
            sends: counters("tertulia_sends_total", "Messages sent by clients, by result.", "result", &SENDS)?,
            refusals: counters("tertulia_refusals_total", "Requests refused, by code.", "code", &codes)?,
            turned_away: counters(
                "tertulia_admission_refused_total",
                "Connections refused before the upgrade, by reason.",
                "reason",
                &TURNED_AWAY,
            )?,
            send_ack_seconds: Histogram::with_opts(
                HistogramOpts::new("tertulia_send_ack_seconds", "From a send's receipt to its acknowledgement.")
                    .buckets(SECONDS.to_vec()),
            )?,
            sent_bytes: IntCounter::new("tertulia_sent_bytes_total", "Bytes written to connections.")?,
            backlog_bytes: IntGauge::new("tertulia_backlog_bytes", "Bytes that wait for slow readers.")?,
            slow_closes: IntCounter::new(
                "tertulia_slow_closes_total",
                "Readers told goodbye because too much waited.",
            )?,
            draining: IntGauge::new("tertulia_draining", "1 while this node is leaving.")?,
            foreign_sids: IntCounter::new(
                "tertulia_socketio_foreign_sids_total",
                "Socket.IO requests for sessions that are not on this node: ended here, or begun on another.",
            )?,
        };
        registry.register(Box::new(metrics.connections.clone()))?;
        registry.register(Box::new(metrics.send_ack_seconds.clone()))?;
        registry.register(Box::new(metrics.sent_bytes.clone()))?;
        registry.register(Box::new(metrics.backlog_bytes.clone()))?;
        registry.register(Box::new(metrics.slow_closes.clone()))?;
        registry.register(Box::new(metrics.draining.clone()))?;
        registry.register(Box::new(metrics.foreign_sids.clone()))?;
        Ok(metrics)
    }
}
