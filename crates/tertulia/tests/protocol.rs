//! `tertulia.v1` on a node alone: every request and its answer.

// A test fails by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::{Value, json};
use testkit::node::{Node, NodeOptions};
use testkit::replica::Replica;
use uuid::Uuid;

async fn alone() -> Node {
    Node::start(NodeOptions::alone(env!("CARGO_BIN_EXE_tertulia"))).await
}

fn texts(answer: &Value) -> Vec<&str> {
    answer["messages"].as_array().unwrap().iter().map(|message| message["text"].as_str().unwrap()).collect()
}

fn id() -> String {
    Uuid::new_v4().to_string()
}

#[tokio::test]
async fn two_guests_talk_and_both_hear_both_in_one_order() {
    let node = alone().await;
    let (mut ana, mut ben) = (node.client().await, node.client().await);
    let welcome = ana.hello("Ana").await;
    assert_eq!(welcome["user"]["name"], "Ana");
    for (limit, value) in [("frame_bytes", 65_536), ("text_bytes", 16_384), ("name_chars", 64), ("room_chars", 64)] {
        assert_eq!(welcome["limits"][limit], value, "{limit}");
    }
    ben.hello("Ben").await;
    let joined = ana.join("general").await;
    assert_eq!((&joined["head"], &joined["more"], &joined["reset"]), (&json!(0), &json!(false), &json!(false)));
    assert_eq!(ben.join("general").await["members"], 2);

    let ack = ana.send("general", "hola").await;
    assert_eq!((&ack["seq"], &ack["room"]), (&json!(1), &json!("general")));
    assert_eq!(ben.send("general", "buenas").await["seq"], 2);
    for client in [&mut ana, &mut ben] {
        let (first, second) = (client.expect("message").await, client.expect("message").await);
        assert_eq!((&first["text"], &first["seq"], &first["rev"]), (&json!("hola"), &json!(1), &json!(1)));
        assert_eq!((&first["from"], &first["at"]), (&welcome["user"], &ack["at"]));
        assert_eq!((&second["text"], &second["seq"]), (&json!("buenas"), &json!(2)));
    }
}

#[tokio::test]
async fn requests_may_be_pipelined_and_take_effect_in_order() {
    let node = alone().await;
    let mut ana = node.client().await;
    ana.say(json!({"type": "hello", "name": "Ana"})).await;
    ana.say(json!({"type": "join", "room": "r", "ref": "j"})).await;
    for number in 0..50 {
        ana.say(
            json!({"type": "send", "room": "r", "id": id(), "text": number.to_string(), "ref": number.to_string()}),
        )
        .await;
    }
    assert_eq!(ana.expect("joined").await["ref"], "j");
    for number in 0..50 {
        let ack = ana.expect("ack").await;
        assert_eq!((&ack["seq"], &ack["ref"]), (&json!(number + 1), &json!(number.to_string())));
        assert_eq!(ana.expect("message").await["text"], number.to_string());
    }
}

#[tokio::test]
async fn frames_that_come_together_are_answered_together() {
    use tokio::io::AsyncWriteExt;
    let node = alone().await;
    let mut ana = node.guest("Ana").await;
    // In one segment, and short enough to be buffered whole behind the join, which takes its time.
    let frames = [json!({"type": "join", "room": "r"}), json!({"type": "ping", "ref": "p"})];
    let bytes: Vec<u8> = frames
        .iter()
        .flat_map(|frame| {
            let text = frame.to_string().into_bytes();
            [vec![0x81, 0x80 | text.len() as u8, 0, 0, 0, 0], text].concat()
        })
        .collect();
    ana.stream().write_all(&bytes).await.unwrap();
    ana.expect("joined").await;
    assert_eq!(ana.expect("pong").await["ref"], "p");
}

