//! That Postgres finds its rows by the index meant for them, when statistics speak against it.

use std::sync::Arc;
use std::time::Duration;

use proto::Timestamp;
use store::{Above, Archive, Claim, Policy, Post, Restoration, Retention, Store, Task, Tasks, Webhooks};
use testkit::postgres::Postgres;

use crate::house::*;

/// As many rooms with one message each as make a planner believe that a room is as good as a key.
const QUIET_ROOMS: &str = "
    INSERT INTO messages (room, seq, rev, id, text_hash, author, author_name, text, at)
    SELECT 'quiet-' || n, 1, 1, gen_random_uuid(), '\\x00', gen_random_uuid(), 'Ana', 'a word', now()
    FROM generate_series(1, 3000) n;
    INSERT INTO heads SELECT room, 1 FROM messages;
    ANALYZE";

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_made_among_quiet_rooms_stays_right_when_one_fills() {
    let server = Postgres::shared();
    let url = server.database();
    let database = url.rsplit('/').next().unwrap();
    let store: Arc<dyn Store> = Arc::new(postgres(&url).await);
    server.execute(database, QUIET_ROOMS);
    for round in 0..10 {
        let batch: Vec<Post> = (0..200).map(|n| post("busy", round * 200 + n, "a word")).collect();
        store.append(0, &batch).await.unwrap();
        store.append(0, &batch).await.unwrap();
        store.amend(0, &[edit("busy", round as u64 + 1, "another")]).await.unwrap();
        store.changes(&room("busy"), round as u64 * 200, 50).await.unwrap();
        store.tail(&room("busy"), 50).await.unwrap();
    }
    // Connections report what they read when they end at the latest.
    store.close().await;
    // Each of 2,000 retries reads its own row, each page its own. Reading the room for each would be millions.
    let read = rows_read(server, database, 5000).await;
    assert!(read < 10_000, "{read} rows read");
}

/// A year's dead letters, as many done and remembered, and what is due tomorrow: none of it is in the way of what is due now.
const OTHER_TASKS: &str = "
    INSERT INTO tasks (id, kind, key, payload, created_at, due_at, dead_at, done_at)
    SELECT gen_random_uuid(), 'webhook', n::text, '{}', now(), now() + (n % 3 - 1) * interval '1 day',
        CASE WHEN n % 3 = 0 THEN now() END, CASE WHEN n % 3 = 1 THEN now() END
    FROM generate_series(1, 9000) n;
    INSERT INTO webhooks SELECT 'quiet-' || n, gen_random_uuid(), 'out', 'bell', NULL, '', 7, gen_random_uuid(), now(), NULL
    FROM generate_series(1, 3000) n;
    ANALYZE";

