//! The same bus on a Redis Cluster of three.

use bus::{BusError, Queue, RedisConfig, RedisQueue};
use proto::{TaskId, Timestamp};
use testkit::redis::{Redis, Reply};

use crate::scene::{DEADLINE, Node, eventually, room, rooms};

const SLOTS: u32 = 16_384;

async fn cluster() -> Vec<Redis> {
    let mut servers = Vec::new();
    for number in 0..3 {
        let server = Redis::start_with(&["--cluster-enabled", "yes", "--cluster-port", &free_port().to_string()]).await;
        let slots = [SLOTS * number / 3, SLOTS * (number + 1) / 3 - 1].map(|slot| slot.to_string());
        assert_eq!(server.command(&["CLUSTER", "ADDSLOTSRANGE", &slots[0], &slots[1]]).await, Reply::Text("OK".into()));
        servers.push(server);
    }
    for server in &servers[1..] {
        let Reply::Text(port) = config_of(&servers[0], "cluster-port").await else { panic!("no cluster port") };
        let first = servers[0].address();
        let (ip, client_port) = (first.ip().to_string(), first.port().to_string());
        server.command(&["CLUSTER", "MEET", &ip, &client_port, &port]).await;
    }
    for server in &servers {
        eventually("the cluster is whole", async || {
            let Reply::Text(about) = server.command(&["CLUSTER", "INFO"]).await else { return false };
            about.contains("cluster_state:ok") && about.contains("cluster_known_nodes:3")
        })
        .await;
    }
    servers
}

