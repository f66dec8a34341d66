//! Schemathesis: whatever the document allows and forbids is tried on a real node, and each answer held against it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::asking::{PROGRAM, node_with_admin, options};

/// That methods beside the document's are refused is tested elsewhere: schemathesis sends them with bodies, which GET never has.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance";

/// Guards against answers that no document shows, and above all against those that say the node has failed.
#[tokio::test]
async fn no_answer_is_undocumented_and_none_is_the_nodes_fault() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let schemathesis = root.join("target/schemathesis/bin/schemathesis");
    assert!(
        schemathesis.exists(),
        "{} is missing: `scripts/install-test-tools` brings it, and `make test` runs that first",
        schemathesis.display()
    );
    let node = node_with_admin(options()).await;
    let running = Command::new(schemathesis)
        .arg("run")
        .arg(format!("{}/api/openapi.json", node.url()))
        .args(["--checks", CHECKS, "--max-examples", "12", "--seed", "7", "--no-shrink", "--no-color"])
        .current_dir(node.folder())
        .env("SCHEMATHESIS_HOOKS", "schemathesis_hooks")
        .env("PYTHONPATH", Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rest"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("TERTULIA_URL", node.url())
        .env("TERTULIA_BIN", PROGRAM)
        .env("TERTULIA_DATA_DIR", node.folder().join("data"))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(300), running).await.expect("it ends").expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(node.metric("tertulia_requests_total{result=\"ok\"}").await > 50.0, "{said}");
    assert_eq!(node.metric("tertulia_requests_total{result=\"unavailable\"}").await, 0.0);
}
