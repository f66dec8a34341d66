//! Postgres is away, or its answers are: sends wait, and are refused for now; an id sent again settles what happened.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::client::Client;
use testkit::cluster::{Cluster, options};
use testkit::node::{Node, NodeOptions};
use testkit::patience;
use testkit::postgres::Postgres;
use testkit::proxy::{Proxy, Way};
use uuid::Uuid;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tertulia");
/// What is promised to a lost publication, and one of grace.
const HEALED_WITHIN: Duration = Duration::from_secs(5 + 1);
/// Within six a sender is told what became of a message; the rest is for a busy machine.
const TOLD_WITHIN: Duration = Duration::from_secs(6 + 2);

fn send(text: &str) -> Value {
    json!({"type": "send", "room": "r", "id": Uuid::new_v4().to_string(), "text": text})
}

/// What was said is refused for now, and in time.
async fn is_refused(client: &mut Client, frame: &Value, said: Instant) {
    let refused = client.refused("unavailable").await;
    let took = said.elapsed();
    assert_eq!((&refused["id"], refused["retry_after_ms"].is_u64()), (&frame["id"], true), "{refused}");
    assert!(took < TOLD_WITHIN, "told after {took:?}");
}

/// Says it, as often as it is refused for now, and returns the number that it is acknowledged with.
async fn insist(client: &mut Client, frame: &Value) -> Option<u64> {
    patience(Duration::from_secs(30), async || {
        client.say(frame.clone()).await;
        let answer = client.expect_where("an answer", |f| f["id"] == frame["id"] && f["type"] != "message").await;
        answer["seq"].as_u64()
    })
    .await
}

/// Postgres stands still: what cannot be known is not told, what is in memory is, and one answer settles it in the end.
#[tokio::test]
async fn while_postgres_is_silent_sends_are_refused_for_now_and_rooms_in_memory_are_read() {
    let postgres = Postgres::start();
    let node = Node::start(NodeOptions::alone(PROGRAM).with("DATABASE_URL", postgres.database())).await;
    let (mut ana, mut ben) = (node.guest("Ana").await, node.guest("Ben").await);
    let epoch = ana.join("r").await["epoch"].clone();
    ben.join("r").await;
    ana.send("r", "one").await;
    ana.send("r", "two").await;
    ben.heard("r", &["one", "two"]).await;

    postgres.freeze();
    let (frame, said) = (send("three"), Instant::now());
    ana.say(frame.clone()).await;
    // Another client comes back meanwhile: what it missed is in memory.
    ben.say(json!({"type": "join", "room": "r", "after": 1, "epoch": epoch})).await;
    let back = ben.expect("joined").await;
    assert_eq!((back["head"].as_u64(), back["messages"][0]["text"].as_str()), (Some(2), Some("two")), "{back}");
    is_refused(&mut ana, &frame, said).await;

    postgres.thaw();
    assert_eq!(insist(&mut ana, &frame).await, Some(3), "{}", node.log());
    ben.heard("r", &["three"]).await;
    ana.send("r", "four").await;
    ben.heard("r", &["four"]).await;
}

