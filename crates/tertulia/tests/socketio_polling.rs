//! Clients of Socket.IO that poll: the same as by a WebSocket, on the way to one, and back from it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, Instant};

use serde_json::json;
use testkit::node::{Node, NodeOptions};
use testkit::patience;
use testkit::socketio::SocketIo;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tertulia");

async fn node() -> Node {
    Node::start(NodeOptions::alone(PROGRAM)).await
}

async fn polling(node: &Node) -> SocketIo {
    SocketIo::polling(node.address(), json!({"serverOffset": 0})).await
}

/// Guards polling, the way over to a WebSocket and the bound that is told.
#[tokio::test]
async fn polling_carries_the_same_and_goes_over_to_a_websocket() {
    let node = node().await;
    let text = "x".repeat(9_000);
    let mut ana = node.guest("Ana").await;
    for _ in 0..30 {
        ana.send("general", &text).await;
    }
    for upgrade in [false, true] {
        let mut client = SocketIo::polling(node.address(), json!({"serverOffset": 0})).await;
        if upgrade {
            client.upgrade().await;
        }
        assert_eq!(client.ask(&json!(["chat message", format!("end {upgrade}")])).await, "30[]");
        let heard = client.heard_until(&format!("end {upgrade}")).await;
        assert!(heard.iter().map(|(offset, _)| *offset).eq(1..=if upgrade { 32 } else { 31 }), "{}", heard.len());
        // One packet that is larger than all that waits otherwise.
        let history = client.ask(&json!(["history", {"limit": 30}])).await;
        assert!(history.len() > 200_000 && history.starts_with("31["), "{}", history.len());
    }
    let client = SocketIo::polling(node.address(), json!({})).await;
    assert_eq!(client.post(&format!("42[\"message\",\"{}\"]", "x".repeat(70_000))).await, Some(413));
}

/// Guards polls from the bound on the life of HTTP connections: an answer that is waited for is waited for.
#[tokio::test]
async fn a_poll_outlives_the_connections_time() {
    let options = NodeOptions::alone(PROGRAM).with("TERTULIA_HTTP_SECONDS", 1);
    let node = Node::start(options).await;
    let mut client = SocketIo::polling(node.address(), json!({"serverOffset": 0})).await;
    client.ask(&json!(["chat message", "first"])).await;
    client.heard_until("first").await;
    let mut ana = SocketIo::connect(node.address(), json!({"serverOffset": 1})).await;
    let later = async {
        // Longer than a connection lives that only finishes its answer.
        tokio::time::sleep(Duration::from_secs(8)).await;
        ana.ask(&json!(["chat message", "second"])).await;
    };
    let (heard, ()) = tokio::join!(client.heard_until("second"), later);
    assert_eq!(heard, [(2, "second".into())]);
}

/// Guards python-socketio, which hangs up on an answer of more than sixteen packets and would do so again and again.
#[tokio::test]
async fn an_answer_to_a_poll_has_few_packets_however_many_wait() {
    let node = node().await;
    let mut ana = node.guest("Ana").await;
    for number in 0..200 {
        ana.send("general", &format!("m{number}")).await;
    }
    let client = polling(&node).await;
    let pours = async {
        for number in 200..400 {
            ana.send("general", &format!("m{number}")).await;
        }
    };
    let polled = async {
        let (mut most, mut heard) = (0, 0);
        while heard < 400 {
            let packets = client.poll().await.expect("an answer");
            most = most.max(packets.len());
            heard += packets.iter().filter(|packet| packet.starts_with("42[\"chat message\"")).count();
        }
        most
    };
    let (most, ()) = tokio::join!(polled, pours);
    assert!((2..=16).contains(&most), "{most} at once");
}

