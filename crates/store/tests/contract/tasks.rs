//! Tasks: added once, claimed by one, done, tried again, or dead.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use proto::TaskId;
use store::{Added, Claim, Keeper, NewTask, Task, Which};

use crate::house::*;

const LEASE: Duration = Duration::from_secs(60);
/// So short that it is over when the next question is asked.
const NO_LEASE: Duration = Duration::from_millis(1);
const KINDS: [&str; 1] = ["greet"];

fn task() -> NewTask {
    NewTask::now("greet", r#"{"whom":"Ana"}"#)
}

async fn add(store: &Arc<dyn Keeper>, task: &NewTask) -> TaskId {
    match store.add_task(task).await.unwrap() {
        Added::New(id) => id,
        Added::Known(id) => panic!("{id} is there already"),
    }
}

async fn claim(store: &Arc<dyn Keeper>, id: TaskId, worker: &str) -> Option<Task> {
    store.claim_tasks(&[id], &KINDS, worker, LEASE).await.unwrap().pop()
}

async fn due(store: &Arc<dyn Keeper>) -> Vec<TaskId> {
    store.due_tasks(&KINDS, 100).await.unwrap().into_iter().map(|due| due.id).collect()
}

/// A millisecond must pass for a lease of one to be over.
async fn a_moment() {
    tokio::time::sleep(Duration::from_millis(5)).await;
}

pub async fn a_task_is_kept_as_it_was_added(house: House) {
    let store = house.keeper().await;
    let words = "{\"said\":\"¿qué? \\u0000 \\\"\"}";
    let new = NewTask {
        payload: words.into(),
        max_attempts: Some(3),
        after: Duration::from_secs(3600),
        ..task().keyed("clave")
    };
    let id = add(&store, &new).await;
    // Asked again after a failure, it is the same.
    assert_eq!(store.add_task(&new).await.unwrap(), Added::Known(id));
    let kept = store.task(id).await.unwrap().unwrap();
    assert_eq!((kept.id, kept.kind.as_str(), kept.key.as_deref()), (new.id, "greet", Some("clave")));
    assert_eq!((kept.payload.as_str(), kept.attempts, kept.max_attempts), (words, 0, Some(3)));
    assert_eq!(kept.due_at.0 - kept.created_at.0, 3_600_000);
    assert_eq!((kept.leased_until, kept.worker, kept.last_error, kept.dead_at, kept.done_at), Default::default());
    assert_eq!(due(&store).await, []);
    assert_eq!(store.task(TaskId(uuid::Uuid::nil())).await.unwrap(), None);
}

pub async fn of_two_with_a_key_one_is_added_while_it_is_undone(house: House) {
    let store = house.keeper().await;
    let all: Vec<NewTask> = (0..8).map(|_| task().keyed("once")).collect();
    let added = join_all(all.iter().map(|one| store.add_task(one))).await;
    let added: Vec<Added> = added.into_iter().map(Result::unwrap).collect();
    let fresh: Vec<_> = added.iter().filter(|added| matches!(added, Added::New(_))).collect();
    assert_eq!(fresh.len(), 1, "{added:?}");
    assert_eq!(added.iter().map(|added| added.id()).collect::<HashSet<_>>().len(), 1);
    let id = added[0].id();
    // Under way it is still undone; dead it is not, and done it is not there.
    let claimed = claim(&store, id, "a").await.unwrap().claim();
    assert_eq!(store.add_task(&task().keyed("once")).await.unwrap(), Added::Known(id));
    assert!(store.bury_task(&claimed, "no").await.unwrap());
    let second = add(&store, &task().keyed("once")).await;
    assert!(!store.requeue_task(id).await.unwrap(), "another has its key");
    let claimed = claim(&store, second, "a").await.unwrap().claim();
    assert!(store.task_done(&claimed).await.unwrap());
    assert!(store.requeue_task(id).await.unwrap());
    // Those without a key are as many as one likes.
    add(&store, &task()).await;
    add(&store, &task()).await;
}

pub async fn what_is_due_comes_the_oldest_first_and_only_of_the_kinds_asked_for(house: House) {
    let store = house.keeper().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(add(&store, &task()).await);
        a_moment().await;
    }
    add(&store, &NewTask::now("other", "{}")).await;
    add(&store, &NewTask { after: LEASE, ..task() }).await;
    assert_eq!(due(&store).await, ids);
    let some = store.due_tasks(&KINDS, 2).await.unwrap();
    assert_eq!(some.iter().map(|due| due.id).collect::<Vec<_>>(), ids[..2]);
    assert!(some[0].due_at < some[1].due_at);
    let taken = store.claim_due(2, &KINDS, "a", LEASE).await.unwrap();
    let taken: HashSet<TaskId> = taken.iter().map(|task| task.id).collect();
    assert_eq!(taken, ids[..2].iter().copied().collect());
    assert_eq!(due(&store).await, ids[2..]);
    assert_eq!(store.due_tasks(&["other", "greet"], 9).await.unwrap().len(), 2);
    assert_eq!(store.due_tasks(&[], 9).await.unwrap(), []);
}

