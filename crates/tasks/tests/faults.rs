//! Workers that are killed, a Redis that is flushed and stopped, a Postgres that is restarted, all the while: no task is lost,
//! and none is run again once it is done.
//!
//! The workers are processes: this program, started again as the one test `a_worker`, which is nothing by itself.

// A test fails by a panic.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use prometheus::Registry;
use proto::{TaskId, Timestamp};
use store::{Keeper, NewTask, Which};
use tasks::{Failure, Kind, Kinds, Manner, Task, TasksMetrics, Workers, WorkersConfig};
use tempfile::TempDir;
use testkit::patience;
use testkit::postgres::Postgres;
use testkit::process::Daemon;
use testkit::redis::Redis;

use crate::common::{DEADLINE, postgres, redis};

const DATABASE: &str = "TASKS_TEST_DATABASE";
const QUEUE: &str = "TASKS_TEST_QUEUE";
const BOOK: &str = "TASKS_TEST_BOOK";

/// Writes a line when it begins, whole or not at all, and takes a little.
struct Scribe(PathBuf);

impl Kind for Scribe {
    const NAME: &'static str = "scribe";

    fn manner(&self) -> Manner {
        // Never dead: how often a task is killed is no fault of its own here.
        Manner {
            attempts_max: 1_000,
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_millis(500),
            ..Manner::default()
        }
    }

    async fn run(&self, task: &Task) -> Result<(), Failure> {
        let line = format!("{} {} {}\n", task.id, task.attempts, Timestamp::now().0);
        let book = File::options().append(true).open(&self.0);
        book.and_then(|mut book| book.write_all(line.as_bytes())).map_err(Failure::retry)?;
        tokio::time::sleep(Duration::from_millis(rand::random_range(50..400))).await;
        Ok(())
    }
}

#[test]
#[ignore = "a process of the tests below"]
fn a_worker() {
    let of = |name| std::env::var(name).ok();
    let (Some(database), Some(queue), Some(book)) = (of(DATABASE), of(QUEUE), of(BOOK)) else { return };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let store = loop {
            // The database may be away just now.
            let metrics = store::StoreMetrics::register(&Registry::new()).unwrap();
            let config = store::PostgresConfig { lanes: 1, readers: 4, ..store::PostgresConfig::default() };
            match store::PostgresStore::open(&database, config, metrics).await {
                Ok(store) => break Arc::new(store) as Arc<dyn Keeper>,
                Err(error) => eprintln!("{error}"),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        let kinds = Kinds::default().with(Scribe(book.into()));
        let metrics = TasksMetrics::register(&Registry::new(), &kinds.names()).unwrap();
        let config = WorkersConfig {
            lease: Duration::from_secs(2),
            offer_every: Duration::from_millis(200),
            ..WorkersConfig::default()
        };
        let workers = Workers::start(store, redis(&queue), kinds, config, metrics);
        eprintln!("{} works", workers.name());
        std::future::pending::<()>().await;
    });
}

/// A world of its own: its database is going to be restarted.
struct World {
    // Ended in this order.
    workers: Vec<Daemon>,
    store: Arc<dyn Keeper>,
    database: Postgres,
    url: String,
    redis: Redis,
    folder: TempDir,
}

impl World {
    async fn of(workers: usize) -> Self {
        let (database, redis) = (Postgres::start(), Redis::start().await);
        let url = database.database();
        let folder = TempDir::new().unwrap();
        File::create(folder.path().join("book")).unwrap();
        let store = postgres(&url).await;
        let mut world = Self { workers: Vec::new(), store, database, url, redis, folder };
        for _ in 0..workers {
            world.hire();
        }
        world
    }

    fn hire(&mut self) {
        let program = std::env::current_exe().unwrap();
        let variables = [
            format!("{DATABASE}={}", self.url),
            format!("{QUEUE}={}", self.redis.url()),
            format!("{BOOK}={}", self.book().display()),
        ];
        let mut command: Vec<&str> = vec!["env"];
        command.extend(variables.iter().map(String::as_str));
        command.push(program.to_str().unwrap());
        command.extend(["--exact", "a_worker", "--ignored", "--nocapture"]);
        self.workers.push(Daemon::start("KILL", &self.folder.path().join("log"), &command));
    }

