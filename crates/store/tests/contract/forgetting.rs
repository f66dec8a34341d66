//! Rooms that forget: what is gone is gone for readers at one moment, and numbers and ids stay.

use std::sync::Arc;

use proto::Timestamp;
use store::{Above, Archive, Forgotten, GoneId, GoneIds, Outcome, Policy, Post, Restoration, Restored, Retention};

use crate::house::*;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Ten messages; then 3 and 7 are edited (11, 12) and 8 is deleted (13).
async fn a_lived_in_room(house: &House) -> Arc<dyn Retention> {
    let store = house.retention().await;
    let posts: Vec<Post> = (1..=10).map(|number| post("lobby", number, &format!("m{number}"))).collect();
    store.append(0, &posts).await.unwrap();
    store.amend(0, &[edit("lobby", 3, "m3!"), edit("lobby", 7, "m7!"), deletion("lobby", 8)]).await.unwrap();
    // A neighbour, who keeps everything.
    store.append(0, &[post("lobby2", 1, "m1"), post("lobby2", 2, "m2")]).await.unwrap();
    store
}

async fn forget(store: &Arc<dyn Retention>, floor: u64, limit: usize) -> Forgotten {
    store.forget(&room("lobby"), floor, limit).await.unwrap()
}

async fn forget_all(store: &Arc<dyn Retention>, name: &str, floor: u64) {
    while store.forget(&room(name), floor, 3).await.unwrap().more {}
}

pub async fn what_is_at_or_below_the_floor_is_read_no_more(house: House) {
    let store = a_lived_in_room(&house).await;
    assert_eq!(forget(&store, 6, 100).await, Forgotten { floor: 6, messages: 6, more: false });

    let heads = store.heads(&[room("lobby2"), room("void"), room("lobby")]).await.unwrap();
    assert_eq!((heads.heads, heads.floors), (vec![2, 0, 13], vec![0, 0, 6]));
    let tail = store.tail(&room("lobby"), 10).await.unwrap();
    assert_eq!(words(&tail.messages), ["m7!", "", "m9", "m10"]);
    assert_eq!((tail.head, tail.floor, tail.more), (13, 6, false));
    let exact = store.tail(&room("lobby"), 4).await.unwrap();
    assert!(!exact.more && exact.messages.len() == 4, "what is gone is not more");
    assert_eq!(store.before(&room("lobby"), 7, 5).await.unwrap().messages, []);
    let newest = store.newest_changes(&room("lobby"), 100).await.unwrap();
    assert_eq!((newest.after, newest.complete_to, newest.messages.len()), (6, 13, 4));
    let newest = store.newest_changes(&room("lobby"), 2).await.unwrap();
    assert_eq!((newest.after, newest.messages.len()), (11, 2));
    let records = store.records(&room("lobby"), Above::Seq(0), 100).await.unwrap();
    assert_eq!((records.head, records.floor, records.records.len()), (13, 6, 4));
    let other = store.changes(&room("lobby2"), 0, 10).await.unwrap();
    assert_eq!((other.floor, other.messages.len()), (0, 2));
}

pub async fn a_position_below_the_floor_is_told_so(house: House) {
    let store = a_lived_in_room(&house).await;
    forget(&store, 6, 100).await;
    for after in [0, 5, 6, 12] {
        let changes = store.changes(&room("lobby"), after, 100).await.unwrap();
        assert_eq!((changes.after, changes.floor, changes.complete_to), (after, 6, 13));
    }
    let at_the_floor = store.changes(&room("lobby"), 6, 100).await.unwrap();
    assert_eq!(words(&at_the_floor.messages), ["m9", "m10", "m7!", ""]);
}

pub async fn the_floor_is_there_before_the_first_row_is_gone(house: House) {
    let store = a_lived_in_room(&house).await;
    for (messages, more) in [(2, true), (2, true), (2, true), (0, false)] {
        assert_eq!(forget(&store, 6, 2).await, Forgotten { floor: 6, messages, more });
        assert_eq!(words(&store.tail(&room("lobby"), 10).await.unwrap().messages), ["m7!", "", "m9", "m10"]);
    }
    assert_eq!(forget(&store, 8, 0).await, Forgotten { floor: 8, messages: 0, more: false });
    assert_eq!(words(&store.tail(&room("lobby"), 10).await.unwrap().messages), ["m9", "m10"]);
    // Also what another began.
    assert_eq!(forget(&store, 0, 100).await, Forgotten { floor: 8, messages: 2, more: false });
}

