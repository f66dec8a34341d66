//! Who is where, and who is gone.

use testkit::proxy::{Proxy, Way};
use testkit::redis::{Redis, Reply};

use crate::scene::{Node, eventually, room};

#[tokio::test]
async fn nodes_see_each_others_counts_and_not_their_own() {
    let redis = Redis::start().await;
    let [north, south] = Node::pair(&redis).await;
    let (lobby, other) = (room("lobby"), room("other"));
    north.bus.announce(&lobby, 3);
    south.bus.announce(&lobby, 5);
    eventually("south sees three", async || south.bus.presence(&lobby).await == [(north.bus.node(), 3)]).await;
    eventually("north sees five", async || north.bus.presence(&lobby).await == [(south.bus.node(), 5)]).await;
    north.bus.announce(&lobby, 0);
    north.bus.announce(&other, 1);
    eventually("north has left", async || south.bus.presence(&lobby).await.is_empty()).await;
    eventually("it went elsewhere", async || south.bus.presence(&other).await == [(north.bus.node(), 1)]).await;
}

#[tokio::test]
async fn counts_return_after_redis_has_forgotten_them() {
    let mut redis = Redis::start().await;
    let [mut north, mut south] = Node::pair(&redis).await;
    let lobby = room("lobby");
    north.bus.announce(&lobby, 3);
    eventually("south sees three", async || south.bus.presence(&lobby).await == [(north.bus.node(), 3)]).await;
    redis.stop();
    north.reachable(false).await;
    south.reachable(false).await;
    north.bus.announce(&lobby, 4);
    redis.start_again().await;
    eventually("south sees four", async || south.bus.presence(&lobby).await == [(north.bus.node(), 4)]).await;
}

#[tokio::test]
async fn a_node_that_says_goodbye_is_gone_at_once_with_its_people() {
    let redis = Redis::start().await;
    let [north, mut south] = Node::pair(&redis).await;
    let lobby = room("lobby");
    north.bus.announce(&lobby, 3);
    eventually("south sees three", async || south.bus.presence(&lobby).await == [(north.bus.node(), 3)]).await;
    north.bus.close().await;
    assert_eq!(south.gone().await, north.bus.node());
    assert!(south.bus.presence(&lobby).await.is_empty());
    assert_eq!(redis.command(&["HLEN", "tertulia:{54}:people:lobby"]).await, Reply::Number(0));
}

#[tokio::test]
async fn a_node_that_falls_silent_is_gone_and_its_field_is_taken_out() {
    let redis = Redis::start().await;
    let proxy = Proxy::to(redis.address()).await;
    let north = Node::up(&format!("redis://{}", proxy.address())).await;
    let mut south = Node::up(&redis.url()).await;
    let lobby = room("lobby");
    north.bus.announce(&lobby, 3);
    eventually("south sees three", async || south.bus.presence(&lobby).await == [(north.bus.node(), 3)]).await;
    proxy.swallow(Way::ToServer);
    assert_eq!(south.gone().await, north.bus.node());
    assert!(south.bus.presence(&lobby).await.is_empty());
    eventually("nothing is left of it", async || {
        south.bus.presence(&lobby).await;
        redis.command(&["HLEN", "tertulia:{54}:people:lobby"]).await == Reply::Number(0)
    })
    .await;
    proxy.pass();
    eventually("it is back", async || south.bus.presence(&lobby).await == [(north.bus.node(), 3)]).await;
}

/// Guards against people of a node that died right after it told of them, before its first heart-beat: they would stay for ever.
#[tokio::test]
async fn a_node_that_was_only_heard_of_is_gone_too() {
    let redis = Redis::start().await;
    let mut south = Node::up(&redis.url()).await;
    let north = proto::NodeId(17);
    south.bus.suppose(north);
    assert_eq!(south.gone().await, north);
}

#[tokio::test]
async fn a_node_that_was_deaf_itself_takes_nobody_for_gone() {
    let redis = Redis::start().await;
    let proxy = Proxy::to(redis.address()).await;
    let north = Node::up(&redis.url()).await;
    let mut south = Node::up(&format!("redis://{}", proxy.address())).await;
    let lobby = room("lobby");
    north.bus.announce(&lobby, 3);
    eventually("south sees three", async || south.bus.presence(&lobby).await == [(north.bus.node(), 3)]).await;
    proxy.refuse();
    south.reachable(false).await;
    // Longer than a node may be silent.
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    proxy.pass();
    south.reachable(true).await;
    assert_eq!(south.bus.presence(&lobby).await, [(north.bus.node(), 3)]);
    assert!(!south.told().contains(&bus::BusEvent::NodeGone(north.bus.node())));
}
