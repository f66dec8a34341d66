//! Rooms and messages.

use serde_json::{Value, json};
use testkit::cluster::{self, Cluster};
use testkit::node::Node;
use testkit::postgres::Postgres;
use uuid::Uuid;

use crate::asking::{PROGRAM, Somebody, ask, guest, options};

async fn says(who: &Somebody<'_>, room: &str, text: &str) -> Value {
    who.asks(&format!("PUT /rooms/{room}/messages/{}", Uuid::new_v4()), Some(json!({ "text": text }))).await.is(201)
}

fn texts(page: &Value) -> Vec<&str> {
    page["messages"].as_array().unwrap().iter().map(|message| message["text"].as_str().unwrap()).collect()
}

/// Guards against a retry that speaks twice, on this node or another.
#[tokio::test]
async fn a_message_may_be_put_again_to_any_node_and_is_kept_once() {
    let database = Postgres::shared().database();
    let cluster = Cluster::with(2, |number| cluster::options(PROGRAM, number, &database)).await;
    let [north, south] = &cluster.nodes[..] else { panic!("two nodes") };
    let mut ben = south.guest("Ben").await;
    ben.join("r").await;
    let ana = guest(north, "Ana").await;
    let id = Uuid::new_v4();
    let put = format!("PUT /rooms/r/messages/{id}");
    let first = ana.asks(&put, Some(json!({ "text": "one" }))).await;
    assert_eq!(first.header("location"), Some("/api/v1/rooms/r/messages/1"));
    let first = first.is(201);
    assert_eq!((&first["id"], &first["seq"], &first["rev"]), (&id.to_string().into(), &1.into(), &1.into()));
    assert_eq!(ben.expect("message").await["text"], "one");
    let there = Somebody { node: south, token: ana.token.clone(), id: ana.id.clone() };
    for node in [&ana, &there] {
        assert_eq!(node.asks(&put, Some(json!({ "text": "one" }))).await.is(200), first);
        node.asks(&put, Some(json!({ "text": "two" }))).await.refused(409, "id_taken");
    }
    let room = there.asks("GET /rooms/r", None).await.is(200);
    assert_eq!((&room["head"], &room["members"]), (&1.into(), &1.into()));
}

#[tokio::test]
async fn pages_go_back_by_seq_and_forth_by_number_until_there_is_no_more() {
    let node = Node::start(options()).await;
    let ana = guest(&node, "Ana").await;
    let all: Vec<String> = (1..=7).map(|number| number.to_string()).collect();
    for text in &all {
        says(&ana, "Música:1", text).await;
    }
    let room = "/rooms/M%C3%BAsica:1";
    for (first, backwards) in
        [(format!("{room}/messages?limit=3"), true), (format!("{room}/messages?after=0&limit=3"), false)]
    {
        let (mut next, mut came) = (Some(first), Vec::<String>::new());
        while let Some(path) = next {
            let page = ana.asks(&format!("GET {path}"), None).await.is(200);
            let texts = texts(&page).into_iter().map(str::to_owned);
            came = if backwards { texts.chain(came).collect() } else { came.into_iter().chain(texts).collect() };
            assert_eq!(page["more"], page["next"].is_string());
            next = page["next"].as_str().map(str::to_owned);
        }
        assert_eq!(came, all);
    }
    assert_eq!(ana.asks(&format!("GET {room}/messages/4"), None).await.is(200)["text"], "4");
    ana.asks(&format!("GET {room}/messages/8"), None).await.refused(404, "not_found");
}

/// Guards against a position that silently loses what was changed, or what another history numbered.
#[tokio::test]
async fn a_position_brings_what_changed_or_a_reset() {
    let node = Node::start(options()).await;
    let (ana, ben) = (guest(&node, "Ana").await, guest(&node, "Ben").await);
    for text in ["one", "two", "three"] {
        says(&ana, "r", text).await;
    }
    ben.asks("PATCH /rooms/r/messages/1", Some(json!({ "text": "x" }))).await.refused(403, "forbidden");
    let edited = ana.asks("PATCH /rooms/r/messages/1", Some(json!({ "text": "ONE" }))).await.is(200);
    assert_eq!((&edited["seq"], &edited["rev"]), (&1.into(), &4.into()));
    assert_eq!(ana.asks("DELETE /rooms/r/messages/2", None).await.is(200)["rev"], 5);
    ana.asks("PATCH /rooms/r/messages/2", Some(json!({ "text": "x" }))).await.refused(404, "not_found");
    ben.asks("DELETE /rooms/r/messages/9", None).await.refused(404, "not_found");
    let page = ben.asks("GET /rooms/r/messages?after=2", None).await.is(200);
    assert_eq!((texts(&page), &page["head"], &page["reset"]), (vec!["three", "ONE", ""], &5.into(), &false.into()));
    assert_eq!(page["messages"][2]["deleted"], true);
    let epoch = page["epoch"].as_str().unwrap();
    let page = ben.asks(&format!("GET /rooms/r/messages?after=5&epoch={epoch}"), None).await.is(200);
    assert_eq!((texts(&page), &page["reset"]), (vec![], &false.into()));
    for lost in ["after=6", "after=2&epoch=0123456789abcdef", "after=2&epoch=nonsense"] {
        let page = ben.asks(&format!("GET /rooms/r/messages?{lost}"), None).await.is(200);
        assert_eq!((texts(&page), &page["head"], &page["reset"]), (vec!["ONE", "", "three"], &5.into(), &true.into()));
    }
}