pub async fn an_old_message_that_changed_lately_is_gone_too(house: House) {
    let store = a_lived_in_room(&house).await;
    for limit in [0, 100] {
        forget(&store, 3, limit).await;
        let changes = store.changes(&room("lobby"), 10, 100).await.unwrap();
        assert_eq!(words(&changes.messages), ["m7!", ""], "number 11 was an edit of the third");
        assert_eq!((changes.complete_to, changes.floor), (13, 3));
        let records = store.records(&room("lobby"), Above::Rev(10), 100).await.unwrap();
        assert_eq!(records.records.len(), 2);
    }
}

pub async fn an_emptied_room_numbers_on(house: House) {
    let store = a_lived_in_room(&house).await;
    assert_eq!(forget(&store, u64::MAX, 100).await, Forgotten { floor: 13, messages: 10, more: false });
    let changes = store.changes(&room("lobby"), 13, 100).await.unwrap();
    assert_eq!((changes.head, changes.floor, changes.messages.len(), changes.more), (13, 13, 0, false));
    let [next] = ana_says(&(store.clone() as _), "lobby", ["next"]).await;
    assert_eq!(next.seq, 14);
    assert_eq!(words(&store.tail(&room("lobby"), 10).await.unwrap().messages), ["next"]);
    assert_eq!(store.rooms(None, 10).await.unwrap(), [room("lobby"), room("lobby2")]);
    // One that nobody has written to has nothing to forget.
    let void = store.forget(&room("void"), 5, 5).await.unwrap();
    assert_eq!(void, Forgotten { floor: 0, messages: 0, more: false });
    assert_eq!(store.heads(&[room("void")]).await.unwrap().heads, [0]);
}

pub async fn an_id_is_known_after_its_message_is_gone(house: House) {
    let store = a_lived_in_room(&house).await;
    let kept = store.tail(&room("lobby"), 10).await.unwrap().messages;
    // Its row still there, and then not.
    for limit in [0, 100] {
        forget(&store, 6, limit).await;
        let batch = [post("lobby", 2, "m2"), post("lobby", 99, "new"), post("lobby", 3, "m3"), post("lobby", 9, "m9")];
        let batch = [&batch[..], &[post("lobby", 4, "other words"), post("lobby2", 4, "m4")]].concat();
        let outcomes = store.append(0, &batch).await.unwrap();
        let gone = |seq: u64| Outcome::Forgotten { id: id(seq.into()), seq, at: kept[seq as usize - 1].at };
        assert_eq!((&outcomes[0], &outcomes[2]), (&gone(2), &gone(3)), "by its first words, also after an edit");
        assert!(matches!(&outcomes[3], Outcome::Known(message) if message.seq == 9));
        assert_eq!(outcomes[4], Outcome::IdTaken);
        assert_eq!(seqs(&outcomes)[1], 14, "only what is new takes numbers");
        assert_eq!(seqs(&outcomes)[5], 3, "a neighbour's ids are its own");
    }
}

pub async fn what_is_gone_cannot_be_changed(house: House) {
    let store = a_lived_in_room(&house).await;
    for limit in [0, 100] {
        forget(&store, 6, limit).await;
        let changes = [edit("lobby", 6, "-"), deletion("lobby", 3), deletion("lobby", 8), edit("lobby", 7, "m7!!")];
        let outcomes = store.amend(0, &changes).await.unwrap();
        assert_eq!(outcomes[..2], [Outcome::NotFound, Outcome::NotFound]);
        assert!(matches!(outcomes[2], Outcome::Known(_)) && seqs(&outcomes)[3] == 7);
    }
}

pub async fn the_floor_never_falls_and_never_passes_the_head(house: House) {
    let store = a_lived_in_room(&house).await;
    for (asked, floor) in [(6, 6), (2, 6), (0, 6), (100, 13), (7, 13)] {
        assert_eq!(forget(&store, asked, 1).await.floor, floor);
    }
}

