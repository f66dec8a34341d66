//! Numbers: the next one to each new message, none to a known one, none left out.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use proto::{MessageId, Timestamp};
use store::{Outcome, Post};

use crate::house::*;

pub async fn messages_are_numbered_from_one_in_the_order_of_the_batch(house: House) {
    let store = house.node().await;
    let batch: Vec<Post> = (0..200).map(|n| post("lobby", 1000 - n, &format!("word {n}"))).collect();
    assert_eq!(seqs(&store.append(0, &batch).await.unwrap()), (1..=200).collect::<Vec<u64>>());
    assert_eq!(seqs(&store.append(0, &[post("lobby", 5000, "next")]).await.unwrap()), [201]);
    assert_eq!(store.heads(&[room("lobby")]).await.unwrap().heads, [201]);
}

pub async fn each_room_counts_for_itself(house: House) {
    let store = house.node().await;
    let batch =
        [post("b", 1, "b1"), post("a", 2, "a1"), post("b", 3, "b2"), post("Música", 1, "m1"), post("a", 4, "a2")];
    assert_eq!(seqs(&store.append(0, &batch).await.unwrap()), [1, 1, 2, 1, 2]);
    assert_eq!(words(&everything(&store, "a").await), ["a1", "a2"]);
    assert_eq!(words(&everything(&store, "Música").await), ["m1"]);
}

pub async fn the_answer_is_what_is_kept(house: House) {
    let store = house.node().await;
    let before = Timestamp::now();
    let answer = Post { from: ben(), reply_to: Some(7), ..post("lobby", 1, "hola") };
    let boast = Post { reply_to: Some(u64::MAX), ..post("lobby", 2, "more than can be") };
    let outcomes = store.append(0, &[answer.clone(), boast]).await.unwrap();
    let Outcome::Kept(first) = &outcomes[0] else { panic!("{outcomes:?}") };
    assert_eq!((first.seq, first.rev, first.id, &first.from), (1, 1, answer.id, &ben()));
    assert_eq!((first.text.as_str(), first.reply_to, first.edited_at, first.deleted), ("hola", Some(7), None, false));
    // Both clocks are this machine's; the database cuts to milliseconds as we do.
    assert!(before <= first.at && first.at <= Timestamp::now(), "{:?}", first.at);

    let kept: Vec<_> = outcomes.iter().map(|outcome| Outcome::Kept(outcome_message(outcome))).collect();
    let read: Vec<_> = everything(&store, "lobby").await.into_iter().map(Outcome::Kept).collect();
    assert_eq!(kept, read);
}

fn outcome_message(outcome: &Outcome) -> proto::Message {
    match outcome {
        Outcome::Kept(message) | Outcome::Known(message) => message.clone(),
        other => panic!("no message: {other:?}"),
    }
}

pub async fn every_character_comes_back(house: House) {
    let store = house.node().await;
    let odd = [
        "{\"a\":[1,2]}",
        "it's \\ \"quoted\", {braced}",
        "\u{1}\u{7f}\u{fffd}\u{10ffff}",
        "👩‍👩‍👧 e\u{301}",
        " NULL ",
        "a\r\nb\tc",
    ];
    ana_says(&store, "lobby", odd).await;
    assert_eq!(words(&everything(&store, "lobby").await), odd);
}

pub async fn a_message_sent_again_is_known_by_its_first_number_whoever_sends_it(house: House) {
    let [north, south] = house.nodes().await;
    let first = kept_one(north.append(0, &[post("lobby", 1, "hola")]).await.unwrap());
    north.append(0, &[post("lobby", 2, "and on")]).await.unwrap();
    let again = Post { from: ben(), reply_to: Some(1), ..post("lobby", 1, "hola") };
    assert_eq!(one(south.append(0, &[again]).await.unwrap()), Outcome::Known(first));
    // In another room the same id is another message.
    assert_eq!(seqs(&south.append(0, &[post("kitchen", 1, "hola")]).await.unwrap()), [1]);
}

pub async fn a_retry_is_known_by_its_first_words_even_after_an_edit(house: House) {
    let store = house.node().await;
    store.append(0, &[post("lobby", 1, "first")]).await.unwrap();
    let Outcome::Kept(edited) = amended(&store, edit("lobby", 1, "second")).await else { panic!() };
    assert_eq!(one(store.append(0, &[post("lobby", 1, "first")]).await.unwrap()), Outcome::Known(edited));
    assert_eq!(one(store.append(0, &[post("lobby", 1, "second")]).await.unwrap()), Outcome::IdTaken);
    let Outcome::Kept(gone) = amended(&store, deletion("lobby", 1)).await else { panic!() };
    assert_eq!(one(store.append(0, &[post("lobby", 1, "first")]).await.unwrap()), Outcome::Known(gone));
}

