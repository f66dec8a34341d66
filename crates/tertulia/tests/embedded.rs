//! One node on SQLite and what may happen to it: kills in the middle of commits, a full disk, and whether it really waits
//! for the disk.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::client::Client;
use testkit::node::{Node, NodeOptions};
use testkit::patience;
use testkit::process::{Daemon, Folder};
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(30);

fn options() -> NodeOptions {
    NodeOptions::alone(env!("CARGO_BIN_EXE_tertulia"))
}

/// Everything of the room, by id, and its numbers in order.
async fn kept(client: &mut Client) -> (HashMap<String, u64>, Vec<u64>) {
    let (mut by_id, mut numbers, mut after) = (HashMap::new(), Vec::new(), 0);
    loop {
        client.say(json!({"type": "join", "room": "r", "after": after})).await;
        let page = client.expect("joined").await;
        for message in page["messages"].as_array().unwrap() {
            let seq = message["seq"].as_u64().unwrap();
            let twice = by_id.insert(message["id"].as_str().unwrap().to_owned(), seq);
            assert_eq!(twice, None, "one id, two messages");
            numbers.push(seq);
        }
        after = page["head"].as_u64().unwrap();
        if page["more"] == false {
            return (by_id, numbers);
        }
    }
}

/// Guards against an acknowledgement before the commit, against halves of batches, and against ids that are not looked up.
#[tokio::test]
async fn killed_in_the_middle_of_commits_it_has_every_acknowledged_message_once() {
    let mut node = Node::start(options()).await;
    let mut acked: HashMap<String, u64> = HashMap::new();
    let mut open: HashSet<String> = HashSet::new();
    for round in 0..10 {
        let mut client = node.guest("Ana").await;
        let (by_id, numbers) = kept(&mut client).await;
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "round {round}");
        for (id, seq) in &acked {
            assert_eq!(by_id.get(id), Some(seq), "round {round}");
        }
        // What is not known is said again, and then more.
        open.extend((0..200).map(|_| Uuid::new_v4().to_string()));
        for id in &open {
            client.say(json!({"type": "send", "room": "r", "id": id, "text": "here I am"})).await;
        }
        let until = 20 + 13 * round;
        for _ in 0..until {
            let ack = client.expect("ack").await;
            let (id, seq) = (ack["id"].as_str().unwrap().to_owned(), ack["seq"].as_u64().unwrap());
            if let Some(known) = by_id.get(&id) {
                assert_eq!(seq, *known, "the second acknowledgement names the first number");
            }
            open.remove(&id);
            acked.insert(id, seq);
        }
        node.kill();
        // What came before the kill counts too.
        while let Some(frame) = client.next_frame().await {
            if frame["type"] == "ack" {
                let id = frame["id"].as_str().unwrap().to_owned();
                open.remove(&id);
                acked.insert(id, frame["seq"].as_u64().unwrap());
            }
        }
        node.start_again().await;
    }
    assert!(acked.len() > 700, "{}", acked.len());
}

/// Guards against a store that acknowledges what only the system's memory holds: between the first write of a text and its
/// acknowledgement a sync must have ended.
#[tokio::test]
async fn each_acknowledgement_waits_for_the_disk() {
    let node = Node::start(options()).await;
    let mut ana = node.guest("Ana").await;
    ana.join("r").await;
    let folder = TempDir::new().unwrap();
    let (trace, log) = (folder.path().join("trace"), folder.path().join("log"));
    let (pid, file) = (node.pid().unwrap().to_string(), trace.to_str().unwrap());
    let calls = "trace=pwrite64,fsync,fdatasync,write,writev,sendto,sendmsg";
    let command = ["strace", "-f", "-s", "10000", "-e", calls, "-o", file, "-p", &pid];
    let strace = Daemon::start("INT", &log, &command);
    let attached = patience(PATIENCE, async || {
        std::fs::read_to_string(&log).is_ok_and(|said| said.contains("attached")).then_some(())
    });
    assert!(attached.await.is_some(), "strace: {:?}", std::fs::read_to_string(&log));
    let mut said = Vec::new();
    for number in 0..10 {
        let (id, text) = (Uuid::new_v4().to_string(), format!("is it there? {number}"));
        ana.say(json!({"type": "send", "room": "r", "id": id, "text": text})).await;
        ana.expect("ack").await;
        said.push((id, text));
    }
    drop(strace);
    let trace = std::fs::read_to_string(&trace).unwrap();
    let lines: Vec<&str> = trace.lines().collect();
    for (id, text) in said {
        let written = lines.iter().position(|line| line.contains("pwrite64") && line.contains(&text));
        let acked = lines.iter().position(|line| line.contains(r#"\"ack\""#) && line.contains(&id));
        let (Some(written), Some(acked)) = (written, acked) else { panic!("{written:?}, {acked:?} in {trace}") };
        assert!(written < acked, "acknowledged before it was written");
        let synced = lines[written..acked].iter().any(|line| line.contains("sync") && line.ends_with("= 0"));
        assert!(synced, "acknowledged before it was flushed: {:#?}", &lines[written..=acked]);
    }
}

async fn send(client: &mut Client, id: &str) -> Value {
    client.say(json!({"type": "send", "room": "r", "id": id, "text": "x".repeat(10_000)})).await;
    client
        .expect_where("ack or error", |frame| (frame["type"] == "ack" || frame["type"] == "error") && frame["id"] == id)
        .await
}

#[tokio::test]
async fn on_a_full_disk_sends_are_refused_for_now_and_go_on_by_themselves_when_there_is_room() {
    let disk = Folder::small_disk(16);
    let node =
        Node::start(options().with("DATABASE_URL", format!("sqlite:{}", disk.path().join("chat.db").display()))).await;
    let mut ana = node.guest("Ana").await;
    ana.join("r").await;
    ana.send("r", "before").await;
    disk.fill();
    let (refused, id) = loop {
        let id = Uuid::new_v4().to_string();
        let answer = send(&mut ana, &id).await;
        if answer["type"] == "error" {
            break (answer, id);
        }
    };
    assert_eq!(refused["code"], "unavailable", "{refused}");
    assert!(refused["retry_after_ms"].is_u64(), "{refused}");
    // The connection is the same, and what is there can be read.
    ana.say(json!({"type": "history", "room": "r", "limit": 1})).await;
    assert_eq!(ana.expect("history").await["messages"].as_array().map(Vec::len), Some(1));
    disk.free();
    let kept_at_last = patience(PATIENCE, async || {
        let answer = send(&mut ana, &id).await;
        (answer["type"] == "ack").then_some(answer)
    });
    assert!(kept_at_last.await.is_some(), "{}", node.log());
    let (by_id, numbers) = kept(&mut ana).await;
    assert!(by_id.contains_key(&id));
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
}
