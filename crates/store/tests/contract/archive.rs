//! Rooms that leave one store and enter another, numbers and all.

use std::sync::Arc;

use proto::{Epoch, RoomName};
use store::{Above, Amendment, Archive, Change, Outcome, Post, Record, Restoration, Restored};

use crate::house::*;

/// Five messages; one edited, one deleted, one that answers another.
async fn a_lived_in_room(store: &Arc<dyn Archive>) {
    let mut posts = [1, 2, 3, 4, 5].map(|number| post("lobby", number, &format!("m{number}")));
    posts[2].reply_to = Some(1);
    posts[3].from = ben();
    store.append(0, &posts).await.unwrap();
    store.amend(0, &[edit("lobby", 1, "m1!"), deletion("lobby", 2), edit("lobby", 1, "m1!!")]).await.unwrap();
}

async fn all(store: &Arc<dyn Archive>, name: &str) -> (u64, Vec<Record>) {
    let page = store.records(&room(name), Above::Seq(0), usize::MAX - 1).await.unwrap();
    assert!(!page.more);
    (page.head, page.records)
}

async fn restore(store: &Arc<dyn Archive>, name: &str, head: u64, records: &[Record]) -> Restored {
    let void = store.epoch().await.unwrap();
    store.restore(&Restoration { room: &room(name), head, floor: 0, gone: &[], records, void }).await.unwrap()
}

/// A room in this house, and empty stores of both kinds to carry it to.
async fn a_move(house: &House) -> (Arc<dyn Archive>, [(House, Arc<dyn Archive>); 2]) {
    let old = house.archive().await;
    a_lived_in_room(&old).await;
    let (postgres, sqlite) = (House::postgres(), House::sqlite());
    let (one, other) = (postgres.archive().await, sqlite.archive().await);
    (old, [(postgres, one), (sqlite, other)])
}

pub async fn rooms_are_told_in_the_order_of_their_bytes(house: House) {
    let store = house.archive().await;
    for name in ["b", "a", "Zebra", "ñandú", "a-1"] {
        store.append(0, &[post(name, 1, "hello")]).await.unwrap();
    }
    let mut told: Vec<RoomName> = Vec::new();
    loop {
        let page = store.rooms(told.last(), 2).await.unwrap();
        if page.is_empty() {
            break;
        }
        told.extend(page);
    }
    assert_eq!(told, ["Zebra", "a", "a-1", "b", "ñandú"].map(room));
}

pub async fn records_come_by_place_or_by_change(house: House) {
    let store = house.archive().await;
    a_lived_in_room(&store).await;
    let page = store.records(&room("lobby"), Above::Seq(1), 2).await.unwrap();
    assert_eq!((page.head, page.more), (8, true));
    assert_eq!(page.records.iter().map(|record| record.message.seq).collect::<Vec<_>>(), [2, 3]);
    let page = store.records(&room("lobby"), Above::Rev(5), 2).await.unwrap();
    assert_eq!((page.head, page.more), (8, false));
    assert_eq!(page.records.iter().map(|record| record.message.rev).collect::<Vec<_>>(), [7, 8]);
    let void = store.records(&room("void"), Above::Seq(0), 2).await.unwrap();
    assert_eq!((void.head, void.more, void.records.len()), (0, false, 0));
}

pub async fn a_room_is_the_same_in_another_store(house: House) {
    let (old, moves) = a_move(&house).await;
    let (head, records) = all(&old, "lobby").await;
    for (_house, new) in moves {
        let (epoch, size) = (new.epoch().await.unwrap(), records.len());
        assert_eq!(restore(&new, "lobby", head, &records).await, Restored::Kept(size));
        assert_eq!(all(&new, "lobby").await, (head, records.clone()));
        assert_ne!(new.epoch().await.unwrap(), epoch, "positions from before are void");

        let epoch = new.epoch().await.unwrap();
        assert_eq!(restore(&new, "lobby", head, &records).await, Restored::Kept(0), "again is nothing");
        assert_eq!(new.epoch().await.unwrap(), epoch);
    }
}

pub async fn ids_are_known_by_their_first_words_in_another_store(house: House) {
    let (old, moves) = a_move(&house).await;
    let (head, records) = all(&old, "lobby").await;
    for (_house, new) in moves {
        restore(&new, "lobby", head, &records).await;
        let retries = [post("lobby", 1, "m1"), post("lobby", 2, "m2"), post("lobby", 3, "m3")];
        for outcome in new.append(0, &retries).await.unwrap() {
            assert!(matches!(outcome, Outcome::Known(_)), "{outcome:?}");
        }
        assert_eq!(new.append(0, &[post("lobby", 5, "m1!!")]).await.unwrap(), [Outcome::IdTaken]);
        let [next] = ana_says(&(new.clone() as _), "lobby", ["next"]).await;
        assert_eq!(next.seq, head + 1);
        let forbidden = Amendment { by: ben().id, ..edit("lobby", 1, "mine") };
        assert_eq!(new.amend(0, &[forbidden]).await.unwrap(), [Outcome::Forbidden]);
    }
}

