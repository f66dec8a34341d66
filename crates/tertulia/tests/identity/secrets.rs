//! What lets somebody in is told to nobody else.

use std::time::Duration;

use serde_json::json;
use testkit::cluster::{self, Cluster};
use testkit::node::NodeOptions;
use testkit::postgres::Postgres;
use testkit::socketio::{SocketIo, request_with};

use crate::house::{House, PROGRAM, by_hello, by_upgrade, socketio};

/// Guards logs, however much is logged: neither a token nor a part of one is in them.
#[tokio::test]
async fn no_token_is_in_a_log() {
    let database = Postgres::shared().database();
    let options =
        |number| -> NodeOptions { cluster::options(PROGRAM, number, &database).with("TERTULIA_LOG", "trace") };
    let house = House::on(Cluster::with(1, options).await, &database).await;
    let (node, key) = (house.node(), house.key("Ana").await);
    let session = house.session("Ben", Duration::from_secs(3600)).await;
    let guest = node.client().await.hello("Carla").await["token"].as_str().unwrap().to_owned();
    let origin = format!("http://{}", node.address());
    let wrong = "ts_d3JvbmcgYnV0IHNlY3JldCBlbm91Z2ggdG8ga2VlcA";
    for token in [key.token.as_str(), &session, &guest] {
        by_hello(node, token).await.0.join("r").await;
        let (bearer, cookie) = (format!("Bearer {token}"), format!("tertulia_session={token}"));
        for brings in [&[("authorization", bearer.as_str())][..], &[("cookie", &cookie), ("origin", &origin)]] {
            by_upgrade(node, brings).await.unwrap().join("r").await;
            socketio(node, brings).await.try_enter(&json!({})).await.unwrap();
            let headers: String = brings.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            for target in ["/api/v1/rooms/r", "/socket.io/?EIO=4&transport=polling"] {
                request_with(node.address(), "GET", target, &headers, "").await.unwrap();
            }
        }
        SocketIo::connect(node.address(), json!({"token": token})).await.expect("my-name-is").await;
        SocketIo::polling(node.address(), json!({"token": token})).await.expect("my-name-is").await;
    }
    let mut client = node.client().await;
    client.say(json!({"type": "hello", "token": wrong})).await;
    client.refused("unauthorized").await;
    // Not even one that somebody was so careless as to put there.
    let stream = tokio::net::TcpStream::connect(node.address()).await.unwrap();
    let careless = format!("/socket.io/?EIO=4&transport=websocket&token={wrong}");
    SocketIo::open(stream, &careless).await.unwrap().try_enter(&json!({})).await.unwrap_err();

    let log = node.log();
    assert!(log.contains("TRACE"), "it logs all that there is to log");
    for token in [key.token.as_str(), &session, &guest, wrong] {
        let secret = &token[token.len() - 20..];
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{token}");
    }
}