#[tokio::test]
async fn sending_again_never_makes_a_second_message() {
    let node = alone().await;
    let (mut ana, mut ben) = (node.guest("Ana").await, node.guest("Ben").await);
    ben.join("r").await;
    let id = id();
    let send = json!({"type": "send", "room": "r", "id": id, "text": "once"});
    ana.say(send.clone()).await;
    let first = ana.expect("ack").await;
    ana.say(send.clone()).await;
    assert_eq!(ana.expect("ack").await, first);
    ben.say(send).await; // whoever sends it
    assert_eq!(ben.expect("ack").await["seq"], first["seq"]);
    ana.say(json!({"type": "send", "room": "r", "id": id, "text": "something else"})).await;
    let error = ana.refused("id_taken").await;
    assert_eq!(error["id"], id.as_str());
    assert!(error.get("retry_after_ms").is_none());
    // In another room the id is free.
    ana.say(json!({"type": "send", "room": "other", "id": id, "text": "there"})).await;
    assert_eq!(ana.expect("ack").await["room"], "other");
    ben.heard("r", &["once"]).await;
    assert_eq!(ben.all_so_far("message").await, [] as [Value; 0]);
}

#[tokio::test]
async fn an_author_edits_and_deletes_and_nobody_else_may() {
    let node = alone().await;
    let (mut ana, mut ben) = (node.guest("Ana").await, node.guest("Ben").await);
    ana.join("r").await;
    ana.send("r", "frist").await;
    ben.say(json!({"type": "edit", "room": "r", "seq": 1, "text": "mine"})).await;
    ben.refused("forbidden").await;
    ben.say(json!({"type": "delete", "room": "r", "seq": 1, "ref": "d"})).await;
    assert_eq!(ben.refused("forbidden").await["ref"], "d");
    ana.say(json!({"type": "edit", "room": "r", "seq": 1, "text": "first", "ref": "e"})).await;
    let ack = ana.expect("ack").await;
    assert_eq!((&ack["seq"], &ack["rev"], &ack["ref"]), (&json!(1), &json!(2), &json!("e")));
    ana.heard("r", &["frist"]).await;
    let edited = ana.expect("message").await;
    assert_eq!((&edited["text"], &edited["seq"], &edited["rev"]), (&json!("first"), &json!(1), &json!(2)));
    assert!(edited["edited_at"].is_string());
    // The same again changes nothing and takes no number.
    ana.say(json!({"type": "edit", "room": "r", "seq": 1, "text": "first"})).await;
    assert_eq!(ana.expect("ack").await["rev"], 2);
    ana.say(json!({"type": "delete", "room": "r", "seq": 1})).await;
    assert_eq!(ana.expect("ack").await["rev"], 3);
    let deleted = ana.expect_where("deletion", |frame| frame["deleted"] == true).await;
    assert_eq!((&deleted["text"], &deleted["rev"]), (&json!(""), &json!(3)));
    ana.say(json!({"type": "edit", "room": "r", "seq": 1, "text": "again"})).await;
    ana.refused("not_found").await;
    ana.say(json!({"type": "delete", "room": "r", "seq": 9})).await;
    ana.refused("not_found").await;
}

#[tokio::test]
async fn history_is_paged_backwards_oldest_first() {
    let node = alone().await;
    let mut ana = node.guest("Ana").await;
    for number in 1..=25 {
        ana.send("r", &number.to_string()).await;
    }
    ana.say(json!({"type": "history", "room": "r", "limit": 10, "ref": "h"})).await;
    let newest = ana.expect("history").await;
    assert_eq!((texts(&newest).first(), texts(&newest).len()), (Some(&"16"), 10));
    assert_eq!((&newest["more"], &newest["ref"]), (&json!(true), &json!("h")));
    ana.say(json!({"type": "history", "room": "r", "before": 6, "limit": 10})).await;
    let oldest = ana.expect("history").await;
    assert_eq!((texts(&oldest), &oldest["more"]), (vec!["1", "2", "3", "4", "5"], &json!(false)));
    let joined = ana.join("r").await;
    assert_eq!((texts(&joined).len(), &joined["head"]), (25, &json!(25)));
    ana.say(json!({"type": "join", "room": "r", "limit": 3})).await;
    assert_eq!(texts(&ana.expect("joined").await), ["23", "24", "25"]);
}

