//! Redis on bad days: cut, deaf, restarted, frozen, not there at all.

use std::time::Duration;

use bus::{Bus, BusError, BusMetrics, Loss, RedisBus, RedisConfig};
use proto::RoomName;
use testkit::proxy::{Proxy, Way};
use testkit::redis::Redis;
use tokio::time::Instant;

use crate::scene::{Node, eventually, room, rooms};

/// Says something in every room on one node until the other has heard all.
async fn all_arrive(from: &Node, to: &mut Node, rooms: &[RoomName]) {
    rooms.iter().for_each(|room| from.says(room, 1));
    let mut heard: Vec<_> = to.hears(rooms.len()).await.into_iter().map(|(room, _)| room).collect();
    heard.sort();
    heard.dedup();
    assert_eq!(heard.len(), rooms.len());
}

#[tokio::test]
async fn a_cut_subscriber_hears_all_of_2000_rooms_again() {
    let redis = Redis::start().await;
    let [north, mut south] = Node::pair(&redis).await;
    let rooms = rooms(2_000);
    let begin = Instant::now();
    south.joins(&rooms).await;
    println!("2,000 rooms subscribed in {:?}", begin.elapsed());
    for _ in 0..3 {
        let begin = Instant::now();
        assert!(redis.kill_subscribers().await >= 2);
        south.lost(Loss::Reconnect).await;
        south.reachable(false).await;
        south.reachable(true).await;
        south.subscribed(&rooms).await;
        println!("and again after a cut in {:?}", begin.elapsed());
        eventually("north is back too", async || north.bus.is_up()).await;
        all_arrive(&north, &mut south, &rooms).await;
    }
    assert_eq!(south.metric("tertulia_bus_subscriptions"), 2_000.0);
    assert_eq!(south.metric("tertulia_bus_reconnects_total{cause=\"closed\"}"), 3.0);
    assert_eq!(south.metric("tertulia_bus_losses_total{cause=\"reconnect\"}"), 3.0);
}

#[tokio::test]
async fn a_deaf_connection_is_found_and_replaced() {
    let redis = Redis::start().await;
    let proxy = Proxy::to(redis.address()).await;
    let north = Node::up(&redis.url()).await;
    let mut south = Node::up(&format!("redis://{}", proxy.address())).await;
    let rooms = rooms(100);
    south.joins(&rooms).await;
    let begin = Instant::now();
    // Only the subscriber connection: the publishing one works, and so does the next.
    proxy.swallow_where(Way::ToClient, b"SSUBSCRIBE");
    south.lost(Loss::Deaf).await;
    let found = begin.elapsed();
    assert!(found < Duration::from_secs(5), "found after {found:?}");
    proxy.pass();
    south.reachable(true).await;
    south.subscribed(&rooms).await;
    all_arrive(&north, &mut south, &rooms).await;
    assert_eq!(south.metric("tertulia_bus_losses_total{cause=\"deaf\"}"), 1.0);
}

#[tokio::test]
async fn a_connection_that_takes_nothing_is_given_up() {
    let redis = Redis::start().await;
    let proxy = Proxy::to(redis.address()).await;
    let north = Node::up(&redis.url()).await;
    let mut south = Node::up(&format!("redis://{}", proxy.address())).await;
    let rooms = rooms(10);
    south.joins(&rooms).await;
    proxy.swallow(Way::ToServer);
    south.reachable(false).await;
    proxy.pass();
    south.reachable(true).await;
    south.subscribed(&rooms).await;
    all_arrive(&north, &mut south, &rooms).await;
}

#[tokio::test]
async fn a_restarted_redis_is_found_again() {
    let mut redis = Redis::start().await;
    let [mut north, mut south] = Node::pair(&redis).await;
    let rooms = rooms(700);
    south.joins(&rooms).await;
    for _ in 0..2 {
        redis.stop();
        north.reachable(false).await;
        south.reachable(false).await;
        assert!(!south.bus.is_up());
        redis.start_again().await;
        north.reachable(true).await;
        south.reachable(true).await;
        south.subscribed(&rooms).await;
        all_arrive(&north, &mut south, &rooms).await;
    }
}

#[tokio::test]
async fn a_frozen_redis_is_noticed_and_forgiven() {
    let redis = Redis::start().await;
    let [mut north, mut south] = Node::pair(&redis).await;
    let rooms = rooms(10);
    south.joins(&rooms).await;
    redis.freeze();
    // More than the sockets take: the connection is stuck in a write, where no time-out of fred's reaches it.
    let flood = vec![0; 64 * 1024];
    for _ in 0..2_000 {
        north.bus.publish(&rooms[0], flood.clone().into());
        tokio::task::yield_now().await;
    }
    south.reachable(false).await;
    north.reachable(false).await;
    let given_up = "tertulia_bus_reconnects_total{cause=\"stalled\"}";
    eventually("the stuck connection is given up", async || north.metric(given_up) >= 1.0).await;
    redis.thaw();
    north.reachable(true).await;
    south.reachable(true).await;
    south.subscribed(&rooms).await;
    let last = room("after-the-flood");
    south.joins(std::slice::from_ref(&last)).await;
    all_arrive(&north, &mut south, &[last]).await;
}

