//! What can be asked for, and how much of it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

/// A guest with a stopwatch for Tertulia's nodes on this machine.
#[derive(Parser)]
#[command(name = "loadtest", version, about)]
pub(crate) struct Program {
    #[command(subcommand)]
    pub(crate) scenario: Scenario,
}

#[derive(Subcommand)]
pub(crate) enum Scenario {
    /// One sender, one message at a time: how long an acknowledgement takes when nothing else happens.
    IdleAck(Common),
    /// Many senders: messages acknowledged a second, and what readers hear of them.
    Durable(Durable),
    /// One room, one sender, many readers: what a delivery costs.
    Fanout(Fanout),
    /// Many who joined and say nothing: what a connection costs.
    Idle(Idle),
    /// All who joined come back at once with their positions.
    Storm(Storm),
}

impl Scenario {
    pub(crate) fn common(&self) -> &Common {
        match self {
            Self::IdleAck(common) => common,
            Self::Durable(durable) => &durable.common,
            Self::Fanout(fanout) => &fanout.common,
            Self::Idle(idle) => &idle.common,
            Self::Storm(storm) => &storm.common,
        }
    }
}

#[derive(Args)]
pub(crate) struct Common {
    /// A node's WebSocket address, ws://127.0.0.1:8080/ws; guests are spread over all that are given. Loopback only.
    #[arg(long = "url", required = true)]
    pub(crate) urls: Vec<String>,

    /// A process whose CPU time and memory are measured: a node, or whatever else should count.
    #[arg(long = "pid")]
    pub(crate) pids: Vec<u32>,

    /// Seconds of measuring, after everybody has joined.
    #[arg(long, default_value_t = 10)]
    pub(crate) seconds: u64,

    /// Bytes of a message's text.
    #[arg(long, default_value_t = 128)]
    pub(crate) bytes: usize,

    /// A file for the figures as JSON.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
}

impl Common {
    pub(crate) fn duration(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

#[derive(Args)]
pub(crate) struct Durable {
    #[command(flatten)]
    pub(crate) common: Common,

    /// Guests who send. They do not join, so that only readers are delivered to.
    #[arg(long, default_value_t = 100)]
    pub(crate) senders: usize,

    /// Rooms they send to, one each, in turn; 1 is one hot room.
    #[arg(long, default_value_t = 100)]
    pub(crate) rooms: usize,

    /// Messages that a sender has under way.
    #[arg(long, default_value_t = 8)]
    pub(crate) in_flight: usize,

    /// Guests who only read, one room each, in turn.
    #[arg(long, default_value_t = 0)]
    pub(crate) readers: usize,
}

#[derive(Args)]
pub(crate) struct Fanout {
    #[command(flatten)]
    pub(crate) common: Common,

    /// Guests who read.
    #[arg(long, default_value_t = 1000)]
    pub(crate) readers: usize,

    /// Messages that the sender has under way at most.
    #[arg(long, default_value_t = 16)]
    pub(crate) in_flight: usize,

    /// Messages a second; without it, as many as are acknowledged.
    #[arg(long)]
    pub(crate) rate: Option<f64>,
}

#[derive(Args)]
pub(crate) struct Idle {
    #[command(flatten)]
    pub(crate) common: Common,

    /// Connections.
    #[arg(long, default_value_t = 5000)]
    pub(crate) connections: usize,

    /// Rooms that they are spread over; as many as connections is a room each.
    #[arg(long, default_value_t = 1)]
    pub(crate) rooms: usize,
}

#[derive(Args)]
pub(crate) struct Storm {
    #[command(flatten)]
    pub(crate) common: Common,

    /// Connections.
    #[arg(long, default_value_t = 3000)]
    pub(crate) connections: usize,

    /// Rooms that they are spread over.
    #[arg(long, default_value_t = 100)]
    pub(crate) rooms: usize,

    /// Messages said in each room while nobody is there.
    #[arg(long, default_value_t = 10)]
    pub(crate) missed: usize,
}
