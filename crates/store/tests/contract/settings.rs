//! What all nodes agree on, and what an operator sees.

use std::collections::HashSet;

use futures_util::future::join_all;
use store::StoreMetrics;

use crate::house::*;

pub async fn of_many_who_rotate_the_epoch_one_succeeds(house: House) {
    let nodes = house.nodes::<4>().await;
    let old = nodes[0].epoch().await.unwrap();
    let told = join_all(nodes.iter().map(|node| node.rotate_epoch(old))).await;
    let told: HashSet<_> = told.into_iter().map(Result::unwrap).collect();
    assert_eq!(told.len(), 1, "all are told the same");
    let fresh = nodes[0].epoch().await.unwrap();
    assert!(told.contains(&fresh) && fresh != old);

    // Who comes late with an old one changes nothing.
    assert_eq!(nodes[1].rotate_epoch(old).await.unwrap(), fresh);
    assert_eq!(nodes[2].heads(&[]).await.unwrap().epoch, fresh);
    assert_eq!(house.node().await.epoch().await.unwrap(), fresh);
}

pub async fn all_nodes_agree_on_a_secret_and_keep_it(house: House) {
    let nodes = house.nodes::<4>().await;
    let offers = ["north", "south", "east", "west"];
    let told = join_all(nodes.iter().zip(offers).map(|(node, offer)| node.secret(offer))).await;
    let told: HashSet<String> = told.into_iter().map(Result::unwrap).collect();
    assert_eq!(told.len(), 1);
    let kept = house.node().await.secret("another").await.unwrap();
    assert!(told.contains(&kept) && offers.contains(&kept.as_str()));
}

pub async fn a_commit_waits_for_the_disk(house: House) {
    let durability = house.node().await.durability().await.unwrap();
    assert_eq!(durability.weaknesses, Vec::<String>::new());
    let settings: Vec<(&str, &str)> = durability.settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    match house {
        House::Postgres { .. } => {
            assert_eq!(settings, [("synchronous_commit", "on"), ("fsync", "on"), ("full_page_writes", "on")]);
        }
        House::Sqlite { .. } => assert_eq!(settings, [("synchronous", "full"), ("journal_mode", "wal")]),
    }
}

pub async fn every_series_exists_from_the_start(house: House) {
    let registry = prometheus::Registry::new();
    let metrics = StoreMetrics::register(&registry).unwrap();
    let families = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    for series in [
        "tertulia_store_commit_seconds_count{op=\"append\"} 0",
        "tertulia_store_commit_seconds_count{op=\"amend\"} 0",
        "tertulia_store_batch_size_count 0",
        "tertulia_store_read_seconds_count{kind=\"changes\"} 0",
        "tertulia_store_errors_total{kind=\"away\"} 0",
        "tertulia_store_errors_total{kind=\"conflict\"} 0",
        "tertulia_store_errors_total{kind=\"refused\"} 0",
    ] {
        assert!(families.contains(series), "{series} is not in\n{families}");
    }
    metrics.show_durability(&house.node().await.durability().await.unwrap());
    let families = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    assert!(families.contains("tertulia_store_durability{setting=\"synchronous"), "{families}");
}