#[tokio::test]
async fn what_is_read_behind_a_send_shows_it() {
    let node = alone().await;
    let mut ana = node.guest("Ana").await;
    for number in 1..=20 {
        ana.say(json!({"type": "send", "room": "r", "id": id(), "text": number.to_string()})).await;
        ana.say(json!({"type": "history", "room": "r", "limit": 1})).await;
        assert_eq!(texts(&ana.expect("history").await), [number.to_string()]);
    }
}

#[tokio::test]
async fn large_messages_make_smaller_answers() {
    let node = alone().await;
    let mut ana = node.guest("Ana").await;
    let text = "x".repeat(16_000);
    for _ in 0..120 {
        ana.say(json!({"type": "send", "room": "r", "id": id(), "text": text})).await;
    }
    for _ in 0..120 {
        ana.expect("ack").await;
    }
    ana.say(json!({"type": "history", "room": "r", "limit": 120})).await;
    let newest = ana.expect("history").await;
    assert_eq!((texts(&newest).len(), &newest["more"]), (100, &json!(true)));
    let mut held = Replica::default();
    let mut pages = 1;
    ana.say(held.join("r")).await;
    while held.joined(&ana.expect("joined").await) {
        pages += 1;
        ana.say(held.join("r")).await;
    }
    assert_eq!((held.messages.len(), held.head), (120, 120));
    assert!(pages > 1);
}

#[tokio::test]
async fn a_long_absence_is_made_up_for_page_by_page() {
    let node = alone().await;
    let mut ana = node.guest("Ana").await;
    ana.join("r").await;
    for number in 1..=1200 {
        ana.say(json!({"type": "send", "room": "r", "id": id(), "text": number.to_string()})).await;
    }
    for _ in 1..=1200 {
        ana.expect("ack").await;
    }
    for seq in [3, 700, 1199] {
        ana.say(json!({"type": "delete", "room": "r", "seq": seq})).await;
        ana.expect("ack").await;
    }
    let (mut ben, mut held) = (node.guest("Ben").await, Replica::default());
    let mut pages = 0;
    loop {
        ben.say(held.join("r")).await;
        // Sends work while pages are still being fetched.
        let text = format!("page {pages}");
        ben.say(json!({"type": "send", "room": "r", "id": id(), "text": text})).await;
        pages += 1;
        if !held.joined(&ben.expect("joined").await) {
            break;
        }
    }
    assert!(pages > 1, "{pages}");
    let said = 1200 + pages;
    while held.head < said as u64 + 3 {
        held.message(&ben.expect("message").await);
    }
    assert_eq!(held.messages.len(), said);
    assert!(held.messages[&700].2);
}

#[tokio::test]
async fn a_returning_client_gets_exactly_what_it_missed_or_a_reset() {
    let node = alone().await;
    let (mut ana, mut held) = (node.guest("Ana").await, Replica::default());
    ana.say(held.join("r")).await;
    assert!(!held.joined(&ana.expect("joined").await));
    ana.send("r", "one").await;
    held.message(&ana.expect("message").await);
    ana.say(json!({"type": "leave", "room": "r", "ref": "l"})).await;
    assert_eq!(ana.expect("left").await["ref"], "l");
    ana.send("r", "two").await;
    ana.say(json!({"type": "edit", "room": "r", "seq": 1, "text": "ONE"})).await;
    ana.expect("ack").await;
    assert_eq!(ana.all_so_far("message").await, [] as [Value; 0]);

    ana.say(held.join("r")).await;
    let answer = ana.expect("joined").await;
    assert_eq!((texts(&answer), &answer["reset"]), (vec!["two", "ONE"], &json!(false)));
    held.joined(&answer);
    assert_eq!(held.head, 3);
    for lost in [
        json!({"type": "join", "room": "r", "after": 4, "epoch": held.epoch}),
        json!({"type": "join", "room": "r", "after": 2, "epoch": "0123456789abcdef"}),
        json!({"type": "join", "room": "r", "after": 2, "epoch": "not even one"}),
    ] {
        ana.say(lost).await;
        let answer = ana.expect("joined").await;
        assert_eq!((texts(&answer), &answer["reset"], &answer["head"]), (vec!["ONE", "two"], &json!(true), &json!(3)));
    }
}

