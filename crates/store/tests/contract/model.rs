//! Any sequence of calls, held against the plainest thing that keeps the promises: a list in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use proto::{Message, Timestamp};
use store::{Amendment, Forgotten, Outcome, Post, Retention};

use crate::house::*;

const ROOMS: [&str; 2] = ["a", "b"];

#[derive(Clone, Debug)]
enum Call {
    /// Room, id and words of each post; no room and id twice.
    Append(BTreeMap<(usize, u128), u8>),
    /// Room, seq, whether by its author, and the words, or none to delete.
    Amend(Vec<(usize, u64, bool, Option<u8>)>),
    Changes {
        room: usize,
        after: u64,
        limit: usize,
    },
    Newest {
        room: usize,
        span: u64,
    },
    Before {
        room: usize,
        seq: u64,
        limit: usize,
    },
    Forget {
        room: usize,
        floor: u64,
        limit: usize,
    },
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let call = prop_oneof![
        3 => proptest::collection::btree_map((0..2_usize, 0..12_u128), 0..3_u8, 1..6).prop_map(Call::Append),
        3 => proptest::collection::vec((0..2_usize, 0..8_u64, prop::bool::weighted(0.9), prop::option::of(0..3_u8)), 1..4)
            .prop_map(Call::Amend),
        1 => (0..2_usize, 0..20_u64, 0..6_usize).prop_map(|(room, after, limit)| Call::Changes { room, after, limit }),
        1 => (0..2_usize, 0..10_u64).prop_map(|(room, span)| Call::Newest { room, span }),
        1 => (0..2_usize, 0..12_u64, 0..6_usize).prop_map(|(room, seq, limit)| Call::Before { room, seq, limit }),
        1 => (0..2_usize, 0..12_u64, 0..6_usize).prop_map(|(room, floor, limit)| Call::Forget { room, floor, limit }),
    ];
    proptest::collection::vec(call, 1..25)
}

/// A room: its head and floor, each message ever kept with its first words, and how many of those lost their row.
#[derive(Default)]
struct Room {
    head: u64,
    floor: u64,
    kept: Vec<(Message, String)>,
    gone: usize,
}

impl Room {
    fn append(&mut self, post: &Post) -> Outcome {
        match self.kept.iter().find(|(message, _)| message.id == post.id) {
            Some((Message { id, seq, .. }, first)) if first == post.text.as_str() && *seq <= self.floor => {
                return Outcome::Forgotten { id: *id, seq: *seq, at: Timestamp(0) };
            }
            Some((message, first)) if first == post.text.as_str() => return Outcome::Known(message.clone()),
            Some(_) => return Outcome::IdTaken,
            None => self.head += 1,
        }
        let message = Message {
            room: post.room.clone(),
            seq: self.head,
            rev: self.head,
            id: post.id,
            from: post.from.clone(),
            text: post.text.as_str().into(),
            at: Timestamp(0),
            edited_at: None,
            deleted: false,
            reply_to: post.reply_to,
        };
        self.kept.push((message.clone(), message.text.clone()));
        Outcome::Kept(message)
    }

    fn amend(&mut self, seq: u64, author: bool, words: Option<u8>) -> Outcome {
        let floor = self.floor;
        let Some((message, _)) = self.kept.iter_mut().find(|(message, _)| message.seq == seq && seq > floor) else {
            return Outcome::NotFound;
        };
        let says = words.map_or_else(String::new, word);
        match (author, message.deleted, words) {
            (false, ..) => return Outcome::Forbidden,
            (_, true, Some(_)) => return Outcome::NotFound,
            (_, true, None) => return Outcome::Known(message.clone()),
            (_, false, Some(_)) if message.text == says => return Outcome::Known(message.clone()),
            (_, false, Some(_)) => message.edited_at = Some(Timestamp(0)),
            (_, false, None) => message.deleted = true,
        }
        self.head += 1;
        message.rev = self.head;
        message.text = says;
        Outcome::Kept(message.clone())
    }

    fn by_rev(&self, after: u64) -> Vec<Message> {
        let is_told = |message: &Message| message.rev > after && message.seq > self.floor;
        let mut found: Vec<Message> = self.kept.iter().map(|(message, _)| message.clone()).filter(is_told).collect();
        found.sort_by_key(|message| message.rev);
        found
    }

    fn forget(&mut self, floor: u64, limit: usize) -> Forgotten {
        self.floor = self.floor.max(floor.min(self.head));
        let below = self.kept.iter().filter(|(message, _)| message.seq <= self.floor).count();
        let messages = (below - self.gone).min(limit);
        self.gone += messages;
        Forgotten { floor: self.floor, messages, more: limit > 0 && messages == limit }
    }
}

