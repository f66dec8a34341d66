//! Several nodes are one chat: real Postgres, real Redis, real HAProxy.

// A test fails by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::client::Client;
use testkit::cluster::Cluster;
use testkit::haproxy::HaProxy;
use testkit::node::Node;
use testkit::replica::Replica;
use uuid::Uuid;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tertulia");

fn send(room: &str, text: &str) -> Value {
    json!({"type": "send", "room": room, "id": Uuid::new_v4().to_string(), "text": text})
}

/// Joins and pages until everything is held.
async fn catch_up(client: &mut Client, room: &str, held: &mut Replica) {
    loop {
        client.say(held.join(room)).await;
        if !held.joined(&client.expect("joined").await) {
            return;
        }
    }
}

#[tokio::test]
async fn people_on_different_nodes_hear_each_other_in_one_order() {
    let cluster = Cluster::of(PROGRAM, 3).await;
    let [a, b, c] = &cluster.nodes[..] else { unreachable!() };
    let (mut ana, mut ben, mut cleo) = (a.guest("Ana").await, b.guest("Ben").await, c.guest("Cleo").await);
    for client in [&mut ana, &mut ben, &mut cleo] {
        client.join("r").await;
    }
    for number in 0..30 {
        ana.say(send("r", &format!("a{number}"))).await;
        ben.say(send("r", &format!("b{number}"))).await;
    }
    let mut heard: Vec<Vec<(u64, String)>> = Vec::new();
    for client in [&mut ana, &mut ben, &mut cleo] {
        let mut messages = Vec::new();
        for _ in 0..60 {
            let message = client.expect("message").await;
            messages.push((message["seq"].as_u64().unwrap(), message["text"].as_str().unwrap().to_owned()));
        }
        heard.push(messages);
    }
    assert_eq!(heard[0].iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), (1..=60).collect::<Vec<_>>());
    assert!(heard[0] == heard[1] && heard[1] == heard[2]);
    // Who speaks in order is heard in order.
    let of_ana: Vec<_> =
        heard[2].iter().filter(|(_, text)| text.starts_with('a')).map(|(_, text)| text.clone()).collect();
    assert_eq!(of_ana, (0..30).map(|number| format!("a{number}")).collect::<Vec<_>>());

    // Redis really carried them.
    let calls = cluster.redis.calls().await;
    assert!(calls.get("spublish").is_some_and(|calls| *calls > 0), "{calls:?}");
    assert_eq!(c.metric("tertulia_gaps_total{cause=\"sweep\"}").await, 0.0);
}

#[tokio::test]
async fn edits_deletes_typing_and_presence_cross_nodes() {
    let cluster = Cluster::of(PROGRAM, 2).await;
    let [a, b] = &cluster.nodes[..] else { unreachable!() };
    let (mut ana, mut ben) = (a.guest("Ana").await, b.guest("Ben").await);
    ana.join("r").await;
    ben.join("r").await;
    let two = |frame: &Value| frame["type"] == "presence" && frame["count"] == 2;
    ana.expect_where("two people", two).await;
    let mut third = b.guest("Cleo").await;
    assert_eq!(third.join("r").await["members"], 3);

    ana.send("r", "frist").await;
    ben.heard("r", &["frist"]).await;
    ana.say(json!({"type": "edit", "room": "r", "seq": 1, "text": "first"})).await;
    ben.heard("r", &["first"]).await;
    ana.say(json!({"type": "delete", "room": "r", "seq": 1})).await;
    assert_eq!(ben.expect("message").await["deleted"], true);
    ana.say(json!({"type": "typing", "room": "r"})).await;
    assert_eq!(ben.expect("typing").await["user"]["name"], "Ana");
    assert_eq!(ana.all_so_far("typing").await, [] as [Value; 0]);

    drop((ben, third));
    let alone = |frame: &Value| frame["type"] == "presence" && frame["count"] == 1;
    ana.expect_where("one person", alone).await;
}

