//! Carrying rooms from one store to another, numbers and all.
//!
//! A room leaves as [`Record`]s and enters another store as the same ones. Nothing is numbered on the way: that is what sets
//! it apart from [`Store::append`], and why the epoch changes with it.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use proto::{Epoch, Message, MessageId, RoomName, Timestamp};

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

impl Record {
    /// What is left of it once its room has forgotten it.
    fn gone(&self) -> GoneId {
        let Message { id, seq, at, .. } = self.message;
        GoneId { id, seq, at, text_hash: self.text_hash }
    }
}

/// What is left of a message that its room has forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GoneId {
    /// Its id, which names nothing else in this room.
    pub id: MessageId,
    /// The number it had.
    pub seq: u64,
    /// When it was kept.
    pub at: Timestamp,
    /// Of its text as it was first sent.
    pub text_hash: TextHash,
}

/// Where a page of ids begins. Whoever wants them all asks for those with rows first: an id goes from there to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoneIds {
    /// Of messages with a greater `seq` whose rows are still to go, rising by `seq`.
    WithRows(u64),
    /// Of the others, after this one, rising by id.
    Kept(Option<MessageId>),
}

/// A page of a room's records, from one snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Records {
    /// The room's latest number.
    pub head: u64,
    /// Its floor: of what is at or below it only ids are left.
    pub floor: u64,
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
    /// The room's floor in that history. Here it rises at least as high, and records at or below it are passed over.
    pub floor: u64,
    /// Ids of what is gone.
    pub gone: &'a [GoneId],
    /// What was kept. A later record of a message stands for an earlier one.
    pub records: &'a [Record],
    /// The epoch that ends with the first record written, unless another is in force already.
    pub void: Epoch,
}

impl Restoration<'_> {
    /// The number that new messages must be above: a message may have changed past the head that was told.
    pub(crate) fn reach(&self) -> u64 {
        self.records.iter().map(|record| record.message.rev).fold(self.head.max(self.floor), u64::max)
    }

    /// All ids that are to be in the room.
    pub(crate) fn ids(&self) -> impl Iterator<Item = MessageId> {
        let gone = self.gone.iter().map(|gone| gone.id);
        gone.chain(self.records.iter().map(|record| record.message.id))
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

    /// Some of the ids of what a room has forgotten.
    async fn gone_ids(&self, room: &RoomName, from: GoneIds, limit: usize) -> Result<Vec<GoneId>, StoreError>;

    /// Sees to it that records are in a room, all or none, in one transaction, durable when it returns. Those that are there
    /// already are left alone, also where they changed after the head that the records speak of.
    async fn restore(&self, restoration: &Restoration<'_>) -> Result<Restored, StoreError>;
}

/// The rows of a room that stand where others want to go.
pub(crate) struct Present {
    floor: u64,
    gone: HashMap<MessageId, GoneId>,
    by_seq: HashMap<u64, Record>,
    by_rev: HashMap<u64, u64>,
    by_id: HashMap<MessageId, u64>,
}

impl Present {
    pub(crate) fn new(floor: u64, gone: Vec<GoneId>, records: impl IntoIterator<Item = Record>) -> Self {
        let gone = gone.into_iter().map(|gone| (gone.id, gone)).collect();
        let mut present = Self { floor, gone, by_seq: HashMap::new(), by_rev: HashMap::new(), by_id: HashMap::new() };
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

    fn is_hashed(&self, seq: u64, hash: TextHash) -> bool {
        self.by_seq.get(&seq).is_some_and(|record| record.text_hash == hash)
    }

    /// What must be written, each message once, and the ids of what is gone; or the place that has something else.
    pub(crate) fn plan<'a>(mut self, wanted: &Restoration<'a>) -> Result<(Vec<&'a Record>, Vec<GoneId>), u64> {
        let mut write = BTreeMap::new();
        let mut ids: BTreeMap<MessageId, GoneId> = BTreeMap::new();
        for gone in wanted.gone {
            match (self.gone.get(&gone.id), self.by_id.get(&gone.id)) {
                (Some(known), _) if known != gone => return Err(gone.seq),
                (None, Some(seq)) if *seq != gone.seq || !self.is_hashed(*seq, gone.text_hash) => return Err(gone.seq),
                // It is known already, or will be when its row goes.
                (Some(_), _) | (_, Some(_)) => continue,
                (None, None) => ids.insert(gone.id, *gone),
            };
        }
        for record in wanted.records {
            let seq = record.message.seq;
            let gone = self.gone.get(&record.message.id).or_else(|| ids.get(&record.message.id));
            if gone.is_some_and(|gone| gone.seq != seq) {
                return Err(seq);
            }
            // What is gone here stays so; its id is known from now on, if it was not.
            if seq <= self.floor {
                if gone.is_none() && !self.by_id.contains_key(&record.message.id) {
                    ids.insert(record.message.id, record.gone());
                }
                continue;
            }
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
        Ok((write.into_values().collect(), ids.into_values().collect()))
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
