//! Edits and deletions: numbered like messages, and folded into the place they change.

use store::{Amendment, Outcome, Post};

use crate::house::*;

pub async fn an_edit_takes_the_next_number_and_leaves_the_place(house: House) {
    let store = house.node().await;
    let [one, _two] = ana_says(&store, "lobby", ["one", "two"]).await;
    let Outcome::Kept(edited) = amended(&store, edit("lobby", 1, "uno")).await else { panic!() };
    assert_eq!((edited.seq, edited.rev, edited.text.as_str()), (1, 3, "uno"));
    assert!(edited.edited_at.unwrap() >= one.at);
    assert_eq!((edited.id, &edited.from, edited.at), (one.id, &one.from, one.at));

    let all = everything(&store, "lobby").await;
    assert_eq!(all.iter().map(|m| (m.seq, m.rev)).collect::<Vec<_>>(), [(2, 2), (1, 3)]);
    assert_eq!(all[1], edited);
    let [three] = ana_says(&store, "lobby", ["three"]).await;
    assert_eq!(three.seq, 4);
}

pub async fn a_deletion_leaves_only_the_place(house: House) {
    let store = house.node().await;
    ana_says(&store, "lobby", ["one", "two"]).await;
    let Outcome::Kept(edited) = amended(&store, edit("lobby", 1, "uno")).await else { panic!() };
    let Outcome::Kept(gone) = amended(&store, deletion("lobby", 1)).await else { panic!() };
    assert_eq!((gone.seq, gone.rev, gone.text.as_str(), gone.deleted), (1, 4, "", true));
    // When it was last edited stays; its words do not.
    assert_eq!(gone.edited_at, edited.edited_at);
    assert_eq!(store.tail(&room("lobby"), 10).await.unwrap().messages[0], gone);
}

pub async fn a_change_that_alters_nothing_takes_no_number(house: House) {
    let store = house.node().await;
    let [one] = ana_says(&store, "lobby", ["one"]).await;
    assert_eq!(amended(&store, edit("lobby", 1, "one")).await, Outcome::Known(one));
    let Outcome::Kept(gone) = amended(&store, deletion("lobby", 1)).await else { panic!() };
    assert_eq!(amended(&store, deletion("lobby", 1)).await, Outcome::Known(gone));
    assert_eq!(store.heads(&[room("lobby")]).await.unwrap().heads, [2]);
}

pub async fn only_its_author_may_change_a_message(house: House) {
    let store = house.node().await;
    ana_says(&store, "lobby", ["one"]).await;
    for change in [edit("lobby", 1, "mine"), edit("lobby", 1, "one"), deletion("lobby", 1)] {
        assert_eq!(amended(&store, Amendment { by: ben().id, ..change }).await, Outcome::Forbidden);
    }
    assert_eq!(words(&everything(&store, "lobby").await), ["one"]);
}

pub async fn what_is_not_there_cannot_be_changed(house: House) {
    let store = house.node().await;
    ana_says(&store, "lobby", ["one"]).await;
    for change in [edit("lobby", 2, "x"), deletion("lobby", 0), deletion("lobby", u64::MAX), edit("nowhere", 1, "x")] {
        assert_eq!(amended(&store, change).await, Outcome::NotFound);
    }
    amended(&store, deletion("lobby", 1)).await;
    assert_eq!(amended(&store, edit("lobby", 1, "risen")).await, Outcome::NotFound);
    assert_eq!(store.heads(&[room("lobby"), room("nowhere")]).await.unwrap().heads, [2, 0]);
}

pub async fn the_changes_of_one_batch_follow_each_other(house: House) {
    let store = house.node().await;
    ana_says(&store, "lobby", ["one", "two"]).await;
    ana_says(&store, "attic", ["one"]).await;
    let batch = [
        edit("lobby", 2, "dos"),
        edit("attic", 1, "uno"),
        edit("lobby", 2, "zwei"),
        edit("lobby", 2, "zwei"),
        deletion("lobby", 1),
    ];
    let outcomes = store.amend(0, &batch).await.unwrap();
    let revs: Vec<_> = outcomes
        .iter()
        .map(|outcome| match outcome {
            Outcome::Kept(message) => (true, message.rev, message.text.as_str()),
            Outcome::Known(message) => (false, message.rev, message.text.as_str()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(revs, [(true, 3, "dos"), (true, 2, "uno"), (true, 4, "zwei"), (false, 4, "zwei"), (true, 5, "")]);
    assert_eq!(store.heads(&[room("lobby"), room("attic")]).await.unwrap().heads, [5, 2]);
}

pub async fn edits_and_messages_race_without_a_gap(house: House) {
    let nodes = house.nodes::<3>().await;
    ana_says(&nodes[0], "lobby", ["one"; 10]).await;
    let mut people = tokio::task::JoinSet::new();
    for person in 0..6_usize {
        let store = nodes[person % nodes.len()].clone();
        people.spawn(async move {
            let mut taken = Vec::new();
            for round in 0..30 {
                let outcomes = if person % 2 == 0 {
                    let batch = [1, 2].map(|_| Post { id: fresh_id(), ..post("lobby", 0, "more") });
                    store.append(round, &batch).await.unwrap()
                } else {
                    let seq = rand::random_range(1..=10);
                    store.amend(round, &[edit("lobby", seq, &format!("{person} {round}"))]).await.unwrap()
                };
                taken.extend(outcomes.iter().map(|outcome| match outcome {
                    Outcome::Kept(message) => message.rev,
                    other => panic!("{other:?}"),
                }));
            }
            taken
        });
    }
    let mut taken: Vec<u64> = people.join_all().await.into_iter().flatten().collect();
    taken.sort_unstable();
    assert_eq!(taken, (11..11 + taken.len() as u64).collect::<Vec<_>>(), "each number went to one change");
    assert_eq!(nodes[0].heads(&[room("lobby")]).await.unwrap().heads, [10 + taken.len() as u64]);
}
