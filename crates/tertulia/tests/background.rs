//! Work in the background as an operator sees it: in a node, in a worker apart, and by `tertulia tasks`. And the outbox: what a
//! message causes is there if and only if the message is.

// A test fails by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::cluster::{Cluster, options};
use testkit::errand::{self, Errand};
use testkit::node::{Node, NodeOptions, raw_http};
use testkit::patience;
use testkit::postgres::Postgres;
use testkit::process::{Daemon, free_port};
use testkit::redis::Redis;
use uuid::Uuid;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tertulia");
const PATIENCE: Duration = Duration::from_secs(40);

fn database_of(url: &str) -> &str {
    url.rsplit('/').next().unwrap()
}

fn tasks(words: &[&str], url: &str) -> Errand {
    errand::run(PROGRAM, &[&["tasks"], words].concat(), &[("DATABASE_URL", url)])
}

/// Puts a dead letter and one that waits into a database that a node has migrated.
fn letters(url: &str) -> [Uuid; 2] {
    let ids = [Uuid::new_v4(), Uuid::new_v4()];
    let sql = format!(
        "INSERT INTO tasks (id, kind, payload, created_at, due_at, attempts, last_error, dead_at) VALUES
         ('{}', 'tidy', '{{}}', now(), now(), 8, E'nobody\\nat home', date_trunc('milliseconds', now())),
         ('{}', 'webhook', '{{}}', now(), date_trunc('milliseconds', now() + interval '1 hour'), 0, NULL, NULL)",
        ids[0], ids[1]
    );
    Postgres::shared().execute(database_of(url), &sql);
    ids
}

#[tokio::test]
async fn an_operator_lists_shows_retries_and_drops_tasks() {
    let url = Postgres::shared().database();
    errand::run(PROGRAM, &["migrate"], &[("DATABASE_URL", &url)]).well();
    let [dead, waits] = letters(&url);
    let listed = tasks(&["list"], &url).well();
    assert!(listed.starts_with(&format!("{waits} webhook      waiting ")) && listed.lines().count() == 1, "{listed}");
    let listed = tasks(&["list", "--dead"], &url).well();
    assert!(listed.starts_with(&format!("{dead} tidy         dead ")), "{listed}");
    assert!(listed.ends_with("  8 nobody at home\n"), "one line, whatever was said: {listed:?}");
    let shown = tasks(&["show", &dead.to_string()], &url).well();
    assert!(shown.contains("attempts  8\n") && shown.contains("error     nobody at home\n"), "{shown}");
    tasks(&["show", &Uuid::nil().to_string()], &url).badly("there is no task");
    tasks(&["retry"], &url).badly("which task?");
    assert_eq!(tasks(&["nonsense"], &url).code, Some(2));
    assert_eq!(tasks(&["show", "no-id"], &url).code, Some(2));
    assert_eq!(tasks(&["retry", "--dead"], &url).well(), "1 due again\n");
    assert_eq!(tasks(&["list", "--dead"], &url).well(), "");
    assert_eq!(tasks(&["list"], &url).well().lines().count(), 2);
    assert_eq!(tasks(&["drop", &waits.to_string()], &url).well(), "1 dropped\n");
    tasks(&["drop", &waits.to_string()], &url).badly("was left as it is");
    assert_eq!(tasks(&["list", "--limit", "1"], &url).well().lines().count(), 1);
}

#[tokio::test]
async fn a_worker_apart_does_what_nodes_leave_to_it_and_tells_prometheus() {
    let (url, redis) = (Postgres::shared().database(), Redis::start().await);
    let idle = options(PROGRAM, 1, &url).with("REDIS_URL", redis.url()).with("TERTULIA_WORKERS", 0);
    let node = Node::start(idle).await;
    let [dead, _] = letters(&url);
    assert_eq!(tasks(&["retry", &dead.to_string()], &url).well(), "1 due again\n");
    let refused = errand::run(PROGRAM, &["worker", "--workers=0"], &[("DATABASE_URL", &url)]);
    refused.badly("--workers more than 0");

    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let log = node.folder().join("worker");
    let (database, queue) = (format!("DATABASE_URL={url}"), format!("REDIS_URL={}", redis.url()));
    let listen = format!("--listen={address}");
    let command = ["env", &database, &queue, PROGRAM, "worker", &listen, "--node-name=w1", "--drain-seconds=5"];
    let mut worker = Daemon::start("KILL", &log, &command);
    let get = async |path: &str| {
        let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        raw_http(address, head.as_bytes()).await.map(|(status, _, body)| (status, body))
    };
    // It does what waited, and what happens by itself.
    let counted = "tertulia_tasks_runs_total{ending=\"done\",kind=\"tidy\"} 2";
    let done = patience(PATIENCE, async || get("/metrics").await.filter(|(_, page)| page.contains(counted)));
    let (status, page) = done.await.unwrap_or_else(|| panic!("{}", std::fs::read_to_string(&log).unwrap()));
    assert!(status == 200 && page.contains("tertulia_build_info{node=\"w1\""), "{page}");
    let well = patience(PATIENCE, async || {
        let (status, health) = get("/healthz").await?;
        let health: Value = serde_json::from_str(&health).unwrap();
        (status == 200 && health["status"] == "ok" && health["node"] == "w1").then_some(())
    });
    assert!(well.await.is_some());
    assert_eq!(get("/").await.unwrap().0, 404);
    assert_eq!(errand::run(PROGRAM, &["health", &listen], &[]).code, Some(0));
    assert_eq!(node.metric("tertulia_tasks_runs_total{ending=\"done\",kind=\"tidy\"}").await, 0.0);
    worker.signal("TERM");
    let code = patience(PATIENCE, async || worker.ended()).await;
    assert_eq!(code, Some(0), "{}", std::fs::read_to_string(&log).unwrap());
}

