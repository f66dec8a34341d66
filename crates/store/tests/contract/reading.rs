//! Reading: what survives, in order, and the number that it is complete to.

use std::sync::Arc;

use store::{Post, Store};

use crate::house::*;

/// Ten messages; then 3 and 7 are edited (11, 12) and 1 is deleted (13).
async fn a_lived_in_room(house: &House) -> Arc<dyn Store> {
    let store = house.node().await;
    ana_says(&store, "lobby", ["m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "m9", "m10"]).await;
    store.amend(0, &[edit("lobby", 3, "m3!"), edit("lobby", 7, "m7!"), deletion("lobby", 1)]).await.unwrap();
    // A neighbour, whose numbers must not show.
    ana_says(&store, "lobby2", ["x", "y"]).await;
    store
}

pub async fn what_changed_after_a_number_is_what_survived_and_the_head(house: House) {
    let store = a_lived_in_room(&house).await;
    let changes = store.changes(&room("lobby"), 6, 100).await.unwrap();
    assert_eq!(changes.messages.iter().map(|m| m.rev).collect::<Vec<_>>(), [8, 9, 10, 11, 12, 13]);
    assert_eq!(words(&changes.messages), ["m8", "m9", "m10", "m3!", "m7!", ""]);
    assert_eq!((changes.after, changes.complete_to, changes.head, changes.more), (6, 13, 13, false));
    assert_eq!(changes.epoch, store.epoch().await.unwrap());

    let nothing = store.changes(&room("lobby"), 13, 100).await.unwrap();
    assert_eq!((nothing.messages.len(), nothing.complete_to, nothing.more), (0, 13, false));
}

pub async fn pages_follow_each_other_until_there_is_no_more(house: House) {
    let store = a_lived_in_room(&house).await;
    let (mut after, mut revs, mut pages) = (0, Vec::new(), 0);
    loop {
        let page = store.changes(&room("lobby"), after, 3).await.unwrap();
        revs.extend(page.messages.iter().map(|m| m.rev));
        pages += 1;
        assert_eq!(page.head, 13);
        after = page.complete_to;
        if !page.more {
            assert_eq!(page.complete_to, 13);
            break;
        }
        assert_eq!((page.messages.len(), page.complete_to), (3, page.messages[2].rev));
    }
    assert_eq!((revs, pages), (vec![2, 4, 5, 6, 8, 9, 10, 11, 12, 13], 4));

    let exact = store.changes(&room("lobby"), 0, 10).await.unwrap();
    assert_eq!((exact.messages.len(), exact.complete_to, exact.more), (10, 13, false));
    let none = store.changes(&room("lobby"), 5, 0).await.unwrap();
    assert_eq!((none.messages.len(), none.complete_to, none.more), (0, 5, true));
}

pub async fn the_newest_changes_say_where_they_begin(house: House) {
    let store = a_lived_in_room(&house).await;
    let newest = store.newest_changes(&room("lobby"), 4).await.unwrap();
    assert_eq!(newest.messages.iter().map(|m| m.rev).collect::<Vec<_>>(), [10, 11, 12, 13]);
    assert_eq!((newest.after, newest.complete_to, newest.head, newest.more), (9, 13, 13, false));

    let all = store.newest_changes(&room("lobby"), 1000).await.unwrap();
    assert_eq!((all.messages.len(), all.after), (10, 0));
    let none = store.newest_changes(&room("lobby"), 0).await.unwrap();
    assert_eq!((none.messages.len(), none.after, none.complete_to), (0, 13, 13));
    let whatever = store.newest_changes(&room("lobby"), u64::MAX).await.unwrap();
    assert_eq!((whatever.messages.len(), whatever.after), (10, 0));
}

pub async fn history_is_read_backwards_and_shown_forwards(house: House) {
    let store = a_lived_in_room(&house).await;
    let tail = store.tail(&room("lobby"), 4).await.unwrap();
    assert_eq!(words(&tail.messages), ["m7!", "m8", "m9", "m10"]);
    assert_eq!((tail.head, tail.more), (13, true));

    let older = store.before(&room("lobby"), 7, 4).await.unwrap();
    assert_eq!(words(&older.messages), ["m3!", "m4", "m5", "m6"]);
    assert!(older.more);
    let oldest = store.before(&room("lobby"), 3, 4).await.unwrap();
    assert_eq!(words(&oldest.messages), ["", "m2"]);
    assert!(!oldest.more && oldest.messages[0].deleted);

    let all = store.tail(&room("lobby"), 10).await.unwrap();
    assert_eq!((all.messages.len(), all.more), (10, false));
    assert_eq!(store.before(&room("lobby"), 1, 4).await.unwrap().messages, []);
    assert_eq!(store.before(&room("lobby"), u64::MAX, 2).await.unwrap().messages.len(), 2);
}

pub async fn a_room_without_a_word_is_empty_at_zero(house: House) {
    let store = house.node().await;
    let changes = store.changes(&room("void"), 0, 10).await.unwrap();
    assert_eq!((changes.complete_to, changes.head, changes.more, changes.messages.len()), (0, 0, false, 0));
    let newest = store.newest_changes(&room("void"), 10).await.unwrap();
    assert_eq!((newest.after, newest.complete_to, newest.messages.len()), (0, 0, 0));
    let tail = store.tail(&room("void"), 10).await.unwrap();
    assert_eq!((tail.head, tail.more, tail.messages.len()), (0, false, 0));
    // Looking does not make a room.
    assert_eq!(store.heads(&[room("void")]).await.unwrap().heads, [0]);
}

pub async fn heads_come_in_the_order_asked(house: House) {
    let store = a_lived_in_room(&house).await;
    let asked = ["lobby2", "nowhere", "lobby", "lobby2", "Ñandú"].map(room);
    let heads = store.heads(&asked).await.unwrap();
    assert_eq!(heads.heads, [2, 0, 13, 2, 0]);
    assert_eq!(heads.epoch, store.epoch().await.unwrap());
    let none = store.heads(&[]).await.unwrap();
    assert_eq!((none.heads.len(), none.epoch), (0, heads.epoch));

    let many: Vec<_> = (0..1000).map(|n| room(&format!("room-{n}"))).collect();
    assert_eq!(store.heads(&many).await.unwrap().heads, vec![0; 1000]);
}

pub async fn a_position_from_the_future_is_answered_with_the_head(house: House) {
    let store = a_lived_in_room(&house).await;
    for after in [14, u64::MAX] {
        let changes = store.changes(&room("lobby"), after, 10).await.unwrap();
        assert_eq!((changes.messages.len(), changes.complete_to, changes.head), (0, 13, 13));
    }
}

pub async fn a_reader_beside_writers_never_sees_a_hole(house: House) {
    let [north, south] = house.nodes().await;
    let writers: Vec<_> = [north.clone(), south.clone()]
        .into_iter()
        .map(|store| {
            tokio::spawn(async move {
                for round in 0..60 {
                    let batch = [1, 2, 3].map(|_| Post { id: fresh_id(), ..post("lobby", 0, "a word") });
                    store.append(round, &batch).await.unwrap();
                }
            })
        })
        .collect();
    let mut position = 0;
    while position < 360 {
        let changes = south.changes(&room("lobby"), position, 50).await.unwrap();
        let revs: Vec<u64> = changes.messages.iter().map(|m| m.rev).collect();
        assert_eq!(revs, (position + 1..=changes.complete_to).collect::<Vec<_>>());
        assert!(changes.head >= changes.complete_to);
        position = changes.complete_to;
    }
    for writer in writers {
        writer.await.unwrap();
    }
}