pub async fn a_policy_is_kept_until_another_comes(house: House) {
    let store = house.retention().await;
    assert_eq!(store.policy(&room("a")).await.unwrap(), Policy::default());
    let days = Policy { keep_days: Some(30), keep_messages: None };
    let both = Policy { keep_days: Some(1), keep_messages: Some(1000) };
    for (name, policy) in [("b", days), ("a", days), ("c", both), ("a", both)] {
        store.set_policy(&room(name), policy).await.unwrap();
        assert_eq!(store.policy(&room(name)).await.unwrap(), policy);
    }
    assert_eq!(store.policies(None, 2).await.unwrap(), [(room("a"), both), (room("b"), days)]);
    assert_eq!(store.policies(Some(&room("b")), 2).await.unwrap(), [(room("c"), both)]);
    store.set_policy(&room("a"), Policy::default()).await.unwrap();
    assert_eq!(store.policy(&room("a")).await.unwrap(), Policy::default());
    assert_eq!(store.policies(None, 1).await.unwrap(), [(room("b"), days)]);
    // A policy is no room.
    assert_eq!(store.heads(&[room("b")]).await.unwrap().heads, [0]);
    assert_eq!(store.rooms(None, 9).await.unwrap(), []);
}

pub async fn what_is_due_by_number_is_all_but_the_newest(house: House) {
    let store = a_lived_in_room(&house).await;
    let due = async |keep| {
        let policy = Policy { keep_days: None, keep_messages: Some(keep) };
        store.due(&room("lobby"), policy, Timestamp::now(), 3).await.unwrap()
    };
    assert_eq!([due(10).await, due(9).await, due(4).await, due(0).await], [0, 1, 6, 10]);
    forget_all(&store, "lobby", 6).await;
    assert_eq!([due(4).await, due(3).await, due(100).await], [0, 7, 0]);
    // What is above counts messages, not numbers.
    ana_says(&(store.clone() as _), "lobby", ["m11"]).await;
    assert_eq!(due(4).await, 7);
    assert_eq!(
        store
            .due(&room("void"), Policy { keep_days: Some(1), keep_messages: Some(0) }, Timestamp::now(), 3)
            .await
            .unwrap(),
        0
    );
}

pub async fn what_is_due_by_age_is_found_a_batch_at_a_time(house: House) {
    let store = a_lived_in_room(&house).await;
    let policy = Policy { keep_days: Some(2), keep_messages: None };
    let due = async |days: i64, limit| {
        let now = Timestamp(Timestamp::now().0 + days * DAY_MS);
        store.due(&room("lobby"), policy, now, limit).await.unwrap()
    };
    assert_eq!(due(0, 100).await, 0);
    assert_eq!(due(1, 100).await, 0);
    assert_eq!([due(3, 100).await, due(3, 4).await], [10, 4]);
    forget_all(&store, "lobby", 4).await;
    assert_eq!([due(3, 4).await, due(1, 4).await], [8, 0]);
    let both = Policy { keep_messages: Some(1), ..policy };
    assert_eq!(store.due(&room("lobby"), both, Timestamp::now(), 2).await.unwrap(), 9, "whichever wants more");
}