pub async fn an_id_that_names_other_words_is_taken(house: House) {
    let store = house.node().await;
    store.append(0, &[post("lobby", 1, "hola")]).await.unwrap();
    let outcomes = store.append(0, &[post("lobby", 1, "hola!"), post("lobby", 2, "well")]).await.unwrap();
    assert_eq!(outcomes[0], Outcome::IdTaken);
    assert_eq!(seqs(&outcomes), [0, 2]);
}

pub async fn only_what_is_new_takes_numbers(house: House) {
    let store = house.node().await;
    store.append(0, &[post("lobby", 1, "one"), post("lobby", 2, "two")]).await.unwrap();
    let batch = [post("lobby", 3, "three"), post("lobby", 2, "two"), post("lobby", 1, "ONE"), post("lobby", 4, "four")];
    let outcomes = store.append(0, &batch).await.unwrap();
    assert_eq!(seqs(&outcomes), [3, 2, 0, 4]);
    assert!(matches!(outcomes[..], [Outcome::Kept(_), Outcome::Known(_), Outcome::IdTaken, Outcome::Kept(_)]));
    assert_eq!(store.heads(&[room("lobby")]).await.unwrap().heads, [4]);
}

pub async fn an_empty_batch_is_nothing(house: House) {
    let store = house.node().await;
    assert_eq!(store.append(0, &[]).await.unwrap(), []);
    assert_eq!(store.amend(0, &[]).await.unwrap(), []);
}

pub async fn many_writers_on_several_nodes_leave_no_gap_and_keep_each_id_once(house: House) {
    const ROOMS: [&str; 4] = ["a", "b", "c", "d"];
    let nodes = house.nodes::<3>().await;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..9_u128 {
        let store = nodes[writer as usize % nodes.len()].clone();
        writers.spawn(async move {
            let mut told: Vec<(&str, MessageId, u64)> = Vec::new();
            for _ in 0..25 {
                // Ids from a small range, so that writers keep meeting each other's messages, in the same batch and later.
                let mut seen = HashSet::new();
                let mut batch: Vec<(&str, Post)> = Vec::new();
                for _ in 0..rand::random_range(1..20) {
                    let (name, number) = (ROOMS[rand::random_range(0..4)], rand::random_range(0..600_u128));
                    if seen.insert((name, number)) {
                        batch.push((name, post(name, number, &format!("word {number}"))));
                    }
                }
                let posts: Vec<Post> = batch.iter().map(|(_, post)| post.clone()).collect();
                let lane = rand::random_range(0..store.lanes());
                for ((name, post), seq) in batch.iter().zip(seqs(&store.append(lane, &posts).await.unwrap())) {
                    told.push((name, post.id, seq));
                }
            }
            told
        });
    }
    let mut numbers: HashMap<(&str, MessageId), u64> = HashMap::new();
    for (name, id, seq) in writers.join_all().await.into_iter().flatten() {
        assert_eq!(*numbers.entry((name, id)).or_insert(seq), seq, "one id, one number");
    }
    for name in ROOMS {
        let kept = everything(&nodes[0], name).await;
        assert_eq!(kept.iter().map(|m| m.seq).collect::<Vec<_>>(), (1..=kept.len() as u64).collect::<Vec<_>>());
        for message in kept {
            assert_eq!(numbers.remove(&(name, message.id)), Some(message.seq));
        }
    }
    assert!(numbers.is_empty(), "acknowledged and not kept: {numbers:?}");
}

pub async fn a_cancelled_append_happened_whole_or_not_at_all(house: House) {
    let store = house.node().await;
    for round in 0..60_u128 {
        let batch: Vec<Post> = (0..20).map(|n| post("lobby", round * 100 + n, "a word")).collect();
        let patience = Duration::from_micros(rand::random_range(0..6000));
        let _ = tokio::time::timeout(patience, store.append(round as usize, &batch)).await;
    }
    ana_says(&store, "lobby", ["still here"]).await;
    let kept = everything(&store, "lobby").await;
    assert_eq!(kept.iter().map(|m| m.seq).collect::<Vec<_>>(), (1..=kept.len() as u64).collect::<Vec<_>>());
    assert_eq!(kept.len() % 20, 1, "no half batch");
}