#[tokio::test]
async fn a_node_alone_works_too_and_what_was_dead_is_sent_again_without_it() {
    let mut node = Node::start(NodeOptions::alone(PROGRAM)).await;
    node.until("tertulia_tasks_runs_total{ending=\"done\",kind=\"tidy\"}", |done| done == 1.0).await;
    let data = format!("--data-dir={}", node.folder().join("data").display());
    // Its file is its own while it runs, but for whoever only looks.
    errand::run(PROGRAM, &["tasks", "list", &data], &[]).well();
    errand::run(PROGRAM, &["tasks", "retry", "--dead", &data], &[]).badly("another node uses");
    node.signal("TERM");
    assert_eq!(node.ended(PATIENCE).await, Some(0), "{}", node.log());
    assert_eq!(errand::run(PROGRAM, &["tasks", "retry", "--dead", &data], &[]).well(), "0 due again\n");
}

/// A node dies at each step of a message's way; in a room that somebody outside hears of, there is a task if and only if there is
/// the message. Its own death is the least of it: the retry must not cause a second one either.
#[tokio::test]
async fn wherever_a_node_dies_there_is_a_task_for_each_message_and_for_nothing_else() {
    let program =
        testkit::build::node(Path::new("../.."), env!("CARGO_TARGET_TMPDIR"), "failpoints", &["tertulia/failpoints"]);
    for point in ["taken", "committed", "published"] {
        died_at(&program, point).await;
    }
}

async fn died_at(program: &Path, point: &str) {
    let url = Postgres::shared().database();
    let cluster = Cluster::with(2, |number| {
        // Nobody takes the tasks: they are to be counted.
        let options = options(program.to_str().unwrap(), number, &url).with("TERTULIA_WORKERS", 0);
        if number == 1 { options.with("TERTULIA_FAILPOINTS", format!("{point}:3")) } else { options }
    });
    let mut cluster = cluster.await;
    let database = database_of(&url);
    let sql = "INSERT INTO webhooks (room, id, direction, name, secret, events, created_by, created_at)
        VALUES ('r', gen_random_uuid(), 'out', 'bell', '', 7, gen_random_uuid(), now())";
    Postgres::shared().execute(database, sql);
    let count = |what: &str| {
        let sql = format!("SELECT count(*) FROM {what}");
        Postgres::shared().execute(database, &sql).trim().parse::<u64>().unwrap()
    };
    let mut ana = cluster.nodes[0].guest("Ana").await;
    ana.send("r", "one").await;
    ana.send("elsewhere", "nobody outside hears this").await;
    let unanswered = json!({"type": "send", "room": "r", "id": Uuid::new_v4().to_string(), "text": "two"});
    ana.say(unanswered.clone()).await;
    ana.closed().await;
    assert_eq!(cluster.nodes[0].ended(PATIENCE).await, Some(128 + 6), "{}", cluster.nodes[0].log());
    // What a connection had under way when it was cut is committed or not within moments.
    let kept = if point == "taken" { 1 } else { 2 };
    assert_eq!(count("messages WHERE room = 'r'"), kept, "dead when {point}");
    assert_eq!(count("tasks WHERE kind = 'webhook'"), kept, "dead when {point}");
    let mut ana = cluster.nodes[1].guest("Ana").await;
    ana.say(unanswered.clone()).await;
    ana.expect("ack").await;
    assert_eq!(
        (count("messages WHERE room = 'r'"), count("tasks WHERE kind = 'webhook'")),
        (2, 2),
        "dead when {point}"
    );
}