pub async fn of_many_who_claim_one_gets_it(house: House) {
    let nodes = [house.keeper().await, house.keeper().await, house.keeper().await];
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(add(&nodes[0], &task()).await);
    }
    let names = ["a", "b", "c"];
    let by_id = nodes.iter().zip(names).map(|(node, name)| node.claim_tasks(&ids, &KINDS, name, LEASE));
    let mut taken: Vec<Task> = join_all(by_id).await.into_iter().flat_map(Result::unwrap).collect();
    for _ in 0..5 {
        // Rows that somebody was about to take were passed over.
        let any = nodes.iter().zip(names).map(|(node, name)| node.claim_due(3, &KINDS, name, LEASE));
        taken.extend(join_all(any).await.into_iter().flat_map(Result::unwrap));
    }
    assert_eq!(taken.len(), 20);
    assert_eq!(taken.iter().map(|task| task.id).collect::<HashSet<_>>(), ids.iter().copied().collect());
    for task in &taken {
        assert_eq!((task.attempts, task.leased_until), (1, Some(task.due_at)));
        assert_eq!(nodes[0].task(task.id).await.unwrap().as_ref(), Some(task));
    }
    assert_eq!(due(&nodes[1]).await, []);
}

pub async fn what_a_silent_worker_left_is_due_again(house: House) {
    let store = house.keeper().await;
    let id = add(&store, &task()).await;
    let first = store.claim_tasks(&[id], &KINDS, "a", NO_LEASE).await.unwrap()[0].claim();
    a_moment().await;
    assert_eq!(due(&store).await, [id]);
    let second = claim(&store, id, "b").await.unwrap().claim();
    assert_eq!(second, Claim { id, worker: "b".into(), attempt: 2 });
    assert!(!store.task_done(&first).await.unwrap());
    assert_eq!(store.extend_tasks(&[first], LEASE).await.unwrap(), []);
    assert!(store.task_done(&second).await.unwrap());
}

pub async fn a_lease_that_is_extended_holds(house: House) {
    let store = house.keeper().await;
    let (one, other) = (add(&store, &task()).await, add(&store, &task()).await);
    let claims: Vec<Claim> =
        store.claim_tasks(&[one, other], &KINDS, "a", NO_LEASE).await.unwrap().iter().map(Task::claim).collect();
    let strange = Claim { attempt: 7, ..claims[0].clone() };
    let all = [claims.clone(), vec![strange]].concat();
    let extended: HashSet<TaskId> = store.extend_tasks(&all, LEASE).await.unwrap().into_iter().collect();
    assert_eq!(extended, [one, other].into());
    a_moment().await;
    assert_eq!(due(&store).await, []);
    assert_eq!(store.extend_tasks(&[], LEASE).await.unwrap(), []);
}

pub async fn what_is_done_is_gone_or_remembered(house: House) {
    let store = house.keeper().await;
    let forgotten = add(&store, &task()).await;
    let kept = add(&store, &NewTask { kept_for: LEASE, ..task().keyed("k") }).await;
    for id in [forgotten, kept] {
        let claimed = claim(&store, id, "a").await.unwrap().claim();
        assert!(store.task_done(&claimed).await.unwrap());
        assert!(!store.task_done(&claimed).await.unwrap(), "it is done already");
        assert!(claim(&store, id, "a").await.is_none());
        assert!(!store.requeue_task(id).await.unwrap());
    }
    assert_eq!(store.task(forgotten).await.unwrap(), None);
    let remembered = store.task(kept).await.unwrap().unwrap();
    assert!(remembered.done_at.is_some() && remembered.leased_until.is_none());
    assert_eq!(due(&store).await, []);
    // Its key is free.
    add(&store, &task().keyed("k")).await;
}