/// Guards a client that turns back half-way to a WebSocket: it polls on, loses nothing, and may go that way again.
#[tokio::test]
async fn who_turns_back_on_the_way_to_a_websocket_polls_on() {
    let node = node().await;
    let mut client = polling(&node).await;
    for round in 0..3 {
        let probe = client.probe().await;
        // Meanwhile polls are answered with what there is, or with nothing; but not again and again at once.
        let began = Instant::now();
        for _ in 0..4 {
            client.poll().await.expect("an answer");
        }
        assert!(began.elapsed() > Duration::from_millis(300), "polls are answered in a loop");
        let text = format!("on the way {round}");
        client.ask(&json!(["chat message", text])).await;
        assert_eq!(client.heard_until(&text).await, [(2 * round + 1, text)]);
        drop(probe);
        // It waits again for what is to come.
        let mut other = SocketIo::connect(node.address(), json!({"serverOffset": 0})).await;
        let text = format!("later {round}");
        let said = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            other.ask(&json!(["chat message", text])).await;
        };
        let polled = async {
            let mut answers = Vec::new();
            while !answers.iter().any(|packet: &String| packet.contains(&text)) {
                answers.extend(client.poll().await.expect("an answer"));
            }
            answers
        };
        let (answers, ()) = tokio::join!(polled, said);
        assert!(answers.iter().filter(|packet| *packet == "6").count() <= 1, "{answers:?}");
    }
    client.upgrade().await;
    client.ask(&json!(["chat message", "over"])).await;
    assert_eq!(client.heard_until("over").await, [(7, "over".into())]);
    assert_eq!(client.post("40").await, Some(400), "the old way is closed");
}

/// Guards the order of what nobody polled before the way over was gone: some of it is with the engine, the rest waits, and more comes.
#[tokio::test]
async fn what_waits_when_a_client_goes_over_comes_in_its_order() {
    let node = node().await;
    let mut ana = node.guest("Ana").await;
    ana.send("general", "m1").await;
    for round in 0..5_u64 {
        let (first, last) = (round * 100 + 2, round * 100 + 101);
        let mut client = polling(&node).await;
        client.heard_until(&format!("m{}", first - 1)).await;
        let socket = client.probe().await;
        for number in first..=last - 50 {
            ana.send("general", &format!("m{number}")).await;
        }
        let more = async {
            for number in last - 49..=last {
                ana.send("general", &format!("m{number}")).await;
            }
        };
        let heard = async {
            client.go_over(socket).await;
            client.heard_until(&format!("m{last}")).await
        };
        let (heard, ()) = tokio::join!(heard, more);
        assert_eq!(heard, (first..=last).map(|number| (number, format!("m{number}"))).collect::<Vec<_>>());
    }
}

/// Guards against sessions that nobody polls any more: whoever hangs up in the middle of a poll has missed its answer.
#[tokio::test]
async fn a_poll_that_is_given_up_ends_its_session() {
    let node = node().await;
    let client = polling(&node).await;
    let hangs = tokio::time::timeout(Duration::from_millis(500), async {
        loop {
            client.poll().await.expect("an answer");
        }
    });
    assert!(hangs.await.is_err());
    let over = patience(Duration::from_secs(5), async || (client.post("3").await? == 400).then_some(()));
    assert!(over.await.is_some(), "the session stays");
    node.until("tertulia_disconnects_total{reason=\"lost\"}", |count| count == 1.0).await;
}

/// Guards the return of clients that poll when their node leaves: the poll that waits is refused, and no engine's word tells them to stay
/// away.
#[tokio::test]
async fn a_poll_is_refused_when_the_node_leaves() {
    let mut node = node().await;
    let client = polling(&node).await;
    let polls = tokio::spawn(async move {
        let mut packets = Vec::new();
        while let Some(more) = client.poll().await {
            packets.extend(more);
        }
        packets
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    node.signal("TERM");
    let packets = tokio::time::timeout(Duration::from_secs(15), polls).await.expect("it is refused").unwrap();
    assert!(!packets.iter().any(|packet| packet == "1" || packet.is_empty()), "{packets:?}");
    assert_eq!(node.ended(Duration::from_secs(15)).await, Some(0));
}