async fn config_of(server: &Redis, name: &str) -> Reply {
    match server.command(&["CONFIG", "GET", name]).await {
        Reply::Many(mut pair) => pair.pop().unwrap_or(Reply::Nothing),
        other => other,
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn rooms_of_all_shards_are_heard_before_and_after_each_shard_cuts_its_subscribers() {
    let servers = cluster().await;
    let url = format!("redis-cluster://{}", servers[0].address());
    let (north, mut south) = (Node::up(&url).await, Node::up(&url).await);
    let rooms = rooms(600);
    south.joins(&rooms).await;
    for cut in [None, Some(0), Some(1), Some(2)] {
        if let Some(cut) = cut {
            assert!(servers[cut].kill_subscribers().await >= 2, "both nodes listen to each shard");
            south.reachable(false).await;
            south.reachable(true).await;
            south.subscribed(&rooms).await;
            eventually("north is back too", async || north.bus.is_up()).await;
        }
        rooms.iter().for_each(|room| north.says(room, 1));
        assert_eq!(south.hears(rooms.len()).await.len(), rooms.len());
    }
    for server in &servers {
        assert!(server.calls().await.contains_key("ssubscribe"));
    }
    for room in &rooms[..50] {
        south.bus.unsubscribe(room);
        north.bus.remember(room, proto::Epoch(1), &[crate::scene::entry(1, 1, "hola")]);
        north.bus.announce(room, 2);
    }
    for room in &rooms[..50] {
        eventually("recall", async || south.bus.recall(room, proto::Epoch(1)).await.is_some()).await;
        eventually("presence", async || south.bus.presence(room).await == [(north.bus.node(), 2)]).await;
    }
    south.joins(&[room("one-more")]).await;
    assert_eq!(south.metric("tertulia_bus_subscriptions"), 551.0);
}

#[tokio::test]
async fn a_slot_that_moves_is_followed() {
    let servers = cluster().await;
    let url = format!("redis-cluster://{}", servers[0].address());
    let (north, mut south) = (Node::up(&url).await, Node::up(&url).await);
    let lobby = [room("lobby")];
    south.joins(&lobby).await;
    let Reply::Number(slot) = servers[0].command(&["CLUSTER", "KEYSLOT", "{54}"]).await else { panic!("no slot") };
    let from = (slot as u32 * 3 / SLOTS) as usize;
    let Reply::Text(to) = servers[(from + 1) % 3].command(&["CLUSTER", "MYID"]).await else { panic!("no id") };
    for server in [&servers[(from + 1) % 3], &servers[from], &servers[(from + 2) % 3]] {
        server.command(&["CLUSTER", "SETSLOT", &slot.to_string(), "NODE", &to]).await;
    }
    // Nobody says anything there, and no canary lives there: it is asked for.
    south.reachable(false).await;
    south.reachable(true).await;
    south.subscribed(&lobby).await;
    assert_eq!(south.metric("tertulia_bus_reconnects_total{cause=\"moved\"}"), 1.0);
    let spoken = async {
        loop {
            north.says(&lobby[0], 1);
            tokio::select! {
                heard = south.hears(1) => break heard,
                () = tokio::time::sleep(std::time::Duration::from_millis(200)) => {}
            }
        }
    };
    assert_eq!(tokio::time::timeout(DEADLINE, spoken).await.unwrap(), [(lobby[0].clone(), 1)]);
}

#[tokio::test]
async fn each_server_tells_about_itself() {
    let mut servers = cluster().await;
    servers[1].command(&["CONFIG", "SET", "client-output-buffer-limit", "pubsub 1000000 0 0"]).await;
    servers[2].command(&["CONFIG", "SET", "maxmemory", "5000000"]).await;
    let config = RedisConfig::new(format!("redis-cluster://{}", servers[0].address()));
    let told = bus::survey(&config).await.unwrap();
    assert_eq!(told.len(), 3);
    assert!(told.iter().all(|server| server.major() >= 7 && server.eviction == "noeviction"), "{told:?}");
    assert_eq!(told.iter().filter(|server| server.subscriber_buffer == Some(1_000_000)).count(), 1, "{told:?}");
    assert_eq!(told.iter().filter(|server| server.memory_max == 5_000_000).count(), 1, "{told:?}");

    let alone = Redis::start().await;
    assert_eq!(bus::survey(&RedisConfig::new(alone.url())).await.unwrap().len(), 1);
    servers.iter_mut().for_each(Redis::stop);
    assert!(matches!(bus::survey(&config).await, Err(BusError::Away(_))));
}

#[tokio::test]
async fn what_nodes_hold_in_common_is_spread_over_all_shards() {
    let servers = cluster().await;
    let url = format!("redis-cluster://{}", servers[0].address());
    let (north, south) = (Node::up(&url).await, Node::up(&url).await);
    let pace = bus::Pace { burst: 1, every: DEADLINE * 10 };
    for number in 0..60 {
        let key = format!("grant:{number}");
        north.commons.put_copy(&key, "one".into(), DEADLINE * 10).await;
        assert_eq!(south.commons.copy(&key).await, Some("one".into()), "{key}");
        assert_eq!(north.commons.take(&key, pace).await, Ok(()));
        assert!(south.commons.take(&key, pace).await.is_err(), "{key}");
    }
    for server in &servers {
        assert!(matches!(server.command(&["DBSIZE"]).await, Reply::Number(20..)));
    }
}

/// Guards against keys in several slots, and a script that is asked of the wrong server.
#[tokio::test]
async fn tasks_are_handed_out_by_whichever_shard_has_their_slot() {
    let servers = cluster().await;
    let config = RedisConfig::new(format!("redis-cluster://{}", servers[0].address()));
    let (one, other) = (RedisQueue::start(&config).unwrap(), RedisQueue::start(&config).unwrap());
    let (id, since) = (TaskId(uuid::Uuid::from_u128(1)), Timestamp(1));
    eventually("it is offered", async || one.offer(&[(id, since)]).await == Some(1)).await;
    eventually("it is taken", async || other.take(1, DEADLINE).await == Some(vec![id])).await;
    assert_eq!((one.leads().await, other.leads().await), (Some(true), Some(false)));
    one.close().await;
    assert_eq!(other.leads().await, Some(true));
    other.close().await;
}