#[tokio::test(flavor = "multi_thread")]
async fn tasks_are_found_by_index_among_many_that_are_not_due() {
    let server = Postgres::shared();
    let url = server.database();
    let database = url.rsplit('/').next().unwrap();
    let store = postgres(&url).await;
    server.execute(database, OTHER_TASKS);
    // Those of yesterday are due, and out of the way of what follows.
    server.execute(database, "UPDATE tasks SET due_at = now() + interval '1 day' WHERE due_at <= now(); ANALYZE tasks");
    let bell = crate::webhooks::hook("busy", 1, store::Events::ALL);
    store.add_webhook(&bell).await.unwrap();
    for round in 0..10 {
        let batch: Vec<Post> = (0..100).map(|n| post("busy", round * 100 + n, "a word")).collect();
        store.append(0, &batch).await.unwrap();
        store.append(0, &batch).await.unwrap();
        store.amend(0, &[edit("busy", round as u64 + 1, "another")]).await.unwrap();
        let due = store.due_tasks(&["webhook"], 50).await.unwrap();
        let ids: Vec<_> = due.iter().map(|due| due.id).collect();
        let lease = Duration::from_secs(600);
        let mut taken = store.claim_tasks(&ids, &["webhook"], "a", lease).await.unwrap();
        taken.extend(store.claim_due(51, &["webhook"], "a", lease).await.unwrap());
        assert_eq!(taken.len(), 101);
        let claims: Vec<Claim> = taken.iter().map(Task::claim).collect();
        assert_eq!(store.extend_tasks(&claims, lease).await.unwrap().len(), 101);
        for claim in &claims {
            assert!(store.task_done(claim).await.unwrap());
        }
    }
    // Connections report what they read when they end at the latest.
    store.close().await;
    let counted = "SELECT (SELECT n_tup_del FROM pg_stat_user_tables WHERE relname = 'tasks') || ' ' ||
        (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname = 'tasks') || ' ' ||
        (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname = 'webhooks')";
    let told = testkit::patience(Duration::from_secs(10), async || {
        let told = server.execute(database, counted);
        let mut numbers = told.trim().split(' ').map(|number| number.parse::<u64>().ok());
        (numbers.next()? == Some(1010)).then(|| (numbers.next().flatten().unwrap(), numbers.next().flatten().unwrap()))
    });
    let (of_tasks, of_webhooks) = told.await.unwrap();
    // Each of 1,010 tasks is looked up a few times: when it is due, claimed, extended, done. Rows that have moved on are met again
    // until they are cleared away. Each batch looks for the room's webhook, and so does each new message.
    assert!(of_tasks < 30_000, "{of_tasks} rows of tasks read");
    assert!(of_webhooks < 2_000, "{of_webhooks} rows of webhooks read");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_forgets_is_looked_up_by_index() {
    let server = Postgres::shared();
    let url = server.database();
    let database = url.rsplit('/').next().unwrap();
    let store: Arc<dyn Retention> = Arc::new(postgres(&url).await);
    server.execute(database, QUIET_ROOMS);
    let batch = |round: u128| (0..200).map(|n| post("busy", round * 200 + n, "a word")).collect::<Vec<_>>();
    for round in 0..10 {
        store.append(0, &batch(round)).await.unwrap();
        store.amend(0, &[edit("busy", round as u64 + 1, "another")]).await.unwrap();
    }
    let keep = Policy { keep_messages: Some(100), keep_days: Some(1) };
    for _ in 0..18 {
        store.due(&room("busy"), keep, Timestamp::now(), 100).await.unwrap();
        store.forget(&room("busy"), 1800, 100).await.unwrap();
        // Whoever stands far below is not told by reading what is on its way out.
        store.changes(&room("busy"), 0, 10).await.unwrap();
        store.before(&room("busy"), 1900, 10).await.unwrap();
        store.heads(&[room("busy"), room("quiet-1"), room("void")]).await.unwrap();
    }
    for round in 0..10 {
        store.append(0, &batch(round)).await.unwrap();
    }
    store.close().await;
    let read = rows_read(server, database, 5000).await;
    // Eighteen times: 100 counted from the top, 100 from the bottom, 100 that go, and two pages; and the retries.
    assert!(read < 15_000, "{read} rows read");
    // The heads in question and those of each post, not all there are; the ids of what is gone, each by itself.
    let by_index = |table: &str| {
        let sum = format!("SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname = '{table}'");
        server.execute(database, &sum).trim().parse::<u64>().unwrap()
    };
    let (heads, ids) = (by_index("heads"), by_index("kept_ids"));
    assert!(heads < 12_000 && ids < 5_000, "{heads} heads and {ids} ids read");
}

/// Waits until Postgres has counted so many rows written, and says how many it read to find its rows.
async fn rows_read(server: &Postgres, database: &str, written: u64) -> u64 {
    let counted = "SELECT (SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = 'messages') || ' ' ||
        (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname = 'messages')";
    let told = testkit::patience(Duration::from_secs(10), async || {
        let told = server.execute(database, counted);
        let (inserted, read) = told.trim().split_once(' ')?;
        (inserted.parse() == Ok(written)).then(|| read.parse::<u64>().unwrap())
    });
    told.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_comes_in_is_looked_up_by_index() {
    let server = Postgres::shared();
    let url = server.database();
    let database = url.rsplit('/').next().unwrap();
    let store = postgres(&url).await;
    server.execute(database, QUIET_ROOMS);
    let laptop = House::sqlite();
    let old = laptop.archive().await;
    old.append(0, &(0..2000).map(|n| post("busy", n, "a word")).collect::<Vec<_>>()).await.unwrap();
    let records = old.records(&room("busy"), Above::Seq(0), 2000).await.unwrap();
    let void = store.epoch().await.unwrap();
    for records in [records.records.chunks(200), records.records.chunks(200)].into_iter().flatten() {
        let wanted = Restoration { room: &room("busy"), head: 2000, floor: 0, gone: &[], records, void };
        store.restore(&wanted).await.unwrap();
    }
    // Connections report what they read when they end at the latest.
    store.close().await;
    // Each of 2,000 records that are there already is found by its place, number and id, and then read.
    let read = rows_read(server, database, 5000).await;
    assert!(read < 15_000, "{read} rows read");
}
