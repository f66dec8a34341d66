//! Bad input: each gets an error with its code, or a close with a reason; the node lives on and nothing is half done.

// A test fails by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use serde_json::json;
use testkit::client::Client;
use testkit::node::{Node, NodeOptions, raw_http};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use uuid::Uuid;

fn options() -> NodeOptions {
    NodeOptions::alone(env!("CARGO_BIN_EXE_tertulia"))
}

async fn alone() -> Node {
    Node::start(options()).await
}

/// The connection still works, and nothing was kept.
async fn unharmed(client: &mut Client) {
    client.say(json!({"type": "history", "room": "r"})).await;
    assert_eq!(client.expect("history").await["messages"], json!([]));
}

#[tokio::test]
async fn what_is_not_a_request_gets_an_error_with_its_code() {
    let node = alone().await;
    let mut ana = node.guest("Ana").await;
    let id = Uuid::new_v4().to_string();
    let frames: Vec<(String, &str)> = vec![
        ("hola".into(), "invalid_frame"),
        ("".into(), "invalid_frame"),
        ("[1,2,3]".into(), "invalid_frame"),
        ("\"text\"".into(), "invalid_frame"),
        ("{\"type\":\"ping\"".into(), "invalid_frame"),
        ("[".repeat(60_000), "invalid_frame"),
        (format!("{{\"x\":{}{}}}", "[".repeat(30_000), "]".repeat(30_000)), "invalid_field"),
        (json!({"type": "dance"}).to_string(), "unknown_type"),
        (json!({"type": 5}).to_string(), "invalid_field"),
        (json!({"type": "join"}).to_string(), "invalid_field"),
        (json!({"type": "join", "room": 7}).to_string(), "invalid_field"),
        (json!({"type": "join", "room": ""}).to_string(), "invalid_room"),
        (json!({"type": "join", "room": "a b"}).to_string(), "invalid_room"),
        (json!({"type": "join", "room": "r".repeat(65)}).to_string(), "invalid_room"),
        (json!({"type": "join", "room": "r", "after": -1}).to_string(), "invalid_field"),
        (json!({"type": "join", "room": "r", "after": 1.5}).to_string(), "invalid_field"),
        ("{\"type\":\"join\",\"room\":\"r\",\"after\":1e400}".into(), "invalid_field"),
        ("{\"type\":\"join\",\"room\":\"r\",\"after\":99999999999999999999}".into(), "invalid_field"),
        (json!({"type": "join", "room": "r", "limit": 0}).to_string(), "invalid_field"),
        (json!({"type": "join", "room": "r", "limit": -3}).to_string(), "invalid_field"),
        (json!({"type": "history", "room": "r", "before": 0}).to_string(), "invalid_field"),
        (json!({"type": "send", "room": "r", "text": "t"}).to_string(), "invalid_field"),
        (json!({"type": "send", "room": "r", "id": "7", "text": "t"}).to_string(), "invalid_field"),
        (json!({"type": "send", "room": "r", "id": id}).to_string(), "invalid_field"),
        (json!({"type": "send", "room": "r", "id": id, "text": ["t"]}).to_string(), "invalid_field"),
        (json!({"type": "send", "room": "r", "id": id, "text": "a\u{0}b"}).to_string(), "invalid_field"),
        (json!({"type": "send", "room": "r", "id": id, "text": ""}).to_string(), "text_empty"),
        (json!({"type": "send", "room": "r", "id": id, "text": " \n "}).to_string(), "text_empty"),
        (json!({"type": "send", "room": "r", "id": id, "text": "x".repeat(16_385)}).to_string(), "text_too_long"),
        (json!({"type": "edit", "room": "r", "seq": "1", "text": "t"}).to_string(), "invalid_field"),
        (json!({"type": "delete", "room": "r", "seq": -1}).to_string(), "invalid_field"),
        (json!({"type": "leave", "room": "r"}).to_string(), "not_joined"),
        (json!({"type": "typing", "room": "r"}).to_string(), "not_joined"),
        (json!({"type": "hello", "name": "Ana"}).to_string(), "already_welcome"),
    ];
    for (frame, code) in frames {
        ana.say_raw(Message::text(frame.clone())).await;
        let error = ana.expect("error").await;
        assert_eq!(error["code"], code, "{}", &frame[..frame.len().min(100)]);
        assert!(error["detail"].is_string() && error.get("retry_after_ms").is_none(), "{error}");
    }
    unharmed(&mut ana).await;
}

