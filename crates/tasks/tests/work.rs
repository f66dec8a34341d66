//! Work in the background as it goes on most days, and on some bad ones: on real stores and a real Redis.

// A test fails by a panic.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use store::{NewTask, Which};
use tasks::Kinds;
use tempfile::TempDir;
use testkit::postgres::Postgres;
use testkit::redis::Redis;

use crate::common::*;

#[tokio::test(flavor = "multi_thread")]
async fn of_many_workers_each_task_is_run_by_one_once() {
    let (url, server) = (Postgres::shared().database(), Redis::start().await);
    let book = Book::default();
    let mut crews = Vec::new();
    let mut stores = Vec::new();
    for name in ["a", "b", "c", "d"] {
        let store = postgres(&url).await;
        // The lease as it is on most days: a test on a busy machine must not lose one.
        let config = tasks::WorkersConfig { lease: Duration::from_secs(60), ..quick(name) };
        crews.push(Crew::start(&store, redis(&server.url()), &book, config));
        stores.push(store);
    }
    eventually("the queue is up", async || crews.iter().all(|crew| crew.workers.queue_is_up())).await;
    let mut ids = Vec::new();
    for _ in 0..400 {
        ids.push(add(&stores[0], "do it").await);
    }
    for id in &ids {
        gone(&stores[1], *id).await;
    }
    assert_eq!((book.tasks(), book.runs()), (400, 400));
    let done: f64 = crews.iter().map(|crew| crew.ended("done")).sum();
    assert_eq!(done, 400.0);
    assert!(crews.iter().filter(|crew| crew.ended("done") > 0.0).count() > 1, "they share it");
    let leads: f64 = crews.iter().map(|crew| crew.metric("tertulia_tasks_leads")).sum();
    assert_eq!(leads, 1.0);
    for crew in &crews {
        crew.workers.close(DEADLINE).await;
    }
    assert_eq!((book.tasks(), book.runs()), (400, 400));
}

