//! HTTP by the byte: what is taken, what is refused and how, and that nothing behind a request in doubt is answered.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use testkit::node::{Node, NodeOptions, raw_http};

const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const HOST: &str = "Host: x\r\n";

async fn node() -> Node {
    Node::start(NodeOptions::alone(env!("CARGO_BIN_EXE_tertulia"))).await
}

/// Asks, and says what came until the node closed: its status, its head in small letters, and the rest.
async fn ask(node: &Node, request: &str) -> (u16, String, String) {
    let shown = &request[..request.len().min(120)];
    let (status, head, rest) = raw_http(node.address(), request.as_bytes()).await.expect(shown);
    (status, head.to_ascii_lowercase(), rest)
}

/// The answer is a problem that says the same status as its first line.
fn is_problem(status: u16, head: &str, body: &str, shown: &str) {
    assert!(head.contains("content-type: application/problem+json"), "{shown}: {head}");
    let body: serde_json::Value = serde_json::from_str(body).expect(shown);
    assert_eq!(body["status"], status, "{shown}");
    assert!(body["title"].is_string() && body["detail"].is_string(), "{shown}: {body}");
}

/// Who says it.
#[derive(Clone, Copy, PartialEq)]
enum By {
    /// The node, with a problem.
    Us,
    /// Hyper's parser, with a bare status: there is no request yet.
    Parser,
}

/// Refused so, and what came behind it on the same connection is not answered.
async fn refused(node: &Node, request: &str, status: u16, by: By) {
    let shown = &request[..request.len().min(120)];
    let smuggled = format!("{request}GET /healthz HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n");
    let (came, head, rest) = ask(node, &smuggled).await;
    assert_eq!(came, status, "{shown}");
    match by {
        By::Us => is_problem(status, &head, &rest, shown),
        By::Parser => assert_eq!(rest, "", "{shown}"),
    }
}

