//! Traces on their way out: what rooms of the house told, gathered, to a collector by OTLP over HTTP.
//!
//! The node waits for nothing here. What the collector does not take, or what comes faster than it takes it, is dropped and
//! counted.

mod data;

use std::time::Duration;

use http::Uri;
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::trace::SpanExporter as _;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use trace::{Span, TraceMetrics, Tracer};

use crate::config::ServeConfig;
use crate::node::StartError;

/// Spans that may wait, some megabytes of them.
const QUEUE: usize = 8192;
/// Most spans in one request.
const BATCH: usize = 512;
/// How long a span waits for others to go with it.
const GATHER: Duration = Duration::from_secs(1);
/// How long the collector may take to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// How long the last spans may delay the end.
const FAREWELL: Duration = Duration::from_secs(1);
/// A collector that is away is told of no more often than this.
const COMPLAIN: Duration = Duration::from_secs(60);

/// The task that sends spans away.
pub(crate) struct Export {
    task: JoinHandle<()>,
    stop: CancellationToken,
}

/// Where traces go: nowhere, unless a collector is named.
pub(crate) fn start(config: &ServeConfig, metrics: TraceMetrics) -> Result<(Tracer, Option<Export>), StartError> {
    let Some(collector) = &config.otlp_endpoint else { return Ok((Tracer::default(), None)) };
    let exporter = exporter(collector, config)?;
    let (tracer, spans) = Tracer::on(config.trace_ratio, QUEUE, metrics.clone());
    let stop = CancellationToken::new();
    let sender = Sender { exporter, spans, metrics, stop: stop.clone(), complained: None };
    tracing::info!(collector, ratio = config.trace_ratio, "messages are traced");
    Ok((tracer, Some(Export { task: tokio::spawn(sender.run()), stop })))
}

fn exporter(collector: &str, config: &ServeConfig) -> Result<SpanExporter, ExporterBuildError> {
    let mut exporter = SpanExporter::builder()
        .with_http()
        .with_endpoint(format!("{}/v1/traces", collector.trim_end_matches('/')))
        .with_protocol(Protocol::HttpBinary)
        .with_timeout(ANSWER)
        .build()?;
    let service = config.otlp_service.as_deref().unwrap_or("tertulia");
    exporter.set_resource(&data::resource(service, &config.node_name()));
    Ok(exporter)
}

/// Reads where a collector is. Empty means nowhere.
pub(crate) fn collector(text: &str) -> Result<String, String> {
    let is_good = |uri: Uri| {
        uri.authority().is_some_and(|authority| {
            // Who connects takes a port that is no number for none.
            let port = authority.as_str().strip_prefix(authority.host());
            let has_good_port = port.is_some_and(|port| port.is_empty() || authority.port_u16().is_some());
            uri.scheme_str() == Some("http") && !authority.host().is_empty() && has_good_port && uri.query().is_none()
        })
    };
    if text.is_empty() || text.parse().is_ok_and(is_good) {
        return Ok(text.to_owned());
    }
    Err("say where a collector takes OTLP over HTTP, without TLS: http://host:4318".into())
}

/// Reads a share.
pub(crate) fn ratio(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio)).ok_or_else(|| "say a share from 0 to 1".into())
}

impl Export {
    /// Sends what waits, for as long as that may take.
    pub(crate) async fn close(self) {
        self.stop.cancel();
        if tokio::time::timeout(FAREWELL, self.task).await.is_err() {
            tracing::warn!("the last spans were not taken in time");
        }
    }
}

struct Sender {
    exporter: SpanExporter,
    spans: mpsc::Receiver<Span>,
    metrics: TraceMetrics,
    stop: CancellationToken,
    complained: Option<Instant>,
}

impl Sender {
    /// Sends a batch when it is full or has gathered for long enough; ends with the queue, once that is empty.
    async fn run(mut self) {
        let mut tick = tokio::time::interval(GATHER);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::new();
        loop {
            let space = BATCH - batch.len();
            tokio::select! {
                came = self.spans.recv_many(&mut batch, space) => {
                    if came == 0 {
                        return self.send(batch).await;
                    }
                    if came < space {
                        continue;
                    }
                }
                _ = tick.tick() => {}
                () = self.stop.cancelled(), if !self.spans.is_closed() => {
                    self.spans.close(); // what waits in it still comes out
                    continue;
                }
            }
            self.send(std::mem::take(&mut batch)).await;
        }
    }

    async fn send(&mut self, batch: Vec<Span>) {
        let count = batch.len() as u64;
        if count == 0 {
            return;
        }
        match self.exporter.export(batch.into_iter().map(data::of).collect()).await {
            Ok(()) => self.metrics.exported.inc_by(count),
            Err(error) => {
                self.metrics.dropped.inc_by(count);
                self.complain(&error);
            }
        }
    }

    fn complain(&mut self, error: &OTelSdkError) {
        if self.complained.is_none_or(|last| last.elapsed() >= COMPLAIN) {
            self.complained = Some(Instant::now());
            tracing::warn!(%error, dropped = self.metrics.dropped.get(), "the collector does not take traces");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_is_an_address_without_tls() {
        for good in
            ["", "http://collector:4318", "http://127.0.0.1:4318/", "http://[::1]:4318/otlp", "http://collector"]
        {
            assert_eq!(collector(good).as_deref(), Ok(good));
        }
        for bad in [
            "collector:4318",
            "https://collector:4318",
            "http://",
            "http://:4318",
            "http://c:port",
            "http://c:",
            "http://c:99999",
            "http://a@c:4318",
            "http://c/?x=1",
            "grpc://c:4317",
            "http://c c",
        ] {
            assert!(collector(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_share_is_between_nothing_and_all() {
        assert_eq!((ratio("0"), ratio("0.01"), ratio("1")), (Ok(0.0), Ok(0.01), Ok(1.0)));
        for bad in ["", "-0.1", "1.1", "NaN", "inf", "all", "1%"] {
            assert!(ratio(bad).is_err(), "{bad}");
        }
    }
}
