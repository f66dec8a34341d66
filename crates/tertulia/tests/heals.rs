//! What is lost on the way is there in time although nobody says anything more, and is counted by who found it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, Instant};

use testkit::client::Client;
use testkit::cluster::{Cluster, options};
use testkit::node::{Node, NodeOptions};
use testkit::patience;
use testkit::postgres::Postgres;
use testkit::proxy::{Proxy, Way};
use testkit::redis::Redis;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tertulia");
/// What is promised to a lost publication, and one of grace.
const HEALED_WITHIN: Duration = Duration::from_secs(5 + 1);

/// Guards against nodes that only seem to use Redis, because the store heals everything.
#[tokio::test]
async fn every_message_goes_through_redis_while_it_is_there() {
    let cluster = Cluster::of(PROGRAM, 2).await;
    let (mut ana, mut ben) = (cluster.nodes[0].guest("Ana").await, cluster.nodes[1].guest("Ben").await);
    ana.join("r").await;
    ben.join("r").await;
    let published = async || cluster.redis.calls().await.get("spublish").copied().unwrap_or(0);
    let before = published().await;
    for _ in 0..20 {
        ana.send("r", "by Redis").await;
    }
    ben.heard("r", &["by Redis"; 20]).await;
    assert!(published().await >= before + 20);
    assert_eq!(cluster.nodes[1].metric("tertulia_sweep_found_total").await, 0.0);
}

/// Ana on one node and Ben on another, which have heard each other; the line between one of the nodes and Redis can be spoilt.
struct Scene {
    ana: Client,
    ben: Client,
    bens: Node,
    anas: Node,
    line: Proxy,
    redis: Redis,
}

/// Whose line it is.
#[derive(PartialEq)]
enum Line {
    Anas,
    Bens,
}

impl Scene {
    async fn with(whose: Line) -> Self {
        let database = Postgres::shared().database();
        let redis = Redis::start().await;
        let line = Proxy::to(redis.address()).await;
        let by_line = format!("redis://{}", line.address());
        let start = async |number, spoilt| {
            let url = if spoilt { by_line.clone() } else { redis.url() };
            let options: NodeOptions = options(PROGRAM, number, &database).with("REDIS_URL", url);
            Node::start(options).await
        };
        let anas = start(1, whose == Line::Anas).await;
        let bens = start(2, whose == Line::Bens).await;
        for node in [&anas, &bens] {
            node.until("tertulia_bus_up", |up| up == 1.0).await;
        }
        let (mut ana, mut ben) = (anas.guest("Ana").await, bens.guest("Ben").await);
        ana.join("r").await;
        ben.join("r").await;
        ana.send("r", "do you hear me?").await;
        ben.heard("r", &["do you hear me?"]).await;
        assert_eq!(bens.counted("tertulia_gaps_total").await.len(), 0, "nothing was lost so far");
        Self { ana, ben, bens, anas, line, redis }
    }

    /// Ben hears it in time, and one of these has found it.
    async fn is_healed(&mut self, said: Instant, causes: &[&str]) {
        self.ben.heard("r", &["and now?"]).await;
        let took = said.elapsed();
        assert!(took < HEALED_WITHIN, "after {took:?}: {}", self.bens.log());
        let found = patience(Duration::from_secs(5), async || {
            let found = self.bens.counted("tertulia_gaps_total").await;
            (!found.is_empty()).then_some(found)
        });
        let found = found.await.expect("the heal is counted");
        println!("healed after {took:?}: {found:?}");
        assert!(found.len() == 1 && found.values().all(|count| *count == 1), "{found:?}");
        assert!(found.keys().all(|cause| causes.contains(&&**cause)), "{found:?}");
    }

    /// The line is mended, and the node takes what is published again.
    async fn hears_again(&mut self) {
        self.line.pass();
        self.bens.until("tertulia_bus_up", |up| up == 1.0).await;
        self.ana.send("r", "well again").await;
        self.ben.heard("r", &["well again"]).await;
    }
}

/// A node whose subscriptions look well and bring nothing: only the canary or the sweep can know.
#[tokio::test]
async fn a_deaf_node_has_the_last_message_before_silence() {
    let mut scene = Scene::with(Line::Bens).await;
    scene.line.swallow_where(Way::ToClient, b"SSUBSCRIBE");
    scene.ana.send("r", "and now?").await;
    // It is deaf once three beats are missing, which takes up to 3.5 s; the slow sweep comes every 2.5 s and waits for one. Whoever
    // is first. A beat that was late itself makes that `away`: nothing heard for so long, but not yet three beats to prove it.
    scene.is_healed(Instant::now(), &["sweep", "deaf", "away"]).await;
    // Whoever found it, in the end the node knows what it was, and hears again on another connection.
    scene.bens.until("tertulia_bus_losses_total{cause=\"deaf\"}", |losses| losses >= 1.0).await;
    scene.hears_again().await;
}

/// Subscriptions end with a message under way: the connection's end must be taken for a loss.
#[tokio::test]
async fn a_node_whose_subscriptions_are_killed_has_what_they_did_not_bring() {
    let mut scene = Scene::with(Line::Bens).await;
    scene.line.swallow_where(Way::ToClient, b"SSUBSCRIBE");
    let published = "tertulia_bus_published_total{result=\"ok\"}";
    let before = scene.anas.metric(published).await;
    scene.ana.send("r", "and now?").await;
    scene.anas.until(published, |now| now > before).await;
    let killed = Instant::now();
    assert_eq!(scene.redis.kill_subscribers().await, 2);
    // Two are told of it at once: who reads back what was lost, and who carries messages from now on.
    scene.is_healed(killed, &["reconnect", "away"]).await;
    assert!(killed.elapsed() < Duration::from_secs(4), "known at once, and found after {:?}", killed.elapsed());
    scene.hears_again().await;
}

/// A node that Redis is away for, and for nobody else: what it says is silence to the others, and only the slow sweep finds it. What
/// the others say, it looks for itself.
#[tokio::test]
async fn a_node_cut_from_redis_is_heard_and_hears() {
    let mut scene = Scene::with(Line::Anas).await;
    scene.line.refuse();
    scene.anas.until("tertulia_bus_up", |up| up == 0.0).await;
    scene.ana.send("r", "and now?").await;
    scene.is_healed(Instant::now(), &["sweep"]).await;
    assert_eq!(scene.bens.metric("tertulia_bus_up").await, 1.0, "Ben's node knows nothing of it");
    scene.ana.heard("r", &["do you hear me?", "and now?"]).await;
    scene.ben.send("r", "I do").await;
    scene.ana.heard("r", &["I do"]).await;
    assert_eq!(scene.anas.counted("tertulia_gaps_total").await.into_keys().collect::<Vec<_>>(), ["away"]);
}