#[tokio::test]
async fn an_error_carries_back_the_ref_and_the_id() {
    let node = alone().await;
    let mut ana = node.guest("Ana").await;
    ana.say(json!({"type": "send", "ref": "x", "room": "r", "id": "nonsense", "text": "t"})).await;
    let error = ana.refused("invalid_field").await;
    assert_eq!((&error["ref"], &error["id"]), (&json!("x"), &json!("nonsense")));
    ana.say(json!({"type": "dance", "ref": "y"})).await;
    assert_eq!(ana.refused("unknown_type").await["ref"], "y");
}

#[tokio::test]
async fn a_stranger_may_say_hello_and_nothing_else() {
    let node = alone().await;
    let mut stranger = node.client().await;
    for frame in [
        json!({"type": "join", "room": "r"}),
        json!({"type": "send", "room": "r", "id": Uuid::new_v4().to_string(), "text": "t"}),
        json!({"type": "history", "room": "r"}),
    ] {
        stranger.say(frame).await;
        stranger.refused("hello_required").await;
    }
    for name in ["", "   ", "a\nb", "\u{202e}evil", &"x".repeat(65)] {
        stranger.say(json!({"type": "hello", "name": name})).await;
        stranger.refused("invalid_name").await;
    }
    stranger.say(json!({"type": "hello"})).await;
    stranger.refused("invalid_field").await;
    stranger.hello("Ana").await;
    unharmed(&mut stranger).await;
}

#[tokio::test]
async fn a_stranger_who_never_says_hello_is_closed_however_busy_it_is() {
    let node = alone().await;
    let mut stranger = node.client().await;
    let closed = testkit::patience(Duration::from_secs(20), async || {
        stranger.say(json!({"type": "ping"})).await;
        tokio::time::timeout(Duration::from_millis(300), stranger.closed_now()).await.ok().flatten()
    });
    let close = closed.await.expect("the node closes");
    assert_eq!((u16::from(close.code), close.reason.as_str()), (1008, "say hello first"));
}

#[tokio::test]
async fn frames_that_break_the_protocol_are_closed_with_a_reason() {
    let node = alone().await;
    let cases = [
        (Message::binary(b"hola".to_vec()), CloseCode::Unsupported),
        (Message::text("x".repeat(70_000)), CloseCode::Size),
    ];
    for (message, code) in cases {
        let mut ana = node.guest("Ana").await;
        ana.say_raw(message).await;
        let close = ana.closed().await.expect("a close frame");
        assert_eq!(close.code, code);
        assert!(!close.reason.is_empty());
    }
    for (bytes, code) in [
        (&b"\x81\x02hi"[..], CloseCode::Protocol),                     // not masked
        (&b"\x83\x80\0\0\0\0"[..], CloseCode::Protocol),               // an opcode that does not exist
        (&b"\xc1\x80\0\0\0\0"[..], CloseCode::Protocol),               // a reserved bit
        (&b"\x81\x81\0\0\0\0\xff"[..], CloseCode::Invalid),            // not UTF-8
        (&b"\x81\xff\0\0\0\xff\0\0\0\0\0\0\0\0"[..], CloseCode::Size), // four gigabytes, it says
    ] {
        let mut ana = node.guest("Ana").await;
        write_raw(&mut ana, bytes).await;
        assert_eq!(ana.closed().await.map(|close| close.code), Some(code), "{bytes:?}");
    }
    let mut ana = node.guest("Ana").await;
    unharmed(&mut ana).await;
}

async fn write_raw(client: &mut Client, bytes: &[u8]) {
    use tokio::io::AsyncWriteExt;
    client.stream().write_all(bytes).await.expect("the node reads");
}

#[tokio::test]
async fn pages_of_another_origin_may_not_connect() {
    let node = Node::start(options().with("TERTULIA_ALLOWED_ORIGINS", "https://app.example,https://b.example")).await;
    let (url, own) = (format!("ws://{}/ws", node.address()), node.url());
    for good in [own.as_str(), "https://app.example", "https://b.example"] {
        assert!(Client::try_connect(&url, &[("origin", good)]).await.is_ok(), "{good}");
    }
    for bad in ["https://evil.example", "null", "https://app.example.evil.example"] {
        assert!(Client::try_connect(&url, &[("origin", bad)]).await.is_err(), "{bad}");
    }
    assert_eq!(node.metric("tertulia_admission_refused_total{reason=\"origin\"}").await, 3.0);
}

