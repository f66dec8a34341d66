//! One token, whichever door it is brought to, and however.

use std::time::Duration;

use serde_json::json;
use testkit::socketio::{SocketIo, request_with};
use tokio_tungstenite::tungstenite::Error;

use crate::house::{House, by_hello, by_upgrade, socketio};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn status_of(error: &Error) -> u16 {
    let Error::Http(response) = error else { panic!("not an answer: {error}") };
    response.status().as_u16()
}

/// Guards that a session and a key are the account, by whatever way they come in, and that a message bears its name.
#[tokio::test]
async fn a_token_is_the_account_at_every_door() {
    let house = House::of(1).await;
    let (node, key) = (house.node(), house.key("Ana").await);
    let session = house.session("Ben", DAY).await;
    let origin = format!("http://{}", node.address());
    let mut reader = node.guest("a reader").await;
    reader.join("r").await;
    for (name, token) in [("Ana", key.token.as_str()), ("Ben", session.as_str())] {
        let (mut client, welcome) = by_hello(node, token).await;
        assert_eq!(welcome["user"]["name"], name);
        assert!(welcome.get("token").is_none(), "only guests are given a token: {welcome}");
        client.send("r", "by hello").await;

        let (bearer, cookie) = (format!("Bearer {token}"), format!("theme=dark; tertulia_session={token}"));
        for brings in [&[("authorization", bearer.as_str())][..], &[("cookie", &cookie), ("origin", &origin)]] {
            let mut client = by_upgrade(node, brings).await.unwrap();
            let unasked = client.expect("welcome").await;
            assert_eq!(unasked["user"], welcome["user"]);
            assert!(unasked.get("token").is_none(), "{unasked}");
            client.send("r", "by upgrade").await;
            // A client that says hello all the same is who it was already, once.
            client.say(json!({"type": "hello", "ref": "h", "name": "Somebody Else"})).await;
            let asked = client.expect("welcome").await;
            assert_eq!((&asked["user"], &asked["ref"]), (&welcome["user"], &json!("h")));
            client.say(json!({"type": "hello", "name": "Somebody Else"})).await;
            client.refused("already_welcome").await;

            let mut client = socketio(node, brings).await;
            client.try_enter(&json!({"username": "Somebody Else", "room": "r"})).await.unwrap();
            client.ask(&json!(["chat message", "by a header"])).await;
        }
        let auth = json!({"token": token, "username": "Somebody Else", "room": "r"});
        let mut client = SocketIo::connect(node.address(), auth).await;
        client.ask(&json!(["chat message", "by auth"])).await;
        for _ in 0..6 {
            let message = reader.expect("message").await;
            assert_eq!(message["from"], welcome["user"], "{message}");
        }
    }
}

/// Guards the order of requests: what is sent behind a hello waits until it is known who says it.
#[tokio::test]
async fn what_follows_a_hello_takes_effect_as_its_account() {
    let house = House::of(1).await;
    let key = house.key("Ana").await;
    let mut client = house.node().client().await;
    for frame in [
        json!({"type": "hello", "token": key.token}),
        json!({"type": "join", "room": "r"}),
        json!({"type": "send", "room": "r", "id": "0190c3f2-5b1e-7c44-9d2a-6f0f3a1b2c3d", "text": "first"}),
        json!({"type": "send", "room": "r", "id": "0190c3f2-5b1e-7c44-9d2a-6f0f3a1b2c3e", "text": "second"}),
    ] {
        client.say(frame).await;
    }
    assert_eq!(client.expect("joined").await["head"], 0);
    for text in ["first", "second"] {
        let message = client.expect("message").await;
        assert_eq!((&message["text"], &message["from"]["name"]), (&json!(text), &json!("Ana")));
    }
}

/// Guards that nodes share what they know of sessions, and nothing of it is lost with one of them.
#[tokio::test]
async fn whoever_is_signed_in_on_one_node_is_on_the_next() {
    let mut house = House::of(2).await;
    let key = house.key("Ana").await;
    let (_here, welcome) = by_hello(&house.nodes()[0], &key.token).await;
    house.cluster.nodes[0].kill();
    let (mut there, again) = by_hello(&house.nodes()[1], &key.token).await;
    assert_eq!(again["user"], welcome["user"]);
    there.send("r", "still here").await;
    house.cluster.redis.stop();
    let (_, again) = by_hello(&house.nodes()[1], &key.token).await;
    assert_eq!(again["user"], welcome["user"]);
}

