//! Webhooks, from a room to whoever is told, and from outside into a room.

use serde_json::{Value, json};
use testkit::node::Node;
use testkit::receiver::Receiver;

use crate::asking::{Somebody, ask, guest, node_with_admin, options, signed_in, signed_up};

async fn node() -> Node {
    node_with_admin(options().with("TERTULIA_OUTGOING_NETWORKS", "127.0.0.1").with("TERTULIA_LOG", "trace")).await
}

async fn made(admin: &Somebody<'_>, hook: Value) -> Value {
    admin.asks("POST /rooms/lobby/webhooks", Some(hook)).await.is(201)
}

#[tokio::test]
async fn a_room_is_told_of_by_signed_requests_until_the_receiver_has_enough() {
    let (node, receiver) = (node().await, Receiver::answering("204 No Content").await);
    let admin = signed_in(&node, "Root").await;
    let hook =
        json!({ "direction": "out", "name": "Herald", "url": receiver.url("/told"), "events": ["message", "delete"] });
    let made = made(&admin, hook).await;
    let (id, secret) = (made["webhook"]["id"].as_str().unwrap(), made["secret"].as_str().unwrap());
    let ana = guest(&node, "Ana").await;
    let one = "/rooms/lobby/messages/6f3c6b0e-0000-4000-8000-000000000001";
    let kept = ana.asks(&format!("PUT {one}"), Some(json!({ "text": "hello" }))).await.is(201);
    let told = receiver.until(1).await.remove(0);
    let body: Value = serde_json::from_str(&told.body).unwrap();
    let shown = ana.asks("GET /rooms/lobby/messages/1", None).await.is(200);
    assert_eq!((&body["event"], &body["webhook"], &body["message"]), (&json!("message"), &json!(id), &shown));
    assert_eq!(body["message"]["seq"], kept["seq"]);
    let signed = told.header("tertulia-signature").unwrap();
    let moment = signed[2..].split_once(',').unwrap().0.parse().unwrap();
    assert_eq!(signed, ::webhooks::signature(secret, moment, told.body.as_bytes()));

    // An edit is not what it wants to hear of; a deletion is.
    ana.asks("PATCH /rooms/lobby/messages/1", Some(json!({ "text": "changed" }))).await.is(200);
    ana.asks("DELETE /rooms/lobby/messages/1", None).await.is(200);
    let told: Value = serde_json::from_str(&receiver.until(2).await[1].body).unwrap();
    assert_eq!((&told["event"], &told["message"]["deleted"]), (&json!("delete"), &json!(true)));

    // What failed is told again by itself.
    receiver.answer("500 Internal Server Error");
    let say = async |number: u32, text: &str| {
        let path = format!("PUT /rooms/lobby/messages/6f3c6b0e-0000-4000-8000-0000000001{number:02}");
        ana.asks(&path, Some(json!({ "text": text }))).await.is(201);
    };
    say(2, "again").await;
    receiver.until(3).await;
    receiver.answer("410 Gone");
    let heard = receiver.until(4).await;
    assert_eq!(heard[2].header("tertulia-delivery"), heard[3].header("tertulia-delivery"));
    let is_disabled = async || {
        let hook = admin.asks(&format!("GET /webhooks/{id}"), None).await.is(200);
        (hook["disabled"] == true).then_some(())
    };
    testkit::patience(std::time::Duration::from_secs(10), is_disabled).await.expect("410 disables");
    // And may be wanted again.
    receiver.answer("204 No Content");
    let path = format!("PATCH /webhooks/{id}");
    assert_eq!(admin.asks(&path, Some(json!({ "disabled": false }))).await.is(200)["disabled"], false);
    say(3, "back").await;
    receiver.until(5).await;
    assert!(!node.log().contains(secret), "what is signed with is in no log");
}