/// Guards against request smuggling: node and front door would disagree about where a request ends, and somebody else's request would be
/// answered with what is hidden in this one.
#[tokio::test]
async fn a_request_whose_end_is_in_doubt_is_refused_and_nothing_behind_it_is_answered() {
    let node = node().await;
    for (start, headers, body, by) in [
        ("POST /", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n", By::Us),
        ("POST /", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n", By::Us),
        ("GET /healthz", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n", By::Us),
        ("GET /healthz", "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n", By::Us),
        ("POST /healthz", "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n", By::Us),
        ("GET /ws", "Transfer-Encoding: chunked\r\n", "0\r\n\r\n", By::Us),
        ("GET /", "Content-Length: 5\r\n", "hello", By::Us),
        ("HEAD /", "Content-Length: 5\r\n", "", By::Parser), // to HEAD there is no body in an answer
        ("POST /", "Content-Length: 5\r\nContent-Length: 6\r\n", "hello", By::Parser),
        ("POST /", "Content-Length: +5\r\n", "hello", By::Parser),
        ("POST /", "Transfer-Encoding: identity\r\n", "", By::Parser),
        ("POST /", "Transfer-Encoding: chunked, identity\r\n", "", By::Parser),
        ("POST /", "Transfer-Encoding : chunked\r\n", "", By::Parser),
    ] {
        refused(&node, &format!("{start} HTTP/1.1\r\n{HOST}{headers}\r\n{body}"), 400, by).await;
    }
    refused(&node, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, By::Parser).await;
}

/// Guards against a request that front door and node understand as one for different hosts.
#[tokio::test]
async fn a_request_names_one_host() {
    let node = node().await;
    for hosts in
        ["", "Host: x\r\nHost: x\r\n", "Host: x\r\nHost: y\r\n", "Host: a b\r\n", "Host: a/b\r\n", "Host: u@x\r\n"]
    {
        refused(&node, &format!("GET /healthz HTTP/1.1\r\n{hosts}\r\n"), 400, By::Us).await;
    }
    refused(&node, &format!("GET /healthz HTTP/1.0\r\n{HOST}{HOST}\r\n"), 400, By::Us).await;
}

/// Guards against heads that a parser takes and another does not: folded lines, spaces before the colon, control characters.
#[tokio::test]
async fn what_is_not_http_by_the_book_is_refused_by_the_parser() {
    let node = node().await;
    for line in [
        "X: a\r\n b\r\n",
        "X: a\r\n\tb\r\n",
        " X: a\r\n",
        "X : a\r\n",
        "X\r\n",
        "X: a\0b\r\n",
        "X: a\rb\r\n",
        "\u{e9}: a\r\n",
    ] {
        refused(&node, &format!("GET /healthz HTTP/1.1\r\n{HOST}{line}\r\n"), 400, By::Parser).await;
    }
    for start in
        ["GET  /healthz HTTP/1.1", "GET /healthz HTTP/1.9", "GET /healthz", "G(T /healthz HTTP/1.1", "\u{16}\u{3}\u{1}"]
    {
        refused(&node, &format!("{start}\r\n{HOST}\r\n"), 400, By::Parser).await;
    }
}

/// Guards against heads without end: of many headers, of long ones, of a long address.
#[tokio::test]
async fn a_head_has_bounds() {
    let node = node().await;
    let with_headers = |count: usize| {
        let more: String = (2..count).map(|number| format!("X-{number}: a\r\n")).collect();
        format!("GET /healthz HTTP/1.1\r\n{HOST}Connection: close\r\n{more}\r\n")
    };
    assert_eq!(ask(&node, &with_headers(100)).await.0, 200);
    refused(&node, &with_headers(101), 431, By::Parser).await;

    let with_header =
        |bytes: usize| format!("GET /healthz HTTP/1.1\r\n{HOST}Connection: close\r\nX: {}\r\n\r\n", "x".repeat(bytes));
    assert_eq!(ask(&node, &with_header(15_000)).await.0, 200);
    refused(&node, &with_header(16_384), 431, By::Parser).await;

    let with_target =
        |bytes: usize| format!("GET /healthz?{} HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n", "x".repeat(bytes - 9));
    assert_eq!(ask(&node, &with_target(8_000)).await.0, 200);
    refused(&node, &with_target(8_001), 414, By::Us).await;
    refused(&node, &with_target(20_000), 431, By::Parser).await;
}

/// Guards against bare answers, and against a client that is not told what it may do instead.
#[tokio::test]
async fn another_method_is_refused_with_those_that_are_allowed() {
    let node = node().await;
    for (path, methods, allow) in [
        ("/", &["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "DANCE"][..], "get,head"),
        ("/app.js", &["POST"], "get,head"),
        ("/healthz", &["POST", "OPTIONS"], "get,head"),
        ("/readyz", &["POST"], "get,head"),
        ("/metrics", &["POST", "DELETE"], "get,head"),
        ("/ws", &["POST", "PUT", "OPTIONS", "DANCE"], "get"),
    ] {
        for method in methods {
            let request = format!("{method} {path} HTTP/1.1\r\n{HOST}Connection: close\r\nContent-Length: 0\r\n\r\n");
            let (status, head, body) = ask(&node, &request).await;
            assert_eq!(status, 405, "{request}");
            assert!(head.lines().any(|line| line == format!("allow: {allow}")), "{request}{head}");
            is_problem(405, &head, &body, &request);
        }
    }
    for (request, status) in [("HEAD / HTTP/1.1", 200), ("HEAD /nothing HTTP/1.1", 404), ("HEAD /ws HTTP/1.1", 405)] {
        let (came, _, body) = ask(&node, &format!("{request}\r\n{HOST}Connection: close\r\n\r\n")).await;
        assert_eq!((came, body.as_str()), (status, ""), "{request}");
    }
}

/// Guards against a node that only browsers can talk to: what is rare and right is taken.
#[tokio::test]
async fn rare_but_right_requests_are_answered() {
    let node = node().await;
    for request in [
        "GET /healthz HTTP/1.0\r\n\r\n".to_owned(),
        format!("GET /healthz HTTP/1.0\r\n{HOST}\r\n"),
        format!("GET http://x/healthz HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n"),
        format!("GET HTTP://x:80/healthz?a HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n"),
        format!("\r\nGET /healthz HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n"),
        format!("GET /healthz HTTP/1.1\r\n{HOST}Content-Length: 0\r\nConnection: close\r\n\r\n"),
        "GET /healthz HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n".to_owned(),
        "GET /healthz HTTP/1.1\r\nhOST:x\r\nConnection: close\r\n\r\n".to_owned(),
    ] {
        let (status, _, body) = ask(&node, &request).await;
        assert_eq!(status, 200, "{request}");
        assert!(body.contains("\"status\":\"ok\""), "{request}: {body}");
    }
    for (request, status) in
        [("OPTIONS * HTTP/1.1", 404), ("CONNECT x:80 HTTP/1.1", 404), ("GET //healthz HTTP/1.1", 404)]
    {
        let (came, head, body) = ask(&node, &format!("{request}\r\n{HOST}Connection: close\r\n\r\n")).await;
        assert_eq!(came, status, "{request}");
        is_problem(status, &head, &body, request);
    }
}

/// Guards against asking for a body that nobody wants.
#[tokio::test]
async fn who_waits_to_be_asked_for_a_body_is_not_asked() {
    let node = node().await;
    for (method, status) in [("POST", 405), ("GET", 400)] {
        let request = format!("{method} /healthz HTTP/1.1\r\n{HOST}Content-Length: 5\r\nExpect: 100-continue\r\n\r\n");
        let (came, head, body) = ask(&node, &request).await;
        assert_eq!(came, status, "the first that is said must be the answer: {head}");
        is_problem(status, &head, &body, &request);
    }
}

/// Guards against upgrades that a proxy does not take for one, and against answers that prove nothing.
#[tokio::test]
async fn a_websocket_begins_by_the_book_or_not_at_all() {
    let node = node().await;
    let upgrade = "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n";
    let version = "Sec-WebSocket-Version: 13\r\n";
    for (start, headers, status) in [
        ("GET /ws HTTP/1.0", format!("{upgrade}{version}{KEY}"), 426),
        ("GET /ws HTTP/1.1", format!("{version}{KEY}"), 426),
        ("GET /ws HTTP/1.1", format!("Connection: upgrade\r\nUpgrade: h2c\r\n{version}{KEY}"), 426),
        ("GET /ws HTTP/1.1", format!("Connection: close\r\nUpgrade: websocket\r\n{version}{KEY}"), 426),
        ("GET /ws HTTP/1.1", format!("{upgrade}{KEY}"), 426),
        ("GET /ws HTTP/1.1", format!("{upgrade}{KEY}Sec-WebSocket-Version: 8\r\n"), 426),
        ("GET /ws HTTP/1.1", format!("{upgrade}{KEY}{version}Sec-WebSocket-Version: 8\r\n"), 426),
        ("GET /ws HTTP/1.1", format!("{upgrade}{version}"), 400),
        ("GET /ws HTTP/1.1", format!("{upgrade}{version}{KEY}{KEY}"), 400),
        ("GET /ws HTTP/1.1", format!("{upgrade}{version}Sec-WebSocket-Key: \r\n"), 400),
        ("GET /ws HTTP/1.1", format!("{upgrade}{version}Sec-WebSocket-Key: eA==\r\n"), 400),
        ("GET /ws HTTP/1.1", format!("{upgrade}{version}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j*Q==\r\n"), 400),
        ("GET /ws HTTP/1.1", format!("{upgrade}{version}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZSEh\r\n"), 400),
        ("GET /ws HTTP/1.1", format!("{upgrade}{version}{KEY}Content-Length: 5\r\n"), 400),
        ("POST /ws HTTP/1.1", format!("{upgrade}{version}{KEY}"), 405),
        ("HEAD /ws HTTP/1.1", format!("{upgrade}{version}{KEY}"), 405),
    ] {
        // The second closes, so that the end of the first need not be waited for.
        let behind = format!("GET /healthz HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n");
        let (came, head, body) = ask(&node, &format!("{start}\r\n{HOST}{headers}\r\n{behind}")).await;
        assert_eq!(came, status, "{start} {headers}");
        if status == 426 {
            for line in ["sec-websocket-version: 13", "upgrade: websocket", "connection: upgrade"] {
                assert!(head.lines().any(|one| one.starts_with(line)), "{headers}{head}");
            }
        }
        if !start.starts_with("HEAD") {
            is_problem(status, &head, body.split("HTTP/1.1").next().unwrap(), &headers);
        }
    }
    assert_eq!(node.metric("tertulia_connects_total{transport=\"websocket\"}").await, 0.0);
    node.client().await;
    assert_eq!(node.metric("tertulia_connects_total{transport=\"websocket\"}").await, 1.0);
}
