//! Rooms that forget.
//!
//! A room's floor rises and never falls: every message with a `seq` at or below it is gone for readers at that moment, and
//! its row in a while. Numbers stay: the head does not move. Ids stay too, so that a retry of what is gone is known.

use async_trait::async_trait;
use proto::{RoomName, Timestamp};

use crate::{Archive, StoreError};

/// What a room keeps. Whatever either of the two wants gone goes; with neither, everything stays for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Messages of at most so many days.
    pub keep_days: Option<u32>,
    /// At most so many of the newest messages, deleted ones included.
    pub keep_messages: Option<u32>,
}

impl Policy {
    /// More than this is hardly less than for ever, and whoever looks for the oldest has to count.
    pub const KEEP_MESSAGES_MAX: u32 = 1_000_000;
    /// A hundred years.
    pub const KEEP_DAYS_MAX: u32 = 36_500;

    /// Whether the room keeps everything.
    pub fn keeps_all(&self) -> bool {
        *self == Self::default()
    }

    /// The moment before which everything is to go.
    pub fn cut(&self, now: Timestamp) -> Option<Timestamp> {
        const DAY_MS: i64 = 24 * 60 * 60 * 1000;
        self.keep_days.map(|days| Timestamp(now.0.saturating_sub(i64::from(days) * DAY_MS)))
    }
}

/// What one step of forgetting did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forgotten {
    /// The room's floor now.
    pub floor: u64,
    /// Messages whose rows went.
    pub messages: usize,
    /// Whether rows at or below the floor are left: ask again.
    pub more: bool,
}

/// A store whose rooms can forget.
#[async_trait]
pub trait Retention: Archive {
    /// What a room keeps.
    async fn policy(&self, room: &RoomName) -> Result<Policy, StoreError>;

    /// From now on a room keeps so much; also one that nobody has written to yet. Nothing is forgotten by this alone.
    async fn set_policy(&self, room: &RoomName, policy: Policy) -> Result<(), StoreError>;

    /// The rooms that do not keep everything, in the order of their bytes.
    async fn policies(&self, after: Option<&RoomName>, limit: usize) -> Result<Vec<(RoomName, Policy)>, StoreError>;

    /// How far a room's floor should rise by a policy, or 0 if that is no higher than it is. What is to go for its age is
    /// found among the `limit` oldest messages only, so whoever has taken the step asks again.
    async fn due(&self, room: &RoomName, policy: Policy, now: Timestamp, limit: usize) -> Result<u64, StoreError>;

    /// Raises a room's floor, to its head at most, and lets the rows of at most `limit` messages at or below it go, oldest
    /// first; their ids stay. A floor at or below the present one changes nothing, and goes on with what is left.
    ///
    /// The floor is there no later than the first row is gone, so that nobody reads half.
    async fn forget(&self, room: &RoomName, floor: u64, limit: usize) -> Result<Forgotten, StoreError>;
}