#[tokio::test]
async fn joining_again_starts_the_subscription_again_and_is_not_presence() {
    let node = alone().await;
    let (mut ana, mut ben) = (node.guest("Ana").await, node.guest("Ben").await);
    ana.join("r").await;
    assert_eq!(ben.join("r").await["members"], 2);
    ana.expect_where("presence of two", |frame| frame["type"] == "presence" && frame["count"] == 2).await;
    for _ in 0..3 {
        assert_eq!(ben.join("r").await["members"], 2);
    }
    ben.send("r", "hola").await;
    ana.heard("r", &["hola"]).await;
    ben.heard("r", &["hola"]).await;
    assert_eq!(ben.all_so_far("message").await, [] as [Value; 0]);
    assert_eq!(ana.all_so_far("presence").await, [] as [Value; 0]);
}

#[tokio::test]
async fn who_is_here_and_who_writes_is_told_to_the_others() {
    let node = alone().await;
    let (mut ana, mut ben) = (node.client().await, node.client().await);
    ana.hello("Ana").await;
    let user = ben.hello("Ben").await["user"].clone();
    ana.join("r").await;
    ben.join("r").await;
    let two = |frame: &Value| frame["type"] == "presence" && frame["count"] == 2;
    assert_eq!(ana.expect_where("two people", two).await["joined"], json!([user]));
    ben.say(json!({"type": "typing", "room": "r"})).await;
    assert_eq!(ana.expect("typing").await["user"], user);
    assert_eq!(ben.all_so_far("typing").await, [] as [Value; 0]);
    drop(ben);
    let one = |frame: &Value| frame["type"] == "presence" && frame["count"] == 1 && frame["left"] != json!([]);
    assert_eq!(ana.expect_where("one person", one).await["left"], json!([user]));
}

#[tokio::test]
async fn a_guest_keeps_its_identity_by_its_token_and_by_nothing_else() {
    let mut node = alone().await;
    let mut ana = node.client().await;
    let welcome = ana.hello("Ana").await;
    let mut other = node.client().await;
    assert_ne!(other.hello("Ana").await["user"]["id"], welcome["user"]["id"]);
    ana.join("r").await;
    ana.send("r", "mine").await;
    node.kill();
    node.start_again().await;
    let mut again = node.client().await;
    again.say(json!({"type": "hello", "token": welcome["token"]})).await;
    assert_eq!(again.expect("welcome").await["user"], welcome["user"]);
    again.say(json!({"type": "edit", "room": "r", "seq": 1, "text": "still mine"})).await;
    assert_eq!(again.expect("ack").await["rev"], 2);

    let mut forger = node.client().await;
    forger.say(json!({"type": "hello", "token": "g1.e30.e30"})).await;
    forger.refused("unauthorized").await;
    forger.hello("Somebody else").await; // the connection may go on
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_kill() {
    let mut node = alone().await;
    let mut ana = node.guest("Ana").await;
    let mut acknowledged = Vec::new();
    for round in 0..3 {
        for number in 0..40 {
            let text = format!("{round}.{number}");
            ana.say(json!({"type": "send", "room": "r", "id": id(), "text": text})).await;
        }
        for _ in 0..30 {
            acknowledged.push(ana.expect("ack").await);
        }
        node.kill();
        node.start_again().await;
        ana = node.guest("Ana").await;
    }
    let mut held = Replica::default();
    ana.say(held.join("r")).await;
    while held.joined(&ana.expect("joined").await) {
        ana.say(held.join("r")).await;
    }
    assert_eq!(held.messages.len() as u64, held.head, "numbers have no holes");
    for ack in acknowledged {
        assert!(held.messages.contains_key(&ack["seq"].as_u64().unwrap()), "{ack}");
    }
}