#[tokio::test]
async fn who_has_the_url_speaks_in_the_room_once_for_each_thing_to_say() {
    let node = node().await;
    let admin = signed_in(&node, "Root").await;
    let made = made(&admin, json!({ "direction": "in", "name": "Builds" })).await;
    let (path, secret) = (made["path"].as_str().unwrap(), made["secret"].as_str().unwrap());
    assert!(path.ends_with(secret) && made["webhook"].get("secret").is_none() && made["webhook"].get("url").is_none());
    let post = format!("POST {path}");
    let say = async |lines: &[&str], body: Value| ask(&node, &post, lines, Some(&body.to_string())).await;
    let key = ["Idempotency-Key: build 17"];
    let first = say(&key, json!({ "text": "built" })).await.is(201);
    assert_eq!(say(&key, json!({ "text": "built" })).await.is(200), first);
    say(&key, json!({ "text": "other" })).await.refused(409, "id_taken");
    let id = "6f3c6b0e-0000-4000-8000-000000000007";
    let second = say(&[], json!({ "text": "named", "id": id, "username": "Builds of Ana" })).await.is(201);
    assert_eq!(second["id"], id);
    say(&[], json!({ "text": "named", "id": id })).await.is(200);
    let seqs: Vec<Value> = [say(&[], json!({ "text": "x" })).await, say(&[], json!({ "text": "x" })).await]
        .map(|answer| answer.is(201)["seq"].clone())
        .into();
    assert_eq!(seqs, [3, 4]);
    let ana = signed_up(&node, "Ana").await;
    say(&[], json!({ "text": "x", "username": "ana" })).await.refused(409, "name_taken");
    say(&[], json!({ "text": "x", "username": "a\nb" })).await.refused(422, "invalid_name");
    say(&[], json!({ "text": " " })).await.refused(422, "text_empty");
    say(&["Idempotency-Key: "], json!({ "text": "x" })).await.refused(422, "invalid_field");
    let messages = ana.asks("GET /rooms/lobby/messages", None).await.is(200)["messages"].clone();
    let names: Vec<_> = messages.as_array().unwrap().iter().map(|one| one["from"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Builds", "Builds of Ana", "Builds", "Builds"]);
    assert!(messages.as_array().unwrap().iter().all(|one| one["from"]["id"] == made["webhook"]["id"]));

    // Whoever has another secret learns nothing, not even that there is a webhook.
    let wrong = format!("{}x", post);
    let nobody = "POST /hooks/6f3c6b0e-0000-4000-8000-000000000009/x".to_owned();
    for what in [&wrong, &nobody] {
        ask(&node, what, &[], Some(r#"{"text":"x"}"#)).await.refused(404, "not_found");
    }
    let id = made["webhook"]["id"].as_str().unwrap();
    let listed = admin.asks("GET /rooms/lobby/webhooks", None).await;
    assert!(!listed.body.contains(secret));
    assert_eq!(listed.is(200)["webhooks"][0]["id"], id);
    admin.asks(&format!("DELETE /webhooks/{id}"), None).await.is(204);
    say(&[], json!({ "text": "x" })).await.refused(404, "not_found");
    let log = node.log();
    let line = log.lines().find(|line| line.contains(secret));
    assert!(!log.is_empty() && line.is_none(), "the end of that URL is in no log: {line:?}");
}

#[tokio::test]
async fn only_admins_make_webhooks_and_none_leads_inside() {
    let node = node_with_admin(options()).await;
    let (admin, ana, ben) = (signed_in(&node, "Root").await, signed_up(&node, "Ana").await, guest(&node, "Ben").await);
    let hook = |url: &str| Some(json!({ "direction": "out", "name": "Herald", "url": url }));
    for somebody in [&ana, &ben] {
        somebody.asks("POST /rooms/lobby/webhooks", hook("https://a.example/")).await.refused(403, "forbidden");
        somebody.asks("GET /rooms/lobby/webhooks", None).await.refused(403, "forbidden");
    }
    for url in [
        "http://127.0.0.1:1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[fd00:ec2::254]/",
        "https://0x7f.1/",
    ] {
        admin.asks("POST /rooms/lobby/webhooks", hook(url)).await.refused(422, "invalid_field");
    }
    for bad in [json!({ "direction": "up", "name": "x" }), json!({ "direction": "out", "name": "x" })] {
        admin.asks("POST /rooms/lobby/webhooks", Some(bad)).await.refused(422, "invalid_field");
    }
    admin.asks("GET /webhooks/6f3c6b0e-0000-4000-8000-000000000009", None).await.refused(404, "not_found");
}