pub async fn a_claim_that_was_lost_changes_nothing(house: House) {
    let store = house.keeper().await;
    let id = add(&store, &task()).await;
    let held = claim(&store, id, "a").await.unwrap().claim();
    for wrong in [
        Claim { worker: "b".into(), ..held.clone() },
        Claim { attempt: 2, ..held.clone() },
        Claim { id: TaskId(uuid::Uuid::nil()), ..held.clone() },
    ] {
        assert!(!store.task_done(&wrong).await.unwrap());
        assert!(!store.task_failed(&wrong, "x", LEASE).await.unwrap());
        assert!(!store.bury_task(&wrong, "x").await.unwrap());
        assert!(!store.give_task_back(&wrong).await.unwrap());
    }
    assert!(store.task_failed(&held, "x", Duration::ZERO).await.unwrap());
    assert!(!store.task_done(&held).await.unwrap(), "a claim is used once");
    let held = claim(&store, id, "a").await.unwrap().claim();
    // Dropped while it runs, it is nobody's.
    assert!(store.remove_task(id).await.unwrap());
    assert!(!store.remove_task(id).await.unwrap());
    assert!(!store.task_failed(&held, "x", LEASE).await.unwrap());
    assert_eq!(store.task(id).await.unwrap(), None);
}

pub async fn a_failure_is_due_later_and_counts(house: House) {
    let store = house.keeper().await;
    let id = add(&store, &task()).await;
    let held = claim(&store, id, "a").await.unwrap().claim();
    let why = "é".repeat(4_000);
    assert!(store.task_failed(&held, &why, Duration::from_secs(60)).await.unwrap());
    let failed = store.task(id).await.unwrap().unwrap();
    let error = failed.last_error.unwrap();
    assert!(error.len() <= 1_000 && why.starts_with(&error) && !error.is_empty());
    assert_eq!((failed.attempts, failed.leased_until, failed.worker.as_deref()), (1, None, Some("a")));
    assert!(failed.due_at.0 - failed.created_at.0 >= 60_000);
    assert!(due(&store).await.is_empty() && claim(&store, id, "b").await.is_none());
    // An operator need not wait.
    assert!(store.requeue_task(id).await.unwrap());
    let again = claim(&store, id, "b").await.unwrap();
    assert_eq!((again.attempts, again.worker.as_deref()), (1, Some("b")));
    assert!(!store.requeue_task(id).await.unwrap(), "it is under way");
}

pub async fn what_is_given_back_does_not_count(house: House) {
    let store = house.keeper().await;
    let id = add(&store, &task()).await;
    let held = claim(&store, id, "a").await.unwrap().claim();
    assert!(store.give_task_back(&held).await.unwrap());
    assert_eq!(due(&store).await, [id]);
    assert_eq!(claim(&store, id, "b").await.unwrap().attempts, 1);
    assert!(!store.task_done(&held).await.unwrap());
}

pub async fn a_dead_letter_is_listed_sent_again_or_dropped(house: House) {
    let store = house.keeper().await;
    let (one, other) = (add(&store, &task()).await, add(&store, &task()).await);
    for id in [one, other] {
        let held = claim(&store, id, "a").await.unwrap().claim();
        assert!(store.bury_task(&held, "it will never work").await.unwrap());
        a_moment().await;
    }
    assert_eq!(due(&store).await, []);
    let dead = store.list_tasks(Which::Dead, None, 9).await.unwrap();
    assert_eq!(dead.iter().map(|task| task.id).collect::<Vec<_>>(), [other, one], "the latest first");
    assert_eq!(dead[0].last_error.as_deref(), Some("it will never work"));
    assert!(store.requeue_task(one).await.unwrap() && store.remove_task(other).await.unwrap());
    assert_eq!(store.list_tasks(Which::Dead, None, 9).await.unwrap(), []);
    let again = claim(&store, one, "b").await.unwrap();
    assert_eq!((again.attempts, again.dead_at), (1, None));
}

pub async fn lists_come_in_pages(house: House) {
    let store = house.keeper().await;
    let mut ids = Vec::new();
    for _ in 0..7 {
        ids.push(add(&store, &NewTask { kept_for: LEASE, ..task() }).await);
    }
    let pages = async |which: Which| {
        let mut all = Vec::new();
        let mut after = None;
        loop {
            let page = store.list_tasks(which, after, 3).await.unwrap();
            let Some(last) = page.last() else { return all };
            assert!(page.len() <= 3);
            after = Some(last.place(which));
            all.extend(page.into_iter().map(|task| task.id));
        }
    };
    let all = |ids: &[TaskId]| ids.iter().copied().collect::<HashSet<_>>();
    let listed = pages(Which::Undone).await;
    assert_eq!((listed.len(), all(&listed)), (7, all(&ids)));
    for (number, id) in ids.iter().enumerate() {
        let held = claim(&store, *id, "a").await.unwrap().claim();
        let ended = if number % 2 == 0 { store.task_done(&held).await } else { store.bury_task(&held, "x").await };
        assert!(ended.unwrap());
    }
    assert_eq!((pages(Which::Done).await.len(), pages(Which::Dead).await.len()), (4, 3));
    assert_eq!(pages(Which::Undone).await, []);
}

