//! What Postgres may go through, and what a node then sees.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use store::{Outcome, Post, PostgresConfig, PostgresStore, Store, StoreError};
use testkit::postgres::Postgres;

use crate::house::*;

async fn open(url: &str, answer_timeout: Duration) -> Result<Arc<dyn Store>, StoreError> {
    let config = PostgresConfig { lanes: 2, readers: 2, answer_timeout, ..PostgresConfig::default() };
    Ok(Arc::new(PostgresStore::open(url, config, metrics()).await?))
}

fn name_of(url: &str) -> &str {
    url.rsplit('/').next().unwrap()
}

/// Asks again for as long as that can help.
async fn persist(store: &Arc<dyn Store>, lane: usize, posts: &[Post]) -> (Vec<Outcome>, usize) {
    for failures in 0..2000 {
        match store.append(lane, posts).await {
            Ok(outcomes) => return (outcomes, failures),
            Err(error) if error.is_passing() => tokio::time::sleep(Duration::from_millis(5)).await,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("it never came back");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_cut_at_any_moment_cost_a_retry_and_no_number() {
    let server = Postgres::shared();
    let url = server.database();
    let nodes = join_all([open(&url, Duration::from_secs(5)), open(&url, Duration::from_secs(5))]).await;
    let writers: Vec<_> = (0..4_usize)
        .map(|writer| {
            let store = nodes[writer % 2].as_ref().unwrap().clone();
            tokio::spawn(async move {
                let mut failures = 0;
                for _ in 0..150 {
                    let batch: Vec<Post> =
                        (0..10).map(|_| Post { id: fresh_id(), ..post("lobby", 0, "a word") }).collect();
                    failures += persist(&store, writer, &batch).await.1;
                }
                failures
            })
        })
        .collect();
    let cut = tokio::task::spawn_blocking(move || {
        for _ in 0..25 {
            let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() \
                       AND application_name = 'tertulia lane'";
            server.execute(name_of(&url), sql);
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let mut failures = 0;
    for writer in writers {
        failures += writer.await.unwrap();
    }
    cut.await.unwrap();
    assert!(failures > 0, "nothing was cut");
    let kept = everything(nodes[0].as_ref().unwrap(), "lobby").await;
    assert_eq!(kept.iter().map(|m| m.seq).collect::<Vec<_>>(), (1..=6000).collect::<Vec<u64>>());
    assert_eq!(kept.iter().map(|m| m.id).collect::<HashSet<_>>().len(), 6000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_refused_burns_no_number() {
    let store: Arc<dyn Store> = Arc::new(postgres(&Postgres::shared().database()).await);
    ana_says(&store, "lobby", ["one"]).await;
    // The caller's mistake: an id twice in one batch.
    let twice = [post("lobby", 1, "x"), post("attic", 2, "y"), post("lobby", 1, "x")];
    assert!(matches!(store.append(0, &twice).await, Err(StoreError::Refused(_))));
    assert_eq!(store.heads(&[room("lobby"), room("attic")]).await.unwrap().heads, [1, 0]);
    let [next] = ana_says(&store, "lobby", ["two"]).await;
    assert_eq!(next.seq, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_is_away_until_it_is_back() {
    let mut server = Postgres::start();
    let store = open(&server.database(), Duration::from_secs(5)).await.unwrap();
    ana_says(&store, "lobby", ["one"]).await;
    everything(&store, "lobby").await;
    server.stop();
    assert!(matches!(store.append(0, &[post("lobby", 1, "x")]).await, Err(StoreError::Away(_))));
    assert!(matches!(store.heads(&[room("lobby")]).await, Err(StoreError::Away(_))));
    server.start_again();
    // A reader finds its way at once; a writer may have to ask again in each lane.
    assert_eq!(store.heads(&[room("lobby")]).await.unwrap().heads, [1]);
    for lane in [0, 1] {
        persist(&store, lane, &[post("lobby", 7, "x")]).await;
    }
    assert_eq!(store.heads(&[room("lobby")]).await.unwrap().heads, [2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_outlives_a_killed_server() {
    let mut server = Postgres::start();
    let store = open(&server.database(), Duration::from_secs(5)).await.unwrap();
    let writer = {
        let store = store.clone();
        tokio::spawn(async move {
            let mut acknowledged = 0;
            loop {
                let batch = [1, 2, 3].map(|_| Post { id: fresh_id(), ..post("lobby", 0, "a word") });
                match store.append(0, &batch).await {
                    Ok(outcomes) => acknowledged = seqs(&outcomes)[2],
                    Err(error) => return (acknowledged, error),
                }
            }
        })
    };
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.kill();
    let (acknowledged, error) = writer.await.unwrap();
    assert!(matches!(error, StoreError::Away(_)) && acknowledged > 0, "{error}");
    server.start_again();
    let kept = everything(&store, "lobby").await;
    assert!(kept.len() as u64 >= acknowledged && kept.len().is_multiple_of(3));
    assert_eq!(kept.iter().map(|m| m.seq).collect::<Vec<_>>(), (1..=kept.len() as u64).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_server_is_away_within_the_time_out() {
    let server = Postgres::start();
    let url = server.database();
    let store = open(&url, Duration::from_millis(600)).await.unwrap();
    ana_says(&store, "lobby", ["one"]).await;
    everything(&store, "lobby").await;
    server.freeze();
    let began = Instant::now();
    let lobby = [room("lobby")];
    let batch = [post("lobby", 1, "x")];
    let (appended, read) = tokio::join!(store.append(0, &batch), store.heads(&lobby));
    assert!(matches!(appended, Err(StoreError::Away(_))) && matches!(read, Err(StoreError::Away(_))));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    // A new connection is no quicker, but has an end too.
    assert!(matches!(store.append(0, &batch).await, Err(StoreError::Away(_))));
    assert!(matches!(open(&url, Duration::from_millis(600)).await, Err(StoreError::Away(_))));
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());

    server.thaw();
    let (outcomes, _) = persist(&store, 0, &batch).await;
    // The first attempt may have been carried out after we had given up: then it is known, and counted once.
    assert_eq!(seqs(&outcomes), [2]);
    assert_eq!(everything(&store, "lobby").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_away_and_its_promotion_begins_one_new_epoch() {
    let mut server = Postgres::start();
    let url = server.database();
    let nodes: Vec<_> =
        join_all([1, 2, 3].map(|_| open(&url, Duration::from_secs(5)))).await.into_iter().map(Result::unwrap).collect();
    ana_says(&nodes[0], "lobby", ["one"]).await;
    let old = nodes[0].epoch().await.unwrap();
    server.stop();
    server.demote();
    server.start_again();
    for node in &nodes {
        assert!(matches!(node.heads(&[]).await, Err(StoreError::Away(_))));
    }
    assert!(matches!(open(&url, Duration::from_secs(5)).await, Err(StoreError::Away(_))));
    server.execute(name_of(&url), "SELECT pg_promote()");
    let told = join_all(nodes.iter().map(async |node| node.heads(&[room("lobby")]).await.unwrap())).await;
    let epochs: HashSet<_> = told.iter().map(|heads| heads.epoch).collect();
    assert_eq!(epochs.len(), 1, "one new epoch for all");
    assert!(!epochs.contains(&old));
    assert_eq!(told[0].heads, [1]);
    persist(&nodes[1], 0, &[post("lobby", 1, "two")]).await;
    assert!(epochs.contains(&nodes[2].epoch().await.unwrap()), "and it stays");
}

/// Guards against numbers that are given twice after a backup was put back where it came from.
#[tokio::test(flavor = "multi_thread")]
async fn a_dump_restored_into_the_same_server_begins_a_new_epoch() {
    let server = Postgres::shared();
    let url = server.database();
    let store = open(&url, Duration::from_secs(5)).await.unwrap();
    ana_says(&store, "lobby", ["one"]).await;
    let old = store.epoch().await.unwrap();
    let dump = server.dump(name_of(&url));
    ana_says(&store, "lobby", ["lost"]).await;
    store.close().await;
    let again = open(&url, Duration::from_secs(5)).await.unwrap();
    assert_eq!(again.epoch().await.unwrap(), old, "nothing has happened yet");
    again.close().await;

    // In its place: the tables are dropped and made anew. Beside it: in a database of its own.
    let beside = server.database();
    server.execute(name_of(&url), "DROP SCHEMA public CASCADE; CREATE SCHEMA public");
    for restored in [&url, &beside] {
        server.execute(name_of(restored), &dump);
        let store = open(restored, Duration::from_secs(5)).await.unwrap();
        assert_ne!(store.epoch().await.unwrap(), old, "{restored}");
        assert_eq!(everything(&store, "lobby").await.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_weak_setting_is_named_and_left_as_it_is() {
    let server = Postgres::shared();
    let url = server.database();
    server.execute(name_of(&url), &format!("ALTER DATABASE {} SET synchronous_commit = off", name_of(&url)));
    let durability = postgres(&url).await.durability().await.unwrap();
    assert_eq!(durability.settings[0], ("synchronous_commit", "off".to_owned()));
    assert_eq!(durability.weaknesses.len(), 1);
    assert!(durability.weaknesses[0].contains("set it to on"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stricter_isolation_by_default_does_not_upset_the_append() {
    let server = Postgres::shared();
    let url = server.database();
    let sql = format!("ALTER DATABASE {} SET default_transaction_isolation = 'repeatable read'", name_of(&url));
    server.execute(name_of(&url), &sql);
    crate::numbering::many_writers_on_several_nodes_leave_no_gap_and_keep_each_id_once(House::Postgres { url }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_be_served_is_told_why() {
    let server = Postgres::shared();
    let why = async |url: &str| open(url, Duration::from_secs(5)).await.err().unwrap();
    assert!(matches!(why("mysql://somewhere").await, StoreError::Refused(_)));
    assert!(matches!(why(&server.url("no_such_database")).await, StoreError::Refused(_)));
    let nobody = format!("postgres://postgres@127.0.0.1:{}/x", testkit::process::free_port());
    assert!(matches!(why(&nobody).await, StoreError::Away(_)));

    let url = server.database();
    postgres(&url).await;
    let sql = "INSERT INTO _sqlx_migrations VALUES (9999, 'from tomorrow', now(), true, '\\x00', 0)";
    server.execute(name_of(&url), sql);
    assert!(why(&url).await.to_string().contains("newer version"));
    let going_back = PostgresConfig { allow_newer: true, ..PostgresConfig::default() };
    assert_eq!(PostgresStore::migrate(&url, &going_back).await.unwrap(), []);
    let store: Arc<dyn Store> = Arc::new(PostgresStore::open(&url, going_back, metrics()).await.unwrap());
    ana_says(&store, "lobby", ["one"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_only_looks_leaves_no_trace() {
    let server = Postgres::shared();
    let url = server.database();
    let survey = PostgresStore::survey(&url, &PostgresConfig::default()).await.unwrap();
    assert!(survey.product.starts_with("Postgres ") && survey.schema.applied.is_empty());
    let about = survey.server.unwrap();
    assert!(about.may_migrate && !about.reads_only && about.seats > 0 && about.clock_ahead_ms.abs() < 60_000);
    let reader = PostgresConfig { reads_only: true, ..PostgresConfig::default() };
    let error = PostgresStore::open(&url, reader.clone(), metrics()).await.err().unwrap();
    assert!(error.to_string().contains("`tertulia migrate`"), "{error}");
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(server.execute(name_of(&url), tables).trim(), "0");

    let applied = PostgresStore::migrate(&url, &PostgresConfig::default()).await.unwrap();
    assert_eq!(applied, survey.schema.pending);
    assert!(PostgresStore::open(&url, reader, metrics()).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_held_by_somebody_else_is_a_conflict_and_others_go_on() {
    let server = Postgres::shared();
    let url = server.database();
    let store = open(&url, Duration::from_secs(2)).await.unwrap();
    ana_says(&store, "held", ["one"]).await;
    let holder = tokio::task::spawn_blocking(move || {
        server.execute(
            name_of(&url),
            "BEGIN; SELECT FROM heads WHERE room = 'held' FOR UPDATE; SELECT pg_sleep(1.5); COMMIT",
        )
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (held, free) = ([post("held", 1, "x")], [post("free", 1, "x")]);
    let (held, free) = tokio::join!(store.append(0, &held), store.append(1, &free));
    assert!(matches!(held, Err(StoreError::Conflict(_))), "{held:?}");
    assert_eq!(seqs(&free.unwrap()), [1]);
    holder.await.unwrap();
    let [next] = ana_says(&store, "held", ["two"]).await;
    assert_eq!(next.seq, 2);
}
