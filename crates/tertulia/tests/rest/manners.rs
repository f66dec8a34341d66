//! How every answer behaves, whatever is asked: who asks, from where, how often.

use serde_json::json;
use testkit::node::Node;

use crate::asking::{Somebody, ask, guest, options};

#[tokio::test]
async fn nobody_reads_or_writes_without_saying_who_they_are() {
    let node = Node::start(options()).await;
    for (what, lines) in [
        ("GET /rooms", &[][..]),
        ("GET /rooms/r/messages", &["Authorization: Bearer g1.nonsense.x"]),
        ("GET /rooms/r", &["Authorization: Basic YTpi"]),
        ("DELETE /rooms/r/messages/1", &["Cookie: tertulia_session=ts_nonsense", "Origin: http://x"][..1]),
    ] {
        let answer = ask(&node, what, lines, None).await;
        if lines.iter().any(|line| line.starts_with("Cookie")) {
            answer.refused(403, "forbidden");
        } else {
            assert_eq!(answer.header("www-authenticate"), Some("bearer"), "{what}");
            answer.refused(401, "unauthorized");
        }
    }
    let shut = Node::start(options().with("TERTULIA_GUESTS", false)).await;
    ask(&shut, "POST /guests", &[], Some(r#"{"name":"Ana"}"#)).await.refused(401, "unauthorized");
}

#[tokio::test]
async fn another_method_is_refused_with_those_that_are_allowed_and_head_is_get_without_a_body() {
    let node = Node::start(options()).await;
    let ana = guest(&node, "Ana").await;
    for (what, allow) in [
        ("POST /rooms", "get,head"),
        ("OPTIONS /rooms", "get,head"),
        ("DANCE /rooms/r", "get,head"),
        ("DELETE /guests", "post"),
    ] {
        let answer = ana.asks(what, None).await;
        assert_eq!(answer.header("allow"), Some(allow), "{what}");
        answer.refused(405, "unknown_type");
    }
    let head = ana.asks("HEAD /rooms", None).await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}

/// Guards against a client that must guess how much it may still ask.
#[tokio::test]
async fn every_answer_says_what_is_left_and_who_asks_too_often_is_told_when_to_come_back() {
    let node = Node::start(options().with("TERTULIA_REQUEST_RATE", 1)).await;
    let first = ask(&node, "GET /rooms", &[], None).await;
    assert_eq!((first.header("ratelimit-limit"), first.header("ratelimit-remaining")), (Some("4"), Some("3")));
    let mut refused = None;
    for _ in 0..20 {
        let answer = ask(&node, "GET /nothing", &[], None).await;
        assert!(answer.header("ratelimit-reset").is_some());
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("a limit");
    assert_eq!((refused.header("retry-after"), refused.header("ratelimit-remaining")), (Some("1"), Some("0")));
    refused.refused(429, "rate_limited");
    // It is the address's, and whoever has a token has a rate of their own.
    let mut ana = node.client().await;
    let token = ana.hello("Ana").await["token"].as_str().unwrap().to_owned();
    let ana = Somebody { node: &node, token, id: String::new() };
    ana.asks("GET /rooms", None).await.is(200);
}

/// Guards against pages of other origins that read or act where only a list may.
#[tokio::test]
async fn pages_of_other_origins_are_told_what_they_may() {
    let node = Node::start(options().with("TERTULIA_ALLOWED_ORIGINS", "https://app.example")).await;
    let preflight = "Access-Control-Request-Method: PUT";
    let asked = "Access-Control-Request-Headers: authorization";
    let good = ask(&node, "OPTIONS /rooms", &["Origin: https://app.example", preflight, asked], None).await;
    assert_eq!(good.status, 204);
    assert_eq!(good.header("access-control-allow-origin"), Some("https://app.example"));
    assert_eq!(good.header("access-control-allow-headers"), Some("authorization"));
    assert!(good.header("access-control-allow-methods").unwrap().contains("put"));
    let ana = guest(&node, "Ana").await;
    let bearer = format!("Authorization: Bearer {}", ana.token);
    let read = ask(&node, "GET /rooms", &["Origin: https://app.example", &bearer], None).await;
    assert_eq!(read.header("access-control-allow-origin"), Some("https://app.example"));
    assert_eq!(read.header("vary"), Some("origin"));
    assert!(read.header("access-control-expose-headers").unwrap().contains("retry-after"));
    read.is(200);
    for what in ["OPTIONS /rooms", "GET /rooms", "POST /guests"] {
        let lines = ["Origin: https://evil.example", preflight, &bearer];
        let answer = ask(&node, what, &lines, None).await;
        assert_eq!(answer.header("access-control-allow-origin"), None, "{what}");
        answer.refused(403, "forbidden");
    }
}

/// Guards against what the document is silent about: methods and addresses beside those it names.
#[tokio::test]
async fn a_token_is_never_taken_from_an_address() {
    let node = Node::start(options()).await;
    let ana = guest(&node, "Ana").await;
    let path = format!("GET /rooms?token={0}&access_token={0}", ana.token);
    ask(&node, &path, &[], None).await.refused(401, "unauthorized");
    let nobody = Somebody { node: &node, token: String::new(), id: String::new() };
    nobody.asks("GET /rooms", None).await.refused(401, "unauthorized");
    assert!(!node.log().contains(&ana.token), "{}", node.log());
    ana.asks("PUT /rooms/r/messages/nonsense", Some(json!({"text": "a"}))).await.refused(422, "invalid_field");
}