/// Postgres ends the nodes' connections, and then has none left: the first is not noticed, the second is said, and neither costs
/// anybody a connection or a number.
#[tokio::test]
async fn a_postgres_without_connections_refuses_for_now_and_an_ended_connection_nothing() {
    let postgres = Postgres::shared();
    let database = postgres.database();
    let name = database.rsplit('/').next().unwrap();
    // Not the superuser, for whom no limit holds.
    let sql = |sql: &str| postgres.execute("postgres", sql);
    sql("CREATE ROLE narrow LOGIN");
    sql(&format!("ALTER DATABASE {name} OWNER TO narrow"));
    let end_all = || sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'narrow'");
    let url = database.replace("postgres@", "narrow@");
    let node = Node::start(NodeOptions::alone(PROGRAM).with("DATABASE_URL", url)).await;
    let (mut ana, mut ben) = (node.guest("Ana").await, node.guest("Ben").await);
    let epoch = ana.join("r").await["epoch"].clone();
    ben.join("r").await;
    ana.send("r", "one").await;

    assert!(end_all().contains('t'), "there were connections to end");
    assert_eq!(ana.send("r", "two").await["seq"], 2, "sent once, and acknowledged");

    sql("ALTER ROLE narrow CONNECTION LIMIT 0");
    end_all();
    let (frame, said) = (send("three"), Instant::now());
    ana.say(frame.clone()).await;
    ben.say(json!({"type": "join", "room": "r", "after": 1, "epoch": epoch})).await;
    let back = ben.expect("joined").await;
    assert_eq!((back["head"].as_u64(), back["messages"][0]["text"].as_str()), (Some(2), Some("two")), "{back}");
    is_refused(&mut ana, &frame, said).await;

    sql("ALTER ROLE narrow CONNECTION LIMIT -1");
    assert_eq!(insist(&mut ana, &frame).await, Some(3), "{}", node.log());
    assert_eq!(insist(&mut ana, &frame).await, Some(3));
    ana.send("r", "four").await;
    ben.heard("r", &["one", "two", "three", "four"]).await;
}

/// A commit happens and its answer vanishes: nobody may be told anything but that it is not known; everybody has the message, and it
/// has one number, whoever asks where.
#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_told_by_its_id_and_has_one_number() {
    let postgres = Postgres::shared();
    let (database, line) = (postgres.database(), Proxy::to(postgres.address()).await);
    let by_line = database.replace(&postgres.address().to_string(), &line.address().to_string());
    let cluster = Cluster::with(2, |number| options(PROGRAM, number, if number == 1 { &by_line } else { &database }));
    let cluster = cluster.await;
    let (mut ana, mut ben) = (cluster.nodes[0].guest("Ana").await, cluster.nodes[1].guest("Ben").await);
    ana.join("r").await;
    ben.join("r").await;
    ana.send("r", "one").await;
    ben.heard("r", &["one"]).await;

    // The line is silent for longer than the node has patience.
    line.swallow(Way::ToClient);
    let (two, said) = (send("two"), Instant::now());
    ana.say(two.clone()).await;
    ben.heard("r", &["two"]).await;
    assert!(said.elapsed() < HEALED_WITHIN, "heard after {:?}", said.elapsed());
    // It was never published, and nobody could know of it.
    let node = &cluster.nodes[1];
    node.until("tertulia_gaps_total{cause=\"sweep\"}", |found| found == 1.0).await;
    is_refused(&mut ana, &two, said).await;
    // A line that swallowed something must not go on: no network leaves out bytes in the middle.
    line.cut();
    line.pass();
    assert_eq!(insist(&mut ana, &two).await, Some(2));
    assert_eq!(insist(&mut ben, &two).await, Some(2), "on another node");

    // The line breaks before patience ends: the node asks again by itself, and the sender notices nothing.
    line.swallow(Way::ToClient);
    let three = send("three");
    ana.say(three.clone()).await;
    let committed = patience(Duration::from_secs(4), async || {
        ben.say(json!({"type": "history", "room": "r", "limit": 1})).await;
        (ben.expect("history").await["messages"][0]["id"] == three["id"]).then_some(())
    });
    assert!(committed.await.is_some(), "{}", cluster.nodes[0].log());
    assert_eq!(ana.all_so_far("ack").await.len(), 0, "nothing is acknowledged that is not known");
    line.cut();
    line.pass();
    let answer = ana.expect_where("an answer", |f| f["id"] == three["id"] && f["type"] != "message").await;
    assert_eq!((&answer["type"], &answer["seq"]), (&json!("ack"), &json!(3)), "{answer}");

    ana.send("r", "four").await;
    ben.heard("r", &["three", "four"]).await;
    ana.heard("r", &["one", "two", "three", "four"]).await;
    let numbers = |joined: Value| joined["messages"].as_array().unwrap().iter().map(|m| m["seq"].as_u64()).collect();
    let (whole, kept): (Vec<_>, Vec<_>) = ((1..=4).map(Some).collect(), numbers(ben.join("r").await));
    assert_eq!(kept, whole);
}