#[tokio::test]
async fn rooms_are_listed_by_name_with_their_heads() {
    let node = Node::start(options()).await;
    let ana = guest(&node, "Ana").await;
    assert_eq!(ana.asks("GET /rooms", None).await.is(200)["rooms"], json!([]));
    for room in ["b", "a", "Z", "a:1", "ñ"] {
        says(&ana, &room.replace('ñ', "%C3%B1"), "hola").await;
    }
    let (mut next, mut came) = (Some("/rooms?limit=2".to_owned()), Vec::new());
    while let Some(path) = next {
        let page = ana.asks(&format!("GET {path}"), None).await.is(200);
        came.extend(page["rooms"].as_array().unwrap().iter().map(|room| room["room"].as_str().unwrap().to_owned()));
        assert!(page["rooms"].as_array().unwrap().iter().all(|room| room["head"] == 1));
        next = page["next"].as_str().map(str::to_owned);
    }
    assert_eq!(came, ["Z", "a", "a:1", "b", "ñ"]);
    assert_eq!(ana.asks("GET /rooms/nobody-was-here", None).await.is(200)["head"], 0);
}

/// Guards against a bad request that is answered in another way than the documented one.
#[tokio::test]
async fn what_is_wrong_is_refused_by_code_and_nothing_is_kept() {
    let node = Node::start(options()).await;
    let ana = guest(&node, "Ana").await;
    let bearer = format!("Authorization: Bearer {}", ana.token);
    let id = "/rooms/r/messages/0190c3f2-5b1e-7c44-9d2a-6f0f3a1b2c3d";
    let long = json!({ "text": "x".repeat(16_385) }).to_string();
    let huge = json!({ "text": "x".repeat(65_536) }).to_string();
    for (what, body, status, code) in [
        (format!("PUT {id}"), Some("hola"), 400, "invalid_frame"),
        (format!("PUT {id}"), Some(r#"["a"]"#), 400, "invalid_frame"),
        (format!("PUT {id}"), Some("{}"), 422, "invalid_field"),
        (format!("PUT {id}"), Some(r#"{"text":7}"#), 422, "invalid_field"),
        (format!("PUT {id}"), Some(r#"{"text":"a\u0000b"}"#), 422, "invalid_field"),
        (format!("PUT {id}"), Some(r#"{"text":"a","reply_to":0}"#), 422, "invalid_field"),
        (format!("PUT {id}"), Some(r#"{"text":" "}"#), 422, "text_empty"),
        (format!("PUT {id}"), Some(&long), 422, "text_too_long"),
        (format!("PUT {id}"), Some(&huge), 413, "invalid_frame"),
        (format!("PUT {id}"), None, 415, "invalid_frame"),
        ("PUT /rooms/r/messages/7".into(), Some(r#"{"text":"a"}"#), 422, "invalid_field"),
        ("PUT /rooms/a%20b/messages/7".into(), Some(r#"{"text":"a"}"#), 422, "invalid_room"),
        ("GET /rooms/%FF".into(), None, 422, "invalid_field"),
        ("GET /rooms/r/messages?before=0".into(), None, 422, "invalid_field"),
        ("GET /rooms/r/messages?before=1&after=1".into(), None, 422, "invalid_field"),
        ("GET /rooms/r/messages?after=1&after=2".into(), None, 422, "invalid_field"),
        ("GET /rooms/r/messages?limit=".into(), None, 422, "invalid_field"),
        ("GET /rooms/r/messages?limit=-1".into(), None, 422, "invalid_field"),
        ("GET /rooms?after=a%20b".into(), None, 422, "invalid_room"),
        ("PATCH /rooms/r/messages/one".into(), Some(r#"{"text":"a"}"#), 422, "invalid_field"),
        ("GET /nothing".into(), None, 404, "not_found"),
    ] {
        ask(&node, &what, &[&bearer], body).await.refused(status, code);
    }
    ask(&node, &format!("PUT {id}"), &[&bearer, "Content-Type: text/plain"], Some("{}"))
        .await
        .refused(415, "invalid_frame");
    assert_eq!(ana.asks("GET /rooms/r", None).await.is(200)["head"], 0);
}

/// Guards against writes that pass by the limits and the counters of the other doors.
#[tokio::test]
async fn what_is_written_here_counts_as_at_every_door() {
    let node = Node::start(options().with("TERTULIA_SEND_RATE", 1)).await;
    let ana = guest(&node, "Ana").await;
    let mut refused = None;
    for _ in 0..20 {
        let put = format!("PUT /rooms/r/messages/{}", Uuid::new_v4());
        let answer = ana.asks(&put, Some(json!({ "text": "hola" }))).await;
        if answer.status != 201 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("a limit");
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    let problem = refused.refused(429, "rate_limited");
    assert!(problem["retry_after_ms"].as_u64().unwrap() > 0);
    assert!(node.metric("tertulia_sends_total{result=\"ok\"}").await >= 4.0);
    assert!(node.metric("tertulia_sends_total{result=\"rejected\"}").await >= 1.0);
    assert!(node.metric("tertulia_refusals_total{code=\"rate_limited\"}").await >= 1.0);
}
