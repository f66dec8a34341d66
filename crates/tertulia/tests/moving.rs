//! Rooms that move from one store to another by `export` and `import`, with people in them.

// A test fails by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use testkit::client::Client;
use testkit::errand::{self, Errand, SECRET};
use testkit::node::{Node, NodeOptions};
use testkit::postgres::Postgres;
use uuid::Uuid;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tertulia");

/// Where a store is: an address.
struct Place(String);

impl Place {
    fn postgres() -> Self {
        Self(Postgres::shared().database())
    }

    fn sqlite(folder: &Path) -> Self {
        Self(format!("sqlite:{}", folder.join("tertulia.db").display()))
    }

    fn run(&self, args: &[&str]) -> Errand {
        errand::run(PROGRAM, args, &[("DATABASE_URL", &self.0)])
    }

    /// The lines of an export without the first, which tells the time.
    fn lines(&self) -> Vec<String> {
        let said = self.run(&["export"]).well();
        said.lines().skip(1).map(str::to_owned).collect()
    }

    fn import(&self, file: &Path) -> Errand {
        self.run(&["import", file.to_str().unwrap()])
    }

    /// On Postgres.
    fn epoch(&self) -> String {
        let database = self.0.rsplit('/').next().unwrap();
        let told = Postgres::shared().execute(database, "SELECT value FROM settings WHERE key = 'epoch'");
        told.trim().to_owned()
    }

    fn options(&self) -> NodeOptions {
        NodeOptions::alone(PROGRAM).with("DATABASE_URL", &self.0).with("TERTULIA_SECRET", SECRET)
    }

    async fn node(&self) -> Node {
        Node::start(self.options()).await
    }
}

/// Says things as fast as they are taken.
async fn says(client: &mut Client, room: &str, count: usize) {
    for number in 0..count {
        let id = Uuid::new_v4().to_string();
        client.say(json!({"type": "send", "room": room, "id": id, "text": format!("word {number}")})).await;
    }
    for _ in 0..count {
        client.expect("ack").await;
    }
}

async fn everything(client: &mut Client, room: &str) -> Value {
    client.say(json!({"type": "history", "room": room, "limit": 500})).await;
    client.expect("history").await["messages"].clone()
}

/// From a laptop to a cluster and back: what people see is the same, their ids are known, and what they said is theirs.
#[tokio::test]
async fn a_chat_moves_to_a_cluster_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("chat.jsonl");
    let (laptop, cluster) = (Place::sqlite(folder.path()), Place::postgres());
    let old_node = laptop.node().await;
    let (mut ana, mut ben) = (old_node.client().await, old_node.guest("Ben").await);
    let token = ana.hello("Ana").await["token"].clone();
    let id = Uuid::new_v4().to_string();
    let first = json!({"type": "send", "room": "r", "id": id, "text": "¡hola, \"tú\"!\n"});
    ana.say(first.clone()).await;
    ana.expect("ack").await;
    ben.say(json!({"type": "send", "room": "r", "id": Uuid::new_v4().to_string(), "text": "hi", "reply_to": 1})).await;
    ben.expect("ack").await;
    ana.send("r", "to be forgotten").await;
    ana.say(json!({"type": "delete", "room": "r", "seq": 3})).await;
    ana.say(json!({"type": "edit", "room": "r", "seq": 1, "text": "hola"})).await;
    ben.send("Música-2", "la").await;
    ana.expect_where("the ack of the edit", |frame| frame["type"] == "ack" && frame["rev"] == 5).await;
    let before = everything(&mut ana, "r").await;

    // A node may be running on the file meanwhile.
    laptop.run(&["export", "--output", file.to_str().unwrap()]).well();
    cluster.import(&file).well();
    assert_eq!(cluster.lines(), laptop.lines());

    let node = cluster.node().await;
    let mut ana = node.client().await;
    ana.say(json!({"type": "hello", "token": token})).await;
    ana.expect("welcome").await;
    assert_eq!(everything(&mut ana, "r").await, before);
    ana.say(first).await;
    assert_eq!(ana.expect("ack").await["seq"], 1, "a retry is known by its first words");
    ana.say(json!({"type": "send", "room": "r", "id": id, "text": "hola"})).await;
    ana.refused("id_taken").await;
    ana.say(json!({"type": "edit", "room": "r", "seq": 1, "text": "hola a todos"})).await;
    assert_eq!(ana.expect("ack").await["rev"], 6);
    assert_eq!(ana.send("r", "here now").await["seq"], 7);

    // Back to where it came from, and to a new place. What was said meanwhile is added.
    drop(old_node);
    cluster.run(&["export", "--output", file.to_str().unwrap()]).well();
    for place in [laptop, Place::sqlite(&folder.path().join("new"))] {
        place.import(&file).well();
        assert_eq!(place.lines(), cluster.lines());
    }
}

