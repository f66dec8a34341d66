//! That Postgres finds its rows by the index meant for them, when statistics speak against it.

use std::sync::Arc;
use std::time::Duration;

use proto::{PersonName, Timestamp, UserId};
use store::{
    Above, AccountKind, Accounts, Archive, Claim, GrantKind, Keeper, NewAccount, Policy, Post, Restoration, Retention,
    Revoke, Store, Task, Webhooks,
};
use testkit::postgres::Postgres;
use uuid::Uuid;

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

/// Dead letters, as many that are done and remembered, and what is due tomorrow: none of it is in the way of what is due now.
const OTHER_TASKS: &str = "
    INSERT INTO tasks (id, kind, key, payload, created_at, due_at, dead_at, done_at)
    SELECT gen_random_uuid(), 'webhook', n::text, '{}', now(), now() + interval '1 day',
        CASE WHEN n % 3 = 0 THEN now() END, CASE WHEN n % 3 = 1 THEN now() END
    FROM generate_series(1, 9000) n;
    INSERT INTO webhooks SELECT 'quiet-' || n, gen_random_uuid(), 'out', 'bell', NULL, '', 7, gen_random_uuid(), now(), NULL
    FROM generate_series(1, 3000) n";

/// Says a hundred things to a room with a webhook, some of them twice, and does the tasks of it.
async fn a_hundred_messages_and_their_tasks(store: &dyn Keeper, round: u128) {
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

#[tokio::test(flavor = "multi_thread")]
async fn plans_made_when_there_was_nothing_find_tasks_and_webhooks_among_many() {
    let server = Postgres::shared();
    let url = server.database();
    let database = url.rsplit('/').next().unwrap();
    let store = postgres(&url).await;
    // As a planner sees a table that it knows to be empty: all ways look equally short.
    for table in ["tasks", "webhooks"] {
        server.execute(database, &format!("ALTER TABLE {table} SET (autovacuum_enabled = false)"));
        server.execute(database, &format!("VACUUM ANALYZE {table}"));
    }
    let bell = crate::webhooks::hook("busy", 1, store::Events::ALL);
    store.add_webhook(&bell).await.unwrap();
    a_hundred_messages_and_their_tasks(&store, 0).await;
    server.execute(database, OTHER_TASKS);
    for round in 1..10 {
        a_hundred_messages_and_their_tasks(&store, round).await;
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
    // Each of 1,010 tasks is looked up a few times: when it is due, claimed, extended, done. Rows that have moved on are met again,
    // since nothing clears them away here. Each batch looks for the room's webhook, and so does each new message.
    assert!(of_tasks < 40_000, "{of_tasks} rows of tasks read");
    assert!(of_webhooks < 2_500, "{of_webhooks} rows of webhooks read");
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
        // Rows that are gone are met again until they are cleared away. Autovacuum does that elsewhere.
        server.execute(database, "VACUUM messages");
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

/// Many people with four sessions each; every tenth session was revoked yesterday.
const MANY_PEOPLE: &str = "
    INSERT INTO accounts (id, name, name_key, kind, created_at)
    SELECT lpad(to_hex(n), 32, '0')::uuid, 'name ' || n, 'name ' || n, 'person', now() FROM generate_series(1, 5000) n;
    INSERT INTO grants (id, account, kind, hash, created_at, used_at, expires_at, revoked_at)
    SELECT lpad(to_hex(n), 32, '0')::uuid, lpad(to_hex(1 + n % 5000), 32, '0')::uuid, 'session',
        sha256(n::text::bytea), now(), now(), now() + interval '30 days',
        CASE WHEN n % 10 = 0 THEN now() - interval '1 day' END
    FROM generate_series(1, 20000) n;
    ANALYZE";

#[tokio::test(flavor = "multi_thread")]
async fn people_are_looked_up_by_index() {
    let server = Postgres::shared();
    let url = server.database();
    let database = url.rsplit('/').next().unwrap();
    let store = postgres(&url).await;
    server.execute(database, MANY_PEOPLE);
    let hash = |number: u32| -> [u8; 32] {
        use sha2::{Digest, Sha256};
        Sha256::digest(number.to_string()).into()
    };
    for round in 0..20 {
        let some = round * 100 + 1..round * 100 + 101;
        let ids: Vec<Uuid> = some.clone().map(|n| Uuid::from_u128(n.into())).collect();
        let hashes: Vec<_> = some.clone().map(hash).collect();
        assert_eq!(store.grants(&hashes, &[]).await.unwrap().len(), 90);
        assert_eq!(store.grants(&[], &ids).await.unwrap().len(), 90);
        assert_eq!(store.holding(&ids).await.unwrap().len(), 90);
        store.touch_grants(&ids, Some(Duration::from_secs(3_600))).await.unwrap();
        let names: Vec<String> = some.map(|n| format!("name {n}")).collect();
        assert_eq!(store.taken(&names).await.unwrap().len(), 100);
        let somebody = UserId(ids[4]);
        assert!(store.grants_of(somebody, GrantKind::Session, 10).await.unwrap().len() == 4);
        store.revoke(somebody, Revoke::AllBut(None)).await.unwrap();
        let lately = Timestamp(Timestamp::now().0 - 60_000);
        assert!(store.revoked_after(lately, 1_000).await.unwrap().grants.len() <= 80);
        store.forget_grants(Duration::from_secs(7 * 24 * 3_600), 100).await.unwrap();
        store.accounts(&names[0], 10).await.unwrap();
        let (name, key) = (PersonName::parse("Ana").unwrap(), format!("ana {round}"));
        let id = UserId(Uuid::new_v4());
        let new =
            NewAccount { id, name: &name, key: &key, password_hash: None, kind: AccountKind::Person, admin: false };
        store.create_account(&new).await.unwrap().unwrap();
    }
    store.close().await;
    let counted = "SELECT (SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = 'accounts') || ' ' ||
        (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname IN ('accounts', 'grants')) || ' ' ||
        (SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE relname IN ('accounts', 'grants'))";
    let told = testkit::patience(Duration::from_secs(10), async || {
        let told = server.execute(database, counted);
        let numbers: Vec<u64> = told.split_whitespace().map(|number| number.parse().unwrap()).collect();
        (numbers[0] == 5_020).then_some((numbers[1], numbers[2]))
    });
    let (by_index, by_reading_all) = told.await.unwrap();
    // Some hundreds each round, and as many again for what is beside them. One look through all in each would be half a million.
    assert!(by_index < 40_000, "{by_index} rows read by indexes");
    assert_eq!(by_reading_all, 0);
}
