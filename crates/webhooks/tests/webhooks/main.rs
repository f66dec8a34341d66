//! Webhooks on a real store, told by real requests: what is told, how it is signed, and what each answer means.

// A test fails by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod house;
mod making;

use std::time::Duration;

use serde_json::{Value, json};
use store::Store;
use tasks::{Failure, Kind};
use testkit::receiver::{Heard, Receiver};
use webhooks::{Deliver, signature};

use crate::house::House;

fn body(heard: &Heard) -> Value {
    serde_json::from_str(&heard.body).unwrap()
}

#[tokio::test]
async fn a_delivery_tells_the_message_and_is_signed() {
    let receiver = Receiver::answering("204 No Content").await;
    let house = House::new("127.0.0.1").await;
    let (hook, secret) = house.tells(&receiver.url("/told?a=b")).await;
    let message = house.says("hello").await;
    let task = house.task().await;
    house.deliver().run(&task).await.unwrap();
    let heard = receiver.until(1).await.remove(0);
    assert!(heard.head.starts_with("post /told?a=b http/1.1\r\n"), "{}", heard.head);
    let shown: Value = serde_json::from_slice(message.frame().payload()).unwrap();
    let told = json!({"event": "message", "webhook": hook.id.0, "delivery": task.id.0, "message": shown});
    assert_eq!(body(&heard), told);
    assert_eq!(heard.header("content-type"), Some("application/json"));
    assert_eq!(heard.header("tertulia-event"), Some("message"));
    assert_eq!(heard.header("tertulia-delivery"), Some(task.id.to_string().as_str()));
    let signed = heard.header("tertulia-signature").unwrap();
    let moment = signed.strip_prefix("t=").and_then(|rest| rest.split_once(',')).unwrap().0.parse().unwrap();
    assert_eq!(signed, signature(&secret.0, moment, heard.body.as_bytes()));
    // The same delivery, told again, is known by its id.
    house.deliver().run(&task).await.unwrap();
    assert_eq!(receiver.until(2).await[1].header("tertulia-delivery"), heard.header("tertulia-delivery"));
}

#[tokio::test]
async fn edits_and_deletions_are_told_as_what_they_are() {
    let receiver = Receiver::answering("200 OK").await;
    let house = House::new("127.0.0.1").await;
    house.tells(&receiver.url("/")).await;
    let message = house.says("hello").await;
    house.deliver().run(&house.task().await).await.unwrap();
    house.changes(message.seq, Some("goodbye")).await;
    house.deliver().run(&house.task().await).await.unwrap();
    house.changes(message.seq, None).await;
    house.deliver().run(&house.task().await).await.unwrap();
    let heard: Vec<Value> = receiver.until(3).await.iter().map(body).collect();
    let events: Vec<_> = heard.iter().map(|told| told["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["message", "edit", "delete"]);
    assert_eq!((&heard[1]["message"]["text"], &heard[1]["message"]["rev"]), (&json!("goodbye"), &json!(2)));
    assert_eq!((&heard[2]["message"]["deleted"], &heard[2]["message"]["text"]), (&json!(true), &json!("")));
}

#[tokio::test]
async fn what_is_answered_decides_whether_it_is_tried_again() {
    let receiver = Receiver::answering("500 Internal Server Error").await;
    let house = House::new("127.0.0.1").await;
    let (hook, _) = house.tells(&receiver.url("/")).await;
    house.says("hello").await;
    let task = house.task().await;
    for (answer, pause) in [
        ("500 Internal Server Error", 0),
        ("404 Not Found", 0),
        ("302 Found\r\nLocation: http://169.254.169.254/", 0),
        ("429 Too Many Requests\r\nRetry-After: 7", 7),
        ("503 Service Unavailable\r\nRetry-After: 999999", 3600),
        ("503 Service Unavailable\r\nRetry-After: Fri, 31 Dec 1999 23:59:59 GMT", 0),
    ] {
        receiver.answer(answer);
        let failure = house.deliver().run(&task).await.expect_err(answer);
        let status = answer.split(['\r', '\n']).next().unwrap();
        let wanted = Failure::retry_after(format!("the receiver answered {status}"), Duration::from_secs(pause));
        assert_eq!(failure, wanted);
    }
    receiver.answer("410 Gone");
    house.deliver().run(&task).await.unwrap();
    assert!(house.store.webhook(hook.id).await.unwrap().unwrap().disabled_at.is_some());
    // From then on nobody is told, of what is under way neither.
    let before = receiver.heard().len();
    house.deliver().run(&task).await.unwrap();
    house.says("nobody hears this").await;
    assert!(house.tasks().await.is_empty(), "a disabled webhook causes no tasks");
    assert_eq!(receiver.heard().len(), before);
}

#[tokio::test]
async fn nobody_is_told_where_strangers_may_not_send_us() {
    let receiver = Receiver::answering("204 No Content").await;
    let house = House::new("127.0.0.1").await;
    house.tells(&receiver.url("/")).await;
    house.says("hello").await;
    let task = house.task().await;
    // Another node, or the same one later, allows less.
    let strict = Deliver::new(house.store.clone(), house::client(""));
    let failure = strict.run(&task).await.unwrap_err();
    assert!(matches!(&failure, Failure::GiveUp { why } if !why.contains("127.0.0.1")), "{failure:?}");
    assert!(receiver.heard().is_empty());
    // And who is not there now may be later.
    let gone = receiver.url("/");
    drop(receiver);
    let failure = house.deliver().run(&task).await.expect_err(&gone);
    assert!(matches!(&failure, Failure::Retry { why, .. } if !why.contains("127.0.0.1")), "{failure:?}");
}

#[tokio::test]
async fn a_webhook_that_was_removed_is_told_nothing_more() {
    let receiver = Receiver::answering("204 No Content").await;
    let house = House::new("127.0.0.1").await;
    let (hook, _) = house.tells(&receiver.url("/")).await;
    house.says("hello").await;
    let task = house.task().await;
    house.hooks().remove(hook.id).await.unwrap();
    house.deliver().run(&task).await.unwrap();
    assert!(receiver.heard().is_empty());
    Store::close(&*house.store).await;
    assert!(house.deliver().run(&task).await.is_err(), "a store that is gone is no reason to forget a task");
}
