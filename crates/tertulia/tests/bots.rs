//! The echo bots of `examples/`, as programs: with a key, in a room, once each message whatever is restarted.

// A test fails by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use testkit::client::Client;
use testkit::errand;
use testkit::node::{Node, NodeOptions};
use tokio::process::{Child, Command};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tertulia");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Which bot, and how it is called.
fn python() -> Vec<PathBuf> {
    let python = root().join("target/socketio-python/bin/python");
    assert!(python.exists(), "`scripts/install-test-tools` brings {}", python.display());
    vec![python, root().join("examples/echo-python/echo.py")]
}

fn rust() -> Vec<PathBuf> {
    let program = Path::new(PROGRAM).with_file_name("examples").join("echo");
    assert!(
        program.exists(),
        "`cargo build --workspace --examples` brings {}; all of `cargo test` does",
        program.display()
    );
    vec![program]
}

/// A bot that runs; it ends when this is dropped.
fn start(bot: &[PathBuf], key: &str, node: &Node) -> Child {
    Command::new(&bot[0])
        .args(&bot[1..])
        .args(["parrots", &node.url()])
        .env("TERTULIA_KEY", key)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .expect("the bot starts")
}

async fn hears(client: &mut Client, text: &str) -> serde_json::Value {
    client.expect_where(text, |frame| frame["type"] == "message" && frame["text"] == text).await
}

async fn echoes(bot: Vec<PathBuf>) {
    let mut node = Node::start(NodeOptions::alone(PROGRAM)).await;
    let data = node.folder().join("data");
    let accounts = |args: &[&str]| {
        let args: Vec<&str> = ["accounts"].iter().chain(args).copied().collect();
        errand::run_with(PROGRAM, &args, &[("TERTULIA_DATA_DIR", data.to_str().unwrap())], "").well()
    };
    accounts(&["add", "Echo", "--bot"]);
    let key = accounts(&["key", "Echo"]).trim().to_owned();

    let first = start(&bot, &key, &node);
    let mut ana = node.guest("Ana").await;
    ana.join("parrots").await;
    ana.send("parrots", "nothing for the bot").await;
    ana.send("parrots", "echo one").await;
    let echo = hears(&mut ana, "one").await;
    assert_eq!(echo["from"]["name"], "Echo");

    // The bot dies, and what is said meanwhile is answered by the next one; what was answered is not answered again.
    drop(first);
    ana.send("parrots", "echo two").await;
    let _second = start(&bot, &key, &node);
    hears(&mut ana, "two").await;

    // The node dies; the bot comes back by itself.
    node.kill();
    node.start_again().await;
    let mut ana = node.guest("Ana").await;
    ana.join("parrots").await;
    ana.send("parrots", "echo three").await;
    hears(&mut ana, "three").await;
    let tail = node.guest("a reader").await.join("parrots").await;
    let texts: Vec<&str> = tail["messages"].as_array().unwrap().iter().filter_map(|one| one["text"].as_str()).collect();
    for once in ["one", "two", "three"] {
        assert_eq!(texts.iter().filter(|text| **text == once).count(), 1, "{texts:?}");
    }

    // Its key ends, and so does the bot: there is no use in coming back.
    let mut third = start(&bot, &key, &node);
    accounts(&["revoke", "Echo"]);
    let ended = tokio::time::timeout(Duration::from_secs(20), third.wait()).await.expect("the bot ends").unwrap();
    assert!(!ended.success());
}

#[tokio::test]
async fn the_bot_in_python_echoes_each_message_once() {
    echoes(python()).await;
}

#[tokio::test]
async fn the_bot_in_rust_echoes_each_message_once() {
    echoes(rust()).await;
}