#[tokio::test]
async fn limits_of_an_operator_are_told_and_kept() {
    let node = Node::start(
        options()
            .with("TERTULIA_SEND_RATE", 2)
            .with("TERTULIA_ROOMS_PER_CONNECTION", 2)
            .with("TERTULIA_CONNECTIONS_PER_ADDRESS", 2)
            .with("TERTULIA_GUESTS", "on"),
    )
    .await;
    let mut ana = node.client().await;
    let limits = ana.hello("Ana").await["limits"].clone();
    assert_eq!((&limits["sends_per_second"], &limits["rooms_per_connection"]), (&json!(2), &json!(2)));
    ana.join("a").await;
    ana.join("b").await;
    ana.join("b").await; // again is not one more
    ana.say(json!({"type": "join", "room": "c"})).await;
    ana.refused("too_many_rooms").await;
    for _ in 0..9 {
        let id = Uuid::new_v4().to_string();
        ana.say(json!({"type": "send", "room": "a", "id": id, "text": "flood"})).await;
    }
    let error = ana.refused("rate_limited").await;
    assert!(error["retry_after_ms"].as_u64().is_some_and(|ms| ms > 0 && ms <= 500) && error["id"].is_string());

    let _second = node.client().await;
    let refused = Client::try_connect(&format!("ws://{}/ws", node.address()), &[]).await;
    assert!(refused.is_err(), "a third connection from one address");
}

#[tokio::test]
async fn guests_can_be_kept_out() {
    let node = Node::start(options().flag("--guests=off")).await;
    let mut ana = node.client().await;
    ana.say(json!({"type": "hello", "name": "Ana"})).await;
    ana.refused("unauthorized").await;
}

#[tokio::test]
async fn http_refusals_are_problems_with_the_right_status() {
    let node = alone().await;
    let host = format!("Host: {}\r\nConnection: close\r\n", node.address());
    for (request, status) in [
        (format!("GET /nothing HTTP/1.1\r\n{host}\r\n"), 404),
        (format!("POST / HTTP/1.1\r\n{host}Content-Length: 0\r\n\r\n"), 405),
        (format!("GET /ws HTTP/1.1\r\n{host}\r\n"), 426),
        (
            "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n".to_owned(),
            400,
        ),
        (
            "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\nSec-WebSocket-Key: eA==\r\n\r\n".to_owned(),
            426,
        ),
        (format!("GET / HTTP/1.1\r\n{host}X: {}\r\n\r\n", "x".repeat(20_000)), 431),
        ("nonsense\r\n\r\n".to_owned(), 400),
    ] {
        let answer = raw_http(node.address(), request.as_bytes()).await;
        assert_eq!(answer.map(|(status, ..)| status), Some(status), "{}", &request[..request.len().min(60)]);
    }
    let (_, head, body) =
        raw_http(node.address(), format!("GET /nothing HTTP/1.1\r\n{host}\r\n").as_bytes()).await.unwrap();
    assert!(head.contains("application/problem+json"), "{head}");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&body).unwrap()["status"], 404);
}

#[tokio::test]
async fn a_reader_that_does_not_read_is_told_goodbye_and_hurts_nobody() {
    let node = Node::start(options().with("TERTULIA_BACKLOG_BYTES", 100_000)).await;
    let (mut writer, mut reader, mut sleeper) =
        (node.guest("Writer").await, node.guest("Reader").await, node.guest("Sleeper").await);
    for client in [&mut writer, &mut reader, &mut sleeper] {
        client.join("r").await;
    }
    let text = "x".repeat(16_000);
    let slow = "tertulia_slow_closes_total";
    let mut said = 0;
    while node.metric(slow).await < 1.0 {
        writer.send("r", &text).await;
        writer.expect("message").await;
        reader.heard("r", &[&text]).await;
        said += 1;
        assert!(said < 2000, "the sleeper is never told goodbye");
    }
    let bye = sleeper.expect("bye").await;
    assert_eq!(bye["reason"], "slow");
    assert!(bye["retry_after_ms"].is_u64());
    assert_eq!(sleeper.closed().await.map(|close| u16::from(close.code)), Some(1013));
    let gone = testkit::patience(Duration::from_secs(10), async || {
        (node.metric("tertulia_disconnects_total{reason=\"slow\"}").await == 1.0).then_some(())
    });
    assert!(gone.await.is_some());
    assert_eq!(node.metric("tertulia_backlog_bytes").await, 0.0);
    writer.send("r", "still here").await;
    reader.heard("r", &["still here"]).await;
}
