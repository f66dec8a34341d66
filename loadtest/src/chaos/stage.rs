//! The cluster that is broken: real parts, and a bad line between each two of them.

use std::net::SocketAddr;
use std::path::PathBuf;

use testkit::haproxy::HaProxy;
use testkit::node::{Node, NodeOptions};
use testkit::postgres::Postgres;
use testkit::proxy::Proxy;
use testkit::redis::Redis;

use super::fake_clock::FakeClock;
use super::{Programs, blocking};

/// The name of the database.
const DATABASE: &str = "d0";

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
    /// Starts everything and waits until it works together. The last node's clock can be stepped if that is wanted.
    pub(crate) async fn set(programs: Programs, nodes: usize, steps_a_clock: bool) -> Self {
        let postgres = blocking(Postgres::start);
        let database = blocking(|| postgres.database());
        debug_assert_eq!(database, postgres.url(DATABASE));
        let redis = Redis::start().await;
        let mut members = Vec::new();
        for number in 1..=nodes {
            let to_postgres = Proxy::to(postgres.address()).await;
            let to_redis = Proxy::to(redis.address()).await;
            let name = format!("n{number}");
            let clock = (steps_a_clock && number == nodes).then(FakeClock::find);
            let mut options = NodeOptions::alone(programs.node.clone())
                .with("TERTULIA_NODE_NAME", &name)
                .with("TERTULIA_LOG_FORMAT", "text")
                .with("DATABASE_URL", format!("postgres://postgres@{}/{DATABASE}", to_postgres.address()))
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

    /// The database's rows are asked for here.
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
