//! The servers that are measured, and what stands beside them.

use std::any::Any;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use testkit::node::{Node, NodeOptions};
use testkit::patience;
use testkit::postgres::Postgres;
use testkit::process::{Daemon, free_port, run};
use testkit::redis::Redis;
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::args::Socketio;

/// Socket.IO's own server, with what npm has for it.
const PEER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/socketio");
const STARTS_WITHIN: Duration = Duration::from_secs(20);

/// What both kinds of servers use.
pub(crate) struct Beside {
    pub(crate) postgres: Postgres,
    pub(crate) redis: Redis,
}

/// Who is measured.
pub(crate) struct Contender {
    pub(crate) name: String,
    /// A node's program; none for Socket.IO's own server.
    node: Option<PathBuf>,
}

/// One of them, running.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) pid: u32,
    /// Ends it when this is dropped.
    _held: Box<dyn Any>,
}

impl Contender {
    /// The nodes that were named, and their peer.
    pub(crate) fn all(args: &Socketio) -> io::Result<Vec<Self>> {
        let beside = || std::env::current_exe().unwrap_or_default().with_file_name("tertulia");
        let nodes = if args.nodes.is_empty() { vec![beside()] } else { args.nodes.clone() };
        let several = nodes.len() > 1;
        let name = |number: usize| if several { format!("tertulia {}", number + 1) } else { "tertulia".into() };
        let mut all: Vec<Self> =
            nodes.into_iter().enumerate().map(|(number, node)| Self { name: name(number), node: Some(node) }).collect();
        all.push(Self { name: "socket.io".into(), node: None });
        if !Path::new(PEER).join("node_modules/.package-lock.json").exists() {
            eprintln!("installing: {PEER}");
            // No package there needs its install script, so none gets to run one.
            run("npm", &["ci", "--prefix", PEER, "--ignore-scripts", "--no-audit", "--no-fund"]);
        }
        Ok(all)
    }

    pub(crate) fn is_peer(&self) -> bool {
        self.node.is_none()
    }

    /// Starts it afresh.
    ///
    /// # Panics
    /// When it does not start.
    pub(crate) async fn start(&self, beside: &Beside) -> Server {
        match &self.node {
            Some(program) => node(program, beside).await,
            None => peer(beside).await,
        }
    }
}

async fn node(program: &Path, beside: &Beside) -> Server {
    let options = NodeOptions::alone(program)
        .with("DATABASE_URL", beside.postgres.database())
        .with("REDIS_URL", beside.redis.url())
        // Another history is no part of this one's cluster.
        .with("TERTULIA_REDIS_PREFIX", Uuid::new_v4().simple())
        .with("TERTULIA_CONNECT_RATE", 0);
    let node = Node::start(options).await;
    node.until("tertulia_bus_up", |up| up == 1.0).await;
    Server { address: node.address(), pid: node.pid().unwrap_or_default(), _held: Box::new(node) }
}

async fn peer(beside: &Beside) -> Server {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("a folder for a log: {error}"));
    let (port, redis) = (format!("PORT={}", address.port()), format!("REDIS_URL={}", beside.redis.url()));
    let (script, log) = (format!("{PEER}/server.mjs"), folder.path().join("log"));
    let daemon = Daemon::start("TERM", &log, &["env", "NODE_ENV=production", &port, &redis, "node", &script]);
    let listens = patience(STARTS_WITHIN, async || TcpStream::connect(address).await.ok());
    if listens.await.is_none() {
        panic!("{script} does not start: {}", std::fs::read_to_string(&log).unwrap_or_default());
    }
    Server { address, pid: daemon.pid(), _held: Box::new((daemon, folder)) }
}
