//! A node dies at each step that a message takes, and its promises hold all the same. The node is built here, with fail-points;
//! it stands on real Postgres and Redis, beside two that live.

// A test fails by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::client::Client;
use testkit::cluster::{Cluster, options};
use testkit::postgres::Postgres;
use uuid::Uuid;

/// Within this a lost publication is promised to be repaired.
const REPAIRED_WITHIN: Duration = Duration::from_secs(5);

static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// The program with fail-points in it.
fn program() -> &'static str {
    let build = || {
        testkit::build::node(Path::new("../.."), env!("CARGO_TARGET_TMPDIR"), "failpoints", &["tertulia/failpoints"])
    };
    PROGRAM.get_or_init(build).to_str().unwrap()
}

/// Three nodes, of which the first dies at its second batch's passing of a point; a reader on each of the others; and the
/// message that it died of, unanswered.
struct Scene {
    cluster: Cluster,
    readers: [Client; 2],
    unanswered: Value,
    died: Instant,
}

impl Scene {
    async fn of(point: &str) -> Self {
        let database = Postgres::shared().database();
        let cluster = Cluster::with(3, |number| {
            let options = options(program(), number, &database);
            if number == 1 { options.with("TERTULIA_FAILPOINTS", format!("{point}:2")) } else { options }
        });
        let mut cluster = cluster.await;
        let mut readers = [cluster.nodes[1].guest("Ben").await, cluster.nodes[2].guest("Cleo").await];
        for reader in &mut readers {
            reader.join("r").await;
        }
        let mut ana = cluster.nodes[0].guest("Ana").await;
        ana.send("r", "one").await;
        for reader in &mut readers {
            reader.heard("r", &["one"]).await;
        }
        let unanswered = json!({"type": "send", "room": "r", "id": Uuid::new_v4().to_string(), "text": "two"});
        ana.say(unanswered.clone()).await;
        ana.closed().await;
        let died = Instant::now();
        assert_eq!(ana.heard_already("ack"), 0, "it died before it could answer");
        let code = cluster.nodes[0].ended(Duration::from_secs(20)).await;
        assert_eq!(code, Some(128 + 6), "it ended by itself, on the spot: {}", cluster.nodes[0].log());
        Self { cluster, readers, unanswered, died }
    }

    /// Both readers get the second message in time although nobody says anything more.
    async fn is_repaired(&mut self) {
        for reader in &mut self.readers {
            let message = reader.expect("message").await;
            assert_eq!((&message["seq"], &message["id"]), (&json!(2), &self.unanswered["id"]), "{message}");
            assert!(self.died.elapsed() < REPAIRED_WITHIN, "after {:?}", self.died.elapsed());
        }
    }

    /// The sender comes to another node and sends the same again.
    async fn sent_again(&self) -> Value {
        let mut ana = self.cluster.nodes[1].guest("Ana").await;
        ana.say(self.unanswered.clone()).await;
        let ack = ana.expect("ack").await;
        assert_eq!(ack["id"], self.unanswered["id"]);
        ack
    }

    /// Nobody gets anything more, and the room holds these two messages.
    async fn is_told_once(&mut self) {
        // What is said next comes behind whatever else there is.
        let mut ana = self.cluster.nodes[1].guest("Ana").await;
        assert_eq!(ana.send("r", "three").await["seq"], 3);
        for reader in &mut self.readers {
            reader.heard("r", &["three"]).await;
        }
        let held = ana.join("r").await;
        let ids: Vec<&Value> = held["messages"].as_array().unwrap().iter().map(|message| &message["id"]).collect();
        assert_eq!((ids.len(), ids[1], &held["head"]), (3, &self.unanswered["id"], &json!(3)), "{held}");
    }
}

/// Guards against a node that acknowledges before it publishes, a sweep that does not find what nobody else can know of, and a
/// retry that is numbered anew.
#[tokio::test]
async fn dead_between_commit_and_publication_the_message_is_found_and_its_retry_knows_its_number() {
    let mut scene = Scene::of("committed").await;
    scene.is_repaired().await;
    for node in &scene.cluster.nodes[1..] {
        // Nothing but the sweep can have found it, and it says so.
        node.until("tertulia_sweep_found_total", |found| found == 1.0).await;
        node.until("tertulia_gaps_total{cause=\"sweep\"}", |found| found == 1.0).await;
    }
    assert_eq!(scene.sent_again().await["seq"], 2);
    scene.is_told_once().await;
}

/// Guards against an acknowledgement that runs ahead of the publication; whether Redis still got that is open.
#[tokio::test]
async fn dead_between_publication_and_acknowledgement_the_message_is_there_once() {
    let mut scene = Scene::of("published").await;
    scene.is_repaired().await;
    assert_eq!(scene.sent_again().await["seq"], 2);
    scene.is_told_once().await;
}

/// Guards against a publication or an acknowledgement of what is not committed.
#[tokio::test]
async fn dead_before_the_commit_nothing_was_said_until_it_is_sent_again() {
    let mut scene = Scene::of("taken").await;
    let stored = scene.cluster.nodes[1].guest("Dan").await.join("r").await;
    assert_eq!(stored["head"], 1, "{stored}");
    // The retry takes the number that the dead node had not taken.
    assert_eq!(scene.sent_again().await["seq"], 2);
    for reader in &mut scene.readers {
        reader.heard("r", &["two"]).await;
    }
    scene.is_told_once().await;
}

/// Guards against a misspelt point, which would never be passed and prove nothing.
#[test]
fn a_point_that_is_not_there_is_an_error_at_the_start() {
    // Who starts to serve all the same is ended, with another code.
    let mut command = Command::new("timeout");
    command.args(["20", program(), "serve", "--listen=127.0.0.1:0", "--data-dir", env!("CARGO_TARGET_TMPDIR")]);
    let output = command.env("TERTULIA_FAILPOINTS", "comitted:1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("comitted"), "{:?} {said}", output.status);
}
