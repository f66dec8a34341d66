//! Clients of Socket.IO, by their protocol: in the same rooms as native ones, with nothing twice, missing or out of order.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use serde_json::{Value, json};
use testkit::node::{Node, NodeOptions};
use testkit::patience;
use testkit::socketio::{SocketIo, request, request_with};
use tokio::net::{TcpSocket, TcpStream};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tertulia");

async fn node() -> Node {
    Node::start(NodeOptions::alone(PROGRAM)).await
}

/// A client of the official tutorial.
async fn reader(node: &Node, offset: u64) -> SocketIo {
    SocketIo::connect(node.address(), json!({"serverOffset": offset})).await
}

/// Says some texts natively, one after another.
async fn fill(node: &Node, room: &str, texts: impl Iterator<Item = String>) {
    let mut ana = node.guest("Ana").await;
    for text in texts {
        ana.send(room, &text).await;
    }
}

/// Guards what clients read off the open packet and the answer to CONNECT, wherever they look for them.
#[tokio::test]
async fn a_session_is_opened_at_every_address_that_clients_think_of() {
    let node = node().await;
    for path in ["/socket.io/", "/socket.io", "/ws/socket.io/", "/ws/", "/ws"] {
        let stream = TcpStream::connect(node.address()).await.unwrap();
        let mut client = SocketIo::open(stream, &format!("{path}?EIO=4&transport=websocket")).await.expect(path);
        assert_eq!(client.open["pingInterval"], 25_000);
        assert_eq!(client.open["pingTimeout"], 20_000);
        assert_eq!(client.open["maxPayload"], 65_536);
        client.say(r#"40/ws,{"username":"Ana"}"#).await;
        let answer = client.expect_where("an answer", |_| true).await;
        assert!(answer.starts_with(r#"0/ws,{"sid":""#), "{answer}");
        client.expect("my-name-is").await;
        let (status, body) =
            request(node.address(), "GET", &format!("{path}?EIO=4&transport=polling"), "").await.unwrap();
        assert_eq!(status, 200);
        assert!(body.starts_with(r#"0{"sid":""#) && body.contains(r#""upgrades":["websocket"]"#), "{body}");
    }
    // Without the engine's query these are what they were.
    assert_eq!(node.get("/ws/").await.unwrap().0, 404);
    assert_eq!(node.get("/ws").await.unwrap().0, 426);
    let (status, script) = node.get("/socket.io/socket.io.js").await.unwrap();
    assert!(status == 200 && script.contains("Socket.IO v4"));
}

/// Guards the words in which clients are refused, and the count of sessions that are elsewhere.
#[tokio::test]
async fn what_the_engine_does_not_know_is_refused_in_its_words() {
    let node = node().await;
    let foreign = "EIO=4&transport=polling&sid=AAAAAAAAAAAAAAHs";
    for (query, code) in [("EIO=4&transport=grpc", 0), (foreign, 1), ("EIO=2&transport=polling", 5)] {
        let (status, body) = request(node.address(), "GET", &format!("/socket.io/?{query}"), "").await.unwrap();
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &body["code"]), (400, &json!(code)), "{query}");
    }
    let (status, _) = request(node.address(), "POST", "/socket.io/?EIO=4&transport=polling", "40").await.unwrap();
    assert_eq!(status, 400);
    let stream = TcpStream::connect(node.address()).await.unwrap();
    let target = "/socket.io/?EIO=4&transport=websocket&sid=AAAAAAAAAAAAAAHs";
    assert!(SocketIo::open(stream, target).await.is_err(), "refused before the upgrade");
    assert_eq!(node.metric("tertulia_socketio_foreign_sids_total").await, 2.0);
}

/// Guards pages of other origins.
#[tokio::test]
async fn pages_come_from_where_the_list_says() {
    let options = NodeOptions::alone(PROGRAM).with("TERTULIA_ALLOWED_ORIGINS", "https://app.example");
    let node = Node::start(options).await;
    let target = "/socket.io/?EIO=4&transport=polling";
    let asked = async |method: &str, origin: &str| {
        let origin = format!("Origin: {origin}\r\nAccess-Control-Request-Headers: x-one\r\n");
        request_with(node.address(), method, target, &origin, "").await.unwrap()
    };
    let (status, head, _) = asked("GET", "https://app.example").await;
    assert!(status == 200 && head.contains("access-control-allow-origin: https://app.example"), "{head}");
    assert!(head.contains("access-control-allow-credentials: true"), "{head}");
    let (status, head, _) = asked("OPTIONS", "https://app.example").await;
    assert!(status == 204 && head.contains("access-control-allow-headers: x-one"), "{head}");
    let (status, head, _) = asked("GET", "https://evil.example").await;
    assert!(status == 403 && !head.contains("access-control"), "{head}");
}

/// Guards the tutorial's conversation: offsets, names, the acknowledgement's exact form, and keys that never make a second message.
#[tokio::test]
async fn a_message_is_acknowledged_heard_by_all_and_kept_once() {
    let node = node().await;
    let mut native = node.guest("Nat").await;
    native.join("general").await;
    let mut ana = SocketIo::connect(node.address(), json!({"username": "Ana", "serverOffset": 0})).await;
    let mut ben = SocketIo::connect(node.address(), json!({"username": "Ben", "serverOffset": "0"})).await;
    assert_eq!(ana.ask(&json!(["chat message", "hi", "k-0"])).await, "30[]");
    assert_eq!(ana.expect("chat message").await, [json!("hi"), json!("1"), json!("Ana")]);
    assert_eq!(ben.expect("chat message").await, [json!("hi"), json!("1"), json!("Ana")]);
    native.heard("general", &["hi"]).await;
    // Again, and from another connection of the same name: acknowledged, and no second message. Another name has its own keys.
    assert_eq!(ana.ask(&json!(["chat message", "hi", "k-0"])).await, "31[]");
    let mut again = SocketIo::connect(node.address(), json!({"username": "Ana", "serverOffset": 1})).await;
    assert_eq!(again.ask(&json!(["chat message", "hi", "k-0"])).await, "30[]");
    assert_eq!(ben.ask(&json!(["chat message", "hi", "k-0"])).await, "30[]");
    assert_eq!(ana.expect("chat message").await, [json!("hi"), json!("2"), json!("Ben")]);
    native.send("general", "from afar").await;
    assert_eq!(ben.heard_until("from afar").await.last(), Some(&(3, "from afar".into())));
    ana.refused(&json!(["chat message", " ", "k-1"]), "text_empty").await;
    ana.refused(&json!(["chat message", "x".repeat(17_000), "k-1"]), "text_too_long").await;
    ana.refused(&json!(["chat message", "other", "k-0"]), "id_taken").await;
    ana.refused(&json!(["chat message", {"a": 1}, "k-1"]), "invalid_field").await;
    ana.refused(&json!(["shout", "hi"]), "unknown_type").await;
}

/// Guards history without edits shown twice and deleted ones shown at all, by place, with the present text.
#[tokio::test]
async fn a_replay_goes_by_place_with_the_present_text_and_without_what_was_deleted() {
    let node = node().await;
    fill(&node, "general", (1..=450).map(|number| format!("m{number}"))).await;
    let mut ana = node.guest("Zoe").await;
    let mine = ana.send("general", "mine").await["seq"].clone();
    ana.send("general", "gone").await;
    ana.say(json!({"type": "edit", "room": "general", "seq": mine, "text": "edited"})).await;
    ana.expect("ack").await;
    ana.say(json!({"type": "delete", "room": "general", "seq": 452})).await;
    ana.expect("ack").await;
    ana.send("general", "last").await;
    let mut wanted: Vec<(u64, String)> = (1..=450).map(|number| (number, format!("m{number}"))).collect();
    wanted.extend([(451, "edited".into()), (455, "last".into())]);
    for offset in [0, 1, 99, 100, 251, 449, 450] {
        let heard = reader(&node, offset).await.heard_until("last").await;
        assert_eq!(heard, wanted[offset as usize..], "after {offset}");
    }
    // Whoever knows of no offsets gets the recent tail, in every word that it may know.
    let mut old = SocketIo::connect(node.address(), json!({})).await;
    assert_eq!(old.heard_until("last").await.len(), 49);
    old.expect("message").await;
    // A change of an old message is no news.
    ana.say(json!({"type": "edit", "room": "general", "seq": mine, "text": "again"})).await;
    ana.expect("ack").await;
    ana.send("general", "end").await;
    assert_eq!(old.heard_until("end").await.len(), 1);
    let history = old.ask(&json!(["history", {"before": 3, "limit": 5}])).await;
    let history: Vec<Value> = serde_json::from_str(&history[2..]).unwrap();
    assert_eq!(history[0]["messages"].as_array().unwrap().len(), 2);
    // An offset from another history is worth nothing: the recent past afresh.
    assert_eq!(reader(&node, 9_000).await.heard_until("end").await.len(), 49);
}

/// Guards the seam between what was and what comes: many come in while others talk, and each hears every number once, rising.
#[tokio::test]
async fn nothing_is_missed_or_told_twice_while_messages_pour_in() {
    let node = node().await;
    fill(&node, "general", (1..=150).map(|number| format!("m{number}"))).await;
    let (mut ana, total) = (node.guest("Ana").await, 1_500);
    let talk = async {
        for number in 151..=total {
            ana.say(
                json!({"type": "send", "room": "general", "id": uuid::Uuid::new_v4(), "text": format!("m{number}")}),
            )
            .await;
            if number % 20 == 0 {
                tokio::task::yield_now().await;
                ana.expect("ack").await;
            }
        }
    };
    let rounds = async {
        let mut readers = Vec::new();
        for round in 0..40_u64 {
            let offset = [0, 1, 60, 149][round as usize % 4];
            let mut client = match round % 3 {
                0 => SocketIo::polling(node.address(), json!({"serverOffset": offset})).await,
                _ => reader(&node, offset).await,
            };
            if round % 3 == 0 && round % 4 != 3 {
                client.upgrade().await;
            }
            readers.push((offset, client));
        }
        readers
    };
    let ((), readers) = tokio::join!(talk, rounds);
    for (offset, mut client) in readers {
        let heard = client.heard_until(&format!("m{total}")).await;
        let wanted: Vec<(u64, String)> = (offset + 1..=total).map(|number| (number, format!("m{number}"))).collect();
        assert_eq!(heard, wanted);
    }
}

/// Guards the node from what no client writes: that session ends, by its transport, and no other.
#[tokio::test]
async fn what_no_client_writes_ends_its_session_and_nothing_else() {
    let node = node().await;
    let mut ana = reader(&node, 0).await;
    let long = format!("42[\"message\",\"{}\"]", "x".repeat(70_000));
    for packet in
        ["4", "44", "49", "42", "42[]", "42[1]", "42{", "429999999999999999999999[\"a\"]", "x", "b!", "45", &long]
    {
        let mut client = SocketIo::connect(node.address(), json!({})).await;
        client.say(packet).await;
        if packet != "45" {
            let told = client.to_the_end().await;
            assert!(!told.iter().any(|packet| packet.starts_with('1')), "{packet}: {told:?}");
        }
    }
    assert_eq!(ana.ask(&json!(["chat message", "here"])).await, "30[]");
    assert!(!node.log().contains("panicked"), "{}", node.log());
}

/// Guards the others from a reader that does not read, and that reader from being told never to come back.
#[tokio::test]
async fn a_slow_reader_is_let_go_by_its_transport() {
    let options = NodeOptions::alone(PROGRAM).with("TERTULIA_BACKLOG_BYTES", 50_000);
    let node = Node::start(options).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let stream = socket.connect(node.address()).await.unwrap();
    let slow = SocketIo::over(stream, json!({"serverOffset": 0})).await;
    let mut quick = reader(&node, 0).await;
    let text = "x".repeat(10_000);
    let mut said = 0;
    while node.metric("tertulia_slow_closes_total").await == 0.0 {
        assert!(said < 2_000, "it is never let go");
        for _ in 0..20 {
            said += 1;
            assert_eq!(quick.ask(&json!(["chat message", text])).await, format!("3{}[]", said - 1));
            // It keeps up, each time: the bound is a small one.
            assert_eq!(quick.expect("chat message").await[1], said.to_string());
        }
    }
    node.until("tertulia_disconnects_total{reason=\"slow\"}", |count| count == 1.0).await;
    let told = slow.to_the_end().await;
    assert!(!told.iter().any(|packet| packet.starts_with('1')), "never by its namespace");
    quick.ask(&json!(["chat message", "end"])).await;
    assert_eq!(quick.heard_until("end").await.len(), 1);
    node.until("tertulia_backlog_bytes", |bytes| bytes == 0.0).await;
}

/// Guards the drain: what was accepted is acknowledged, transports are closed, and the program leaves.
#[tokio::test]
async fn a_node_that_leaves_acknowledges_what_it_took_and_closes_transports() {
    let mut node = node().await;
    let mut all = Vec::new();
    for number in 0..6 {
        let mut client = match number % 2 {
            0 => SocketIo::polling(node.address(), json!({"serverOffset": 0})).await,
            _ => reader(&node, 0).await,
        };
        client.ask(&json!(["chat message", format!("m{number}")])).await;
        all.push(client);
    }
    node.signal("TERM");
    for client in all {
        let told = client.to_the_end().await;
        assert!(!told.iter().any(|packet| packet.starts_with('1')), "never by its namespace: {told:?}");
    }
    assert_eq!(node.ended(Duration::from_secs(15)).await, Some(0));
}

/// Guards the limits that both doors share.
#[tokio::test]
async fn limits_are_the_native_ones() {
    let options = NodeOptions::alone(PROGRAM).with("TERTULIA_SEND_RATE", 2).with("TERTULIA_CONNECTIONS_PER_ADDRESS", 2);
    let node = Node::start(options).await;
    let mut ana = reader(&node, 0).await;
    for _ in 0..30 {
        ana.emit(&json!(["chat message", "hi"])).await;
    }
    assert_eq!(ana.expect("error").await[0]["code"], "rate_limited");
    let _ben = SocketIo::polling(node.address(), json!({})).await;
    let (status, head, _) =
        request_with(node.address(), "GET", "/socket.io/?EIO=4&transport=polling", "", "").await.unwrap();
    assert!(status == 429 && head.contains("retry-after"), "{head}");
    drop(ana);
    // Its place is free again.
    let target = "/socket.io/?EIO=4&transport=websocket&username=%0A";
    let opened = patience(Duration::from_secs(20), async || {
        SocketIo::open(TcpStream::connect(node.address()).await.ok()?, target).await.ok()
    });
    let mut bad = opened.await.expect("a place");
    bad.say("40").await;
    let refused = bad.expect_where("a refusal", |_| true).await;
    assert!(refused.starts_with(r#"4{"message":"#) && refused.contains("invalid_name"), "{refused}");
}
