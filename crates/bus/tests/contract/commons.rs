//! What nodes hold in common for a short time: the promises of every bus, and Redis on bad days.

use std::time::Duration;

use bus::Pace;
use bytes::Bytes;
use testkit::redis::{Redis, Reply};

use crate::scene::{Node, eventually};

const LONG: Duration = Duration::from_secs(3_600);
const SHORT: Duration = Duration::from_millis(300);

/// The nodes that share it: one in process, two on Redis.
struct House {
    nodes: Vec<Node>,
    _redis: Option<Redis>,
}

macro_rules! on_both {
    ($($promise:ident)*) => {
        mod in_process {
            $(#[tokio::test]
            async fn $promise() {
                super::$promise(super::House { nodes: vec![super::Node::local(16)], _redis: None }).await;
            })*
        }
        mod on_redis {
            $(#[tokio::test]
            async fn $promise() {
                let redis = super::Redis::start().await;
                let nodes = super::Node::pair(&redis).await.into();
                super::$promise(super::House { nodes, _redis: Some(redis) }).await;
            })*
        }
    };
}

on_both! {
    a_copy_is_everybodys_until_its_end
    the_first_copy_stays
    a_removed_copy_cannot_be_put_back_for_a_while
    keys_may_hold_anything
    a_pace_is_everybodys
    who_waited_as_told_may_go_on
}

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn pace(burst: u32, every: Duration) -> Pace {
    Pace { burst, every }
}

async fn a_copy_is_everybodys_until_its_end(house: House) {
    let (first, last) = (&house.nodes[0].commons, &house.nodes[house.nodes.len() - 1].commons);
    assert_eq!(last.copy("a").await, None);
    first.put_copy("a", bytes("one"), LONG).await;
    first.put_copy("b", bytes("two"), SHORT).await;
    first.put_copy("c", Bytes::new(), LONG).await;
    assert_eq!(last.copy("a").await, Some(bytes("one")));
    assert_eq!(last.copy("c").await, None);
    eventually("it ends", async || last.copy("b").await.is_none()).await;
    assert_eq!(last.copy("a").await, Some(bytes("one")));
}

async fn the_first_copy_stays(house: House) {
    let (first, last) = (&house.nodes[0].commons, &house.nodes[house.nodes.len() - 1].commons);
    first.put_copy("a", bytes("one"), LONG).await;
    last.put_copy("a", bytes("two"), LONG).await;
    assert_eq!(first.copy("a").await, Some(bytes("one")));
    first.put_copy("b", bytes("one"), SHORT).await;
    eventually("another may follow it", async || {
        last.put_copy("b", bytes("two"), LONG).await;
        first.copy("b").await == Some(bytes("two"))
    })
    .await;
}

async fn a_removed_copy_cannot_be_put_back_for_a_while(house: House) {
    let (first, last) = (&house.nodes[0].commons, &house.nodes[house.nodes.len() - 1].commons);
    first.put_copy("a", bytes("one"), LONG).await;
    last.remove_copy("a", LONG).await;
    assert_eq!(first.copy("a").await, None);
    // Somebody had read it before, and was slow.
    first.put_copy("a", bytes("one"), LONG).await;
    last.put_copy("a", bytes("one"), LONG).await;
    assert_eq!((first.copy("a").await, last.copy("a").await), (None, None));
    // What was never there is shut as well.
    last.remove_copy("b", SHORT).await;
    eventually("not for ever", async || {
        first.put_copy("b", bytes("two"), LONG).await;
        last.copy("b").await == Some(bytes("two"))
    })
    .await;
}

async fn keys_may_hold_anything(house: House) {
    let commons = &house.nodes[0].commons;
    for key in ["", "a b", "{a}", "}{", "ñ:\r\n*3", "a:b"] {
        commons.put_copy(key, bytes("one"), LONG).await;
        assert_eq!(commons.copy(key).await, Some(bytes("one")), "{key:?}");
        assert_eq!(commons.take(key, pace(1, LONG)).await, Ok(()));
        assert!(commons.take(key, pace(1, LONG)).await.is_err());
    }
}

async fn a_pace_is_everybodys(house: House) {
    let mut tries = tokio::task::JoinSet::new();
    for number in 0..40 {
        let commons = house.nodes[number % house.nodes.len()].commons.clone();
        tries.spawn(async move { commons.take("a", pace(7, LONG)).await });
    }
    let tries = tries.join_all().await;
    assert_eq!(tries.iter().filter(|answer| answer.is_ok()).count(), 7);
    for wait in tries.into_iter().filter_map(Result::err) {
        assert!(wait <= LONG && wait > LONG - Duration::from_secs(60), "{wait:?}");
    }
    let commons = &house.nodes[0].commons;
    assert_eq!(commons.take("b", pace(7, LONG)).await, Ok(()), "another has its own");
    for _ in 0..100 {
        assert_eq!(commons.take("c", pace(1, Duration::ZERO)).await, Ok(()), "no limit");
    }
}

