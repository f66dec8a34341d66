//! Rooms forget what they do not keep, whichever that is and however much.

// A test fails by a panic.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use prometheus::Registry;
use proto::{MessageId, PersonName, RoomName, TaskId, Text, Timestamp, User, UserId};
use store::{Exports, Policy, Post, Retention, SqliteConfig, SqliteStore, Store, StoreMetrics};
use tasks::{Kind, Retain, RetainMetrics, Task};
use tempfile::TempDir;
use uuid::Uuid;

fn room(name: &str) -> RoomName {
    RoomName::parse(name).unwrap()
}

async fn says(store: &SqliteStore, name: &str, count: u128) {
    let from = User { id: UserId(Uuid::nil()), name: PersonName::parse("Ana").unwrap() };
    let post = |number| Post {
        room: room(name),
        id: MessageId(Uuid::from_u128(number)),
        from: from.clone(),
        text: Text::parse("a word").unwrap(),
        reply_to: None,
    };
    let posts: Vec<Post> = (1..=count).map(post).collect();
    for posts in posts.chunks(1000) {
        store.append(0, posts).await.unwrap();
    }
}

/// A run of it, as a worker would.
async fn run(retain: &Retain<SqliteStore>) {
    let now = Timestamp::now();
    let task = Task {
        id: TaskId(Uuid::now_v7()),
        kind: "retention".into(),
        key: None,
        payload: String::new(),
        created_at: now,
        due_at: now,
        attempts: 1,
        max_attempts: None,
        leased_until: None,
        worker: None,
        last_error: None,
        dead_at: None,
        done_at: None,
    };
    Kind::run(retain, &task).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_run_takes_every_room_to_where_it_keeps() {
    let folder = TempDir::new().unwrap();
    let metrics = StoreMetrics::register(&Registry::new()).unwrap();
    let path = folder.path().join("rooms.db");
    let store = SqliteStore::open(path.to_str().unwrap(), SqliteConfig::default(), metrics).await.unwrap();
    let store = Arc::new(store);
    let registry = Registry::new();
    let retain = Retain::new(store.clone(), RetainMetrics::register(&registry).unwrap());
    // More than a room's turn; little; nothing that is old enough; no policy; no room.
    for (name, count) in [("busy", 11_000), ("quiet", 5), ("young", 5), ("whole", 5)] {
        says(&store, name, count).await;
    }
    let newest = |count| Policy { keep_days: None, keep_messages: Some(count) };
    for (name, policy) in [
        ("busy", newest(10)),
        ("quiet", newest(2)),
        ("young", Policy { keep_days: Some(1), keep_messages: None }),
        ("void", newest(1)),
    ] {
        store.set_policy(&room(name), policy).await.unwrap();
    }
    // What somebody began and did not finish.
    store.forget(&room("young"), 3, 1).await.unwrap();
    for _ in 0..2 {
        run(&retain).await;
        let heads = store.heads(&["busy", "quiet", "young", "whole", "void"].map(room)).await.unwrap();
        assert_eq!(heads.floors, [10_990, 3, 3, 0, 0]);
        assert_eq!(heads.heads, [11_000, 5, 5, 5, 0]);
        let gone = registry.gather()[0].get_metric()[0].get_counter().get_value();
        assert_eq!(gone, 10_990.0 + 3.0 + 2.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_nobody_wants_any_more_goes_with_its_pieces() {
    let folder = TempDir::new().unwrap();
    let metrics = StoreMetrics::register(&Registry::new()).unwrap();
    let path = folder.path().join("rooms.db");
    let store = SqliteStore::open(path.to_str().unwrap(), SqliteConfig::default(), metrics).await.unwrap();
    let store = Arc::new(store);
    let retain = Retain::new(store.clone(), RetainMetrics::register(&Registry::new()).unwrap());
    let (id, content) = (TaskId(Uuid::now_v7()), Uuid::now_v7());
    store.begin_export(&room("lobby"), id, content).await.unwrap();
    assert!(store.put_export_chunk(&room("lobby"), id, content, 0, b"{}\n").await.unwrap());
    assert!(store.finish_export(&room("lobby"), id, content, 1, 3).await.unwrap());
    run(&retain).await;
    assert!(store.export(&room("lobby"), id).await.unwrap().is_some(), "it is kept for a day");

    let day_later = "UPDATE exports SET expires_at = expires_at - 86400000";
    let file = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).busy_timeout(Duration::from_secs(5));
    let mut connection = sqlx::ConnectOptions::connect(&file).await.unwrap();
    sqlx::query(day_later).execute(&mut connection).await.unwrap();
    assert_eq!(store.export(&room("lobby"), id).await.unwrap(), None);
    run(&retain).await;
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM export_chunks").fetch_one(&mut connection).await.unwrap();
    assert_eq!(left, 0);
}
