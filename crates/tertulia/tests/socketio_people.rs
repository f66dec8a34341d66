//! Clients of Socket.IO and who is there: counted in the whole cluster, and missed in time however they went.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashSet;
use std::time::Duration;

use serde_json::json;
use testkit::cluster::Cluster;
use testkit::proxy::Proxy;
use testkit::socketio::SocketIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tertulia");
/// How soon others are told that somebody has left.
const LEFT: Duration = Duration::from_secs(2);
/// The same where the line died.
const LOST: Duration = Duration::from_secs(15);

/// Somebody who is counted.
async fn counted(mut client: SocketIo, name: &str) -> SocketIo {
    client.emit(&json!(["add user", name])).await;
    client.expect("login").await;
    client
}

async fn connected(cluster: &Cluster, node: usize, name: &str) -> SocketIo {
    counted(SocketIo::connect(cluster.nodes[node].address(), json!({})).await, name).await
}

/// Waits until everybody is counted.
async fn until_counted(watcher: &mut SocketIo, count: usize) {
    while watcher.expect("user joined").await[0]["numUsers"] != count {}
}

/// Guards the official chat's people: counted in the whole cluster, greeted and missed by the others.
#[tokio::test]
async fn people_are_counted_in_the_whole_cluster() {
    let cluster = Cluster::of(PROGRAM, 2).await;
    let connect = async |node: usize| SocketIo::connect(cluster.nodes[node].address(), json!({})).await;
    let (mut ana, mut ben, mut stranger) = (connect(0).await, connect(1).await, connect(1).await);
    ana.emit(&json!(["add user", "Ana"])).await;
    assert_eq!(ana.expect("login").await, [json!({"numUsers": 1})]);
    ben.emit(&json!(["add user", "Ben"])).await;
    assert_eq!(ben.expect("login").await, [json!({"numUsers": 2})]);
    assert_eq!(ana.expect("user joined").await, [json!({"username": "Ben", "numUsers": 2})]);
    ben.emit(&json!(["typing"])).await;
    assert_eq!(ana.expect("typing").await, [json!({"username": "Ben"})]);
    ben.emit(&json!(["stop typing"])).await;
    assert_eq!(ana.expect("stop typing").await, [json!({"username": "Ben"})]);
    ben.emit(&json!(["new message", "hi"])).await;
    assert_eq!(ana.expect("new message").await, [json!({"username": "Ben", "message": "hi"})]);
    stranger.emit(&json!(["message", {"user": "Eve", "msg": "ho"}])).await;
    assert_eq!(stranger.expect("message").await, [json!("hi")]);
    assert_eq!(stranger.expect("message").await, [json!({"user": "Eve", "msg": "ho"})]);
    assert_eq!(ana.expect("new message").await, [json!({"username": "Eve", "message": "ho"})]);
    let told = ben.names_so_far().await;
    assert_eq!(told.iter().filter(|name| *name == "new message").count(), 1, "its own is not told: {told:?}");
    ben.say("41").await;
    let gone = tokio::time::timeout(Duration::from_secs(3), ana.expect("user left"));
    assert_eq!(gone.await.unwrap(), [json!({"username": "Ben", "numUsers": 1})]);
}

/// Guards the two seconds where they are longest: one leaves just after another, so that its node gathers, and a third has just left
/// elsewhere, so that the watcher's node does too, and has told when the going arrives.
#[tokio::test]
async fn who_leaves_is_missed_within_two_seconds_whatever_else_moves() {
    let cluster = Cluster::of(PROGRAM, 3).await;
    let mut watcher = connected(&cluster, 0, "Watcher").await;
    let mut people = Vec::new();
    for number in 0..15 {
        let node = [2, 1, 1][number % 3];
        people.push((format!("p{number}"), connected(&cluster, node, &format!("p{number}")).await));
    }
    until_counted(&mut watcher, 16).await;
    let leave = async {
        let mut left = Vec::new();
        for (number, (name, mut client)) in people.into_iter().enumerate() {
            // Not a test's patience: it is what puts each of them where it is to be.
            tokio::time::sleep(Duration::from_millis([2_500, 50, 20][number % 3])).await;
            client.say("41").await;
            left.push((name, Instant::now()));
        }
        left
    };
    let watch = async {
        let mut told = Vec::new();
        while told.len() < 15 {
            let who = watcher.expect("user left").await[0]["username"].clone();
            told.push((who, Instant::now()));
        }
        told
    };
    let (left, told) = tokio::join!(leave, watch);
    for (name, at) in left {
        let (_, told) = told.iter().find(|(who, _)| *who == name).expect("each is missed");
        assert!(*told < at + LEFT, "{name} is missed after {:?}", *told - at);
    }
}

