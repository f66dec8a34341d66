//! Work in the background, for whoever looks after it.

use serde_json::json;

use crate::asking::{guest, node_with_admin, options, signed_in};

/// Guards against work that died and that nobody can see, send again or forget.
#[tokio::test]
async fn an_admin_sees_what_is_to_be_done_and_sends_it_again_or_drops_it() {
    // With no workers everything waits.
    let node = node_with_admin(options().with("TERTULIA_WORKERS", 0)).await;
    let (root, ben) = (signed_in(&node, "Root").await, guest(&node, "Ben").await);
    ben.asks("GET /tasks", None).await.refused(403, "forbidden");
    let hook = json!({ "direction": "out", "name": "Mirror", "url": "https://hooks.example/in" });
    root.asks("POST /rooms/r/webhooks", Some(hook)).await.is(201);
    for number in 1..=3 {
        let put = format!("PUT /rooms/r/messages/0190c3f2-5b1e-7c44-9d2a-6f0f3a1b2c3{number}");
        ben.asks(&put, Some(json!({ "text": "hola" }))).await.is(201);
    }
    let (mut next, mut tasks) = (Some("/tasks?limit=2".to_owned()), Vec::new());
    while let Some(path) = next {
        let page = root.asks(&format!("GET {path}"), None).await.is(200);
        tasks.extend(page["tasks"].as_array().unwrap().iter().filter(|task| task["kind"] == "webhook").cloned());
        next = page["next"].as_str().map(str::to_owned);
    }
    assert_eq!(tasks.len(), 3, "{tasks:?}");
    let one = tasks[0]["id"].as_str().unwrap();
    assert_eq!(root.asks(&format!("GET /tasks/{one}"), None).await.is(200), tasks[0]);
    root.asks(&format!("POST /tasks/{one}/retry"), None).await.is(204);
    root.asks(&format!("DELETE /tasks/{one}"), None).await.is(204);
    for what in [format!("GET /tasks/{one}"), format!("DELETE /tasks/{one}"), format!("POST /tasks/{one}/retry")] {
        root.asks(&what, None).await.refused(404, "not_found");
    }
    root.asks("GET /tasks?list=lost", None).await.refused(422, "invalid_field");
    root.asks("GET /tasks?after=nonsense", None).await.refused(422, "invalid_field");
    assert_eq!(root.asks("GET /tasks?list=dead", None).await.is(200)["tasks"], json!([]));
}
