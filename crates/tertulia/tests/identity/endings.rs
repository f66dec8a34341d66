//! What lets somebody be here ends, and so does being here, wherever that is.

use std::time::{Duration, SystemTime};

use serde_json::json;
use testkit::client::Client;
use testkit::cluster::{self, Cluster};
use testkit::node::Node;
use testkit::postgres::Postgres;
use testkit::socketio::SocketIo;
use tokio_tungstenite::tungstenite::Error;
use uuid::Uuid;

use crate::house::{House, PROGRAM, by_hello, by_upgrade, socketio, vouched};

/// Two seconds are promised; the rest is for a busy machine.
const ENDS_WITHIN: Duration = Duration::from_secs(2 + 2);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Redis {
    Well,
    Flushed,
    Frozen,
    Stopped,
}

/// A native client is told goodbye without a time to come back at, and closed.
async fn is_told_goodbye(client: &mut Client, what: &str) {
    let bye = client.expect("bye").await;
    assert_eq!(bye, json!({"type": "bye", "reason": "unauthorized"}), "{what}");
    assert_eq!(client.closed().await.map(|close| close.code.into()), Some(1008), "{what}");
}

/// A client of Socket.IO is told why, and is put out of its namespace, on which it does not come back by itself.
async fn is_put_out(client: SocketIo, what: &str) {
    let heard = client.to_the_end().await;
    let error = heard.iter().position(|packet| packet.contains(r#"["error",{"code":"unauthorized""#));
    let disconnect = heard.iter().position(|packet| packet == "1");
    assert!(error.is_some() && error < disconnect, "{what}: {heard:?}");
}

/// Guards the promise that whoever is signed out is out, on every node and by either protocol, whatever Redis does meanwhile.
#[tokio::test]
async fn what_is_revoked_ends_on_every_node() {
    let mut house = House::of(3).await;
    for redis in [Redis::Well, Redis::Flushed, Redis::Frozen, Redis::Stopped] {
        let (key, other) = (house.key(&format!("Ana {redis:?}")).await, house.key(&format!("Ben {redis:?}")).await);
        let (mut native, mut socketio, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for node in house.nodes() {
            native.push(by_hello(node, &key.token).await.0);
            socketio.push(SocketIo::connect(node.address(), json!({"token": key.token})).await);
            socketio.push(SocketIo::polling(node.address(), json!({"token": key.token})).await);
            others.push(by_hello(node, &other.token).await.0);
        }
        match redis {
            Redis::Well => {}
            Redis::Flushed => house.cluster.redis.flush().await,
            Redis::Frozen => house.cluster.redis.freeze(),
            Redis::Stopped => house.cluster.redis.stop(),
        }
        house.people.revoke(key.account, key.grant).await.unwrap();
        if redis == Redis::Flushed {
            house.cluster.redis.flush().await;
        }
        let what = format!("{redis:?}");
        let ends = async {
            for client in &mut native {
                is_told_goodbye(client, &what).await;
            }
            for client in socketio {
                is_put_out(client, &what).await;
            }
        };
        assert!(tokio::time::timeout(ENDS_WITHIN, ends).await.is_ok(), "{what}: {}", house.node().log());
        // Nobody comes back by it, and nobody else has gone.
        for (node, other) in house.nodes().iter().zip(&mut others) {
            is_refused(node, &key.token).await;
            other.send("r", "still here").await;
        }
        if redis == Redis::Frozen {
            house.cluster.redis.thaw();
        }
    }
}

async fn is_refused(node: &Node, token: &str) {
    let mut client = node.client().await;
    client.say(json!({"type": "hello", "token": token})).await;
    client.refused("unauthorized").await;
}

/// Guards what was accepted before the end: it is acknowledged, and nothing is kept that was not.
#[tokio::test]
async fn whatever_is_kept_of_whoever_is_signed_out_was_acknowledged() {
    let house = House::of(1).await;
    let (node, key) = (house.node(), house.key("Ana").await);
    let (mut ana, _) = by_hello(node, &key.token).await;
    let revoked = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        house.people.revoke(key.account, key.grant).await.unwrap();
    };
    let talks = async {
        let mut acknowledged = Vec::new();
        loop {
            let id = Uuid::new_v4().to_string();
            ana.say(json!({"type": "send", "room": "r", "id": id, "text": "on and on"})).await;
            // Many are under way at a time.
            while ana.heard_already("ack") < 8 {
                let Some(frame) = ana.next_frame().await else { return acknowledged };
                if frame["type"] == "ack" {
                    acknowledged.push(frame["seq"].as_u64().unwrap());
                    break;
                }
                assert!(frame["type"] == "bye" || frame["type"] == "error", "{frame}");
            }
        }
    };
    let ((), acknowledged) = tokio::join!(revoked, talks);
    let mut reader = node.guest("a reader").await;
    assert_eq!(reader.join("r").await["head"].as_u64(), acknowledged.last().copied());
    assert!(acknowledged.len() > 1, "it was ended while it spoke");
}

/// Guards that a session that was not used for too long ends who is here by it, as one that is revoked.
#[tokio::test]
async fn what_expires_ends_too() {
    let house = House::of(1).await;
    let token = house.session("Ana", Duration::from_secs(4)).await;
    let (mut native, _) = by_hello(house.node(), &token).await;
    let socketio = SocketIo::connect(house.node().address(), json!({"token": token})).await;
    is_told_goodbye(&mut native, "expiry").await;
    is_put_out(socketio, "expiry").await;
    is_refused(house.node(), &token).await;
}

/// Guards that who somebody is is never guessed, and that nobody pays for a database that is away: whoever comes is told, in the way
/// of their door, to come back; whoever is here stays.
#[tokio::test]
async fn while_the_store_is_away_nobody_is_let_in_and_nobody_is_sent_away() {
    let mut postgres = Postgres::start();
    let database = postgres.database();
    let cluster = Cluster::with(1, |number| cluster::options(PROGRAM, number, &database)).await;
    let house = House::on(cluster, &database).await;
    let (node, key, unused) = (house.node(), house.key("Ana").await, house.key("Ben").await);
    let (mut here, _) = by_hello(node, &key.token).await;
    postgres.stop();

    for hello in [json!({"type": "hello", "name": "Carla"}), json!({"type": "hello", "token": unused.token})] {
        let mut client = node.client().await;
        client.say(hello).await;
        assert!(client.refused("unavailable").await["retry_after_ms"].is_u64());
    }
    let refused = by_upgrade(node, &[("authorization", &format!("Bearer {}", unused.token))]).await;
    let Some(Error::Http(response)) = refused.err().map(|error| *error) else { panic!("it was let in") };
    assert!(response.status() == 503 && response.headers().contains_key("retry-after"), "{response:?}");
    // A client that is refused by its namespace would not come back.
    for auth in [json!({"username": "Carla"}), json!({"token": unused.token})] {
        let mut client = socketio(node, &[]).await;
        client.say(&format!("40{auth}")).await;
        let heard = client.to_the_end().await;
        assert!(heard.iter().all(|packet| packet == "1"), "{heard:?}");
    }

    postgres.start_again();
    here.send("r", "still here").await;
    by_hello(node, &unused.token).await;
}

/// Guards that what an application vouches for ends when it says, for whoever is connected too.
#[tokio::test]
async fn what_an_application_vouches_for_ends_with_its_token() {
    let secret = "a secret of the application and of the nodes";
    let database = Postgres::shared().database();
    let options = |number| cluster::options(PROGRAM, number, &database).with("TERTULIA_JWT_SECRET", secret);
    let cluster = Cluster::with(1, options).await;
    let node = &cluster.nodes[0];
    // Clocks may be half a minute apart, so it holds for another four seconds.
    let token = vouched(secret, "Ana", SystemTime::now() - Duration::from_secs(30 - 4));
    let (mut native, welcome) = by_hello(node, &token).await;
    assert_eq!((&welcome["user"]["name"], welcome.get("token")), (&json!("Ana"), None));
    let socketio = SocketIo::connect(node.address(), json!({"token": token})).await;
    native.send("r", "for now").await;
    is_told_goodbye(&mut native, "the end of a JWT").await;
    is_put_out(socketio, "the end of a JWT").await;
}