    fn book(&self) -> PathBuf {
        self.folder.path().join("book")
    }

    /// Adds tasks that are remembered once they are done. The store may be away: then it is asked again.
    async fn add(&self, count: usize) -> Vec<TaskId> {
        let mut ids = Vec::new();
        for _ in 0..count {
            let task = NewTask { kept_for: Duration::from_secs(86_400), ..NewTask::now("scribe", "{}") };
            let added = patience(DEADLINE, async || self.store.add_task(&task).await.ok());
            ids.push(added.await.unwrap().id());
        }
        ids
    }

    /// Waits until all are done, and says when each was.
    async fn done(&self, ids: &[TaskId]) -> HashMap<TaskId, Timestamp> {
        let all_done = patience(DEADLINE, async || {
            let undone = self.store.list_tasks(Which::Undone, None, 1).await;
            undone.is_ok_and(|undone| undone.is_empty()).then_some(())
        });
        if all_done.await.is_none() {
            let undone = self.store.list_tasks(Which::Undone, None, 3).await;
            panic!("at {}, of {} not all are done: {undone:?}\n{}", Timestamp::now(), ids.len(), self.log());
        }
        let mut done = HashMap::new();
        for id in ids {
            let task = self.store.task(*id).await.unwrap().unwrap_or_else(|| panic!("{id} is lost: {}", self.log()));
            done.insert(*id, task.done_at.unwrap_or_else(|| panic!("{task:?}")));
        }
        done
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

/// The attempts at each task, and when each began.
fn read(book: &Path) -> HashMap<TaskId, Vec<(u32, Timestamp)>> {
    let mut all: HashMap<TaskId, Vec<_>> = HashMap::new();
    for line in std::fs::read_to_string(book).unwrap().lines() {
        let mut words = line.split(' ');
        let mut word = || words.next().unwrap();
        let id = word().parse().unwrap();
        all.entry(id).or_default().push((word().parse().unwrap(), Timestamp(word().parse().unwrap())));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_good_day_processes_share_the_work_and_run_each_task_once() {
    let world = World::of(3).await;
    let ids = world.add(300).await;
    world.done(&ids).await;
    let runs = read(&world.book());
    assert_eq!(runs.len(), 300);
    for (id, attempts) in runs {
        assert_eq!(attempts.len(), 1, "{id} was run {attempts:?}: {}", world.log());
    }
}

/// Each kind comes five times or so, and no more tasks than workers can do within everybody's patience.
const FAULTS: usize = 25;

#[tokio::test(flavor = "multi_thread")]
async fn whatever_dies_no_task_is_lost_and_none_is_run_once_it_is_done() {
    let mut world = World::of(3).await;
    let mut ids = Vec::new();
    for number in 0..FAULTS {
        ids.extend(world.add(40).await);
        match number % 5 {
            // Whoever it is, in the middle of whatever it does.
            0 | 3 => {
                let dead = world.workers.remove(number % world.workers.len());
                dead.end_by("KILL");
                world.hire();
            }
            1 => world.redis.flush().await,
            2 => {
                world.redis.stop();
                ids.extend(world.add(40).await);
                world.redis.start_again().await;
            }
            _ => {
                world.database.kill();
                world.database.start_again();
            }
        }
        tokio::time::sleep(Duration::from_millis(rand::random_range(0..400))).await;
    }
    let done = world.done(&ids).await;
    let runs = read(&world.book());
    let mut again = 0;
    for id in &ids {
        let attempts = runs.get(id).unwrap_or_else(|| panic!("{id} is done and was never run"));
        again += attempts.len() - 1;
        let last = attempts.iter().map(|(_, at)| at.0).max().unwrap();
        // One clock for all of it: they are on one machine.
        assert!(last <= done[id].0, "{id} was done at {} and run {attempts:?}", done[id]);
        let mut numbers: Vec<u32> = attempts.iter().map(|(number, _)| *number).collect();
        numbers.dedup();
        assert_eq!(numbers.len(), attempts.len(), "an attempt is begun once: {id} {attempts:?}");
    }
    println!("{} tasks, {again} runs more than that", ids.len());
    assert!(again > 0, "somebody died over his work");
    assert!(again < ids.len(), "most are run once all the same: {again} of {} were not", ids.len());
}
