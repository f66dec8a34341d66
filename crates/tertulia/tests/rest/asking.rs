//! Somebody who asks a node over HTTP, and what comes back.

use serde_json::Value;
use testkit::errand::run_with;
use testkit::node::{Node, NodeOptions, raw_http};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_tertulia");
pub(crate) const PASSWORD: &str = "correct horse battery";

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// In small letters.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// It has this status: its JSON.
    pub(crate) fn is(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// It is a problem of this status and code, and says so in both places.
    pub(crate) fn refused(self, status: u16, code: &str) -> Value {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        assert_eq!(self.header("cache-control"), Some("no-store"), "{self:?}");
        let shown = format!("{self:?}");
        let problem = self.is(status);
        assert_eq!((&problem["status"], &problem["code"]), (&status.into(), &code.into()), "{shown}");
        problem
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

pub(crate) fn options() -> NodeOptions {
    NodeOptions::alone(PROGRAM)
}

/// Asks, with these lines besides, and a body if there is one.
pub(crate) async fn ask(node: &Node, what: &str, lines: &[&str], body: Option<&str>) -> Answer {
    let (method, path) = what.split_once(' ').unwrap();
    let path = if path.starts_with("/api") { path.to_owned() } else { format!("/api/v1{path}") };
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", node.address());
    lines.iter().for_each(|line| request += &format!("{line}\r\n"));
    if let Some(body) = body {
        if !lines.iter().any(|line| line.to_ascii_lowercase().starts_with("content-type")) {
            request += "Content-Type: application/json\r\n";
        }
        request += &format!("Content-Length: {}\r\n", body.len());
    }
    request += &format!("\r\n{}", body.unwrap_or_default());
    let (status, head, body) = raw_http(node.address(), request.as_bytes()).await.expect(what);
    Answer { status, head: head.to_ascii_lowercase(), body }
}

/// Somebody with a token.
pub(crate) struct Somebody<'a> {
    pub(crate) node: &'a Node,
    pub(crate) token: String,
    pub(crate) id: String,
}

impl Somebody<'_> {
    pub(crate) async fn asks(&self, what: &str, body: Option<Value>) -> Answer {
        let bearer = format!("Authorization: Bearer {}", self.token);
        ask(self.node, what, &[&bearer], body.map(|body| body.to_string()).as_deref()).await
    }
}

fn somebody(node: &Node, entered: Value) -> Somebody<'_> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    Somebody { node, token: text(&entered["token"]), id: text(&entered["user"]["id"]) }
}

/// A guest whom nobody has met before.
pub(crate) async fn guest<'a>(node: &'a Node, name: &str) -> Somebody<'a> {
    let body = serde_json::json!({ "name": name }).to_string();
    somebody(node, ask(node, "POST /guests", &[], Some(&body)).await.is(201))
}

/// Somebody who makes an account.
pub(crate) async fn signed_up<'a>(node: &'a Node, name: &str) -> Somebody<'a> {
    let body = serde_json::json!({ "name": name, "password": PASSWORD }).to_string();
    somebody(node, ask(node, "POST /accounts", &[], Some(&body)).await.is(201))
}

pub(crate) async fn signed_in<'a>(node: &'a Node, name: &str) -> Somebody<'a> {
    let body = serde_json::json!({ "name": name, "password": PASSWORD }).to_string();
    somebody(node, ask(node, "POST /sessions", &[], Some(&body)).await.is(201))
}

/// A node in whose store there is an admin, Root.
pub(crate) async fn node_with_admin(options: NodeOptions) -> Node {
    let mut node = Node::start(options).await;
    node.kill();
    let folder = format!("--data-dir={}", node.folder().join("data").display());
    run_with(PROGRAM, &["accounts", "add", "Root", "--admin", &folder], &[], &format!("{PASSWORD}\n")).well();
    node.start_again().await;
    node
}
