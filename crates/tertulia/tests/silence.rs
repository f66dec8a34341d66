//! Lines and nodes that fall silent without ending: nothing is closed, and nothing comes.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use serde_json::{Value, json};
use testkit::client::Client;
use testkit::cluster::Cluster;
use testkit::node::{Node, NodeOptions};
use testkit::patience;
use testkit::proxy::{Proxy, Way};
use testkit::replica::Replica;
use uuid::Uuid;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tertulia");
/// After 62 s of silence a client is given up, as documented; as much again for a busy machine.
const GIVEN_UP_WITHIN: Duration = Duration::from_secs(120);
/// Longer than every time-out between the parts.
const BEYOND_TIMEOUTS: Duration = Duration::from_secs(12);

fn send(text: &str) -> Value {
    json!({"type": "send", "room": "r", "id": Uuid::new_v4().to_string(), "text": text})
}

/// Joins from where it stands and pages until everything is held.
async fn catch_up(client: &mut Client, held: &mut Replica) {
    loop {
        client.say(held.join("r")).await;
        if !held.joined(&client.expect("joined").await) {
            return;
        }
    }
}

/// Comes as somebody who has been here before, and catches up.
async fn come_back(node: &Node, token: &Value, held: &mut Replica) -> Client {
    let mut client = node.client().await;
    client.say(json!({"type": "hello", "token": token})).await;
    client.expect("welcome").await;
    catch_up(&mut client, held).await;
    client
}

/// A line that lost one of its ways must not hold a place for ever, nor may one that is merely quiet lose it.
#[tokio::test]
async fn a_line_that_is_only_half_open_is_given_up_and_a_quiet_one_is_not() {
    let node = Node::start(NodeOptions::alone(PROGRAM).with("TERTULIA_CONNECTIONS_PER_ADDRESS", 3)).await;
    let (unheard, unhearing) = (Proxy::to(node.address()).await, Proxy::to(node.address()).await);
    for (name, address) in [("Ana", unheard.address()), ("Ben", unhearing.address()), ("Cleo", node.address())] {
        let mut client = Client::connect(&format!("ws://{address}/ws")).await;
        client.hello(name).await;
        client.join("r").await;
        // It goes on reading, and so answers whatever ping reaches it.
        tokio::spawn(async move { client.closed_now().await });
    }
    unheard.swallow(Way::ToServer);
    unhearing.swallow(Way::ToClient);
    let gone = patience(GIVEN_UP_WITHIN, async || {
        (node.metric("tertulia_disconnects_total{reason=\"idle\"}").await == 2.0).then_some(())
    });
    assert!(gone.await.is_some(), "{}", node.log());
    // Cleo has been as quiet for as long, and is still here. The places of the others are free.
    assert_eq!(node.metric("tertulia_connections{transport=\"websocket\"}").await, 1.0);
    assert_eq!(node.guest("Dan").await.join("r").await["members"], 2);
}

/// A client that hears nothing, over a line that looks well, was heard all the same: what it said is kept once, and what it missed it
/// gets by its position.
#[tokio::test]
async fn who_heard_nothing_any_more_comes_back_to_everything_once() {
    let cluster = Cluster::of(PROGRAM, 2).await;
    let [a, b] = &cluster.nodes[..] else { unreachable!() };
    let line = Proxy::to(a.address()).await;
    let mut ana = Client::connect(&format!("ws://{}/ws", line.address())).await;
    let token = ana.hello("Ana").await["token"].clone();
    let mut ben = b.guest("Ben").await;
    let mut held = Replica::default();
    catch_up(&mut ana, &mut held).await;
    ben.join("r").await;
    ana.send("r", "one").await;
    held.message(&ana.expect("message").await);
    ben.heard("r", &["one"]).await;

    line.swallow(Way::ToClient);
    let unanswered = send("two");
    ana.say(unanswered.clone()).await;
    ben.heard("r", &["two"]).await;
    ben.send("r", "three").await;
    // She gives up and comes by another way; the old connection still looks well.
    let mut again = come_back(b, &token, &mut held).await;
    again.say(unanswered).await;
    assert_eq!(again.expect("ack").await["seq"], 2, "kept when it was first sent");
    ben.send("r", "four").await;
    held.message(&again.expect("message").await);
    let texts: Vec<&str> = held.messages.values().map(|(_, text, _)| text.as_str()).collect();
    assert_eq!((texts, held.head), (vec!["one", "two", "three", "four"], 4));
    ben.heard("r", &["three", "four"]).await;
    drop(ana);
}

