//! Recent messages in Redis: never an older text of a changed message, whatever is lost, doubled or late.

use std::collections::BTreeMap;

use bus::Recent;
use proptest::prelude::*;
use proto::{Entry, Epoch, Frame, RoomName};
use testkit::redis::{Redis, Reply};

use crate::scene::{Node, entry, eventually, room};

const EPOCH: Epoch = Epoch(7);

async fn recalled(node: &Node, room: &RoomName, is_so: impl Fn(&Recent) -> bool) -> Recent {
    let mut found = None;
    eventually("recall", async || {
        found = node.bus.recall(room, EPOCH).await;
        found.as_ref().is_some_and(&is_so)
    })
    .await;
    found.unwrap()
}

#[tokio::test]
async fn another_node_recalls_what_one_remembered_and_forgets_it_with_redis() {
    let redis = Redis::start().await;
    let [north, south] = Node::pair(&redis).await;
    let lobby = room("lobby");
    north.bus.remember(&lobby, EPOCH, &[entry(1, 1, "one"), entry(2, 2, "two")]);
    south.bus.remember(&lobby, EPOCH, &[entry(1, 3, "one, better")]);
    let recent = recalled(&south, &lobby, |recent| recent.numbers.len() == 3).await;
    let wanted = BTreeMap::from([(1, None), (2, Some(entry(2, 2, "two"))), (3, Some(entry(1, 3, "one, better")))]);
    assert_eq!(recent, Recent { epoch: EPOCH, numbers: wanted });
    assert!(redis.calls().await.contains_key("evalsha"));
    assert_eq!(redis.command(&["TTL", "tertulia:{54}:recent:lobby"]).await, Reply::Number(3_600));
    redis.flush().await;
    assert_eq!(south.bus.recall(&lobby, EPOCH).await, None);
    // The script is gone as well, and is sent again.
    redis.command(&["SCRIPT", "FLUSH"]).await;
    north.bus.remember(&lobby, EPOCH, &[entry(4, 4, "four")]);
    let recent = recalled(&south, &lobby, |_| true).await;
    assert_eq!((recent.above(3, 4).map(|(entries, _)| entries.len()), recent.above(0, 4)), (Some(1), None));
}

#[tokio::test]
async fn another_epoch_begins_anew() {
    let redis = Redis::start().await;
    let node = Node::up(&redis.url()).await;
    let lobby = room("lobby");
    node.bus.remember(&lobby, Epoch(6), &[entry(1, 1, "old"), entry(2, 2, "old")]);
    eventually("it is kept", async || node.bus.recall(&lobby, Epoch(6)).await.is_some()).await;
    node.bus.remember(&lobby, EPOCH, &[entry(2, 2, "new")]);
    let recent = recalled(&node, &lobby, |_| true).await;
    assert_eq!(recent.numbers, BTreeMap::from([(2, Some(entry(2, 2, "new")))]));
    assert_eq!(node.bus.recall(&lobby, Epoch(6)).await, None);
}

#[tokio::test]
async fn a_room_keeps_256_numbers_and_a_mebibyte() {
    let redis = Redis::start().await;
    let node = Node::up(&redis.url()).await;
    let (many, large) = (room("many"), room("large"));
    let entries: Vec<_> = (1..=1_000).map(|number| entry(number, number, "x")).collect();
    entries.chunks(37).for_each(|some| node.bus.remember(&many, EPOCH, some));
    let recent = recalled(&node, &many, |recent| recent.numbers.contains_key(&1_000)).await;
    assert_eq!(recent.numbers.len(), 256);
    assert_eq!(recent.floor(1_000), Some(744));
    let text = "x".repeat(100_000);
    let entries: Vec<_> = (1..=20).map(|number| entry(number, number, &text)).collect();
    entries.iter().for_each(|entry| node.bus.remember(&large, EPOCH, std::slice::from_ref(entry)));
    let recent = recalled(&node, &large, |recent| recent.numbers.contains_key(&20)).await;
    assert_eq!(recent.floor(20), Some(10));
    // Numbers far ahead leave nothing behind, and late ones below the window are not taken.
    node.bus.remember(&large, EPOCH, &[entry(1 << 52, 1 << 52, "far")]);
    recalled(&node, &large, |recent| recent.numbers.len() == 1).await;
    node.bus.remember(&large, EPOCH, &[entry(21, 21, "late"), entry((1 << 52) + 1, (1 << 52) + 1, "next")]);
    let recent = recalled(&node, &large, |recent| recent.numbers.len() == 2).await;
    assert_eq!(recent.floor((1 << 52) + 1), Some((1 << 52) - 1));
}

