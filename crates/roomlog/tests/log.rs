//! What the room log promises while several nodes write and everything under them breaks.
//!
//! Logs, stores and lines are real. The bus is that of one process: what a node publishes is heard on its own end.

#![allow(clippy::expect_used, clippy::unwrap_used)]

mod common;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bus::Bus;
use common::{
    Altered, Before, Node, SOON, Settled, amend, behind_a_line, everything, on_postgres, post, postgres, room, settled,
    sqlite,
};
use prometheus::Registry;
use proto::{Body, Entry, Epoch, Mark, Message, RoomName};
use roomlog::{AppendError, Job, LaneConfig};
use store::{Store, StoreView};
use tempfile::TempDir;
use testkit::postgres::Postgres;
use trace::{Kind, TraceMetrics, Tracer};
use uuid::Uuid;

/// What one writer was told about each of its ids, in the order it first sent them, and whether it waited for an answer
/// before it sent one again.
struct Written {
    room: RoomName,
    told: Vec<(Uuid, String, u64)>,
    is_patient: bool,
}

/// Writers on several nodes, in one hot room and some others. Each sends without waiting; some send an id again on another
/// node at once, others once they have an answer.
async fn crowd(nodes: &Arc<Vec<Node>>, each: usize) -> Vec<Written> {
    let writers: Vec<_> = (0..9_usize)
        .map(|writer| {
            let nodes = nodes.clone();
            let room = room(if writer % 3 == 2 { ["attic", "cellar", "yard"][writer / 3] } else { "hot" });
            tokio::spawn(async move {
                let is_patient = writer % 2 == 0;
                let here = &nodes[writer % nodes.len()];
                let mut answers: Vec<(Uuid, String, Vec<Settled>)> = Vec::new();
                for number in 0..each {
                    let (id, words) = (Uuid::new_v4(), format!("{writer} says {number}"));
                    let mut all = vec![here.says(&room, id, &words)];
                    if !is_patient && id.as_u128() % 3 == 0 {
                        let there = &nodes[id.as_u128() as usize % nodes.len()];
                        all.push(there.says(&room, id, &words));
                    }
                    answers.push((id, words, all));
                    if id.as_u128() % 7 == 0 {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                }
                let mut told = Vec::new();
                for (id, words, all) in answers {
                    let mut seqs = Vec::new();
                    for answer in all {
                        seqs.push(settled(answer).await.unwrap().seq);
                    }
                    if is_patient && id.as_u128() % 3 == 0 {
                        let there = &nodes[id.as_u128() as usize % nodes.len()];
                        seqs.push(settled(there.says(&room, id, &words)).await.unwrap().seq);
                    }
                    assert!(seqs.iter().all(|seq| *seq == seqs[0]), "one id, several numbers: {seqs:?}");
                    told.push((id, words, seqs[0]));
                }
                Written { room, told, is_patient }
            })
        })
        .collect();
    let mut written = Vec::new();
    for writer in writers {
        written.push(writer.await.unwrap());
    }
    written
}

/// Holds what writers were told against what is kept: numbers without a gap, each id once, each answer true.
async fn is_kept(store: &Arc<dyn Store>, written: &[Written]) {
    let mut rooms: BTreeMap<&RoomName, HashMap<Uuid, (&str, u64)>> = BTreeMap::new();
    for Written { room, told, is_patient } in written {
        rooms.entry(room).or_default().extend(told.iter().map(|(id, words, seq)| (*id, (words.as_str(), *seq))));
        // Who sends an id on another node before there is an answer has asked for a race; all others keep their order.
        if *is_patient {
            assert!(told.is_sorted_by(|a, b| a.2 < b.2), "what was sent later has a lower number");
        }
    }
    for (room, told) in rooms {
        let kept = everything(store, room).await;
        let numbers: Vec<u64> = kept.iter().map(|message| message.seq).collect();
        assert_eq!(numbers, (1..=told.len() as u64).collect::<Vec<_>>(), "{room}");
        for message in kept {
            assert_eq!(told.get(&message.id.0), Some(&(message.text.as_str(), message.seq)), "{room}");
        }
    }
}

/// Guards numbers and ids where nodes share everything but memory.
#[tokio::test(flavor = "multi_thread")]
async fn several_nodes_write_the_same_rooms_without_a_gap_and_each_id_once_on_postgres() {
    let url = Postgres::shared().database();
    let nodes = Arc::new(on_postgres(&url, 3, &LaneConfig::default()).await);
    is_kept(&nodes[0].store, &crowd(&nodes, 60).await).await;
}

/// Guards the same on the store of a single node, whose logs share its one writer.
#[tokio::test(flavor = "multi_thread")]
async fn several_logs_write_the_same_rooms_without_a_gap_and_each_id_once_on_sqlite() {
    let folder = TempDir::new().unwrap();
    let store = sqlite(&folder).await;
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(Node::open(store.clone(), &LaneConfig { batch_len: 7, ..LaneConfig::default() }).await);
    }
    is_kept(&store, &crowd(&Arc::new(nodes), 60).await).await;
}

