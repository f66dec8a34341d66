//! Carrying rooms from one store to another, numbers and all.
//!
//! A room leaves as [`Record`]s and enters another store as the same ones. Nothing is numbered on the way: that is what sets
//! it apart from [`Store::append`], and why the epoch changes with it.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use proto::{Epoch, Message, MessageId, RoomName};

use crate::{Store, StoreError};

/// What is kept of a message's first words, so that a retry is known even after an edit.
pub type TextHash = [u8; 16];

/// A message with all that the store knows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// As everybody sees it.
    pub message: Message,
    /// Of its text as it was first sent.
    pub text_hash: TextHash,
}

/// Where a page of records begins, and how it is ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Above {
    /// Messages with a greater `seq`, rising by `seq`.
    Seq(u64),
    /// Messages that changed after this number, rising by `rev`.
    Rev(u64),
}

/// A page of a room's records, from one snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Records {
    /// The room's latest number.
    pub head: u64,
    /// Whether there are more.
    pub more: bool,
    /// In the order asked for.
    pub records: Vec<Record>,
}

/// Records that are to be in a room, numbers and all.
#[derive(Clone, Debug)]
pub struct Restoration<'a> {
    /// The room.
    pub room: &'a RoomName,
    /// The room's head in the history they come from. New messages get numbers above it from now on.
    pub head: u64,
    /// What was kept. A later record of a message stands for an earlier one.
    pub records: &'a [Record],
    /// The epoch that ends with the first record written, unless another is in force already.
    pub void: Epoch,
}

impl Restoration<'_> {
    /// The number that new messages must be above: a message may have changed past the head that was told.
    pub(crate) fn reach(&self) -> u64 {
        self.records.iter().map(|record| record.message.rev).fold(self.head, u64::max)
    }
}

/// What became of a [`Restoration`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restored {
    /// All are there now; so many were not before.
    Kept(usize),
    /// The room has something else under this message's numbers or id. Nothing was changed.
    Differs(u64),
}

/// A store that gives its rooms away whole, and takes others'.
#[async_trait]
pub trait Archive: Store {
    /// Some of a room's records.
    async fn records(&self, room: &RoomName, above: Above, limit: usize) -> Result<Records, StoreError>;

    /// Sees to it that records are in a room, all or none, in one transaction, durable when it returns. Those that are there
    /// already are left alone, also where they changed after the head that the records speak of.
    async fn restore(&self, restoration: &Restoration<'_>) -> Result<Restored, StoreError>;
}

/// The rows of a room that stand where others want to go.
pub(crate) struct Present {
    by_seq: HashMap<u64, Record>,
    by_rev: HashMap<u64, u64>,
    by_id: HashMap<MessageId, u64>,
}

impl Present {
    pub(crate) fn new(records: impl IntoIterator<Item = Record>) -> Self {
        let mut present = Self { by_seq: HashMap::new(), by_rev: HashMap::new(), by_id: HashMap::new() };
        records.into_iter().for_each(|record| present.put(record));
        present
    }

    fn put(&mut self, record: Record) {
        let message = &record.message;
        self.by_rev.insert(message.rev, message.seq);
        self.by_id.insert(message.id, message.seq);
        if let Some(before) = self.by_seq.insert(message.seq, record.clone())
            && before.message.rev != record.message.rev
        {
            self.by_rev.remove(&before.message.rev);
        }
    }

    /// What must be written, each message once; or the place that has something else.
    pub(crate) fn plan<'a>(mut self, wanted: &Restoration<'a>) -> Result<Vec<&'a Record>, u64> {
        let mut write = BTreeMap::new();
        for record in wanted.records {
            let seq = record.message.seq;
            let is_elsewhere = |place: Option<&u64>| place.is_some_and(|place| *place != seq);
            if is_elsewhere(self.by_id.get(&record.message.id)) || is_elsewhere(self.by_rev.get(&record.message.rev)) {
                return Err(seq);
            }
            match self.by_seq.get(&seq) {
                Some(kept) if kept == record => continue,
                Some(kept) if !is_same_message(kept, record) => return Err(seq),
                Some(kept) => match kept.message.rev.cmp(&record.message.rev) {
                    Ordering::Less => {}
                    // It went on here, past the history that the record comes from. Within that history it could not have.
                    Ordering::Greater if kept.message.rev > wanted.head => continue,
                    Ordering::Equal | Ordering::Greater => return Err(seq),
                },
                None => {}
            }
            self.put(record.clone());
            write.insert(seq, record);
        }
        Ok(write.into_values().collect())
    }
}

/// Whether two records are of one message, in whatever state.
fn is_same_message(one: &Record, other: &Record) -> bool {
    let origin = |record: &Record| {
        let Message { id, at, reply_to, .. } = record.message;
        (record.text_hash, id, at, reply_to)
    };
    origin(one) == origin(other) && one.message.from == other.message.from
}
