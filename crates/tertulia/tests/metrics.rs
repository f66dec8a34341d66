//! What `/metrics` shows of a node that is used: the right numbers, and never another series.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;

use serde_json::json;
use testkit::node::{Node, NodeOptions, raw_http};

fn options() -> NodeOptions {
    NodeOptions::alone(env!("CARGO_BIN_EXE_tertulia"))
}

/// The series on the page, without their values.
async fn series(node: &Node) -> BTreeSet<String> {
    let (_, page) = node.get("/metrics").await.unwrap();
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned())).collect()
}

/// Guards against a label that takes its values from clients: a thousand rooms would be a thousand series, for ever.
#[tokio::test]
async fn nothing_that_clients_do_adds_a_series() {
    let node = Node::start(options()).await;
    let before = series(&node).await;
    for number in 0..20 {
        let mut client = node.guest(&format!("Guest {number}")).await;
        let room = format!("room-{number}");
        client.join(&room).await;
        let seq = client.send(&room, "hello").await["seq"].clone();
        client.say(json!({"type": "edit", "room": room, "seq": seq, "text": "hello again"})).await;
        client.expect("ack").await;
        client.say(json!({"type": format!("dance-{number}"), "room": room})).await;
        client.refused("unknown_type").await;
        client.say(json!({"type": "join", "room": "no room at all", "ref": "1"})).await;
        client.refused("invalid_room").await;
        client.say(json!({"type": "history", "room": room})).await;
        client.expect("history").await;
        node.get(&format!("/nothing-{number}")).await;
        let origin = format!(
            "GET /ws HTTP/1.1\r\nHost: {}\r\nOrigin: http://{number}.example\r\nConnection: close\r\n\r\n",
            node.address()
        );
        raw_http(node.address(), origin.as_bytes()).await;
    }
    assert_eq!(series(&node).await, before);
}

#[tokio::test]
async fn a_message_is_counted_at_every_station_of_its_way() {
    let node = Node::start(options()).await;
    let (mut ana, mut ben) = (node.guest("Ana").await, node.guest("Ben").await);
    ana.join("r").await;
    let joined = ben.join("r").await;
    for text in ["one", "two", "three"] {
        ana.send("r", text).await;
    }
    ben.heard("r", &["one", "two", "three"]).await;
    ana.say(json!({"type": "delete", "room": "r", "seq": 99})).await;
    ana.refused("not_found").await;
    for (name, count) in [
        ("tertulia_sends_total{result=\"ok\"}", 3.0),
        ("tertulia_amendments_total{result=\"rejected\"}", 1.0),
        ("tertulia_send_ack_seconds_count", 3.0),
        ("tertulia_store_queue_seconds_count", 4.0),
        ("tertulia_store_commit_seconds_count{op=\"append\"}", 3.0),
        ("tertulia_store_weak_settings", 0.0),
        ("tertulia_deliver_seconds_count", 3.0),
        ("tertulia_deliveries_total", 6.0),
        ("tertulia_seats", 2.0),
    ] {
        node.until(name, |value| value == count).await;
    }
    ben.say(json!({"type": "join", "room": "r", "after": 1, "epoch": joined["epoch"]})).await;
    ben.expect("joined").await;
    ben.say(json!({"type": "join", "room": "r", "after": 1, "epoch": "0000000000000001"})).await;
    ben.expect("joined").await;
    assert_eq!(node.metric("tertulia_resumes_total{result=\"whole\"}").await, 1.0);
    assert_eq!(node.metric("tertulia_resumes_total{result=\"reset\"}").await, 1.0);
    drop((ana, ben));
    node.until("tertulia_seats", |seats| seats == 0.0).await;
    for name in ["tertulia_runtime_workers", "tertulia_runtime_tasks", "tertulia_runtime_busy_seconds_total"] {
        assert!(node.metric(name).await > 0.0, "{name}");
    }
}

/// An operator sees by it that the history was replaced, even if every node was started again at the same moment.
#[tokio::test]
async fn the_epoch_is_a_number_that_stays_while_the_history_does() {
    let mut node = Node::start(options()).await;
    let epoch = node.metric("tertulia_store_epoch").await;
    assert!(epoch > 0.0);
    node.kill();
    node.start_again().await;
    assert_eq!(node.metric("tertulia_store_epoch").await, epoch);
    let other = Node::start(options()).await;
    assert_ne!(other.metric("tertulia_store_epoch").await, epoch);
}
