//! The promises of both queues: ids are handed out one at a time, and come back when nobody claims them.

use std::collections::BTreeSet;
use std::time::Duration;

use bus::{LocalQueue, OFFERED_MAX, Queue, RedisConfig, RedisQueue};
use proto::{TaskId, Timestamp};
use testkit::redis::{Redis, Reply};

use crate::scene::eventually;

/// Two that share a queue; in process it is one twice.
struct House {
    queues: Vec<std::sync::Arc<dyn Queue>>,
    redis: Option<Redis>,
}

impl House {
    fn local() -> Self {
        let queue: std::sync::Arc<dyn Queue> = std::sync::Arc::new(LocalQueue::default());
        Self { queues: vec![queue.clone(), queue], redis: None }
    }

    async fn redis() -> Self {
        let redis = Redis::start().await;
        let mut queues: Vec<std::sync::Arc<dyn Queue>> = Vec::new();
        for _ in 0..2 {
            queues.push(std::sync::Arc::new(up(&redis.url()).await));
        }
        Self { queues, redis: Some(redis) }
    }
}

async fn up(url: &str) -> RedisQueue {
    let queue = RedisQueue::start(&RedisConfig::new(url)).unwrap();
    eventually("the queue is there", async || queue.finish(&[]).await.is_some() && queue.offer(&[]).await.is_some())
        .await;
    eventually("it answers", async || queue.take(1, Duration::ZERO).await.is_some()).await;
    queue
}

macro_rules! on_both {
    ($($promise:ident)*) => {
        mod local {
            $(#[tokio::test]
            async fn $promise() {
                super::$promise(super::House::local()).await;
            })*
        }
        mod redis {
            $(#[tokio::test]
            async fn $promise() {
                super::$promise(super::House::redis().await).await;
            })*
        }
    };
}

on_both! {
    what_is_offered_is_handed_out_once_the_oldest_first
    what_is_there_already_is_not_offered_again
    what_is_finished_may_be_offered_anew
    whoever_waits_is_told_at_once
    a_queue_is_bounded
    of_many_takers_each_gets_its_own
}

fn due(number: u128) -> (TaskId, Timestamp) {
    (TaskId(uuid(number)), Timestamp(number as i64))
}

fn uuid(number: u128) -> uuid::Uuid {
    uuid::Uuid::from_u128(number)
}

fn many(numbers: std::ops::Range<u128>) -> Vec<(TaskId, Timestamp)> {
    numbers.map(due).collect()
}

fn ids(due: &[(TaskId, Timestamp)]) -> Vec<TaskId> {
    due.iter().map(|(id, _)| *id).collect()
}

async fn what_is_offered_is_handed_out_once_the_oldest_first(house: House) {
    let [one, other] = &house.queues[..] else { panic!() };
    assert_eq!(one.offer(&[due(3), due(1), due(2)]).await, Some(3));
    assert_eq!(other.take(2, Duration::ZERO).await, Some(ids(&[due(1), due(2)])));
    assert_eq!(one.take(9, Duration::ZERO).await, Some(ids(&[due(3)])));
    assert_eq!(other.take(9, Duration::ZERO).await, Some(vec![]));
}

async fn what_is_there_already_is_not_offered_again(house: House) {
    let [one, other] = &house.queues[..] else { panic!() };
    assert_eq!(one.offer(&many(1..4)).await, Some(3));
    assert_eq!(one.take(1, Duration::ZERO).await, Some(ids(&[due(1)])));
    assert_eq!(other.offer(&many(1..5)).await, Some(1));
    assert_eq!(other.take(9, Duration::ZERO).await, Some(ids(&many(2..5))));
}

async fn what_is_finished_may_be_offered_anew(house: House) {
    let [one, other] = &house.queues[..] else { panic!() };
    one.offer(&many(1..3)).await.unwrap();
    one.take(1, Duration::ZERO).await.unwrap();
    // One that is with somebody, one that is ready, one that is nowhere.
    other.finish(&ids(&many(1..4))).await.unwrap();
    assert_eq!(one.take(9, Duration::ZERO).await, Some(vec![]));
    assert_eq!(one.offer(&many(1..3)).await, Some(2));
}

async fn whoever_waits_is_told_at_once(house: House) {
    let [one, other] = &house.queues[..] else { panic!() };
    let one_due = [due(1)];
    let (taken, offered) = tokio::join!(one.take(1, Duration::from_secs(30)), other.offer(&one_due));
    assert_eq!((taken, offered), (Some(ids(&[due(1)])), Some(1)));
}

async fn a_queue_is_bounded(house: House) {
    let [one, other] = &house.queues[..] else { panic!() };
    let more = OFFERED_MAX as u128 + 500;
    assert_eq!(one.offer(&many(0..more)).await, Some(OFFERED_MAX));
    // What is with somebody counts.
    let taken = other.take(100, Duration::ZERO).await.unwrap();
    assert_eq!(one.offer(&many(0..more)).await, Some(0));
    one.finish(&taken).await.unwrap();
    assert_eq!(one.offer(&many(0..more)).await, Some(100));
}