#[tokio::test]
async fn a_node_that_dies_takes_its_people_with_it_and_nothing_else() {
    let mut cluster = Cluster::of(PROGRAM, 2).await;
    let (mut ana, mut ben) = (cluster.nodes[0].guest("Ana").await, cluster.nodes[1].client().await);
    let token = ben.hello("Ben").await["token"].clone();
    ana.join("r").await;
    let mut held = Replica::default();
    catch_up(&mut ben, "r", &mut held).await;
    ana.send("r", "one").await;
    held.message(&ben.expect("message").await);
    let unanswered = send("r", "two");
    cluster.nodes[1].kill();
    ben.say(unanswered.clone()).await;
    ana.send("r", "three").await;

    let mut ben = cluster.nodes[0].client().await;
    ben.say(json!({"type": "hello", "token": token})).await;
    ben.expect("welcome").await;
    catch_up(&mut ben, "r", &mut held).await;
    ben.say(unanswered).await;
    held.message(&ben.expect("message").await);
    let texts: Vec<&str> = held.messages.values().map(|(_, text, _)| text.as_str()).collect();
    assert_eq!(texts, ["one", "three", "two"]);
    // Its people are no longer counted: Ana and the Ben who came back.
    let two = testkit::patience(Duration::from_secs(15), async || (ana.join("r").await["members"] == 2).then_some(()));
    assert!(two.await.is_some());
}

#[tokio::test]
async fn a_cold_node_answers_from_redis_and_a_flushed_redis_from_the_store() {
    let cluster = Cluster::of(PROGRAM, 3).await;
    let [a, b, c] = &cluster.nodes[..] else { unreachable!() };
    let mut ana = a.guest("Ana").await;
    for number in 1..=20 {
        ana.send("r", &number.to_string()).await;
    }
    ana.say(json!({"type": "edit", "room": "r", "seq": 20, "text": "twenty"})).await;
    ana.expect("ack").await;
    // What is written to Redis is not waited for by the sender.
    let mut position = Replica::default();
    let from_cache = "tertulia_joins_total{source=\"cache\"}";
    let mut ben = b.guest("Ben").await;
    catch_up(&mut ben, "r", &mut position).await;
    assert_eq!((position.messages.len(), position.head), (20, 21));
    assert_eq!(position.messages[&20].1, "twenty");
    assert_eq!(b.metric(from_cache).await + b.metric("tertulia_joins_total{source=\"store\"}").await, 1.0);

    cluster.redis.flush().await;
    let mut cleo = c.guest("Cleo").await;
    let mut whole = Replica::default();
    catch_up(&mut cleo, "r", &mut whole).await;
    assert_eq!(whole.messages, position.messages);
    assert_eq!(c.metric("tertulia_joins_total{source=\"store\"}").await, 1.0);
    assert_eq!(c.metric(from_cache).await, 0.0);
}

#[tokio::test]
async fn while_redis_is_away_chat_goes_on_and_nothing_is_missing_afterwards() {
    let mut cluster = Cluster::of(PROGRAM, 2).await;
    let (mut ana, mut ben) = (cluster.nodes[0].guest("Ana").await, cluster.nodes[1].guest("Ben").await);
    ana.join("r").await;
    ben.join("r").await;
    cluster.redis.stop();
    for node in &cluster.nodes {
        node.until("tertulia_bus_up", |up| up == 0.0).await;
        let (status, body) = node.get("/healthz").await.unwrap();
        assert_eq!((status, body.contains("\"degraded\"")), (200, true), "{body}");
        assert_eq!(node.get("/readyz").await.map(|(status, _)| status), Some(200));
    }
    for text in ["one", "two", "three"] {
        ana.send("r", text).await;
        ben.heard("r", &[text]).await;
    }
    assert_eq!(ben.join("r").await["stale"], true);
    cluster.redis.start_again().await;
    cluster.hear_each_other().await;
    ana.send("r", "four").await;
    ben.heard("r", &["four"]).await;
    assert_eq!(cluster.nodes[1].metric("tertulia_sweep_found_total").await, 0.0);
}

#[tokio::test]
async fn nodes_agree_on_secrets_and_everything_is_there_after_all_have_restarted() {
    let mut cluster = Cluster::of(PROGRAM, 2).await;
    let mut ana = cluster.nodes[0].client().await;
    let welcome = ana.hello("Ana").await;
    ana.send("r", "before").await;
    for node in &mut cluster.nodes {
        node.kill();
        node.start_again().await;
    }
    let mut again = cluster.nodes[1].client().await;
    again.say(json!({"type": "hello", "token": welcome["token"]})).await;
    assert_eq!(again.expect("welcome").await["user"], welcome["user"]);
    let joined = again.join("r").await;
    assert_eq!((&joined["messages"][0]["text"], &joined["head"]), (&json!("before"), &json!(1)));
}