pub async fn writers_and_readers_go_on_while_a_room_forgets(house: House) {
    let [writer, reader] = house.nodes().await;
    let forgetful = house.retention().await;
    let (said, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let writing = tokio::spawn(async move {
        for round in 0..60_u128 {
            let batch: Vec<Post> = (0..3).map(|n| post("lobby", round * 3 + n, "a word")).collect();
            let kept = writer.append(0, &batch).await.unwrap();
            said.send(()).unwrap();
            assert_eq!(seqs(&writer.append(1, &batch).await.unwrap()), seqs(&kept), "known, whatever is gone");
            _ = writer.amend(0, &[edit("lobby", round as u64 * 2 + 1, &format!("again {round}"))]).await.unwrap();
        }
    });
    let forgetting = tokio::spawn(async move {
        while heard.recv().await.is_some() {
            let heads = forgetful.heads(&[room("lobby")]).await.unwrap();
            forgetful.forget(&room("lobby"), heads.heads[0].saturating_sub(5), 7).await.unwrap();
        }
        writing.await.unwrap();
        forget_all(&forgetful, "lobby", 0).await;
    });
    let mut position = 0;
    while !forgetting.is_finished() {
        let changes = reader.changes(&room("lobby"), position, 50).await.unwrap();
        assert!(changes.messages.iter().all(|message| message.seq > changes.floor));
        assert!(changes.floor <= changes.head && changes.complete_to >= position);
        position = changes.complete_to;
    }
    forgetting.await.unwrap();
    let rest = everything(&reader, "lobby").await;
    let heads = reader.heads(&[room("lobby")]).await.unwrap();
    assert!(!rest.is_empty() && rest.iter().all(|message| message.seq > heads.floors[0]));
}

async fn gone(store: &Arc<dyn Archive>, name: &str) -> Vec<GoneId> {
    let mut gone = store.gone_ids(&room(name), GoneIds::WithRows(0), 100).await.unwrap();
    let mut last = None;
    loop {
        let page = store.gone_ids(&room(name), GoneIds::Kept(last), 2).await.unwrap();
        let Some(id) = page.last().map(|gone| gone.id) else { break };
        last = Some(id);
        gone.extend(page);
    }
    gone.sort_by_key(|gone| gone.seq);
    gone
}

/// Everything of a room, as an export has it.
async fn carry(from: &Arc<dyn Archive>, to: &Arc<dyn Archive>) -> Restored {
    let page = from.records(&room("lobby"), Above::Seq(0), 1000).await.unwrap();
    let (gone, void) = (gone(from, "lobby").await, to.epoch().await.unwrap());
    let wanted = Restoration {
        room: &room("lobby"),
        head: page.head,
        floor: page.floor,
        gone: &gone,
        records: &page.records,
        void,
    };
    to.restore(&wanted).await.unwrap()
}

pub async fn a_room_that_forgot_is_the_same_in_another_store(house: House) {
    let store = a_lived_in_room(&house).await;
    // Some rows are still to go.
    forget(&store, 6, 2).await;
    let old = store.clone() as Arc<dyn Archive>;
    let ids = gone(&old, "lobby").await;
    assert_eq!(ids.iter().map(|gone| gone.seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    for other in [House::postgres(), House::sqlite()] {
        let new = other.archive().await;
        assert_eq!(carry(&old, &new).await, Restored::Kept(4));
        assert_eq!(gone(&new, "lobby").await, ids);
        let (here, there) = (old.tail(&room("lobby"), 9).await.unwrap(), new.tail(&room("lobby"), 9).await.unwrap());
        assert_eq!((here.head, here.floor, here.messages), (there.head, there.floor, there.messages));
        let known = new.append(0, &[post("lobby", 2, "m2"), post("lobby", 6, "m6"), post("lobby", 50, "new")]).await;
        assert_eq!(seqs(&known.unwrap()), [2, 6, 14]);
        assert_eq!(new.append(0, &[post("lobby", 3, "m3!")]).await.unwrap(), [Outcome::IdTaken]);
        assert_eq!(carry(&old, &new).await, Restored::Kept(0), "again is nothing");
    }
}

pub async fn what_is_gone_there_is_gone_here(house: House) {
    let store = a_lived_in_room(&house).await;
    let old = store.clone() as Arc<dyn Archive>;
    for other in [House::postgres(), House::sqlite()] {
        let new = other.retention().await;
        let archive = new.clone() as Arc<dyn Archive>;
        // This store has forgotten more than the other: what comes in is not risen, and its ids are known.
        carry(&old, &archive).await;
        forget_all(&new, "lobby", 7).await;
        assert_eq!(carry(&old, &archive).await, Restored::Kept(0));
        assert_eq!(words(&new.tail(&room("lobby"), 9).await.unwrap().messages), ["", "m9", "m10"]);
        assert_eq!(seqs(&new.append(0, &[post("lobby", 5, "m5")]).await.unwrap()), [5]);
    }
    // And the other way round.
    let other = House::sqlite();
    let new = other.archive().await;
    carry(&old, &new).await;
    forget_all(&store, "lobby", 7).await;
    assert_eq!(carry(&old, &new).await, Restored::Kept(0));
    assert_eq!(words(&new.tail(&room("lobby"), 9).await.unwrap().messages), ["", "m9", "m10"]);
    // An id that is gone there and something else here.
    let third = House::sqlite();
    let new = third.archive().await;
    new.append(0, &[post("lobby", 4, "m4")]).await.unwrap();
    assert_eq!(carry(&old, &new).await, Restored::Differs(4));
    assert_eq!(new.heads(&[room("lobby")]).await.unwrap().floors, [0], "nothing was changed");
}