/// Guards what was accepted from a database that throws its connections out in the middle of commits.
#[tokio::test(flavor = "multi_thread")]
async fn connections_ended_during_commits_lose_nothing_and_double_nothing() {
    let server = Postgres::shared();
    let url = server.database();
    let config = LaneConfig { batch_len: 5, patience: SOON, ..LaneConfig::default() };
    let nodes = Arc::new(on_postgres(&url, 3, &config).await);
    let writing = tokio::spawn({
        let nodes = nodes.clone();
        async move { crowd(&nodes, 120).await }
    });
    let database = url.rsplit('/').next().unwrap().to_owned();
    let cutting = tokio::task::spawn_blocking(move || {
        for _ in 0..15 {
            let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() \
                       AND application_name = 'tertulia lane'";
            server.execute(&database, sql);
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    let written = writing.await.unwrap();
    cutting.await.unwrap();
    let retries: u64 = nodes.iter().map(|node| node.counted("tertulia_store_retries_total")).sum();
    assert!(retries > 0, "nothing was cut");
    is_kept(&nodes[0].store, &written).await;
}

/// Guards the same on a line that breaks: then nobody is told what became of a commit.
#[tokio::test(flavor = "multi_thread")]
async fn a_line_cut_during_commits_loses_nothing_and_doubles_nothing() {
    let (line, url, _) = behind_a_line().await;
    let config = LaneConfig { batch_len: 5, patience: SOON, ..LaneConfig::default() };
    let nodes = Arc::new(on_postgres(&url, 2, &config).await);
    let writing = tokio::spawn({
        let nodes = nodes.clone();
        async move { crowd(&nodes, 120).await }
    });
    for _ in 0..20 {
        line.cut();
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    let written = writing.await.unwrap();
    let retries: u64 = nodes.iter().map(|node| node.counted("tertulia_store_retries_total")).sum();
    assert!(retries > 0, "nothing was cut");
    is_kept(&nodes[0].store, &written).await;
}

/// Guards what a node committed and could not publish before it died: whoever sends the id again, anywhere, makes it heard.
#[tokio::test(flavor = "multi_thread")]
async fn a_known_id_is_published_again_where_it_is_sent_again_as_it_is_now() {
    let url = Postgres::shared().database();
    let mut nodes = on_postgres(&url, 2, &LaneConfig::default()).await;
    let (hot, id) = (room("hot"), Uuid::new_v4());
    assert_eq!(settled(nodes[0].says(&hot, id, "once")).await.unwrap().seq, 1);
    settled(nodes[0].submit(amend(&hot, 1, Some("put right")))).await.unwrap();
    nodes[1].bus.subscribe(&hot);
    let again = settled(nodes[1].says(&hot, id, "once")).await.unwrap();
    assert_eq!((again.seq, again.rev), (1, 1));
    let published = nodes[1].next_published().await;
    let kept: Vec<Entry> = everything(&nodes[1].store, &hot).await.iter().map(Message::entry).collect();
    assert_eq!(published, kept);
    assert_eq!(nodes[1].counted("tertulia_republished_total"), 1);
    assert_eq!(nodes[0].counted("tertulia_republished_total"), 0);
}

/// Guards a sender's own order across kinds of jobs: they go in different transactions, one after another.
#[tokio::test(flavor = "multi_thread")]
async fn posts_and_changes_of_one_sender_take_effect_in_the_order_they_are_submitted() {
    let folder = TempDir::new().unwrap();
    let mut node = Node::open(sqlite(&folder).await, &LaneConfig::default()).await;
    let hot = room("hot");
    node.bus.subscribe(&hot);
    let answers = [
        node.says(&hot, Uuid::new_v4(), "helo"),
        node.submit(amend(&hot, 1, Some("hello"))),
        node.submit(amend(&hot, 1, Some("hello!"))),
        node.says(&hot, Uuid::new_v4(), "bye"),
        node.submit(amend(&hot, 1, None)),
    ];
    let mut revs = Vec::new();
    for answer in answers {
        revs.push(settled(answer).await.unwrap().rev);
    }
    assert_eq!(revs, [1, 2, 3, 4, 5]);
    let mut published = Vec::new();
    while published.len() < 5 {
        published.extend(node.next_published().await);
    }
    assert_eq!(
        published.iter().map(|entry| (entry.seq, entry.rev)).collect::<Vec<_>>(),
        [(1, 1), (1, 2), (1, 3), (4, 4), (1, 5)]
    );
}

/// Guards older nodes, which read the store for a publication with marks: only what is traced has some.
#[tokio::test(flavor = "multi_thread")]
async fn a_publication_is_marked_where_a_job_is_traced_and_nowhere_else() {
    let folder = TempDir::new().unwrap();
    let (tracer, mut spans) = Tracer::on(1.0, 100, TraceMetrics::register(&Registry::new()).unwrap());
    let config = LaneConfig { tracer: tracer.clone(), ..LaneConfig::default() };
    let mut node = Node::open(sqlite(&folder).await, &config).await;
    let hot = room("hot");
    node.bus.subscribe(&hot);
    let id = Uuid::new_v4();
    settled(node.says(&hot, id, "plain")).await.unwrap();
    assert!(matches!(node.next_envelope().await.body, Body::Entries(_)));
    let trace = tracer.begin("send");
    settled(node.submit_traced(Job::Post(post(&hot, Uuid::new_v4(), "traced")), trace.clone())).await.unwrap();
    let Body::Traced { marks, entries } = node.next_envelope().await.body else { panic!("it is not marked") };
    let refused = node.submit_traced(Job::Post(post(&hot, id, "another text")), trace.clone());
    assert_eq!(settled(refused).await, Err(AppendError::IdTaken));

    let told: Vec<_> = std::iter::from_fn(|| spans.try_recv().ok()).collect();
    let names: Vec<_> = told.iter().map(|span| span.name).collect();
    assert_eq!(names, ["wait", "commit", "publish", "wait", "commit"]);
    let whole = trace.unwrap().context();
    assert!(told.iter().all(|span| span.context.trace == whole.trace && span.parent == Some(whole.span)));
    assert_eq!(told[2].kind, Kind::Producer);
    assert_eq!(marks, [Mark { rev: 2, context: told[2].context }]);
    assert_eq!(entries.iter().map(|entry| entry.rev).collect::<Vec<_>>(), [2]);
}

/// Guards a drain: what was accepted is kept and answered, and what comes too late is refused.
#[tokio::test(flavor = "multi_thread")]
async fn closing_settles_everything_that_was_accepted_and_takes_nothing_more() {
    let folder = TempDir::new().unwrap();
    let store = sqlite(&folder).await;
    let node = Node::open(store.clone(), &LaneConfig { batch_len: 10, ..LaneConfig::default() }).await;
    let hot = room("hot");
    let answers: Vec<Settled> = (0..300).map(|_| node.says(&hot, Uuid::new_v4(), "a word")).collect();
    tokio::time::timeout(SOON, node.log.close()).await.unwrap();
    for (mut answer, number) in answers.into_iter().zip(1..) {
        assert_eq!(answer.try_recv().expect("settled before the end").unwrap().seq, number);
    }
    let late = settled(node.says(&hot, Uuid::new_v4(), "too late")).await;
    assert!(matches!(late, Err(AppendError::Busy { .. })), "{late:?}");
    assert_eq!(everything(&store, &hot).await.len(), 300);
}

/// Guards neighbours in a batch from one that the store will never take.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_the_store_refuses_does_not_take_its_neighbours_with_it() {
    let server = Postgres::shared();
    let url = server.database();
    let store = postgres(&url, Duration::from_secs(5)).await;
    let database = url.rsplit('/').next().unwrap();
    server.execute(database, "ALTER TABLE messages ADD CHECK (text <> 'poison')");
    // While the first is under way, the others gather.
    let node = Node::open(store.clone(), &LaneConfig::default()).await;
    let hot = room("hot");
    let words: Vec<&str> = (0..40).map(|number| if number % 13 == 7 { "poison" } else { "a word" }).collect();
    let answers: Vec<Settled> = words.iter().map(|words| node.says(&hot, Uuid::new_v4(), words)).collect();
    let mut number = 0;
    for (answer, words) in answers.into_iter().zip(words) {
        let answer = settled(answer).await;
        if words == "poison" {
            assert!(matches!(answer, Err(AppendError::Unknown { .. })), "{answer:?}");
        } else {
            number += 1;
            assert_eq!(answer.unwrap().seq, number);
        }
    }
    assert_eq!(everything(&store, &hot).await.len(), 37);
}

/// Guards a new history from the last numbers of the old one.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_committed_before_the_epoch_turned_is_not_published_under_the_new_one() {
    let folder = TempDir::new().unwrap();
    let store = sqlite(&folder).await;
    let old = store.epoch().await.unwrap();
    let view = Arc::new(StoreView::new(old));
    let turned = view.clone();
    let after = Box::new(move || _ = turned.set_epoch(Epoch(turned.epoch().0 + 1)));
    let turning = Arc::new(Altered { store, before: Box::new(|_| Before::Go), after });
    let mut node = Node::of(turning, view, &LaneConfig::default());
    let hot = room("hot");
    node.bus.subscribe(&hot);
    settled(node.says(&hot, Uuid::new_v4(), "the last of the old days")).await.unwrap();
    assert_eq!(node.next_envelope().await.epoch, old);
}
