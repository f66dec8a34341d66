//! Redis fails in every way that it can, and people talk: what they see meanwhile, and afterwards.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::client::Client;
use testkit::cluster::Cluster;
use testkit::node::Node;
use testkit::patience;
use testkit::redis::{Redis, Reply};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tertulia");
/// What is promised to a message that is lost on the way, and one of grace.
const HEALED_WITHIN: Duration = Duration::from_secs(5 + 1);
/// About one is what people notice, once nodes know; the rest is for a busy machine.
const CROSSES_WITHIN: Duration = Duration::from_secs(4);
/// Nobody who is acknowledged waits for Redis.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(2);
/// Longer than it takes nodes to notice, and the test to look around. There is no way to end a pause before its time.
const PAUSE: Duration = Duration::from_secs(10);
const RECEIVED: &str = "tertulia_bus_received_total";
const NO_PATIENCE: &str = "pubsub 1 0 0";
const USUAL_PATIENCE: &str = "pubsub 33554432 8388608 60";

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Killed,
    ShutDown,
    Frozen,
    Paused,
    SubscribersKilled,
    OutputLimit,
    Flushed,
}

impl Fault {
    const ALL: [Self; 7] = [
        Self::Killed,
        Self::ShutDown,
        Self::Frozen,
        Self::Paused,
        Self::SubscribersKilled,
        Self::OutputLimit,
        Self::Flushed,
    ];

    async fn begin(self, redis: &mut Redis) {
        match self {
            Self::Killed => redis.stop(),
            // It answers by ending.
            Self::ShutDown => assert!(redis.try_command(&["SHUTDOWN", "NOSAVE"]).await.is_err()),
            Self::Frozen => redis.freeze(),
            Self::Paused => redis.pause(PAUSE).await,
            Self::SubscribersKilled => assert!(redis.kill_subscribers().await >= 2),
            Self::OutputLimit => limit_output(redis, NO_PATIENCE).await,
            Self::Flushed => redis.flush().await,
        }
    }

    async fn end(self, redis: &mut Redis) {
        match self {
            Self::Killed | Self::ShutDown => redis.start_again().await,
            Self::Frozen => redis.thaw(),
            Self::Paused => assert_eq!(redis.command(&["PING"]).await, Reply::Text("PONG".into())),
            Self::OutputLimit => limit_output(redis, USUAL_PATIENCE).await,
            Self::SubscribersKilled | Self::Flushed => {}
        }
    }

    /// Whether nodes cannot hear each other while it lasts.
    fn is_away(self) -> bool {
        matches!(self, Self::Killed | Self::ShutDown | Self::Frozen | Self::Paused)
    }

    /// Who may find what is said the moment it begins.
    fn found_by(self) -> &'static [&'static str] {
        match self {
            // The connection's end is told to two at once: to who reads back what was lost, and to who carries messages from now on.
            Self::Killed | Self::ShutDown | Self::SubscribersKilled | Self::OutputLimit => &["reconnect", "away"],
            // For three seconds silence may be just that, and the slow sweep may come by.
            Self::Frozen | Self::Paused => &["sweep", "reconnect", "away"],
            Self::Flushed => &[],
        }
    }

    /// What is said meanwhile. A text so long that Redis cannot write it at once counts as unread.
    fn text(self, number: usize) -> String {
        let text = format!("{self:?} {number} ");
        if self == Self::OutputLimit { format!("{text:x<16384}") } else { text }
    }
}

async fn limit_output(redis: &Redis, limit: &str) {
    redis.command(&["CONFIG", "SET", "client-output-buffer-limit", limit]).await;
}

/// Two people on two nodes, and how long they wait for each other.
struct Talk {
    ana: Client,
    ben: Client,
    said: usize,
}

impl Talk {
    /// Ana says something, and nobody anything more until Ben has heard it. Returns how long that took.
    async fn crosses(&mut self, fault: Fault, within: Duration, node: &Node) -> Duration {
        self.said += 1;
        let (text, began) = (fault.text(self.said), Instant::now());
        self.ana.send("r", &text).await;
        let acknowledged = began.elapsed();
        assert!(acknowledged < ACKNOWLEDGED_WITHIN, "{fault:?}: {acknowledged:?} to an acknowledgement");
        let heard = tokio::time::timeout(within, self.ben.heard("r", &[&text])).await;
        assert!(heard.is_ok(), "{fault:?}: not heard within {within:?}: {}", node.log());
        began.elapsed()
    }