fn word(number: u8) -> String {
    format!("word {number}")
}

/// Clocks are not compared.
fn timeless(mut message: Message) -> Message {
    message.at = Timestamp(0);
    message.edited_at = message.edited_at.map(|_| Timestamp(0));
    message
}

fn timeless_all(messages: Vec<Message>) -> Vec<Message> {
    messages.into_iter().map(timeless).collect()
}

fn timeless_outcomes(outcomes: Vec<Outcome>) -> Vec<Outcome> {
    let plain = |outcome| match outcome {
        Outcome::Kept(message) => Outcome::Kept(timeless(message)),
        Outcome::Known(message) => Outcome::Known(timeless(message)),
        Outcome::Forgotten { id, seq, at: _ } => Outcome::Forgotten { id, seq, at: Timestamp(0) },
        other => other,
    };
    outcomes.into_iter().map(plain).collect()
}

async fn hold_against_model(store: &Arc<dyn Retention>, case: usize, calls: Vec<Call>) {
    let mut rooms = [Room::default(), Room::default()];
    let name = |at: usize| format!("{}-{case}", ROOMS[at]);
    for call in calls {
        match call {
            Call::Append(batch) => {
                let posts: Vec<Post> = batch.iter().map(|(&(at, id), &w)| post(&name(at), id, &word(w))).collect();
                let expected: Vec<_> =
                    batch.keys().zip(&posts).map(|(&(at, _), post)| rooms[at].append(post)).collect();
                assert_eq!(timeless_outcomes(store.append(case, &posts).await.unwrap()), expected);
            }
            Call::Amend(batch) => {
                let amendments: Vec<Amendment> = batch
                    .iter()
                    .map(|&(at, seq, author, words)| {
                        let plain = match words {
                            Some(words) => edit(&name(at), seq, &word(words)),
                            None => deletion(&name(at), seq),
                        };
                        Amendment { by: if author { ana() } else { ben() }.id, ..plain }
                    })
                    .collect();
                let expected: Vec<_> =
                    batch.iter().map(|&(at, seq, author, words)| rooms[at].amend(seq, author, words)).collect();
                assert_eq!(timeless_outcomes(store.amend(case, &amendments).await.unwrap()), expected);
            }
            Call::Changes { room: at, after, limit } => {
                let told = store.changes(&room(&name(at)), after, limit).await.unwrap();
                let mut expected = rooms[at].by_rev(after);
                assert_eq!(
                    (told.more, told.head, told.floor),
                    (expected.len() > limit, rooms[at].head, rooms[at].floor)
                );
                expected.truncate(limit);
                let end = expected.last().map_or(after, |message| message.rev);
                assert_eq!(told.complete_to, if told.more { end } else { rooms[at].head });
                assert_eq!(timeless_all(told.messages), expected);
            }
            Call::Newest { room: at, span } => {
                let told = store.newest_changes(&room(&name(at)), span).await.unwrap();
                let after = rooms[at].head.saturating_sub(span).max(rooms[at].floor);
                assert_eq!((told.after, told.complete_to), (after, rooms[at].head));
                assert_eq!(timeless_all(told.messages), rooms[at].by_rev(after));
            }
            Call::Before { room: at, seq, limit } => {
                let told = store.before(&room(&name(at)), seq, limit).await.unwrap();
                let mut older = rooms[at].by_rev(0);
                older.retain(|message| message.seq < seq);
                older.sort_by_key(|message| message.seq);
                let skipped = older.len().saturating_sub(limit);
                assert_eq!((told.more, told.head, told.floor), (skipped > 0, rooms[at].head, rooms[at].floor));
                assert_eq!(timeless_all(told.messages), older.split_off(skipped));
            }
            Call::Forget { room: at, floor, limit } => {
                let told = store.forget(&room(&name(at)), floor, limit).await.unwrap();
                assert_eq!(told, rooms[at].forget(floor, limit));
                let heads = store.heads(&[room(&name(at))]).await.unwrap();
                assert_eq!((heads.heads[0], heads.floors[0]), (rooms[at].head, rooms[at].floor));
            }
        }
    }
}

pub async fn any_sequence_of_calls_ends_where_a_plain_model_ends(house: House) {
    let store = house.retention().await;
    let here = tokio::runtime::Handle::current();
    // The runner is not asynchronous; a thread of its own may wait. Each case has rooms of its own.
    let run = move || {
        let case = std::cell::Cell::new(0);
        let mut runner = TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
        runner.run(&calls(), |calls| {
            case.set(case.get() + 1);
            here.block_on(hold_against_model(&store, case.get(), calls));
            Ok(())
        })
    };
    tokio::task::spawn_blocking(run).await.unwrap().unwrap();
}
