//! Rooms that forget, seen from outside: positions below the floor, ids of what is gone, the task, and what travels.

// A test fails by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use serde_json::{Value, json};
use testkit::client::Client;
use testkit::cluster::{self, Cluster};
use testkit::errand::{self, Errand};
use testkit::node::{Node, NodeOptions};
use testkit::patience;
use testkit::postgres::Postgres;
use testkit::socketio::SocketIo;
use uuid::Uuid;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tertulia");
/// What a fact may take to come true. Far more than it needs.
const SOON: Duration = Duration::from_secs(30);

fn rooms(database: &str, args: &[&str]) -> Errand {
    errand::run(PROGRAM, &[&["rooms"], args].concat(), &[("DATABASE_URL", database)])
}

fn sql(database: &str, statement: &str) -> String {
    Postgres::shared().execute(database.rsplit('/').next().unwrap(), statement).trim().to_owned()
}

/// Ten messages, `m1` to `m10`, and the frame that said the first.
async fn fill(ana: &mut Client) -> Value {
    let first = json!({"type": "send", "room": "general", "id": Uuid::new_v4().to_string(), "text": "m1"});
    ana.say(first.clone()).await;
    ana.expect("ack").await;
    for number in 2..=10 {
        ana.send("general", &format!("m{number}")).await;
    }
    first
}

async fn returns(client: &mut Client, after: u64) -> Value {
    client.say(json!({"type": "join", "room": "general", "after": after})).await;
    client.expect("joined").await
}

/// Comes back until it is told to start afresh.
async fn is_reset(client: &mut Client, after: u64) -> Value {
    let reset = patience(SOON, async || {
        let answer = returns(client, after).await;
        (answer["reset"] == true).then_some(answer)
    });
    reset.await.expect("nodes learn what a room has forgotten")
}

fn seqs(answer: &Value) -> Vec<u64> {
    answer["messages"].as_array().unwrap().iter().map(|message| message["seq"].as_u64().unwrap()).collect()
}

/// Guards what is promised of a room that forgets: a reset below the floor and only there, ids that stay known, numbers that go on.
#[tokio::test]
async fn who_stands_below_the_floor_starts_afresh_and_nobody_else_notices() {
    let database = Postgres::shared().database();
    let cluster = Cluster::with(2, |number| cluster::options(PROGRAM, number, &database)).await;
    let [a, b] = &cluster.nodes[..] else { unreachable!() };
    let (mut ana, mut ben) = (a.guest("Ana").await, b.guest("Ben").await);
    ben.join("general").await;
    let first = fill(&mut ana).await;
    ben.expect_where("the tenth", |frame| frame["type"] == "message" && frame["seq"] == 10).await;
    ben.take_heard("message");

    rooms(&database, &["forget", "general"]).badly("keeps everything");
    rooms(&database, &["set", "general"]).badly("keep what?");
    assert_eq!(rooms(&database, &["set", "general", "--keep-messages=4"]).well(), "general keeps the newest 4\n");
    assert_eq!(rooms(&database, &["show"]).well(), "general keeps the newest 4\n");
    assert_eq!(rooms(&database, &["forget", "general"]).well(), "6 messages gone, floor 6\n");
    let shown = rooms(&database, &["show", "general"]).well();
    assert!(shown.contains("head   10\nfloor  6\n"), "{shown}");
    assert_eq!(sql(&database, "SELECT count(*) FROM messages"), "4");

    // On both nodes: by position, from the start, and by the tail.
    for node in [a, b] {
        let mut cleo = node.guest("Cleo").await;
        let answer = is_reset(&mut cleo, 3).await;
        assert_eq!((seqs(&answer), &answer["more"], &answer["head"]), (vec![7, 8, 9, 10], &json!(false), &json!(10)));
        assert_eq!(seqs(&is_reset(&mut cleo, 0).await), [7, 8, 9, 10]);
        let answer = returns(&mut cleo, 6).await;
        assert_eq!((seqs(&answer), &answer["reset"]), (vec![7, 8, 9, 10], &json!(false)));
        let answer = returns(&mut cleo, 9).await;
        assert_eq!((seqs(&answer), &answer["reset"]), (vec![10], &json!(false)));
        cleo.say(json!({"type": "history", "room": "general", "before": 9, "limit": 50})).await;
        let answer = cleo.expect("history").await;
        assert_eq!((seqs(&answer), &answer["more"]), (vec![7, 8], &json!(false)));
    }

    // What is gone cannot be changed, and its id is known: nothing is said again.
    ana.say(json!({"type": "edit", "room": "general", "seq": 1, "text": "again"})).await;
    ana.refused("not_found").await;
    ana.say(first.clone()).await;
    assert_eq!(ana.expect("ack").await["seq"], 1);
    let mut other = first.clone();
    other["text"] = json!("other words");
    ana.say(other).await;
    ana.refused("id_taken").await;
    assert_eq!(ana.send("general", "m11").await["seq"], 11);
    let heard = ben.expect("message").await;
    assert_eq!(
        (&heard["seq"], &heard["text"]),
        (&json!(11), &json!("m11")),
        "the next that is heard is the next that was said"
    );

    // Clients of Socket.IO: an offset below is worth nothing, and one above is as good as any.
    for (offset, wanted) in [(2, 7), (0, 7), (6, 7), (9, 10)] {
        let mut dan = SocketIo::connect(b.address(), json!({"serverOffset": offset})).await;
        let heard: Vec<u64> = dan.heard_until("m11").await.into_iter().map(|(seq, _)| seq).collect();
        assert_eq!(heard, (wanted..=11).collect::<Vec<u64>>(), "after {offset}");
    }
}

