//! What rooms keep, and rooms as files.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::patience;

use crate::asking::{guest, node_with_admin, options, signed_in};

/// Guards against a policy that is not what was asked for, and that anybody may set.
#[tokio::test]
async fn an_admin_says_what_a_room_keeps() {
    let node = node_with_admin(options()).await;
    let (root, ben) = (signed_in(&node, "Root").await, guest(&node, "Ben").await);
    let keeps = json!({ "keep_days": null, "keep_messages": 2 });
    for what in ["GET /rooms/r/retention", "POST /rooms/r/exports"] {
        ben.asks(what, None).await.refused(403, "forbidden");
    }
    ben.asks("PUT /rooms/r/retention", Some(keeps.clone())).await.refused(403, "forbidden");
    let everything = json!({ "keep_days": null, "keep_messages": null });
    assert_eq!(root.asks("GET /rooms/r/retention", None).await.is(200), everything);
    for bad in [json!({ "keep_days": 0 }), json!({ "keep_messages": 1_000_001 }), json!({ "keep_days": -1 })] {
        root.asks("PUT /rooms/r/retention", Some(bad)).await.refused(422, "invalid_field");
    }
    assert_eq!(root.asks("PUT /rooms/r/retention", Some(keeps.clone())).await.is(200), keeps);
    assert_eq!(root.asks("GET /rooms/r/retention", None).await.is(200), keeps);
}

/// Guards against an export that is not the room, or that cannot be had.
#[tokio::test]
async fn an_admin_gets_a_room_as_lines() {
    let node = node_with_admin(options()).await;
    let (root, ben) = (signed_in(&node, "Root").await, guest(&node, "Ben").await);
    for number in 1..=3 {
        let put = format!("PUT /rooms/r/messages/0190c3f2-5b1e-7c44-9d2a-6f0f3a1b2c3{number}");
        ben.asks(&put, Some(json!({ "text": format!("number {number}") }))).await.is(201);
    }
    let begun = root.asks("POST /rooms/r/exports", None).await.is(202);
    let export = format!("GET /rooms/r/exports/{}", begun["id"].as_str().unwrap());
    let ready = patience(Duration::from_secs(20), async || {
        let export = root.asks(&export, None).await.is(200);
        (export["state"] == "ready").then_some(export)
    });
    let ready = ready.await.expect("the export is ready");
    let answer = root.asks(&format!("{export}/lines"), None).await;
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    assert_eq!((answer.status, &ready["bytes"]), (200, &answer.body.len().into()));
    let lines: Vec<Value> = answer.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let texts: Vec<&Value> = lines.iter().filter(|line| line["kind"] == "message").map(|line| &line["text"]).collect();
    assert_eq!(texts, ["number 1", "number 2", "number 3"]);
    ben.asks(&export, None).await.refused(403, "forbidden");
    let elsewhere = export.replace("/rooms/r/", "/rooms/other/");
    for what in [elsewhere.clone(), format!("{elsewhere}/lines")] {
        root.asks(&what, None).await.refused(404, "not_found");
    }
}