    /// Both are told whether the count of people can be relied on.
    async fn are_told(&mut self, stale: bool) {
        for person in [&mut self.ana, &mut self.ben] {
            let tells = |frame: &Value| frame["type"] == "presence" && (frame["stale"] == true) == stale;
            person.expect_where("word of whether nodes hear each other", tells).await;
            assert_eq!(person.join("r").await["stale"] == true, stale);
        }
    }

    async fn forget_presence(&mut self) {
        self.ana.all_so_far("presence").await;
        self.ben.all_so_far("presence").await;
    }
}

/// What was read back from the store since `before`, by who found it.
async fn found(node: &Node, before: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let mut now = node.counted("tertulia_gaps_total").await;
    for (cause, count) in before {
        *now.entry(cause.clone()).or_default() -= count;
    }
    now.retain(|_, count| *count > 0);
    now
}

/// What is said the moment the fault begins is there in time, and found by somebody who can have noticed.
async fn at_first(fault: Fault, talk: &mut Talk, listening: &Node, before: &BTreeMap<String, u64>) {
    let took = talk.crosses(fault, HEALED_WITHIN, listening).await;
    // What arrived after all was not lost; where it can have, nothing need be found.
    let may_arrive = matches!(fault, Fault::SubscribersKilled | Fault::Flushed);
    let by = patience(Duration::from_secs(2), async || {
        let by = found(listening, before).await;
        (may_arrive || !by.is_empty()).then_some(by)
    });
    let by = by.await.unwrap_or_else(|| panic!("{fault:?}: the heal is not counted: {}", listening.log()));
    println!("{fault:?}: the first crossed after {took:?}, found by {by:?}");
    assert!(by.values().sum::<u64>() <= 1 && by.keys().all(|cause| fault.found_by().contains(&&**cause)));
}

/// Once nodes know, people are told, and messages cross through the store.
async fn meanwhile(fault: Fault, talk: &mut Talk, nodes: &[Node]) {
    if fault.is_away() {
        for node in nodes {
            node.until("tertulia_bus_up", |up| up == 0.0).await;
        }
        talk.are_told(true).await;
    }
    let (listening, mut longest) = (&nodes[1], Duration::ZERO);
    let before = listening.counted("tertulia_gaps_total").await;
    for _ in 0..3 {
        longest = longest.max(talk.crosses(fault, CROSSES_WITHIN, listening).await);
    }
    println!("{fault:?}: later ones crossed after {longest:?} at most");
    if fault.is_away() {
        // Each on its own, by the sweep that carries messages while Redis is away, and by nobody else.
        let all = before.get("away").unwrap_or(&0) + 3;
        listening.until("tertulia_gaps_total{cause=\"away\"}", |now| now as u64 >= all).await;
        assert_eq!(found(listening, &before).await, BTreeMap::from([("away".into(), 3)]), "{fault:?}");
    }
}

/// Redis carries again, and soon nobody has to look for anything. (Who has just come back may look too early.)
async fn afterwards(fault: Fault, talk: &mut Talk, listening: &Node) {
    if fault.is_away() {
        talk.are_told(false).await;
    }
    let alone = patience(Duration::from_secs(20), async || {
        let before = listening.counted("tertulia_gaps_total").await;
        let received = listening.metric(RECEIVED).await;
        talk.crosses(Fault::Flushed, CROSSES_WITHIN, listening).await;
        (found(listening, &before).await.is_empty() && listening.metric(RECEIVED).await > received).then_some(())
    });
    assert!(alone.await.is_some(), "after {fault:?}: {}", listening.log());
}

/// Guards against a Redis whose absence is felt by who speaks, hidden from who counts heads, or not got over.
#[tokio::test]
async fn however_redis_fails_people_talk_on_and_know_what_they_cannot_rely_on() {
    let mut cluster = Cluster::of(PROGRAM, 2).await;
    let [speaking, listening] = &cluster.nodes[..] else { unreachable!() };
    let (mut ana, mut ben) = (speaking.guest("Ana").await, listening.guest("Ben").await);
    ana.join("r").await;
    ben.join("r").await;
    let mut talk = Talk { ana, ben, said: 0 };
    for fault in Fault::ALL {
        talk.forget_presence().await;
        let before = listening.counted("tertulia_gaps_total").await;
        fault.begin(&mut cluster.redis).await;
        at_first(fault, &mut talk, listening, &before).await;
        meanwhile(fault, &mut talk, &cluster.nodes).await;
        fault.end(&mut cluster.redis).await;
        cluster.hear_each_other().await;
        afterwards(fault, &mut talk, listening).await;
    }
    let Reply::Text(statistics) = cluster.redis.command(&["INFO", "stats"]).await else { unreachable!() };
    assert!(!statistics.contains("client_output_buffer_limit_disconnections:0\r"), "{statistics}");
}
