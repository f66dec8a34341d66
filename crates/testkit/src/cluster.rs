//! Several real nodes on one real Postgres and one real Redis.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::node::{Node, NodeOptions};
use crate::postgres::Postgres;
use crate::redis::Redis;

/// A cluster: a database on the Postgres that this test process shares, a Redis of its own, and nodes.
pub struct Cluster {
    /// The nodes, called `n1`, `n2` …
    pub nodes: Vec<Node>,
    /// Their Redis.
    pub redis: Redis,
}

impl Cluster {
    /// Starts some nodes and waits until they are ready and hear each other.
    ///
    /// # Panics
    /// When they do not.
    pub async fn of(program: &str, count: usize) -> Self {
        let database = Postgres::shared().database();
        Self::with(count, |number| options(program, number, &database)).await
    }

    /// Starts nodes with options of the test's own, given the number of each; `REDIS_URL` is added.
    ///
    /// # Panics
    /// When they do not become ready and hear each other.
    pub async fn with(count: usize, options: impl Fn(usize) -> NodeOptions) -> Self {
        let redis = Redis::start().await;
        let mut nodes = Vec::new();
        for number in 1..=count {
            nodes.push(Node::start(options(number).with("REDIS_URL", redis.url())).await);
        }
        let cluster = Self { nodes, redis };
        cluster.hear_each_other().await;
        cluster
    }

    /// Waits until every node hears the others.
    ///
    /// # Panics
    /// When one does not.
    pub async fn hear_each_other(&self) {
        for node in &self.nodes {
            node.until("tertulia_bus_up", |up| up == 1.0).await;
        }
    }

    /// Where the nodes listen.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(Node::address).collect()
    }
}

/// How a node of a cluster is started.
pub fn options(program: &str, number: usize, database: &str) -> NodeOptions {
    NodeOptions::alone(PathBuf::from(program))
        .with("TERTULIA_NODE_NAME", format!("n{number}"))
        .with("DATABASE_URL", database)
}