pub async fn only_the_epoch_that_was_meant_ends(house: House) {
    let (old, moves) = a_move(&house).await;
    let (head, records) = all(&old, "lobby").await;
    for (_house, new) in moves {
        let epoch = new.epoch().await.unwrap();
        let lobby = room("lobby");
        let some = |records, void| Restoration { room: &lobby, head, floor: 0, gone: &[], records, void };
        new.restore(&some(&records[..1], Epoch(epoch.0 ^ 1))).await.unwrap();
        assert_eq!(new.epoch().await.unwrap(), epoch);
        new.restore(&some(&records[..2], epoch)).await.unwrap();
        assert_ne!(new.epoch().await.unwrap(), epoch);
    }
}

pub async fn a_room_with_something_else_is_left_as_it_is(house: House) {
    let (old, moves) = a_move(&house).await;
    let (head, records) = all(&old, "lobby").await;
    for (_house, new) in moves {
        let epoch = new.epoch().await.unwrap();
        new.append(0, &[post("lobby", 77, "somebody else's")]).await.unwrap();
        let before = all(&new, "lobby").await;
        assert_eq!(restore(&new, "lobby", head, &records).await, Restored::Differs(1));
        assert_eq!(all(&new, "lobby").await, before);

        // The same id in another place, a number that is another message's, other words under the same number.
        new.append(0, &[post("attic", 3, "m3")]).await.unwrap();
        assert_eq!(restore(&new, "attic", head, &records[2..3]).await, Restored::Differs(3));
        new.append(0, &[post("cellar", 1, "m1"), post("cellar", 2, "m2")]).await.unwrap();
        new.amend(0, &[deletion("cellar", 2)]).await.unwrap();
        assert_eq!(restore(&new, "cellar", head, &records[2..3]).await, Restored::Differs(3));
        assert_eq!(restore(&new, "cellar", 3, &records[..1]).await, Restored::Differs(1));
        assert_eq!(new.heads(&[room("lobby"), room("attic"), room("cellar")]).await.unwrap().heads, [1, 1, 3]);
        assert_eq!(new.epoch().await.unwrap(), epoch, "who changes nothing voids nothing");
    }
}

pub async fn numbers_are_kept_free_for_what_is_still_to_come(house: House) {
    let (old, moves) = a_move(&house).await;
    let (head, records) = all(&old, "lobby").await;
    for (_house, new) in moves {
        restore(&new, "lobby", head, &records[..2]).await;
        let [meanwhile] = ana_says(&(new.clone() as _), "lobby", ["meanwhile"]).await;
        assert_eq!(meanwhile.seq, head + 1);
        assert_eq!(restore(&new, "lobby", head, &records).await, Restored::Kept(records.len() - 2));
        let (now, kept) = all(&new, "lobby").await;
        assert_eq!((now, &kept[..records.len()]), (head + 1, &records[..]));

        // Also above a message that changed after the head was told.
        restore(&new, "attic", 5, &records[..1]).await;
        let [next] = ana_says(&(new.clone() as _), "attic", ["next"]).await;
        assert_eq!(next.seq, records[0].message.rev + 1);
    }
}

pub async fn what_went_on_stays_and_what_is_newer_comes(house: House) {
    let (old, moves) = a_move(&house).await;
    let (head, records) = all(&old, "lobby").await;
    // The old store goes on: an edit, and a word.
    old.amend(0, &[edit("lobby", 5, "m5!")]).await.unwrap();
    old.append(0, &[post("lobby", 9, "m9")]).await.unwrap();
    let (later_head, later) = all(&old, "lobby").await;
    let [here, there] = moves;

    let (_house, new) = here;
    restore(&new, "lobby", head, &records).await;
    let twice = [&records[4..], &later[4..]].concat();
    assert_eq!(restore(&new, "lobby", later_head, &twice).await, Restored::Kept(2));
    assert_eq!(all(&new, "lobby").await, (later_head, later));
    // The first file again: this store is ahead of it.
    assert_eq!(restore(&new, "lobby", head, &records).await, Restored::Kept(0));

    // A store that went its own way takes no other's.
    let (_house, new) = there;
    restore(&new, "lobby", head, &records).await;
    let own = Amendment { by: ben().id, change: Change::Delete, ..edit("lobby", 4, "-") };
    new.amend(0, &[own]).await.unwrap();
    assert_eq!(restore(&new, "lobby", later_head, &twice).await, Restored::Differs(5));
}

pub async fn as_many_records_as_one_likes_go_at_once(house: House) {
    let (old, moves) = a_move(&house).await;
    let posts: Vec<Post> = (0..2500).map(|number| post("busy", number + 1, "a word")).collect();
    old.append(0, &posts).await.unwrap();
    let (head, records) = all(&old, "busy").await;
    for (_house, new) in moves {
        assert_eq!(restore(&new, "busy", head, &records[..2000]).await, Restored::Kept(2000));
        assert_eq!(restore(&new, "busy", head, &records).await, Restored::Kept(500));
        assert_eq!(all(&new, "busy").await, (head, records.clone()));
        assert_eq!(restore(&new, "void", 0, &[]).await, Restored::Kept(0));
    }
}
