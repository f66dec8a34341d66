//! Logs: for people on a terminal, for machines otherwise. Always to standard error, one event a line.

use std::io::IsTerminal;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

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

/// Libraries that would log what people say, and the tokens by which they are let in: none of them says more than this.
const DISCREET: [&str; 1] = ["tungstenite=debug"];

/// Starts logging. A filter that cannot be read is said, and `info` taken instead.
pub(crate) fn start(format: LogFormat, filter: &str) {
    let (filter, complaint) = match EnvFilter::try_new(filter) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new("info"), Some(error)),
    };
    let discreet = DISCREET.iter().filter_map(|directive| directive.parse().ok());
    let filter = discreet.fold(filter, EnvFilter::add_directive);
    let is_terminal = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if format == LogFormat::Human || (format == LogFormat::Auto && is_terminal) {
        builder.with_ansi(is_terminal).with_target(false).init();
    } else {
        builder.json().flatten_event(true).init();
    }
    if let Some(error) = complaint {
        tracing::warn!(%error, "the log filter cannot be read; taking info");
    }
}