#[tokio::test]
async fn what_a_room_has_forgotten_is_purged_and_leaves_no_hole() {
    let redis = Redis::start().await;
    let [north, south] = Node::pair(&redis).await;
    let lobby = room("lobby");
    let entries = [(1, 1), (2, 2), (3, 3), (1, 4), (5, 5)].map(|(seq, rev)| entry(seq, rev, "a word"));
    north.bus.remember(&lobby, EPOCH, &entries);
    recalled(&south, &lobby, |recent| recent.numbers.len() == 5).await;
    south.bus.forget(&lobby, Epoch(6), 5);
    south.bus.forget(&lobby, EPOCH, 2);
    let recent = recalled(&north, &lobby, |recent| recent.numbers[&2].is_none()).await;
    assert_eq!(recent.above(0, 5), Some((vec![entries[2].clone(), entries[4].clone()], 5)));
    // What it holds is counted on, and it goes on.
    north.bus.remember(&lobby, EPOCH, &[entry(3, 6, "another word")]);
    let recent = recalled(&south, &lobby, |recent| recent.numbers.len() == 6).await;
    assert_eq!(recent.above(2, 6).map(|(entries, _)| entries.len()), Some(2));
    let bytes: usize = recent.numbers.values().flatten().map(|entry| entry.frame.wire().len() + 2).sum();
    let counted = redis.command(&["HGET", "tertulia:{54}:recent:lobby", "bytes"]).await;
    assert_eq!(counted, Reply::Text(bytes.to_string()));
}

#[tokio::test]
async fn what_somebody_else_wrote_there_is_not_recalled() {
    let redis = Redis::start().await;
    let node = Node::up(&redis.url()).await;
    let key = "tertulia:{54}:recent:lobby";
    redis.command(&["HSET", key, "epoch", &EPOCH.to_string(), "1", "1:not a frame"]).await;
    assert_eq!(node.bus.recall(&room("lobby"), EPOCH).await, None);
    redis.command(&["DEL", key]).await;
    redis.command(&["SET", key, "text"]).await;
    assert_eq!(node.bus.recall(&room("lobby"), EPOCH).await, None);
    assert!(node.bus.is_up());
}

/// A room's true history: number 1, 2, 3 … each a new message or a change to an earlier one.
fn history() -> impl Strategy<Value = Vec<Entry>> {
    prop::collection::vec(prop::option::weighted(0.5, any::<prop::sample::Index>()), 1..30).prop_map(|changes| {
        let mut seqs = Vec::new();
        let entry_at = |(at, change): (usize, Option<prop::sample::Index>)| {
            let rev = at as u64 + 1;
            let seq = match change {
                Some(index) if !seqs.is_empty() => seqs[index.index(seqs.len())],
                _ => rev,
            };
            if seq == rev {
                seqs.push(rev);
            }
            Entry { seq, rev, frame: Frame::json(&format!("{seq} as of {rev}")) }
        };
        changes.into_iter().enumerate().map(entry_at).collect()
    })
}

/// What happens to the writes of it: which are sent, in which order, and in how large pieces.
fn writes() -> impl Strategy<Value = (Vec<Entry>, Vec<usize>, usize)> {
    history().prop_flat_map(|history| {
        let order: Vec<usize> = (0..history.len()).collect();
        let lossy = prop_oneof![
            // All of them, in some order.
            Just(order.clone()).prop_shuffle(),
            // Some of them lost, some sent again.
            prop::collection::vec(prop::sample::select(order), 0..history.len() * 2),
        ];
        (Just(history), lossy, 1usize..5)
    })
}

#[test]
fn an_older_text_of_a_changed_message_is_never_recalled() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (_redis, node) = runtime.block_on(async {
        let redis = Redis::start().await;
        let node = Node::up(&redis.url()).await;
        (redis, node)
    });
    let runs = std::cell::Cell::new(0);
    let config = ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let checked = runner.run(&writes(), |(history, order, piece)| {
        runs.set(runs.get() + 1);
        let (lobby, head) = (room(&format!("room-{}", runs.get())), history.len() as u64);
        let recent = runtime.block_on(async {
            for piece in order.chunks(piece) {
                let entries: Vec<_> = piece.iter().map(|&at| history[at].clone()).collect();
                node.bus.remember(&lobby, EPOCH, &entries);
                tokio::task::yield_now().await;
            }
            if order.is_empty() {
                return None;
            }
            let written = |recent: &Recent| order.iter().all(|&at| recent.numbers.contains_key(&(at as u64 + 1)));
            Some(recalled(&node, &lobby, written).await)
        });
        let Some(recent) = recent else { return Ok(()) };
        for after in 0..head {
            let survivors = |entry: &&Entry| {
                let newer = |other: &Entry| other.seq == entry.seq && other.rev > entry.rev;
                entry.rev > after && !history.iter().any(newer)
            };
            let truth: Vec<_> = history.iter().filter(survivors).cloned().collect();
            let complete = (after + 1..=head).all(|number| order.contains(&(number as usize - 1)));
            prop_assert_eq!(recent.above(after, head), complete.then_some((truth, head)), "after {}", after);
        }
        Ok(())
    });
    checked.unwrap();
}