async fn of_many_takers_each_gets_its_own(house: House) {
    let [one, other] = &house.queues[..] else { panic!() };
    one.offer(&many(0..1_000)).await.unwrap();
    let all_of = async |queue: &std::sync::Arc<dyn Queue>| {
        let mut all = Vec::new();
        while let Some(some) = queue.take(7, Duration::ZERO).await.filter(|some| !some.is_empty()) {
            all.extend(some);
            tokio::task::yield_now().await;
        }
        all
    };
    let (some, others) = tokio::join!(all_of(one), all_of(other));
    assert_eq!(some.len() + others.len(), 1_000);
    assert_eq!(some.iter().chain(&others).collect::<BTreeSet<_>>().len(), 1_000);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_claims_is_handed_out_again_in_process() {
    let queue = LocalQueue::default();
    queue.offer(&many(1..3)).await.unwrap();
    assert_eq!(queue.take(1, Duration::ZERO).await.unwrap(), ids(&[due(1)]));
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(queue.take(9, Duration::ZERO).await.unwrap(), ids(&many(1..3)));
}

#[tokio::test]
async fn what_nobody_claims_is_handed_out_again_by_redis() {
    let house = House::redis().await;
    let [one, other] = &house.queues[..] else { panic!() };
    one.offer(&[due(1)]).await.unwrap();
    assert_eq!(one.take(1, Duration::ZERO).await.unwrap(), ids(&[due(1)]));
    eventually("it comes back", async || other.take(1, Duration::ZERO).await.unwrap() == ids(&[due(1)])).await;
}

#[tokio::test]
async fn one_leads_until_it_leaves_or_falls_silent() {
    let house = House::redis().await;
    let [one, other] = &house.queues[..] else { panic!() };
    assert_eq!((one.leads().await, other.leads().await), (Some(true), Some(false)));
    assert_eq!((one.leads().await, other.leads().await), (Some(true), Some(false)));
    one.close().await;
    assert_eq!(one.leads().await, None);
    assert_eq!(other.leads().await, Some(true));
    // It says nothing more: somebody else does.
    let third = up(&house.redis.as_ref().unwrap().url()).await;
    assert_eq!(third.leads().await, Some(false));
    eventually("the lock ends", async || third.leads().await == Some(true)).await;
}

#[tokio::test]
async fn a_flush_loses_what_is_offered_and_nothing_else() {
    let house = House::redis().await;
    let redis = house.redis.as_ref().unwrap();
    let [one, other] = &house.queues[..] else { panic!() };
    one.offer(&many(1..9)).await.unwrap();
    one.take(3, Duration::ZERO).await.unwrap();
    redis.flush().await;
    redis.command(&["SCRIPT", "FLUSH"]).await;
    assert_eq!(other.take(9, Duration::ZERO).await, Some(vec![]));
    assert_eq!(one.offer(&many(1..9)).await, Some(8));
    assert_eq!(other.take(9, Duration::ZERO).await, Some(ids(&many(1..9))));
    assert_eq!(other.leads().await, Some(true));
    // Nothing of it stays for ever, and all of it is in one slot.
    for key in ["tertulia:{tasks}:taken", "tertulia:{tasks}:lead"] {
        let Reply::Number(ttl) = redis.command(&["PTTL", key]).await else { panic!() };
        assert!(ttl > 0, "{key}: {ttl}");
    }
}

#[tokio::test]
async fn a_redis_that_goes_is_away_at_once_and_comes_back() {
    let mut house = House::redis().await;
    let redis = house.redis.as_mut().unwrap();
    let one = &house.queues[0];
    one.offer(&[due(1)]).await.unwrap();
    redis.stop();
    eventually("it is away", async || one.take(1, Duration::ZERO).await.is_none()).await;
    assert_eq!((one.leads().await, one.offer(&[due(2)]).await, one.finish(&[due(1).0]).await), (None, None, None));
    redis.start_again().await;
    eventually("it is back", async || one.offer(&[due(1), due(2)]).await == Some(2)).await;
}

#[tokio::test]
async fn a_redis_that_says_nothing_is_away_too() {
    let house = House::redis().await;
    let redis = house.redis.as_ref().unwrap();
    redis.freeze();
    eventually("it is away", async || house.queues[0].leads().await.is_none()).await;
    redis.thaw();
    eventually("it is back", async || house.queues[0].leads().await.is_some()).await;
}

#[tokio::test]
async fn what_somebody_else_put_there_is_left_out() {
    let house = House::redis().await;
    let redis = house.redis.as_ref().unwrap();
    let one = &house.queues[0];
    redis.command(&["ZADD", "tertulia:{tasks}:ready", "0", "no id at all"]).await;
    one.offer(&[due(1)]).await.unwrap();
    assert_eq!(one.take(9, Duration::ZERO).await, Some(ids(&[due(1)])));
    redis.command(&["SET", "tertulia:{tasks}:ready", "text"]).await;
    assert_eq!(one.take(9, Duration::ZERO).await, None);
}
