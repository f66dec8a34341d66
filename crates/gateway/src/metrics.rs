//! What the doors count.

use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry};
use proto::Code;
use tally::Tally;

/// The doors: the native one, and that of Socket.IO, whatever carries it. The label of `tertulia_connections`.
const TRANSPORTS: [&str; 2] = ["websocket", "socketio"];

/// Why connections end. The label of `tertulia_disconnects_total`.
const ENDS: [&str; 10] =
    ["client", "lost", "idle", "protocol", "no_hello", "slow", "drain", "reset", "unauthorized", "unavailable"];

/// What became of sends, edits and deletes. The label of `tertulia_sends_total`.
const RESULTS: [&str; 3] = ["ok", "rejected", "unavailable"];

/// Why newcomers are turned away. The label of `tertulia_admission_refused_total`. `displaced` are those that had to make room
/// for another before they became a WebSocket.
const TURNED_AWAY: [&str; 7] = ["rate", "address", "origin", "unauthorized", "draining", "full", "displaced"];

/// Counters, gauges and histograms of the doors; every series is there from the start.
#[derive(Clone)]
pub struct GatewayMetrics {
    pub(crate) connections: IntGaugeVec,
    pub(crate) connects: IntCounterVec,
    pub(crate) disconnects: IntCounterVec,
    pub(crate) turned_away: IntCounterVec,
    pub(crate) accept_errors: IntCounter,
    pub(crate) sends: IntCounterVec,
    pub(crate) amendments: IntCounterVec,
    pub(crate) refusals: IntCounterVec,
    pub(crate) requests: IntCounterVec,
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
        let codes = Code::ALL.map(Code::as_str);
        Ok(Self {
            connections: registry.gauges("tertulia_connections", "Open connections.", "transport", &TRANSPORTS)?,
            connects: registry.counters(
                "tertulia_connects_total",
                "Connections that were let in.",
                "transport",
                &TRANSPORTS,
            )?,
            disconnects: registry.counters(
                "tertulia_disconnects_total",
                "Connections ended, by reason.",
                "reason",
                &ENDS,
            )?,
            turned_away: registry.counters(
                "tertulia_admission_refused_total",
                "Connections refused before the upgrade, by reason.",
                "reason",
                &TURNED_AWAY,
            )?,
            accept_errors: registry.counter(
                "tertulia_accept_errors_total",
                "Connections that the system would not hand over: out of open files, mostly.",
            )?,
            sends: registry.counters(
                "tertulia_sends_total",
                "Messages sent by clients, by result.",
                "result",
                &RESULTS,
            )?,
            amendments: registry.counters(
                "tertulia_amendments_total",
                "Edits and deletes asked by clients, by result.",
                "result",
                &RESULTS,
            )?,
            refusals: registry.counters("tertulia_refusals_total", "Requests refused, by code.", "code", &codes)?,
            requests: registry.counters(
                "tertulia_requests_total",
                "Requests of the REST API, by result.",
                "result",
                &RESULTS,
            )?,
            send_ack_seconds: registry
                .seconds("tertulia_send_ack_seconds", "From a send's receipt to its acknowledgement.")?,
            sent_bytes: registry.counter("tertulia_sent_bytes_total", "Bytes written to connections.")?,
            backlog_bytes: registry.gauge("tertulia_backlog_bytes", "Bytes that wait for slow readers.")?,
            slow_closes: registry
                .counter("tertulia_slow_closes_total", "Readers told goodbye because too much waited.")?,
            draining: registry.gauge("tertulia_draining", "1 while this node is leaving.")?,
            foreign_sids: registry.counter(
                "tertulia_socketio_foreign_sids_total",
                "Socket.IO requests for sessions that are not here: ended, or begun on another node.",
            )?,
        })
    }
}
