//! The document and the page that shows it.

use std::collections::BTreeSet;

use serde_json::Value;
use testkit::node::Node;

use crate::asking::{ask, options};

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// Guards against a document that promises what is not there, and a router with doors that no document shows.
#[tokio::test]
async fn the_document_and_the_router_know_the_same() {
    let node = Node::start(options()).await;
    let document = ask(&node, "GET /api/openapi.json", &[], None).await.is(200);
    assert_eq!(document["openapi"], "3.1.0");
    for (path, item) in document["paths"].as_object().unwrap() {
        let address: Vec<&str> = path.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect();
        let address = address.join("/");
        let mut known: BTreeSet<&str> = METHODS.into_iter().filter(|method| item[method].is_object()).collect();
        for method in METHODS {
            let answer = ask(&node, &format!("{} {address}", method.to_uppercase()), &[], None).await;
            assert_eq!(answer.status == 405, !known.contains(method), "{method} {path}: {answer:?}");
            assert!(
                answer.status == 405 || item[method]["responses"][answer.status.to_string()].is_object(),
                "{answer:?}"
            );
        }
        if known.contains("get") {
            known.insert("head");
        }
        let answer = ask(&node, &format!("DANCE {address}"), &[], None).await;
        assert_eq!(answer.header("allow").unwrap().split(',').collect::<BTreeSet<_>>(), known, "{path}");
    }
}

/// Guards against references to nothing, and operations without a name.
#[tokio::test]
async fn the_document_is_whole() {
    let node = Node::start(options()).await;
    let text = ask(&node, "GET /api/openapi.json", &[], None).await.body;
    let document: Value = serde_json::from_str(&text).unwrap();
    for reference in text.split("\"$ref\":\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(document.pointer(reference).is_some(), "{reference} is not there");
    }
    let mut names = BTreeSet::new();
    for item in document["paths"].as_object().unwrap().values() {
        for operation in METHODS.iter().map(|method| &item[method]).filter(|one| one.is_object()) {
            assert!(names.insert(operation["operationId"].as_str().unwrap()), "{operation}");
            assert!(operation["summary"].is_string());
            for status in ["400", "403", "429", "503"] {
                assert!(operation["responses"][status].is_object(), "{operation}");
            }
        }
    }
}

/// Guards against a page that needs something from elsewhere, or forgets something.
#[tokio::test]
async fn the_page_shows_the_whole_document_and_needs_no_other_host() {
    let node = Node::start(options()).await;
    let document = ask(&node, "GET /api/openapi.json", &[], None).await.is(200);
    for path in ["/api", "/api/"] {
        let page = ask(&node, &format!("GET {path}"), &[], None).await;
        assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
        assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
        for path in document["paths"].as_object().unwrap().keys() {
            assert!(page.body.contains(path), "{path}");
        }
        for schema in document["components"]["schemas"].as_object().unwrap().keys() {
            assert!(page.body.contains(&format!("<article id=\"{schema}\">")), "{schema}");
        }
        assert!(
            !page.body.contains("<script")
                && !page.body.contains("style=")
                && !page.body.contains("src=\"http")
                && !page.body.contains("href=\"http")
        );
        let targets = page.body.split("href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap());
        for target in targets {
            assert!(page.body.contains(&format!("id=\"{target}\"")), "{target}");
        }
    }
    assert_eq!(ask(&node, "GET /api/page.css", &[], None).await.status, 200);
}
