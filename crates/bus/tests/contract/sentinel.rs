//! The same bus behind a Sentinel that replaces the server it watches.

use testkit::redis::{Redis, Reply};

use crate::scene::{Node, eventually, rooms};

#[tokio::test]
async fn the_bus_follows_a_failover_to_the_new_primary() {
    let mut primary = Redis::start().await;
    let port = primary.address().port().to_string();
    let replica = Redis::start_with(&["--replicaof", "127.0.0.1", &port]).await;
    let sentinel = Redis::start_sentinel_of(&primary).await;
    eventually("the Sentinel knows the replica", async || {
        matches!(sentinel.command(&["SENTINEL", "REPLICAS", "chat"]).await, Reply::Many(replicas) if replicas.len() == 1)
    })
    .await;
    let url = format!("redis-sentinel://{}?sentinelServiceName=chat", sentinel.address());
    let (mut north, mut south) = (Node::up(&url).await, Node::up(&url).await);
    let rooms = rooms(50);
    south.joins(&rooms).await;
    primary.stop();
    north.reachable(false).await;
    south.reachable(false).await;
    north.reachable(true).await;
    south.reachable(true).await;
    south.subscribed(&rooms).await;
    rooms.iter().for_each(|room| north.says(room, 1));
    assert_eq!(south.hears(rooms.len()).await.len(), rooms.len());
    assert!(replica.calls().await.contains_key("spublish"));
}
