//! The promises of every bus, in process and on Redis.

use bus::{BusEvent, Loss};
use bytes::Bytes;
use proto::Epoch;
use testkit::redis::Redis;

use crate::scene::{Node, entry, room, rooms};

/// The nodes that share a bus: one in process, two on Redis.
struct House {
    nodes: Vec<Node>,
    _redis: Option<Redis>,
}

macro_rules! on_both {
    ($($promise:ident)*) => {
        mod in_process {
            $(#[tokio::test]
            async fn $promise() {
                let house = super::House { nodes: vec![super::Node::local(4_096)], _redis: None };
                super::$promise(house).await;
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
    publications_of_a_subscribed_room_arrive_in_order_on_every_node
    nothing_of_a_room_that_is_not_subscribed_arrives
    wanting_a_room_again_is_answered_again
    a_bus_that_works_says_so
    bytes_that_are_no_envelope_are_carried_and_upset_nothing
    a_full_queue_costs_publications_and_is_told_as_one_lag
    what_is_not_remembered_is_not_recalled
    a_closed_bus_tells_nothing_more
}

async fn publications_of_a_subscribed_room_arrive_in_order_on_every_node(mut house: House) {
    let lobby = room("lobby");
    for node in &mut house.nodes {
        node.joins(std::slice::from_ref(&lobby)).await;
    }
    let wanted: Vec<_> = (1..=1_000).map(|number| (lobby.clone(), number)).collect();
    wanted.iter().for_each(|(room, number)| house.nodes[0].says(room, *number));
    for node in &mut house.nodes {
        assert_eq!(node.hears(wanted.len()).await, wanted);
    }
}

async fn nothing_of_a_room_that_is_not_subscribed_arrives(mut house: House) {
    let [never, left, here] = ["never", "left", "here"].map(room);
    for node in &mut house.nodes {
        node.joins(&[left.clone(), here.clone()]).await;
        node.bus.unsubscribe(&left);
    }
    for room in [&never, &left, &here] {
        house.nodes[0].says(room, 1);
    }
    for node in &mut house.nodes {
        assert_eq!(node.hears(1).await, [(here.clone(), 1)]);
    }
}

async fn wanting_a_room_again_is_answered_again(mut house: House) {
    let lobby = room("lobby");
    for node in &mut house.nodes {
        node.joins(std::slice::from_ref(&lobby)).await;
        node.bus.unsubscribe(&lobby);
        node.joins(std::slice::from_ref(&lobby)).await;
        node.joins(std::slice::from_ref(&lobby)).await;
    }
    house.nodes[0].says(&lobby, 1);
    for node in &mut house.nodes {
        assert_eq!(node.hears(1).await, [(lobby.clone(), 1)]);
    }
}

async fn a_bus_that_works_says_so(house: House) {
    for node in &house.nodes {
        assert!(node.bus.is_up());
        assert_eq!(node.metric("tertulia_bus_up"), 1.0);
    }
}

async fn bytes_that_are_no_envelope_are_carried_and_upset_nothing(mut house: House) {
    let lobby = room("lobby");
    for node in &mut house.nodes {
        node.joins(std::slice::from_ref(&lobby)).await;
    }
    let odd = [&b""[..], b"\x01", b"not an envelope at all", &[0xff; 64]];
    for bytes in odd {
        house.nodes[0].bus.publish(&lobby, Bytes::from_static(bytes));
    }
    house.nodes[0].says(&lobby, 7);
    for node in &mut house.nodes {
        for bytes in odd {
            let publication = BusEvent::Publication { room: lobby.clone(), envelope: Bytes::from_static(bytes) };
            assert_eq!(node.next().await, publication);
        }
        assert_eq!(node.hears(1).await, [(lobby.clone(), 7)]);
    }
}

async fn a_full_queue_costs_publications_and_is_told_as_one_lag(mut house: House) {
    let (lobby, other) = (room("lobby"), room("other"));
    let node = &mut house.nodes[0];
    node.joins(std::slice::from_ref(&lobby)).await;
    let many = 40_000;
    (1..=many).for_each(|number| node.says(&lobby, number));
    // Told although the queue is full.
    node.bus.subscribe(&other);
    let mut heard = 0;
    node.until("a lag", |event| {
        heard += u64::from(matches!(event, BusEvent::Publication { .. }));
        (event == BusEvent::Lost(Loss::Lag)).then_some(())
    })
    .await;
    node.subscribed(std::slice::from_ref(&other)).await;
    assert_eq!(node.metric("tertulia_bus_dropped_events_total"), (many - heard) as f64);
    assert_eq!(node.metric("tertulia_bus_losses_total{cause=\"lag\"}"), 1.0);
    node.says(&other, 1);
    assert_eq!(node.hears(1).await, [(other, 1)]);
}

async fn what_is_not_remembered_is_not_recalled(house: House) {
    for node in &house.nodes {
        assert_eq!(node.bus.recall(&room("nobody-was-here"), Epoch(1)).await, None);
        node.bus.remember(&room("lobby"), Epoch(1), &[]);
        node.bus.remember(&room("lobby"), Epoch(1), &[entry(1, 1, "hola")]);
        assert_eq!(node.bus.recall(&room("lobby"), Epoch(2)).await, None);
    }
}

async fn a_closed_bus_tells_nothing_more(mut house: House) {
    let rooms = rooms(3);
    for node in &mut house.nodes {
        node.joins(&rooms).await;
        node.bus.close().await;
        node.told();
        node.says(&rooms[0], 1);
        node.bus.subscribe(&rooms[0]);
        assert!(node.told_nothing_more().await);
    }
}
