//! People whom an embedding application vouches for, at the doors.

use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use testkit::node::Node;

use crate::asking::{Somebody, ask, options};

const SECRET: &str = "a secret of thirty-two characters";

/// A token that expires so many seconds from now.
fn token(seconds: i64) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let claims = json!({ "sub": "17", "name": "Ana", "aud": "chat", "exp": now.saturating_add_signed(seconds) });
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(json!({ "alg": "HS256" })), part(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

async fn node() -> Node {
    let options = options().with("TERTULIA_JWT_SECRET", SECRET).with("TERTULIA_JWT_AUDIENCE", "chat");
    Node::start(options.with("TERTULIA_GUESTS", "off").with("TERTULIA_LOG", "trace")).await
}

#[tokio::test]
async fn whoever_is_vouched_for_comes_by_every_door_as_the_same_person() {
    let node = node().await;
    let good = token(3600);
    let mut client = node.client().await;
    client.say(json!({ "type": "hello", "token": good })).await;
    let welcome = client.expect("welcome").await;
    assert_eq!(welcome["user"]["name"], "Ana");
    client.join("lobby").await;
    let ana = Somebody { node: &node, token: token(1800), id: String::new() };
    let path = "PUT /rooms/lobby/messages/6f3c6b0e-0000-4000-8000-000000000001";
    ana.asks(path, Some(json!({ "text": "hello" }))).await.is(201);
    assert_eq!(client.expect("message").await["from"], welcome["user"]);
    // What is an account's is not theirs.
    ana.asks("POST /keys", Some(json!({ "label": "x" }))).await.refused(403, "forbidden");
    let forged = format!("Authorization: Bearer {}x", token(3600));
    ask(&node, "GET /rooms/lobby", &[&forged], None).await.refused(401, "unauthorized");
    let expired = format!("Authorization: Bearer {}", token(-3600));
    ask(&node, "GET /rooms/lobby", &[&expired], None).await.refused(401, "unauthorized");
    let signature = good.rsplit_once('.').unwrap().1;
    assert!(!node.log().contains(signature) && !node.log().contains(SECRET), "neither is in a log");
}

/// Clocks may be half a minute apart, so that is how long a token that has expired already still holds.
#[tokio::test]
async fn when_the_token_expires_the_connection_ends() {
    let node = node().await;
    let mut client = node.client().await;
    client.say(json!({ "type": "hello", "token": token(-27) })).await;
    client.expect("welcome").await;
    assert_eq!(client.expect("bye").await["reason"], "unauthorized");
}
