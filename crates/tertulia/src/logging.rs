//! Logs: for people on a terminal, for machines otherwise. Always to standard error, one event a line.

use std::io::IsTerminal;

use clap::ValueEnum;
use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Human on a terminal, JSON otherwise.
    Auto,
    /// Lines for people.
    Human,
    /// One JSON object a line.
    Json,
}

/// Libraries that would log what people say, and the tokens by which they are let in, if they were asked for everything.
const TALKATIVE: [&str; 1] = ["tungstenite"];

/// Whether something may be logged, whatever the filter says.
fn is_discreet(what: &Metadata<'_>) -> bool {
    *what.level() != Level::TRACE || !TALKATIVE.iter().any(|library| what.target().starts_with(library))
}

/// Starts logging. A filter that cannot be read is said, and `info` taken instead.
pub(crate) fn start(format: LogFormat, filter: &str) {
    let (filter, complaint) = match EnvFilter::try_new(filter) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new("info"), Some(error)),
    };
    let is_terminal = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if format == LogFormat::Human || (format == LogFormat::Auto && is_terminal) {
        builder.with_ansi(is_terminal).with_target(false).finish().with(filter_fn(is_discreet)).init();
    } else {
        builder.json().flatten_event(true).finish().with(filter_fn(is_discreet)).init();
    }
    if let Some(error) = complaint {
        tracing::warn!(%error, "the log filter cannot be read; taking info");
    }
}