/// Guards against a page elsewhere that lets a visitor's browser connect with the visitor's cookie.
#[tokio::test]
async fn a_cookie_counts_for_our_own_page_and_for_no_other() {
    let house = House::of(1).await;
    let (node, key) = (house.node(), house.key("Ana").await);
    let cookie = format!("tertulia_session={}", key.token);
    for origin in ["https://evil.example", "null", "http://127.0.0.1", "http://127.0.0.1.evil.example"] {
        let refused = by_upgrade(node, &[("cookie", &cookie), ("origin", origin)]).await;
        assert_eq!(refused.err().map(|error| status_of(&error)), Some(403), "{origin}");
        let headers = format!("Cookie: {cookie}\r\nOrigin: {origin}\r\n");
        let target = "/socket.io/?EIO=4&transport=polling";
        let polled = request_with(node.address(), "GET", target, &headers, "").await.unwrap();
        assert_eq!(polled.0, 403, "{origin}: {}", polled.2);
    }
    // Every browser says which page opens a WebSocket: who does not is no browser.
    let mut client = by_upgrade(node, &[("cookie", &cookie)]).await.unwrap();
    assert_eq!(client.expect("welcome").await["user"]["name"], "Ana");
}

/// Guards that whoever brings something worthless is told so in the words of the door, and is not let in as somebody else.
#[tokio::test]
async fn a_worthless_token_lets_nobody_in() {
    let house = House::of(1).await;
    let (node, key) = (house.node(), house.key("Ana").await);
    house.people.revoke(key.account, key.grant).await.unwrap();
    let origin = format!("http://{}", node.address());
    let almost = format!("{}x", key.token);
    for token in [&key.token, &almost, "ts_", "tk_AAAA", "a.b.c", "g1.e30.AAAA"] {
        let mut client = node.client().await;
        client.say(json!({"type": "hello", "token": token, "name": "Ana"})).await;
        client.refused("unauthorized").await;

        let refused = by_upgrade(node, &[("authorization", &format!("Bearer {token}"))]).await;
        assert_eq!(refused.err().map(|error| status_of(&error)), Some(401), "{token}");

        // A page is not shown why an upgrade fails, so this one is said behind it.
        let cookie = format!("tertulia_session={token}");
        let brings = [("cookie", cookie.as_str()), ("origin", &origin)];
        let mut client = by_upgrade(node, &brings).await.unwrap();
        client.say(json!({"type": "hello", "name": "Ana"})).await;
        let bye = client.expect("bye").await;
        assert_eq!(bye, json!({"type": "bye", "reason": "unauthorized"}));
        assert_eq!(client.closed().await.map(|close| close.code.into()), Some(1008));

        for (brings, auth) in [
            (&brings[..], json!({"username": "Ana"})),
            (&[("authorization", &*format!("Bearer {token}"))], json!({})),
            (&[], json!({"token": token})),
        ] {
            let mut client = socketio(node, brings).await;
            let refused = client.try_enter(&auth).await.unwrap_err();
            assert_eq!(refused["code"], "unauthorized", "{token}: {refused}");
            assert!(refused["detail"].is_string(), "{refused}");
        }
    }
    assert_eq!(node.metric(r#"tertulia_admission_refused_total{reason="unauthorized"}"#).await, 6.0);
}

/// Guards addresses, which end up in logs and histories: what lets somebody be an account does not work there.
#[tokio::test]
async fn a_token_in_an_address_is_not_taken() {
    let house = House::of(1).await;
    let (node, key) = (house.node(), house.key("Ana").await);
    let token = &key.token;
    for target in [format!("/ws?token={token}"), format!("/ws?access_token={token}"), format!("/ws?key={token}")] {
        let mut client = testkit::client::Client::connect(&format!("ws://{}{target}", node.address())).await;
        client.say(json!({"type": "join", "room": "r"})).await;
        client.refused("hello_required").await;
    }
    let stream = tokio::net::TcpStream::connect(node.address()).await.unwrap();
    let target = format!("/socket.io/?EIO=4&transport=websocket&token={token}");
    let mut client = SocketIo::open(stream, &target).await.unwrap();
    assert_eq!(client.try_enter(&json!({})).await.unwrap_err()["code"], "unauthorized");
}