#[tokio::test]
async fn a_pause_of_redis_costs_nothing_but_time() {
    let redis = Redis::start().await;
    let [north, mut south] = Node::pair(&redis).await;
    let lobby = [room("lobby")];
    south.joins(&lobby).await;
    redis.pause(Duration::from_secs(1)).await;
    all_arrive(&north, &mut south, &lobby).await;
    assert!(south.bus.is_up());
}

#[tokio::test]
async fn a_bus_starts_without_redis_and_speaks_to_its_own_meanwhile() {
    let mut redis = Redis::start().await;
    redis.stop();
    let mut node = Node::at(&redis.url());
    let lobby = room("lobby");
    node.bus.subscribe(&lobby);
    assert!(!node.bus.is_up());
    node.says(&lobby, 1);
    assert_eq!(node.hears(1).await, [(lobby.clone(), 1)]);
    assert_eq!(node.metric("tertulia_bus_published_total{result=\"dropped\"}"), 1.0);
    assert!(node.bus.presence(&lobby).await.is_empty());
    redis.start_again().await;
    node.reachable(true).await;
    node.subscribed(std::slice::from_ref(&lobby)).await;
    assert!(node.bus.is_up());
    node.says(&lobby, 2);
    assert_eq!(node.hears(1).await, [(lobby, 2)]);
}

#[tokio::test]
async fn what_is_published_goes_through_redis_in_pipelines_and_comes_back_to_nobody() {
    let redis = Redis::start().await;
    let [mut north, mut south] = Node::pair(&redis).await;
    let lobby = [room("lobby")];
    north.joins(&lobby).await;
    south.joins(&lobby).await;
    let before = redis.calls().await["spublish"];
    (1..=500).for_each(|number| north.says(&lobby[0], number));
    assert_eq!(south.hears(500).await.len(), 500);
    assert!(redis.calls().await["spublish"] >= before + 500);
    eventually("all are acknowledged", async || north.metric("tertulia_bus_published_total{result=\"ok\"}") == 500.0)
        .await;
    eventually("north heard itself", async || north.metric("tertulia_bus_received_total") == 500.0).await;
    assert_eq!(north.hears(500).await.len(), 500);
    south.says(&lobby[0], 501);
    assert_eq!(north.hears(1).await, [(lobby[0].clone(), 501)]);
}

#[tokio::test]
async fn what_was_published_before_the_end_is_sent() {
    let redis = Redis::start().await;
    let [north, mut south] = Node::pair(&redis).await;
    let lobby = [room("lobby")];
    south.joins(&lobby).await;
    (1..=2_000).for_each(|number| north.says(&lobby[0], number));
    north.bus.close().await;
    assert_eq!(south.hears(2_000).await.len(), 2_000);
    assert_eq!(south.gone().await, north.bus.node());
}

#[tokio::test]
async fn chats_with_different_prefixes_share_a_redis_and_hear_nothing_of_each_other() {
    let redis = Redis::start().await;
    let mut north = Node::up(&redis.url()).await;
    let mut other = Node::with(RedisConfig { prefix: "other".into(), ..RedisConfig::new(redis.url()) });
    let lobby = [room("lobby")];
    north.joins(&lobby).await;
    other.joins(&lobby).await;
    north.says(&lobby[0], 1);
    other.says(&lobby[0], 2);
    assert_eq!(other.hears(1).await, [(lobby[0].clone(), 2)]);
}

#[tokio::test]
async fn only_what_can_never_work_is_an_error_at_the_start() {
    let start = |config| RedisBus::start(config, BusMetrics::register(&prometheus::Registry::new()).unwrap());
    for url in ["", "redis", "http://localhost", "redis-sentinel://localhost:1"] {
        assert!(matches!(start(RedisConfig::new(url)), Err(BusError::Url(_))), "{url}");
    }
    for prefix in ["", "a b", "{x}", "x:y"] {
        let config = RedisConfig { prefix: prefix.into(), ..RedisConfig::new("redis://127.0.0.1:1") };
        assert!(matches!(start(config), Err(BusError::Prefix(_))), "{prefix}");
    }
    let sentinel = "redis-sentinel://127.0.0.1:1?sentinelServiceName=chat";
    for url in [sentinel, "rediss://user:pass@127.0.0.1:1/2", "redis-cluster://127.0.0.1:1"] {
        let (bus, _events) = start(RedisConfig::new(url)).unwrap();
        assert!(!bus.is_up());
        bus.close().await;
    }
}
