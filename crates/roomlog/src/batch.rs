//! Which of the waiting jobs go together.

use std::collections::{HashSet, VecDeque};

use proto::{MessageId, RoomName};
use store::{Amendment, Post};

use crate::{Job, LaneConfig, Waiting};

/// Jobs of one kind, in order, for one transaction, and who waits for them.
pub(crate) struct Batch {
    pub(crate) items: Items,
    pub(crate) waiting: Vec<Waiting>,
}

/// What the store is asked, one for each who waits.
pub(crate) enum Items {
    Posts(Vec<Post>),
    Amendments(Vec<Amendment>),
}

impl Items {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Posts(posts) => posts.len(),
            Self::Amendments(asked) => asked.len(),
        }
    }
}

/// Takes the longest run from the front that one transaction can hold: one kind, so that order stays; no id twice, so
/// that the second finds the first already kept; within the bounds.
pub(crate) fn take(waiting: &mut VecDeque<Waiting>, config: &LaneConfig) -> Batch {
    let posts = matches!(waiting.front(), Some(Waiting { job: Job::Post(_), .. }));
    let mut ids: HashSet<(RoomName, MessageId)> = HashSet::new();
    let mut bytes = 0;
    let mut count = 0;
    for next in waiting.iter().take(config.batch_len) {
        let fits = match &next.job {
            Job::Post(post) => {
                bytes += post.text.as_str().len();
                posts && ids.insert((post.room.clone(), post.id))
            }
            Job::Amend(_) => !posts,
        };
        if !fits || (count > 0 && bytes > config.batch_bytes) {
            break;
        }
        count += 1;
    }
    let waiting: Vec<Waiting> = waiting.drain(..count).collect();
    let mut items = if posts { Items::Posts(Vec::with_capacity(count)) } else { Items::Amendments(Vec::new()) };
    for next in &waiting {
        match (&mut items, &next.job) {
            (Items::Posts(posts), Job::Post(post)) => posts.push(post.clone()),
            (Items::Amendments(asked), Job::Amend(amendment)) => asked.push(amendment.clone()),
            _ => debug_assert!(false, "a batch is of one kind"),
        }
    }
    Batch { items, waiting }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::{PersonName, Text, User, UserId};
    use store::Change;
    use tokio::time::Instant;
    use uuid::Uuid;

    fn post(id: u128, text: &str) -> Waiting {
        let from = User { id: UserId(Uuid::nil()), name: PersonName::parse("Ana").unwrap() };
        let (room, text) = (RoomName::parse("r").unwrap(), Text::parse(text).unwrap());
        let job = Job::Post(Post { room, id: MessageId(Uuid::from_u128(id)), from, text, reply_to: None });
        Waiting { job, since: Instant::now(), trace: None, settle: Box::new(|_| ()) }
    }

    fn deletion(seq: u64) -> Waiting {
        let (room, by) = (RoomName::parse("r").unwrap(), UserId(Uuid::nil()));
        let job = Job::Amend(Amendment { room, seq, by, change: Change::Delete });
        Waiting { job, since: Instant::now(), trace: None, settle: Box::new(|_| ()) }
    }

    fn sizes(jobs: Vec<Waiting>) -> Vec<usize> {
        let config = LaneConfig { batch_len: 3, batch_bytes: 10, ..LaneConfig::default() };
        let mut waiting = VecDeque::from(jobs);
        let mut sizes = Vec::new();
        while !waiting.is_empty() {
            sizes.push(take(&mut waiting, &config).items.len());
        }
        sizes
    }

    #[test]
    fn a_batch_is_of_one_kind_and_keeps_the_order() {
        assert_eq!(sizes(vec![post(1, "a"), post(2, "b"), deletion(1), deletion(2), post(3, "c")]), [2, 2, 1]);
    }

    #[test]
    fn an_id_that_comes_twice_waits_for_the_next_batch() {
        assert_eq!(sizes(vec![post(1, "a"), post(2, "b"), post(1, "a")]), [2, 1]);
    }

    #[test]
    fn a_batch_keeps_to_its_bounds_but_always_takes_one() {
        assert_eq!(sizes((0..5).map(|id| post(id, "a")).collect()), [3, 2]);
        assert_eq!(sizes(vec![post(1, &"x".repeat(50)), post(2, "123456"), post(3, "123456")]), [1, 1, 1]);
    }
}