async fn who_waited_as_told_may_go_on(house: House) {
    let (first, last) = (&house.nodes[0].commons, &house.nodes[house.nodes.len() - 1].commons);
    assert_eq!(first.take("a", pace(1, SHORT)).await, Ok(()));
    let mut waits = 0;
    while let Err(wait) = last.take("a", pace(1, SHORT)).await {
        assert!(wait <= SHORT, "{wait:?}");
        waits += 1;
        assert!(waits < 5, "told to wait again and again");
        tokio::time::sleep(wait).await;
    }
}

#[tokio::test]
async fn a_flushed_redis_forgets_and_is_told_the_script_again() {
    let redis = Redis::start().await;
    let [north, south] = Node::pair(&redis).await;
    north.commons.put_copy("a", bytes("one"), LONG).await;
    assert_eq!(south.commons.take("a", pace(1, LONG)).await, Ok(()));
    assert!(north.commons.take("a", pace(1, LONG)).await.is_err());
    redis.flush().await;
    redis.command(&["SCRIPT", "FLUSH"]).await;
    assert_eq!(south.commons.copy("a").await, None);
    assert_eq!(south.commons.take("a", pace(1, LONG)).await, Ok(()));
    assert!(north.commons.take("a", pace(1, LONG)).await.is_err());
    let calls = redis.calls().await;
    assert!(calls["eval"] >= 2 && calls["evalsha"] >= 4, "{calls:?}");
}

#[tokio::test]
async fn all_that_is_put_into_redis_has_an_end() {
    let redis = Redis::start().await;
    let node = Node::up(&redis.url()).await;
    node.commons.put_copy("a", bytes("one"), LONG).await;
    node.commons.remove_copy("b", LONG).await;
    for _ in 0..3 {
        _ = node.commons.take("c", pace(2, LONG)).await;
    }
    let Reply::Many(keys) = redis.command(&["KEYS", "tertulia:*"]).await else { panic!() };
    let keys: Vec<_> =
        keys.iter().map(|key| if let Reply::Text(key) = key { key.as_str() } else { panic!() }).collect();
    for kind in ["copy:a", "copy:b", "pace:c"] {
        let key = keys.iter().find(|key| key.ends_with(kind)).unwrap_or_else(|| panic!("no {kind} in {keys:?}"));
        let Reply::Number(left) = redis.command(&["PTTL", key]).await else { panic!() };
        let most = if kind == "pace:c" { 2 * LONG } else { LONG };
        assert!(left > 0 && left <= most.as_millis() as i64, "{key}: {left}");
    }
}

#[tokio::test]
async fn without_redis_each_node_counts_for_itself_and_nobody_waits() {
    let mut redis = Redis::start().await;
    let [mut north, south] = Node::pair(&redis).await;
    north.commons.put_copy("a", bytes("one"), LONG).await;
    redis.stop();
    north.reachable(false).await;
    for commons in [&north.commons, &south.commons] {
        assert_eq!(commons.copy("a").await, None);
        commons.put_copy("a", bytes("two"), LONG).await;
        commons.remove_copy("a", LONG).await;
        assert_eq!(commons.take("a", pace(1, LONG)).await, Ok(()));
        assert!(commons.take("a", pace(1, LONG)).await.is_err());
    }
    redis.start_again().await;
    north.reachable(true).await;
    assert_eq!(north.commons.take("a", pace(1, LONG)).await, Ok(()));
}

#[tokio::test]
async fn a_frozen_redis_is_not_waited_for() {
    let redis = Redis::start().await;
    let node = Node::up(&redis.url()).await;
    node.commons.put_copy("a", bytes("one"), LONG).await;
    redis.freeze();
    let asked = async {
        assert_eq!(node.commons.copy("a").await, None);
        assert_eq!(node.commons.take("a", pace(1, LONG)).await, Ok(()));
        assert!(node.commons.take("a", pace(1, LONG)).await.is_err());
    };
    // Three questions, each with a patience far below the two seconds after which a command fails.
    tokio::time::timeout(Duration::from_millis(1_900), asked).await.expect("answers of this node alone");
    redis.thaw();
    eventually("Redis is asked again", async || node.commons.copy("a").await == Some(bytes("one"))).await;
}

#[tokio::test]
async fn what_somebody_else_wrote_there_shuts_nobody_out() {
    let redis = Redis::start().await;
    let node = Node::up(&redis.url()).await;
    _ = node.commons.take("a", pace(1, LONG)).await;
    let Reply::Many(keys) = redis.command(&["KEYS", "*:pace:a"]).await else { panic!() };
    let Reply::Text(key) = &keys[0] else { panic!() };
    redis.command(&["SET", key, "not a number"]).await;
    assert_eq!(node.commons.take("a", pace(1, LONG)).await, Ok(()));
    redis.command(&["SET", key, "9e15"]).await;
    let wait = node.commons.take("a", pace(2, LONG)).await.unwrap_err();
    assert!(wait <= LONG, "{wait:?}");
    redis.command(&["DEL", key]).await;
    redis.command(&["LPUSH", key, "x"]).await;
    // Redis refuses, so this node counts.
    assert_eq!(node.commons.take("a", pace(1, LONG)).await, Ok(()));
    assert!(node.commons.take("a", pace(1, LONG)).await.is_err());
}