/// A position from before an import is worth nothing after it, wherever it comes from; nobody misses anything.
#[tokio::test]
async fn a_node_that_runs_meanwhile_notices() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("chat.jsonl");
    let (laptop, cluster) = (Place::sqlite(folder.path()), Place::postgres());
    let node = laptop.node().await;
    says(&mut node.guest("Ana").await, "moved", 700).await;
    laptop.run(&["export", "--output", file.to_str().unwrap()]).well();

    let north = cluster.node().await;
    let (mut ben, mut cleo) = (north.guest("Ben").await, north.guest("Cleo").await);
    ben.send("lobby", "before").await;
    let joined = ben.join("lobby").await;
    cleo.join("moved").await;
    cluster.import(&file).well();
    for client in [&mut ben, &mut cleo] {
        assert_eq!(client.expect("bye").await["reason"], "reset");
        client.closed().await;
    }
    // The import ends with a new epoch; a node may have seen the one before too.
    let returned = testkit::patience(Duration::from_secs(20), async || {
        let mut ben = north.guest("Ben").await;
        ben.say(json!({"type": "join", "room": "lobby", "after": joined["head"], "epoch": joined["epoch"]})).await;
        let answer = ben.expect("joined").await;
        assert_eq!((&answer["reset"], &answer["messages"][0]["text"]), (&json!(true), &json!("before")));
        (answer["epoch"] == cluster.epoch()).then_some(ben)
    });
    let mut ben = returned.await.expect("the node has the epoch of the store");
    assert_eq!(ben.join("moved").await["head"], 700);
    assert_eq!(ben.send("moved", "after").await["seq"], 701);
    ben.heard("moved", &["after"]).await;
}

#[tokio::test]
async fn an_import_that_was_killed_is_run_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("chat.jsonl");
    let (laptop, cluster) = (Place::sqlite(folder.path()), Place::postgres());
    let node = laptop.node().await;
    says(&mut node.guest("Ana").await, "r", 1200).await;
    let said = laptop.run(&["export", "--output", file.to_str().unwrap()]);
    assert!(said.complained.contains("exported 1200 messages of 1 room"), "{said:?}");

    let mut import = Command::new(PROGRAM);
    import.arg("import").env("DATABASE_URL", &cluster.0).stdin(Stdio::piped());
    let mut import = import.spawn().unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    let half: String = text.split_inclusive('\n').take(900).collect();
    let mut pipe = import.stdin.take().unwrap();
    pipe.write_all(half.as_bytes()).unwrap();
    let begun = testkit::patience(Duration::from_secs(20), async || {
        (cluster.run(&["export"]).said.lines().count() > 100).then_some(())
    });
    assert!(begun.await.is_some(), "nothing is imported");
    import.kill().unwrap();
    import.wait().unwrap();

    // One that ends too early says so, and keeps what came.
    let part = folder.path().join("part.jsonl");
    std::fs::write(&part, &half[..half.len() - 20]).unwrap();
    cluster.import(&part).badly("too early");
    let told = cluster.import(&file);
    assert!(told.complained.contains("read 1200 messages of 1 room, "), "{told:?}");
    told.well();
    assert_eq!(cluster.lines(), laptop.lines());
    let epoch = cluster.epoch();
    let again = cluster.import(&file);
    assert!(again.complained.contains(", 0 of them new here"), "{again:?}");
    assert_ne!(cluster.epoch(), epoch, "who was interrupted before the last step takes it now");
}

