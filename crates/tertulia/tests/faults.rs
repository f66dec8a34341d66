//! What people see while something is broken, one fault at a time, and then silence: nothing that heals may need more traffic.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use serde_json::json;
use testkit::client::Client;
use testkit::node::{Node, NodeOptions};
use testkit::patience;
use testkit::postgres::Postgres;
use testkit::proxy::{Proxy, Way};
use tokio::net::TcpSocket;
use tokio_tungstenite::tungstenite::Error;
use uuid::Uuid;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tertulia");

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
    let id = Uuid::new_v4().to_string();
    let frame = json!({"type": "send", "room": "r", "id": id, "text": "three"});
    ana.say(frame.clone()).await;
    // Another client comes back meanwhile: what it missed is in memory.
    ben.say(json!({"type": "join", "room": "r", "after": 1, "epoch": epoch})).await;
    let back = ben.expect("joined").await;
    assert_eq!((back["head"].as_u64(), back["messages"][0]["text"].as_str()), (Some(2), Some("two")), "{back}");
    let refused = ana.refused("unavailable").await;
    assert_eq!(refused["id"], id.as_str());
    assert!(refused["retry_after_ms"].is_u64(), "{refused}");

    postgres.thaw();
    let mut number = None;
    let settled = patience(Duration::from_secs(30), async || {
        ana.say(frame.clone()).await;
        let answer = ana.expect_where("an answer", |f| f["id"] == id.as_str() && f["type"] != "message").await;
        number = answer["seq"].as_u64();
        number
    });
    assert_eq!(settled.await, Some(3), "{}", node.log());
    ben.heard("r", &["three"]).await;
    ana.send("r", "four").await;
    ben.heard("r", &["four"]).await;
}

/// A client with next to no room for what it is sent, which stops reading once it has joined.
async fn sleeper(node: &Node) -> Client {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut client = Client::over(socket.connect(node.address()).await.unwrap()).await;
    client.hello("Zoe").await;
    client.join("r").await;
    client
}

/// What a process holds in memory, in bytes.
fn resident(node: &Node) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid().unwrap())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// Guards against a crowd of slow readers that costs the node its memory, or others their messages.
#[tokio::test]
async fn a_thousand_who_do_not_read_are_let_go_at_their_bound() {
    const SLEEPERS: usize = 1_000;
    const BACKLOG: usize = 50_000;
    let node = Node::start(NodeOptions::alone(PROGRAM).with("TERTULIA_BACKLOG_BYTES", BACKLOG)).await;
    let (mut ana, mut ben) = (node.guest("Ana").await, node.guest("Ben").await);
    ana.join("r").await;
    ben.join("r").await;
    let mut sleepers = Vec::new();
    for _ in 0..SLEEPERS {
        sleepers.push(sleeper(&node).await);
    }
    let (before, mut most) = (resident(&node), 0);
    let text = "x".repeat(16_000);
    let slow = async || node.metric("tertulia_slow_closes_total").await as usize;
    let mut said = 0;
    while slow().await < SLEEPERS {
        ana.send("r", &text).await;
        ana.expect("message").await;
        ben.heard("r", &[&text]).await;
        most = most.max(resident(&node));
        said += 1;
        assert!(said < 2_000, "{} of {SLEEPERS} were let go", slow().await);
    }
    let gone = patience(Duration::from_secs(60), async || {
        (node.metric("tertulia_disconnects_total{reason=\"slow\"}").await as usize == SLEEPERS).then_some(())
    });
    assert!(gone.await.is_some());
    // Each one's backlog and the frame that went over it; the ring and what else a node makes room for.
    let bound = SLEEPERS * (BACKLOG + 20_000) + 64 * 1024 * 1024;
    assert!(most.saturating_sub(before) < bound, "{before} bytes grew to {most}");
    ana.send("r", "still here").await;
    ben.heard("r", &["still here"]).await;
    assert_eq!(node.metric("tertulia_backlog_bytes").await, 0.0);
}

/// A client that vanished without a word must not be counted as present for ever, nor hold its place.
#[tokio::test]
async fn a_line_that_is_only_half_open_is_given_up() {
    let node = Node::start(NodeOptions::alone(PROGRAM).with("TERTULIA_CONNECTIONS_PER_ADDRESS", 1)).await;
    let line = Proxy::to(node.address()).await;
    let mut lost = Client::connect(&format!("ws://{}/ws", line.address())).await;
    lost.hello("Ana").await;
    line.swallow(Way::ToServer);
    // 62 s of silence, as documented.
    let gone = patience(Duration::from_secs(120), async || {
        (node.metric("tertulia_disconnects_total{reason=\"idle\"}").await == 1.0).then_some(())
    });
    assert!(gone.await.is_some(), "{}", node.log());
    node.guest("Ana again").await;
}

/// Comes in as soon as it is let, and tells how often it was told to wait.
async fn insist(node: &Node) -> (Client, usize) {
    let url = format!("ws://{}/ws", node.address());
    let mut told = 0;
    loop {
        match Client::try_connect(&url, &[]).await {
            Ok(client) => return (client, told),
            Err(error) => {
                if let Error::Http(answer) = &*error {
                    assert_eq!(answer.status(), 503);
                    let seconds = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
                    told += 1;
                    tokio::time::sleep(Duration::from_secs(seconds)).await;
                } else {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}

/// Guards against a crowd that comes back at once and takes the node, or the store, down with it.
#[tokio::test]
async fn a_storm_is_let_in_at_a_pace_and_costs_one_read_of_the_room() {
    const PEOPLE: usize = 200;
    let options = NodeOptions::alone(PROGRAM).with("TERTULIA_CONNECT_RATE", 60);
    let mut node = Node::start(options).await;
    let mut ana = node.guest("Ana").await;
    let epoch = ana.join("r").await["epoch"].clone();
    for _ in 0..10 {
        ana.send("r", "said before").await;
    }
    node.kill();
    node.start_again().await;
    let node = &node;
    let back = futures_util::future::join_all((0..PEOPLE).map(|number| {
        let epoch = epoch.clone();
        async move {
            let (mut client, told) = insist(node).await;
            client.hello(&format!("Guest {number}")).await;
            client.say(json!({"type": "join", "room": "r", "after": 4, "epoch": epoch})).await;
            let joined = client.expect("joined").await;
            let missed: Vec<u64> =
                joined["messages"].as_array().unwrap().iter().filter_map(|m| m["seq"].as_u64()).collect();
            assert_eq!((missed, &joined["reset"]), ((5..=10).collect(), &json!(false)));
            told
        }
    }))
    .await;
    assert!(back.iter().sum::<usize>() > 0, "nobody was told to wait");
    let refused = node.metric("tertulia_admission_refused_total{reason=\"rate\"}").await as usize;
    assert_eq!(refused, back.iter().sum::<usize>());
    let reads = node.metric("tertulia_joins_total{source=\"store\"}").await;
    assert!(reads <= 1.0, "{reads} of {PEOPLE} were answered by the store");
}