#[tokio::test(flavor = "multi_thread")]
async fn alone_on_a_file_all_that_can_happen_to_a_task_happens() {
    let folder = TempDir::new().unwrap();
    let store = sqlite(&folder).await;
    let book = Book::default();
    let crew = Crew::start(&store, local(), &book, quick("alone"));
    // It goes wrong once, and well the second time.
    let id = add(&store, "fail once").await;
    gone(&store, id).await;
    assert_eq!(book.attempts(id), [1, 2]);
    // It goes wrong as often as it may.
    let id = add(&store, "fail").await;
    let letter = dead(&store, id).await;
    assert_eq!((letter.attempts, letter.last_error.as_deref()), (3, Some("told to")));
    assert_eq!(book.attempts(id), [1, 2, 3]);
    // Sent again, it is as if it had never been tried.
    assert!(store.requeue_task(id).await.unwrap());
    eventually("it dies again", async || book.attempts(id) == [1, 2, 3, 1, 2, 3]).await;
    // A row may say how often itself.
    let once = NewTask { max_attempts: Some(1), ..NewTask::now("obey", "fail") };
    store.add_task(&once).await.unwrap();
    assert_eq!(dead(&store, once.id).await.attempts, 1);
    let id = add(&store, "give up").await;
    assert_eq!(dead(&store, id).await.last_error.as_deref(), Some("there is no point"));
    assert_eq!(book.attempts(id), [1]);
    // A panic ends nothing but its own run.
    let id = add(&store, "panic").await;
    assert_eq!(dead(&store, id).await.last_error.as_deref(), Some("panicked: told to"));
    assert_eq!(book.attempts(id), [1, 2, 3]);
    let later = NewTask { after: Duration::from_millis(300), ..NewTask::now("obey", "later") };
    store.add_task(&later).await.unwrap();
    let id = add(&store, "do it").await;
    gone(&store, id).await;
    gone(&store, later.id).await;
    eventually("all is counted", async || {
        let ends = ["done", "failed", "dead", "panicked", "lost", "given_back", "timed_out"];
        ends.map(|ending| crew.ended(ending) as u64) == [3, 5, 4, 3, 0, 0, 0]
    })
    .await;
    assert_eq!(crew.metric("tertulia_tasks_buried_total{kind=\"obey\"}"), 5.0);
    eventually("the dead are shown", async || crew.metric("tertulia_tasks_dead{kind=\"obey\"}") == 4.0).await;
    crew.workers.close(DEADLINE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_longer_than_a_lease_stays_with_its_worker_and_ends_when_its_time_is_up() {
    let url = Postgres::shared().database();
    let (store, other) = (postgres(&url).await, postgres(&url).await);
    let book = Book::default();
    let crews = [Crew::start(&store, local(), &book, quick("a")), Crew::start(&other, local(), &book, quick("b"))];
    // Three leases long.
    let slow = add(&store, "slow").await;
    let long = NewTask { max_attempts: Some(1), ..NewTask::now("obey", "for ever") };
    store.add_task(&long).await.unwrap();
    gone(&store, slow).await;
    assert_eq!(book.attempts(slow), [1]);
    let letter = dead(&store, long.id).await;
    assert_eq!((letter.attempts, letter.last_error.as_deref()), (1, Some("not done within 4 s")));
    assert_eq!(crews.iter().map(|crew| crew.ended("timed_out")).sum::<f64>(), 1.0);
    for crew in &crews {
        crew.workers.close(DEADLINE).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_is_dropped_while_it_runs_is_let_go_of() {
    let folder = TempDir::new().unwrap();
    let store = sqlite(&folder).await;
    let book = Book::default();
    let crew = Crew::start(&store, local(), &book, quick("alone"));
    let id = add(&store, "for ever").await;
    eventually("it runs", async || book.attempts(id) == [1]).await;
    assert!(store.remove_task(id).await.unwrap());
    eventually("it is lost", async || crew.ended("lost") == 1.0).await;
    crew.workers.close(DEADLINE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_finishes_what_it_can_and_gives_the_rest_back() {
    let url = Postgres::shared().database();
    let (store, other) = (postgres(&url).await, postgres(&url).await);
    let book = Book::default();
    // Nobody takes what it left because a lease ended.
    let config = |name| tasks::WorkersConfig { lease: Duration::from_secs(600), ..quick(name) };
    let leaving = Crew::start(&store, local(), &book, config("leaving"));
    let (slow, long) = (add(&store, "slow").await, add(&store, "for ever").await);
    eventually("both run", async || book.runs() == 2).await;
    leaving.workers.close(Duration::from_millis(3_800)).await;
    assert_eq!(store.task(slow).await.unwrap(), None);
    let left = store.task(long).await.unwrap().unwrap();
    assert_eq!((left.attempts, left.leased_until, left.dead_at), (0, None, None));
    assert_eq!((leaving.ended("done"), leaving.ended("given_back")), (1.0, 1.0));
    let unseen = add(&store, "do it").await;
    let staying = Crew::start(&other, local(), &book, config("staying"));
    gone(&store, unseen).await;
    eventually("another runs it", async || book.attempts(long) == [1, 1]).await;
    staying.workers.close(Duration::from_millis(100)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_tasks_are_taken_from_the_store_and_with_it_again_from_the_queue() {
    let (url, mut server) = (Postgres::shared().database(), Redis::start().await);
    server.stop();
    let store = postgres(&url).await;
    let book = Book::default();
    let crew = Crew::start(&store, redis(&server.url()), &book, quick("a"));
    let id = add(&store, "do it").await;
    gone(&store, id).await;
    assert_eq!((crew.metric("tertulia_tasks_claimed_total{way=\"store\"}"), crew.workers.queue_is_up()), (1.0, false));
    server.start_again().await;
    eventually("it is back", async || crew.workers.queue_is_up()).await;
    let before = crew.metric("tertulia_tasks_claimed_total{way=\"store\"}");
    for _ in 0..20 {
        server.flush().await;
        let id = add(&store, "do it").await;
        gone(&store, id).await;
    }
    assert_eq!(crew.metric("tertulia_tasks_claimed_total{way=\"store\"}"), before);
    assert_eq!((book.tasks(), book.runs()), (21, 21));
    crew.workers.close(DEADLINE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_by_itself_happens_once_a_slot_on_any_number_of_nodes() {
    let (url, server) = (Postgres::shared().database(), Redis::start().await);
    let book = Book::default();
    let mut crews = Vec::new();
    for name in ["a", "b", "c"] {
        let store = postgres(&url).await;
        let every = Some(Duration::from_secs(2));
        let kinds = Kinds::default().with(Obey { book: book.clone(), every });
        crews.push(Crew::of(&store, redis(&server.url()), kinds, quick(name)));
    }
    let began = std::time::Instant::now();
    eventually("it happens", async || book.runs() >= 3).await;
    // As many slots have begun at most, and one at the start.
    let slots = began.elapsed().as_secs() / 2 + 2;
    assert!(book.runs() as u64 <= slots, "{} runs in {slots} slots", book.runs());
    assert_eq!(book.tasks(), book.runs());
    for crew in &crews {
        crew.workers.close(DEADLINE).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kinds_that_are_not_known_here_wait_for_others() {
    let folder = TempDir::new().unwrap();
    let store = sqlite(&folder).await;
    let book = Book::default();
    let crew = Crew::start(&store, local(), &book, quick("alone"));
    let strange = NewTask::now("from_tomorrow", "{}");
    store.add_task(&strange).await.unwrap();
    let id = add(&store, "do it").await;
    gone(&store, id).await;
    let waits = store.list_tasks(Which::Undone, None, 9).await.unwrap();
    assert_eq!(waits.iter().map(|task| (task.id, task.attempts)).collect::<Vec<_>>(), [(strange.id, 0)]);
    eventually("it is seen", async || crew.metric("tertulia_tasks_due_seconds") > 0.0).await;
    crew.workers.close(DEADLINE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn told_of_a_task_nobody_waits_for_the_next_look() {
    let folder = TempDir::new().unwrap();
    let store = sqlite(&folder).await;
    let book = Book::default();
    let config = tasks::WorkersConfig { offer_every: Duration::from_secs(3_600), ..quick("alone") };
    let crew = Crew::start(&store, local(), &book, config);
    for _ in 0..3 {
        let id = add(&store, "do it").await;
        crew.workers.tell();
        gone(&store, id).await;
    }
    crew.workers.close(DEADLINE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_its_workers_again_and_again_is_given_up() {
    let folder = TempDir::new().unwrap();
    let store = sqlite(&folder).await;
    let id = add(&store, "do it").await;
    for attempt in 1..=3 {
        // Claimed, and never heard of again.
        let moment = Duration::from_millis(1);
        let claimed = store.claim_tasks(&[id], &["obey"], "whoever", moment).await.unwrap();
        assert_eq!(claimed[0].attempts, attempt);
        tokio::time::sleep(moment * 5).await;
    }
    let book = Book::default();
    let crew = Crew::start(&store, local(), &book, quick("alone"));
    assert_eq!(dead(&store, id).await.last_error.as_deref(), Some("its workers died of it"));
    assert_eq!(book.attempts(id), [0; 0]);
    crew.workers.close(DEADLINE).await;
}
