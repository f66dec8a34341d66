//! Unchanged Socket.IO clients, from npm and PyPI and in a browser: on Socket.IO's own server, so that the tests are
//! known to be right, and then on three nodes.

// A test fails by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use testkit::cluster::{Cluster, options};
use testkit::errand;
use testkit::haproxy::HaProxy;
use testkit::postgres::Postgres;
use testkit::process::free_port;
use tokio::process::Command;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tertulia");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Where pages of two other origins are; nodes are told to let them in.
struct Pages([String; 2]);

impl Pages {
    fn somewhere() -> Self {
        Self([0, 1].map(|_| format!("http://127.0.0.1:{}", free_port())))
    }
}

async fn cluster_open_to(pages: &Pages, count: usize) -> Cluster {
    let database = Postgres::shared().database();
    let pages = pages.0.join(",");
    Cluster::with(count, |number| options(PROGRAM, number, &database).with("TERTULIA_ALLOWED_ORIGINS", &pages)).await
}

fn urls(cluster: &Cluster) -> String {
    cluster.nodes.iter().map(testkit::node::Node::url).collect::<Vec<_>>().join(",")
}

/// Runs some of the files beside this one.
async fn node_tests(files: &[&str], pages: &Pages, environment: &[(&str, &str)]) {
    let python = root().join("target/socketio-python/bin/python");
    let folder = root().join("crates/tertulia/tests/socketio_clients");
    for tool in [&python, &folder.join("node_modules"), &root().join("examples/socketio-js/node_modules")] {
        assert!(
            tool.exists(),
            "{} is missing: `scripts/install-test-tools` brings it, and `make test` runs that first",
            tool.display()
        );
    }
    let tests = Command::new("node")
        // Most of the time they wait, and some of them for hearts to beat.
        .args(["--test", "--test-concurrency=4"])
        .args(files)
        .current_dir(folder)
        .env("TERTULIA_PYTHON", python)
        .envs(["TERTULIA_PAGES", "TERTULIA_OTHER_PAGES"].into_iter().zip(&pages.0))
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output =
        tokio::time::timeout(Duration::from_secs(300), tests).await.expect("the tests end").expect("node runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

const CONTRACT: [&str; 6] = [
    "tutorial.test.mjs",
    "dialects.test.mjs",
    "python.test.mjs",
    "packets.test.mjs",
    "wire.test.mjs",
    "heartbeat.test.mjs",
];

/// Takes its time, and so has nodes of its own.
const HISTORY: &str = "history.test.mjs";

#[tokio::test]
async fn what_the_tests_expect_socket_io_s_own_server_does() {
    let pages = Pages::somewhere();
    let files: Vec<&str> = CONTRACT.into_iter().chain([HISTORY]).collect();
    node_tests(&files, &pages, &[("TERTULIA_URLS", "socket.io")]).await;
}

#[tokio::test]
async fn unchanged_clients_are_at_home_on_three_nodes() {
    let pages = Pages::somewhere();
    let cluster = cluster_open_to(&pages, 3).await;
    let files: Vec<&str> = CONTRACT.into_iter().chain(["examples.test.mjs"]).collect();
    node_tests(&files, &pages, &[("TERTULIA_URLS", &urls(&cluster))]).await;
}

#[tokio::test]
async fn a_long_history_reaches_slow_clients_whole() {
    let pages = Pages::somewhere();
    let cluster = cluster_open_to(&pages, 3).await;
    node_tests(&[HISTORY], &pages, &[("TERTULIA_URLS", &urls(&cluster))]).await;
}

/// Runs a file behind the front door of some nodes, which it may end.
async fn behind_the_door(nodes: usize, file: &str) {
    let pages = Pages::somewhere();
    let cluster = cluster_open_to(&pages, nodes).await;
    let proxy = HaProxy::before(&cluster.addresses()).await;
    let nodes: Vec<String> = cluster.nodes.iter().map(|node| node.pid().expect("it runs").to_string()).collect();
    let environment = [
        ("TERTULIA_URLS", urls(&cluster)),
        ("TERTULIA_DOOR", format!("http://localhost:{}", proxy.address().port())),
        ("TERTULIA_PIDS", nodes.join(",")),
    ];
    let environment: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    node_tests(&[file], &pages, &environment).await;
}

#[tokio::test]
async fn all_kinds_of_clients_return_when_nodes_go() {
    behind_the_door(3, "cluster.test.mjs").await;
}

#[tokio::test]
async fn clients_that_poll_return_when_a_node_leaves() {
    behind_the_door(2, "drain.test.mjs").await;
}

/// Guards that the end of a key is the end of it for clients that come back by themselves from everything else.
#[tokio::test]
async fn whose_key_is_revoked_does_not_come_back() {
    let pages = Pages::somewhere();
    let database = Postgres::shared().database();
    let cluster = Cluster::with(2, |number| options(PROGRAM, number, &database)).await;
    let accounts = |args: &[&str]| {
        let args: Vec<&str> = ["accounts"].iter().chain(args).copied().collect();
        errand::run_with(PROGRAM, &args, &[("DATABASE_URL", &database)], "").well()
    };
    accounts(&["add", "Echo", "--bot"]);
    let token = accounts(&["key", "Echo"]);
    let revoke = ["env", &format!("DATABASE_URL={database}"), PROGRAM, "accounts", "revoke", "Echo"].map(str::to_owned);
    let revoke = serde_json::to_string(&revoke).unwrap();
    let environment =
        [("TERTULIA_URLS", urls(&cluster)), ("TERTULIA_TOKEN", token.trim().to_owned()), ("TERTULIA_REVOKE", revoke)];
    let environment: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    node_tests(&["signed_out.test.mjs"], &pages, &environment).await;
}
