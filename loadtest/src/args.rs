//! What can be asked for, and how much of it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::chaos::Kind;

/// A guest with a stopwatch for Tertulia's nodes on this machine.
#[derive(Parser)]
#[command(name = "loadtest", version, about)]
pub(crate) struct Program {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Measure(Scenario),
    /// Starts a cluster of its own, breaks it again and again, and checks that nothing was lost, doubled or reordered.
    Chaos(Chaos),
    /// Watches a running cluster from outside, while somebody breaks it or deploys over it, and checks the same.
    Watch(Watch),
    /// Starts a node, and Socket.IO's own server on Node.js, one after the other, and tells what a socket and a delivery cost each.
    Socketio(Socketio),
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

#[derive(Args)]
pub(crate) struct Chaos {
    /// Seconds in which faults begin. Then all is mended, and everything settles.
    #[arg(long, default_value_t = 90)]
    pub(crate) seconds: u64,

    /// Kinds of faults, separated by commas, each once a round; without it all for which there is what they need.
    #[arg(long, value_delimiter = ',', value_enum)]
    pub(crate) faults: Vec<Kind>,

    /// Kinds left out.
    #[arg(long, value_delimiter = ',', value_enum)]
    pub(crate) without: Vec<Kind>,

    /// The node's program; without it the `tertulia` beside this program.
    #[arg(long)]
    pub(crate) node: Option<PathBuf>,

    /// The same built with `--features failpoints`, for `node-crash`.
    #[arg(long)]
    pub(crate) crash_node: Option<PathBuf>,

    /// The program of another version, for `mixed-versions`.
    #[arg(long)]
    pub(crate) other_node: Option<PathBuf>,

    /// Nodes.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=8))]
    pub(crate) nodes: u8,

    #[command(flatten)]
    pub(crate) talk: Talk,

    #[command(flatten)]
    pub(crate) output: Output,

    /// A folder for the nodes' logs, if a promise is broken.
    #[arg(long)]
    pub(crate) keep: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Watch {
    /// The address of the cluster, such as `http://chat.example:8000`; the clients use rooms of their own there.
    #[arg(long)]
    pub(crate) url: String,

    /// Seconds of watching; without it until SIGINT or SIGTERM. Then everything settles.
    #[arg(long)]
    pub(crate) seconds: Option<u64>,

    #[command(flatten)]
    pub(crate) talk: Talk,

    #[command(flatten)]
    pub(crate) output: Output,
}

/// Who talks while promises are watched.
#[derive(Args)]
pub(crate) struct Talk {
    /// Everything left to chance comes from it: the same seed and kinds make the same schedule.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,

    /// Rooms; every client joins all of them.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..))]
    pub(crate) rooms: u8,

    /// Clients who write and read.
    #[arg(long, default_value_t = 6)]
    pub(crate) writers: u16,

    /// Clients who write less, and edit and delete what they wrote.
    #[arg(long, default_value_t = 2)]
    pub(crate) editors: u16,

    /// Clients who only read.
    #[arg(long, default_value_t = 6)]
    pub(crate) readers: u16,

    /// Messages a second and writer.
    #[arg(long, default_value_t = 10.0)]
    pub(crate) rate: f64,
}

#[derive(Args)]
pub(crate) struct Socketio {
    /// A node's program; several are measured beside one another. Without it the `tertulia` beside this program.
    #[arg(long = "node")]
    pub(crate) nodes: Vec<PathBuf>,

    /// How often each is started and measured; medians are told.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..))]
    pub(crate) rounds: u8,

    /// Seconds of each measurement.
    #[arg(long, default_value_t = 5)]
    pub(crate) seconds: u64,

    /// Sockets that join and say nothing.
    #[arg(long, default_value_t = 2000)]
    pub(crate) idle: usize,

    /// Rooms that these are spread over.
    #[arg(long, default_value_t = 200)]
    pub(crate) rooms: usize,

    /// Sockets that listen while one in their room speaks.
    #[arg(long, default_value_t = 1000)]
    pub(crate) readers: usize,

    /// Messages that it has under way in a busy room.
    #[arg(long, default_value_t = 16)]
    pub(crate) in_flight: usize,

    /// Messages a second in a quiet room.
    #[arg(long, default_value_t = 20.0)]
    pub(crate) rate: f64,

    /// Bytes of a message's text.
    #[arg(long, default_value_t = 128)]
    pub(crate) bytes: usize,

    /// A file for the figures as JSON.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
}

/// Where the verdict goes besides the terminal.
#[derive(Args)]
pub(crate) struct Output {
    /// A file for the report, a page for a browser.
    #[arg(long)]
    pub(crate) html: Option<PathBuf>,

    /// A file for the figures as JSON.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
}