/// Guards against a dead network: nothing arrives any more, no end of a connection either, and a proxy keeps its own alive. Those who
/// have nothing to say meanwhile, but are there, stay.
#[tokio::test]
async fn who_is_lost_with_a_dead_line_is_missed_within_fifteen_seconds() {
    let cluster = Cluster::of(PROGRAM, 2).await;
    let line = Proxy::to(cluster.nodes[1].address()).await;
    let mut watcher = connected(&cluster, 0, "Watcher").await;
    let stream = TcpStream::connect(line.address()).await.unwrap();
    let by_websocket = counted(SocketIo::over(stream, json!({})).await, "by WebSocket").await;
    let by_polling = counted(SocketIo::polling(line.address(), json!({})).await, "by polling").await;
    let mut upgraded = SocketIo::polling(line.address(), json!({})).await;
    upgraded.upgrade().await;
    let upgraded = counted(upgraded, "by both").await;
    let quiet = connected(&cluster, 1, "quiet").await;
    let quiet_polls = counted(SocketIo::polling(cluster.nodes[1].address(), json!({})).await, "quiet, polls").await;
    until_counted(&mut watcher, 6).await;
    let lives = |mut client: SocketIo| tokio::spawn(async move { client.stays_until("new message").await });
    let (gone, quiet) = ([by_websocket, by_polling, upgraded].map(lives), [quiet, quiet_polls].map(lives));
    let early = timeout(Duration::from_secs(16), watcher.expect("user left")).await;
    assert!(early.is_err(), "nobody is lost who is there: {early:?}");

    line.die();
    let by = Instant::now() + LOST;
    let mut missed = Vec::new();
    for _ in &gone {
        let told = timeout_at(by, watcher.expect("user left")).await.expect("in time");
        missed.push(told[0]["username"].as_str().unwrap().to_owned());
    }
    missed.sort();
    assert_eq!(missed, ["by WebSocket", "by both", "by polling"]);
    watcher.emit(&json!(["new message", "still here?"])).await;
    for one in quiet {
        assert!(timeout(LOST, one).await.expect("it hears").unwrap(), "it is there");
    }
    gone.iter().for_each(tokio::task::JoinHandle::abort);
}

/// Guards against a crowd that goes at once and is missed in part: what tells of it is more than the engine takes at a time.
#[tokio::test]
async fn each_of_a_crowd_is_missed_by_whoever_hears() {
    let cluster = Cluster::of(PROGRAM, 2).await;
    let mut watchers = [
        connected(&cluster, 0, "by WebSocket").await,
        counted(SocketIo::polling(cluster.nodes[0].address(), json!({})).await, "by polling").await,
    ];
    let mut crowd = Vec::new();
    for number in 0..40 {
        crowd.push(connected(&cluster, 1, &format!("p{number}")).await);
    }
    for watcher in &mut watchers {
        let mut came = 0;
        while came < 40 {
            let who = watcher.expect("user joined").await[0]["username"].to_string();
            came += usize::from(who.starts_with("\"p"));
        }
    }
    for client in &mut crowd {
        client.say("41").await;
    }
    for watcher in &mut watchers {
        let mut left = HashSet::new();
        while left.len() < 40 {
            left.insert(watcher.expect("user left").await[0]["username"].to_string());
        }
    }
}

/// Guards the ways to go that a network does tell of: at once, not when some heart would have beaten.
#[tokio::test]
async fn who_hangs_up_is_missed_at_once() {
    let cluster = Cluster::of(PROGRAM, 2).await;
    let mut watcher = connected(&cluster, 0, "Watcher").await;
    let by_websocket = connected(&cluster, 1, "by WebSocket").await;
    let by_polling = counted(SocketIo::polling(cluster.nodes[1].address(), json!({})).await, "by polling").await;
    until_counted(&mut watcher, 3).await;
    drop(by_websocket);
    let left = timeout(LEFT, watcher.expect("user left")).await.expect("in time");
    assert_eq!(left[0]["username"], "by WebSocket");
    // It goes while it polls.
    let polls = tokio::spawn(async move {
        loop {
            by_polling.poll().await;
        }
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    polls.abort();
    let left = timeout(LEFT, watcher.expect("user left")).await.expect("in time");
    assert_eq!(left, [json!({"username": "by polling", "numUsers": 1})]);
}