/// A node stands still beyond every time-out and goes on as if nothing had been: its people went elsewhere, and what it does now must not
/// be of yesterday.
#[tokio::test]
async fn a_node_that_stood_still_goes_on_with_the_right_numbers() {
    let cluster = Cluster::of(PROGRAM, 2).await;
    let [well, frozen] = &cluster.nodes[..] else { unreachable!() };
    let (mut ana, mut ben) = (well.guest("Ana").await, frozen.client().await);
    let token = ben.hello("Ben").await["token"].clone();
    let mut cleo = frozen.guest("Cleo").await;
    let (mut of_ben, mut of_cleo) = (Replica::default(), Replica::default());
    ana.join("r").await;
    catch_up(&mut ben, &mut of_ben).await;
    catch_up(&mut cleo, &mut of_cleo).await;
    let mut others = Vec::new();
    for _ in 0..5 {
        others.push(frozen.guest("Eva").await);
    }
    ana.send("r", "one").await;
    of_ben.message(&ben.expect("message").await);

    frozen.signal("STOP");
    // It lies with the frozen node, which has not read it.
    let unanswered = send("two");
    ben.say(unanswered.clone()).await;
    let mut elsewhere = come_back(well, &token, &mut of_ben).await;
    elsewhere.say(unanswered.clone()).await;
    assert_eq!(elsewhere.expect("ack").await["seq"], 2);
    for text in ["three", "four", "five"] {
        ana.send("r", text).await;
    }
    ana.say(json!({"type": "edit", "room": "r", "seq": 3, "text": "3"})).await;
    assert_eq!(ana.expect_where("the edit's ack", |f| f["type"] == "ack" && f["rev"] == 6).await["seq"], 3);
    for _ in 0..5 {
        of_ben.message(&elsewhere.expect("message").await);
    }
    assert_eq!(of_ben.head, 6);
    // Some were elsewhere meanwhile, and ask the frozen node with a position that it has not seen: the first thing that it reads then.
    for other in &mut others {
        other.say(of_ben.join("r")).await;
    }
    tokio::time::sleep(BEYOND_TIMEOUTS).await;
    frozen.signal("CONT");

    // They are neither reset nor told anything old; nor is who comes a moment later.
    for other in &mut others {
        let mut held = of_ben.clone();
        held.joined(&other.expect("joined").await);
        assert_eq!(held, of_ben);
    }
    let mut back = come_back(frozen, &token, &mut of_ben).await;
    assert_eq!(of_ben.head, 6);
    let mut fresh = Replica::default();
    let mut dan = frozen.guest("Dan").await;
    catch_up(&mut dan, &mut fresh).await;
    // What Ben said before it stood still it reads only now, and knows by its id.
    assert_eq!(ben.expect("ack").await["seq"], 2);
    assert_eq!(back.send("r", "six").await["seq"], 7);
    of_ben.message(&back.expect("message").await);
    while of_cleo.head < 7 {
        of_cleo.message(&cleo.expect("message").await);
    }
    while fresh.head < 7 {
        fresh.message(&dan.expect("message").await);
    }
    assert_eq!(fresh.messages, of_ben.messages);
    assert_eq!(of_cleo.messages, of_ben.messages);
    assert_eq!(
        of_ben.messages.values().map(|(_, text, _)| &**text).collect::<Vec<_>>(),
        ["one", "two", "3", "four", "five", "six"]
    );
    ana.heard("r", &["one", "two", "three", "four", "five", "3", "six"]).await;
}