/// A room is written as it was at one moment, though people talk and change what they said while it is read.
#[tokio::test]
async fn an_export_of_a_busy_room_is_of_one_moment() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (Place::postgres(), Place::sqlite(folder.path()));
    let node = here.node().await;
    let mut ana = node.guest("Ana").await;
    says(&mut ana, "r", 2500).await;
    let mut export = Command::new(PROGRAM);
    export.args(["export", "--room=r"]).env("DATABASE_URL", &here.0).stdout(Stdio::piped());
    let mut export = export.spawn().unwrap();
    // It cannot end before its lines are read: a pipe does not hold them all.
    let mut lines = BufReader::new(export.stdout.take().unwrap());
    let mut text = String::new();
    lines.read_line(&mut text).unwrap();
    lines.read_line(&mut text).unwrap();
    for (seq, rev) in [(1, 2501), (2500, 2502), (1, 2503)] {
        ana.say(json!({"type": "edit", "room": "r", "seq": seq, "text": format!("at {rev}")})).await;
        ana.expect_where("the ack", |frame| frame["type"] == "ack" && frame["rev"] == rev).await;
    }
    ana.send("r", "late").await;
    lines.read_to_string(&mut text).unwrap();
    assert!(export.wait().unwrap().success());
    let of_first = text.lines().filter(|line| line.contains("\"seq\":1,")).count();
    assert!(text.contains("late") && of_first == 2, "{of_first}");

    let file = folder.path().join("chat.jsonl");
    std::fs::write(&file, &text).unwrap();
    there.import(&file).well();
    assert_eq!(there.lines(), here.lines());
    there.import(&file).well();
}

#[tokio::test]
async fn a_room_where_others_talk_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("chat.jsonl");
    let (laptop, cluster) = (Place::sqlite(folder.path()), Place::postgres());
    let node = laptop.node().await;
    let mut ana = node.guest("Ana").await;
    for room in ["a", "b", "c"] {
        ana.send(room, "from the laptop").await;
    }
    laptop.run(&["export", "--output", file.to_str().unwrap()]).well();
    let node = cluster.node().await;
    node.guest("Ben").await.send("b", "from the cluster").await;
    let told = cluster.import(&file);
    assert!(told.complained.contains("--room"), "{told:?}");
    told.badly("the room b has other messages here");
    assert!(cluster.lines().iter().any(|line| line.contains("from the cluster")));

    laptop.run(&["export", "--room=c", "--output", file.to_str().unwrap()]).well();
    cluster.import(&file).well();
    let rooms: Vec<String> = cluster.lines().into_iter().filter(|line| line.contains("\"room\"")).collect();
    assert_eq!(rooms.len(), 3, "{rooms:?}");
    laptop.run(&["export", "--room=nowhere"]).badly("no room nowhere");
}

#[tokio::test]
async fn a_file_that_is_no_export_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("chat.jsonl");
    let laptop = Place::sqlite(folder.path());
    let wrong = |lines: &str, about: &str| {
        std::fs::write(&file, lines).unwrap();
        let told = laptop.import(&file);
        assert_eq!(told.complained.lines().count(), 1, "{told:?}");
        told.badly(about);
    };
    let first = r#"{"kind":"export","version":1,"program":"p","at":"2026-11-25T03:00:21.997Z"}"#;
    for lines in ["", "nonsense\n", "{}\n", "[1]\n", &"x".repeat(1 << 20)] {
        wrong(lines, "was not written by `tertulia export`");
    }
    wrong(&first.replace("\"version\":1", "\"version\":2"), "has form 2");
    assert!(!folder.path().join("tertulia.db").exists(), "a wrong file makes no database");
    let room = r#"{"kind":"room","room":"r","head":1}"#;
    for (line, about) in [
        ("nonsense", "line 2"),
        (first, "another export begins here"),
        (r#"{"kind":"dance"}"#, "dance"),
        (r#"{"kind":"room","room":"a b","head":1}"#, "line 2"),
        (r#"{"kind":"message","seq":1}"#, "line 2"),
        (r#"{"kind":"end","rooms":1,"messages":3}"#, "lines are missing"),
        (room, "too early"),
        (&format!("{room}\n{{\"kind\":\"end\",\"rooms\":1,\"messages\":0}}\n{room}"), "something follows the end"),
        (&"x".repeat(1 << 20), "too long"),
    ] {
        wrong(&format!("{first}\n{line}\n"), about);
    }
    Place::sqlite(&folder.path().join("void")).run(&["export"]).badly("there is no file");
    laptop.run(&["import", "/nowhere/at/all"]).badly("cannot be read");
    laptop.run(&["export", "--output", "/nowhere/at/all"]).badly("cannot be written");
}