/// Guards the work in the background: what a policy wants gone goes by itself, and an export is what the command writes.
#[tokio::test]
async fn tasks_forget_and_export() {
    let database = Postgres::shared().database();
    let node = Node::start(NodeOptions::alone(PROGRAM).with("DATABASE_URL", &database)).await;
    let mut ana = node.guest("Ana").await;
    fill(&mut ana).await;
    rooms(&database, &["set", "general", "--keep-messages=3", "--keep-days=7"]).well();
    let task = |kind: &str, payload: &str| {
        let columns = "(id, kind, payload, created_at, due_at, kept_for)";
        let values = format!("(gen_random_uuid(), '{kind}', '{payload}', now(), now(), 60)");
        sql(&database, &format!("INSERT INTO tasks {columns} VALUES {values} RETURNING id"))
            .lines()
            .next()
            .unwrap()
            .to_owned()
    };
    // Each minute there is one by itself; this one is sooner.
    task("retention", "{}");
    let floor = || sql(&database, "SELECT floor FROM heads WHERE room = 'general'");
    assert!(patience(SOON, async || (floor() == "7").then_some(())).await.is_some(), "floor {}", floor());
    node.until("tertulia_retention_forgotten_total", |gone| gone == 7.0).await;

    let export = task("export", r#"{"room":"general"}"#);
    let select = format!("SELECT coalesce(chunks, 0) FROM exports WHERE room = 'general' AND id = '{export}'");
    assert!(patience(SOON, async || (sql(&database, &select) == "1").then_some(())).await.is_some());
    let lines = sql(&database, "SELECT convert_from(lines, 'UTF8') FROM export_chunks ORDER BY number");
    let command = errand::run(PROGRAM, &["export", "--room=general"], &[("DATABASE_URL", &database)]).well();
    let but_first = |lines: &str| lines.trim().lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(but_first(&lines), but_first(&command));
    assert_eq!(lines.lines().filter(|line| line.starts_with(r#"{"kind":"id""#)).count(), 7);

    // What can never be done is not tried again.
    let nowhere = task("export", r#"{"room":"nowhere"}"#);
    let dead = format!("SELECT count(*) FROM tasks WHERE id = '{nowhere}' AND dead_at IS NOT NULL");
    assert!(patience(SOON, async || (sql(&database, &dead) == "1").then_some(())).await.is_some());
}

/// Guards ids and floors on the way to another store.
#[tokio::test]
async fn what_a_room_has_forgotten_travels_as_ids() {
    let database = Postgres::shared().database();
    let node = Node::start(NodeOptions::alone(PROGRAM).with("DATABASE_URL", &database)).await;
    let mut ana = node.guest("Ana").await;
    let first = fill(&mut ana).await;
    rooms(&database, &["forget", "general", "--up-to=8"]).well();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("chat.jsonl");
    let file = file.to_str().unwrap();
    errand::run(PROGRAM, &["export", "--output", file], &[("DATABASE_URL", &database)]).well();

    let there = format!("sqlite:{}", folder.path().join("there.db").display());
    for _ in 0..2 {
        errand::run(PROGRAM, &["import", file], &[("DATABASE_URL", &there)]).well();
    }
    assert!(rooms(&there, &["show", "general"]).well().contains("head   10\nfloor  8\n"));
    let node = Node::start(NodeOptions::alone(PROGRAM).with("DATABASE_URL", &there)).await;
    let mut ben = node.guest("Ben").await;
    assert_eq!(seqs(&is_reset(&mut ben, 1).await), [9, 10]);
    ben.say(first).await;
    assert_eq!(ben.expect("ack").await["seq"], 1);
    assert_eq!(ben.send("general", "here").await["seq"], 11);
}