#[tokio::test]
async fn through_the_front_door_sockets_are_spread_and_what_is_inside_stays_inside() {
    let cluster = Cluster::of(PROGRAM, 3).await;
    let proxy = HaProxy::before(&cluster.addresses()).await;
    let url = format!("ws://{}/ws", proxy.address());
    let mut seen = BTreeSet::new();
    let mut clients = Vec::new();
    for number in 0..9 {
        let mut client = Client::connect(&url).await;
        let welcome = client.hello(&format!("guest {number}")).await;
        seen.insert(welcome["node"].as_str().unwrap().to_owned());
        client.join("r").await;
        clients.push(client);
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["n1", "n2", "n3"]);
    clients[0].send("r", "to all").await;
    for client in &mut clients {
        client.heard("r", &["to all"]).await;
    }
    for path in ["/metrics", "/readyz", "/healthz"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = testkit::node::raw_http(proxy.address(), request.as_bytes()).await;
        assert_eq!(answer.map(|(status, ..)| status), Some(404), "{path}");
    }
    let page =
        testkit::node::raw_http(proxy.address(), b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    let (status, head, body) = page.unwrap();
    assert!(status == 200 && body.contains("Tertulia"));
    assert!(head.to_lowercase().contains("set-cookie: tertulia_node="), "{head}");
}

/// Sends with retries, as a client of ours would, until acknowledged; reconnects when told goodbye.
async fn insist(url: &str, client: &mut Client, frame: &Value) -> Value {
    loop {
        client.say(frame.clone()).await;
        while let Some(answer) = client.next_frame().await {
            match answer["type"].as_str() {
                Some("ack") => return answer,
                Some("error") => break,
                _ => {}
            }
        }
        let mut again = Client::connect(url).await;
        again.hello("Ana").await;
        *client = again;
    }
}

#[tokio::test]
async fn a_node_that_leaves_under_load_loses_nothing_and_leaves_with_0() {
    let mut cluster = Cluster::of(PROGRAM, 3).await;
    let proxy = HaProxy::before(&cluster.addresses()).await;
    let url = format!("ws://{}/ws", proxy.address());
    let mut writers = Vec::new();
    for writer in 0..6 {
        let url = url.clone();
        writers.push(tokio::spawn(async move {
            let mut client = Client::connect(&url).await;
            client.hello("Ana").await;
            let mut acks = Vec::new();
            for number in 0..150 {
                acks.push(insist(&url, &mut client, &send("r", &format!("{writer}.{number}"))).await);
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
            acks
        }));
    }
    let mut leaving = cluster.nodes.remove(0);
    let (mut told, mut quiet) = (leaving.guest("Told").await, leaving.guest("Quiet").await);
    told.join("r").await;
    quiet.join("r").await;
    leaving.signal("TERM");
    let readyz = async |node: &Node| node.get("/readyz").await.map(|(status, _)| status);
    let phase = async |status: u16| {
        testkit::patience(Duration::from_secs(8), async || (readyz(&leaving).await == Some(status)).then_some(())).await
    };
    assert!(phase(404).await.is_some(), "first no new clients");
    assert!(phase(503).await.is_some(), "then nobody");
    for client in [&mut told, &mut quiet] {
        let bye = client.expect("bye").await;
        assert_eq!((&bye["reason"], bye["retry_after_ms"].is_u64()), (&json!("drain"), true));
        assert_eq!(client.closed().await.map(|close| u16::from(close.code)), Some(1012));
    }
    assert_eq!(leaving.ended(Duration::from_secs(10)).await, Some(0), "{}", leaving.log());

    let mut acknowledged = BTreeSet::new();
    for writer in writers {
        for ack in writer.await.unwrap() {
            assert!(acknowledged.insert(ack["seq"].as_u64().unwrap()), "a number twice: {ack}");
        }
    }
    let mut held = Replica::default();
    let mut reader = cluster.nodes[0].guest("Reader").await;
    catch_up(&mut reader, "r", &mut held).await;
    assert_eq!(held.messages.keys().copied().collect::<BTreeSet<_>>(), acknowledged);
    assert_eq!(held.head, 900);
}
