//! What senders are told while the store is away, and when.

#![allow(clippy::expect_used, clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bus::Bus;
use common::{Altered, Before, Node, SOON, Settled, behind_a_line, everything, postgres, room, settled, sqlite};
use roomlog::{AppendError, LaneConfig};
use store::{Post, StoreError, StoreView};
use tempfile::TempDir;
use testkit::patience;
use testkit::postgres::Postgres;
use testkit::proxy::Way;
use tokio::time::Instant;
use uuid::Uuid;

/// Guards the case that retries are for: it was committed, and the answer never came.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_settled_with_the_number_it_has_and_published() {
    let (line, url, database) = behind_a_line().await;
    let store = postgres(&url, Duration::from_millis(400)).await;
    let mut node = Node::open(store.clone(), &LaneConfig { patience: SOON, ..LaneConfig::default() }).await;
    let hot = room("hot");
    node.bus.subscribe(&hot);
    // The connection knows its statement from now on: the next post is one question and one answer.
    settled(node.says(&hot, Uuid::new_v4(), "hello")).await.unwrap();
    assert_eq!(node.next_published().await.len(), 1);
    line.swallow(Way::ToClient);
    let answer = node.says(&hot, Uuid::new_v4(), "did you get this?");
    let count = async || {
        let (database, sql) = (database.clone(), "SELECT count(*) FROM messages");
        tokio::task::spawn_blocking(move || Postgres::shared().execute(&database, sql)).await.unwrap()
    };
    let committed = patience(SOON, async || (count().await.trim() == "2").then_some(())).await;
    assert!(committed.is_some(), "it was never committed");
    line.cut();
    line.pass();
    assert_eq!(settled(answer).await.unwrap().seq, 2);
    assert!(node.counted("tertulia_store_retries_total") > 0);
    assert_eq!(node.next_published().await.len(), 1);
    assert_eq!(everything(&store, &hot).await.len(), 2);
}

/// Guards a sender from waiting for ever, and from a second message when it asks again.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_away_beyond_patience_is_unknown_and_the_same_id_settles_afterwards() {
    let (line, url, _) = behind_a_line().await;
    let store = postgres(&url, Duration::from_millis(400)).await;
    let config = LaneConfig { patience: Duration::from_millis(300), ..LaneConfig::default() };
    let node = Node::open(store.clone(), &config).await;
    let hot = room("hot");
    line.refuse();
    let ids: Vec<Uuid> = (0..20).map(|_| Uuid::new_v4()).collect();
    let answers: Vec<Settled> = ids.iter().map(|id| node.says(&hot, *id, "hello?")).collect();
    for answer in answers {
        assert_eq!(settled(answer).await, Err(AppendError::Unknown { retry_after_ms: 1000 }));
    }
    assert!(!node.view.is_up());
    line.pass();
    for (id, number) in ids.iter().zip(1..) {
        let again = patience(SOON, async || settled(node.says(&hot, *id, "hello?")).await.ok()).await;
        assert_eq!(again.unwrap().seq, number);
    }
    assert!(node.view.is_up());
    assert_eq!(everything(&store, &hot).await.len(), ids.len());
}

/// Guards a node's memory while its store is slow: more than the bound is refused, and what was accepted is kept.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_lane_is_busy_and_keeps_what_it_has_taken() {
    let (line, url, _) = behind_a_line().await;
    let store = postgres(&url, Duration::from_millis(400)).await;
    let config = LaneConfig { queue_len: 3, batch_len: 1, patience: SOON, ..LaneConfig::default() };
    let node = Node::open(store.clone(), &config).await;
    let hot = room("hot");
    line.refuse();
    let mut taken = vec![node.says(&hot, Uuid::new_v4(), "under way")];
    let under_way = patience(SOON, async || (!node.view.is_up()).then_some(())).await;
    assert!(under_way.is_some(), "the lane never tried");
    taken.extend((0..3).map(|_| node.says(&hot, Uuid::new_v4(), "waits")));
    let refused = settled(node.says(&hot, Uuid::new_v4(), "one too many")).await;
    assert!(matches!(refused, Err(AppendError::Busy { retry_after_ms: 1.. })), "{refused:?}");
    line.pass();
    for (answer, number) in taken.into_iter().zip(1..) {
        assert_eq!(settled(answer).await.unwrap().seq, number);
    }
    assert_eq!(everything(&store, &hot).await.len(), 4);
}

/// Guards against senders who each wait out a patience of their own, one after another, when a batch was refused and the store
/// went away behind it (a disk that fills up does both).
#[tokio::test]
async fn once_the_store_is_away_the_rest_of_a_refused_batch_is_not_tried_one_by_one() {
    let folder = TempDir::new().unwrap();
    let store = sqlite(&folder).await;
    let view = Arc::new(StoreView::new(store.epoch().await.unwrap()));
    let alone = Arc::new(AtomicUsize::new(0));
    let tried = alone.clone();
    let before = Box::new(move |posts: &[Post]| {
        if posts.len() > 1 {
            return Before::Fail(StoreError::Refused("the disk is full".into()));
        }
        tried.fetch_add(1, Ordering::Relaxed);
        Before::Fail(StoreError::Away("and now it is gone".into()))
    });
    let failing = Arc::new(Altered { store, before, after: Box::new(|| ()) });
    let node = Node::of(failing, view, &LaneConfig { patience: Duration::ZERO, ..LaneConfig::default() });
    // One thread: all ten wait before the lane looks.
    let waiting: Vec<Settled> = (0..10).map(|_| node.says(&room("hot"), Uuid::new_v4(), "is there room?")).collect();
    for answer in waiting {
        assert_eq!(settled(answer).await, Err(AppendError::Unknown { retry_after_ms: 1000 }));
    }
    assert_eq!(alone.load(Ordering::Relaxed), 1);
}
/// Guards against a store that says nothing at all: whoever waits behind others hears as soon as those, and not after a patience
/// more for each batch.
#[tokio::test]
async fn with_a_silent_store_everybody_is_told_within_six_seconds() {
    let folder = TempDir::new().unwrap();
    let store = sqlite(&folder).await;
    let view = Arc::new(StoreView::new(store.epoch().await.unwrap()));
    let silent = Arc::new(Altered { store, before: Box::new(|_| Before::Silence), after: Box::new(|| ()) });
    let node = Node::of(silent, view, &LaneConfig { batch_len: 3, ..LaneConfig::default() });
    // From here on the clock jumps to whatever is waited for next.
    tokio::time::pause();
    let mut told = Vec::new();
    for _ in 0..200 {
        let (began, answer) = (Instant::now(), node.says(&room("hot"), Uuid::new_v4(), "are you there?"));
        told.push(tokio::spawn(async move { (answer.await, began.elapsed()) }));
        tokio::time::sleep(Duration::from_millis(170)).await;
    }
    for answer in told {
        let (answer, waited) = answer.await.unwrap();
        assert_eq!(answer.unwrap(), Err(AppendError::Unknown { retry_after_ms: 1000 }));
        assert!(waited <= Duration::from_millis(6_005), "told after {waited:?}");
    }
}