pub async fn tasks_are_counted_by_kind(house: House) {
    let store = house.keeper().await;
    assert_eq!(store.count_tasks().await.unwrap(), []);
    for _ in 0..3 {
        add(&store, &task()).await;
    }
    add(&store, &NewTask { after: LEASE, ..NewTask::now("other", "{}") }).await;
    let held = store.claim_due(2, &KINDS, "a", LEASE).await.unwrap();
    store.bury_task(&held[0].claim(), "x").await.unwrap();
    a_moment().await;
    let counts = store.count_tasks().await.unwrap();
    let told: Vec<_> = counts.iter().map(|of| (of.kind.as_str(), of.waiting, of.running, of.dead)).collect();
    assert_eq!(told, [("greet", 1, 1, 1), ("other", 1, 0, 0)]);
    assert!(counts[0].due_for > Duration::ZERO && counts[0].due_for < LEASE);
    assert_eq!(counts[1].due_for, Duration::ZERO);
}

pub async fn a_slot_yields_one_task_whoever_asks(house: House) {
    let nodes = [house.keeper().await, house.keeper().await, house.keeper().await];
    // A slot of a century is not left while this runs.
    let every = Duration::from_secs(1_000_000_000);
    let tasks: Vec<NewTask> = (0..9).map(|_| task()).collect();
    let ask = tasks.iter().enumerate().map(|(at, one)| nodes[at % 3].add_scheduled("sweep", every, one));
    let added: Vec<TaskId> = join_all(ask).await.into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(added.len(), 1, "{added:?}");
    assert_eq!(due(&nodes[0]).await, added);
    let held = claim(&nodes[0], added[0], "a").await.unwrap().claim();
    assert!(nodes[0].task_done(&held).await.unwrap());
    assert_eq!(nodes[1].add_scheduled("sweep", every, &task()).await.unwrap(), None, "the slot had its task");
    // Another schedule has its own, and the next slot begins at its time.
    assert!(nodes[1].add_scheduled("other", every, &task()).await.unwrap().is_some());
    let every = Duration::from_secs(1);
    let mut slots = 0;
    let began = std::time::Instant::now();
    while slots < 3 && began.elapsed() < Duration::from_secs(30) {
        if let Some(id) = nodes[2].add_scheduled("often", every, &task()).await.unwrap() {
            slots += 1;
            let held = claim(&nodes[2], id, "a").await.unwrap().claim();
            nodes[2].task_done(&held).await.unwrap();
        }
        a_moment().await;
    }
    assert_eq!(slots, 3);
    // While the one of the slot before is undone there is no other.
    let waits = loop {
        if let Some(id) = nodes[2].add_scheduled("often", every, &task()).await.unwrap() {
            break id;
        }
        a_moment().await;
    };
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(nodes[2].add_scheduled("often", every, &task()).await.unwrap(), None);
    assert!(nodes[2].task(waits).await.unwrap().is_some());
}

pub async fn what_is_old_is_swept(house: House) {
    let store = house.keeper().await;
    let long = add(&store, &NewTask { kept_for: Duration::from_secs(3_600), ..task() }).await;
    let short = add(&store, &NewTask { kept_for: Duration::from_secs(1), ..task() }).await;
    let (dead, waits) = (add(&store, &task()).await, add(&store, &task()).await);
    for id in [long, short] {
        let held = claim(&store, id, "a").await.unwrap().claim();
        assert!(store.task_done(&held).await.unwrap());
    }
    let held = claim(&store, dead, "a").await.unwrap().claim();
    assert!(store.bury_task(&held, "x").await.unwrap());
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(store.sweep_tasks(Duration::from_secs(3_600), 9).await.unwrap(), 1);
    assert_eq!(store.task(short).await.unwrap(), None);
    assert_eq!(store.sweep_tasks(Duration::from_millis(1), 9).await.unwrap(), 1);
    assert_eq!(store.task(dead).await.unwrap(), None);
    assert!(store.task(long).await.unwrap().is_some() && store.task(waits).await.unwrap().is_some());
}
