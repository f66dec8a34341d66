//! The page in a real browser: on a node alone, and on two nodes behind the front door.

// A test fails by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use testkit::cluster::Cluster;
use testkit::haproxy::HaProxy;
use tokio::process::Command;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tertulia");

#[tokio::test]
async fn the_page_keeps_its_promises_in_chromium() {
    let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../web/tests");
    assert!(
        web.join("node_modules").exists(),
        "the page's test tools are missing: `scripts/install-test-tools` brings them, and `make test` runs that first"
    );
    let cluster = Cluster::of(PROGRAM, 2).await;
    let proxy = HaProxy::before(&cluster.addresses()).await;
    let door = format!("http://{}", proxy.address());
    // Both pages come through the front door, which puts each browser on a node of its own.
    let tests = Command::new("node")
        .args(["--test", "browser.test.mjs", "account.test.mjs"])
        .current_dir(&web)
        .env("TERTULIA_BIN", PROGRAM)
        .env("TERTULIA_URLS", format!("{door},{door}"))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output =
        tokio::time::timeout(Duration::from_secs(600), tests).await.expect("the tests end").expect("node runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    for node in &cluster.nodes {
        let connects = node.metric("tertulia_connects_total{transport=\"websocket\"}").await;
        assert!(connects > 0.0, "{} had no browser", node.url());
    }
}
