//! The cluster that is broken: real parts, and a bad line between each two of them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::{fs, io};

use testkit::haproxy::HaProxy;
use testkit::node::{Node, NodeOptions};
use testkit::postgres::Postgres;
use testkit::proxy::Proxy;
use testkit::redis::Redis;

use super::fake_clock::FakeClock;
use super::fault::Kind;
use super::{Programs, blocking};

/// The name of the database.
const DATABASE: &str = "d0";
/// Whom the nodes are to Postgres.
pub(crate) const ROLE: &str = "chat";
/// The disk of Postgres, where it is to be filled.
const DISK_MEGABYTES: usize = 2_048;

/// Everything of a cluster. Fields are dropped in order: who connects before what it connects to.
pub(crate) struct Stage {
    /// The ways that clients take to the front door. Cutting one cuts all who came by it.
    pub(crate) streets: Vec<Proxy>,
    pub(crate) door: HaProxy,
    pub(crate) members: Vec<Member>,
    pub(crate) redis: Redis,
    pub(crate) postgres: Postgres,
    pub(crate) programs: Programs,
}

/// A node with its own lines to Redis and Postgres.
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) node: Node,
    pub(crate) to_redis: Proxy,
    pub(crate) to_postgres: Proxy,
    /// Its clock, if that can be stepped.
    pub(crate) clock: Option<FakeClock>,
    options: NodeOptions,
}

impl Stage {
    /// Starts everything that these kinds of faults need, and waits until it works together.
    pub(crate) async fn set(programs: Programs, nodes: usize, kinds: &[Kind]) -> Self {
        let steps_a_clock = kinds.contains(&Kind::ClockStep);
        let small_disk = kinds.contains(&Kind::DiskFull);
        let postgres = blocking(|| {
            let postgres = if small_disk { Postgres::start_on_small_disk(DISK_MEGABYTES) } else { Postgres::start() };
            // Not the superuser, for whom no limit holds.
            postgres.execute("postgres", &format!("CREATE ROLE {ROLE} LOGIN"));
            postgres.execute("postgres", &format!("CREATE DATABASE {DATABASE} OWNER {ROLE}"));
            postgres
        });
        let redis = Redis::start().await;
        let mut members = Vec::new();
        for number in 1..=nodes {
            let to_postgres = Proxy::to(postgres.address()).await;
            let to_redis = Proxy::to(redis.address()).await;
            let name = format!("n{number}");
            let clock = (steps_a_clock && number == nodes).then(FakeClock::find).flatten();
            let mut options = NodeOptions::alone(programs.node.clone())
                .with("TERTULIA_NODE_NAME", &name)
                .with("TERTULIA_LOG_FORMAT", "human")
                .with("DATABASE_URL", format!("postgres://{ROLE}@{}/{DATABASE}", to_postgres.address()))
                .with("REDIS_URL", format!("redis://{}", to_redis.address()))
                .with("TERTULIA_DRAIN_SECONDS", 5);
            if let Some(clock) = &clock {
                options = clock.with(options);
            }
            let node = Node::start(options.clone()).await;
            members.push(Member { name, node, to_redis, to_postgres, clock, options });
        }
        for member in &members {
            member.node.until("tertulia_bus_up", |up| up == 1.0).await;
        }
        let addresses: Vec<SocketAddr> = members.iter().map(|member| member.node.address()).collect();
        let door = HaProxy::before(&addresses).await;
        let streets = vec![Proxy::to(door.address()).await, Proxy::to(door.address()).await];
        Self { streets, door, members, redis, postgres, programs }
    }

    /// Copies the nodes' logs to a folder.
    pub(crate) fn keep_logs(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        for member in &self.members {
            fs::write(folder.join(format!("{}.log", member.name)), member.node.log())?;
        }
        fs::write(folder.join("postgres.log"), self.postgres.log())?;
        fs::write(folder.join("haproxy.log"), self.door.log())
    }

    /// Asks the database as its superuser.
    pub(crate) fn sql(&self, sql: &str) -> String {
        blocking(|| self.postgres.execute(DATABASE, sql))
    }
}

impl Member {
    /// Starts its node again: the same, or for once with other options.
    pub(crate) async fn start(&mut self, program: Option<&PathBuf>, environment: &[(&str, &str)]) {
        let mut options = self.options.clone();
        if let Some(program) = program {
            options.program.clone_from(program);
        }
        for (name, value) in environment {
            options = options.with(name, value);
        }
        self.node.set_options(options);
        self.node.start_again().await;
    }
}
