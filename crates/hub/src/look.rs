//! A look at rooms from outside, without a seat: nobody is counted as present, and nothing live follows.

use std::sync::Arc;

use proto::{Entry, Epoch, RoomName};

use crate::join::Read;
use crate::{Ask, Hub, HubError, Seat};

/// How a room stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glance {
    /// The history that `head` belongs to.
    pub epoch: Epoch,
    /// The room's latest number; 0 if nothing was ever said.
    pub head: u64,
    /// How many people are in it.
    pub members: u64,
    /// Whether `members` may be out of date, because nodes cannot hear each other.
    pub stale: bool,
}

/// Some of the rooms that have messages, each with its latest number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomsRead {
    /// In the order of the names' bytes.
    pub rooms: Vec<(RoomName, u64)>,
    /// The history that the numbers belong to.
    pub epoch: Epoch,
    /// Whether there are more behind these.
    pub more: bool,
}

/// What changed in a room since a position, or its recent tail.
#[derive(Clone, Debug)]
pub struct Since<'a> {
    /// The history that `head` belongs to.
    pub epoch: Epoch,
    /// The number that this is complete to.
    pub head: u64,
    /// Whether the position is worth nothing: these are the newest, and what was held is to be forgotten.
    pub reset: bool,
    /// Whether to ask again from `head`.
    pub more: bool,
    /// By `rev` after a position, by `seq` after a reset.
    pub entries: &'a [Entry],
}

/// The read that a [`Since`] borrows from.
pub struct SinceRead {
    read: Read,
    limit: usize,
}

impl SinceRead {
    /// What was read.
    pub fn told(&self) -> Since<'_> {
        self.read.told(self.limit)
    }
}

impl Hub {
    /// How a room stands.
    ///
    /// # Errors
    /// [`HubError::Away`].
    pub async fn glance(&self, room: &RoomName) -> Result<Glance, HubError> {
        let hub = &self.inner;
        let heads = {
            let _permit = hub.read_permit().await?;
            hub.answered(hub.store.heads(std::slice::from_ref(room)).await)?
        };
        // A room that nobody here listens to is known to the others only.
        let here = hub.rooms.get(room).map(|room| room.lock().presence.count());
        let members = match here {
            Some(count) => count,
            None => hub.bus.presence(room).await.into_iter().map(|(_, count)| count).sum(),
        };
        let head = heads.heads.first().copied().unwrap_or(0);
        Ok(Glance { epoch: heads.epoch, head, members, stale: !hub.bus.is_up() })
    }

    /// The rooms that have messages, in the order of their names' bytes, behind `after`.
    ///
    /// # Errors
    /// [`HubError::Away`].
    pub async fn rooms(&self, after: Option<&RoomName>, limit: usize) -> Result<RoomsRead, HubError> {
        let hub = &self.inner;
        let _permit = hub.read_permit().await?;
        let mut names = hub.answered(hub.store.rooms(after, limit.saturating_add(1)).await)?;
        let more = names.len() > limit;
        names.truncate(limit);
        let heads = hub.answered(hub.store.heads(&names).await)?;
        Ok(RoomsRead { rooms: names.into_iter().zip(heads.heads).collect(), epoch: heads.epoch, more })
    }

    /// What changed in a room since a position: the answer to a join, for somebody who does not stay. At most `ask.limit`
    /// messages.
    ///
    /// # Errors
    /// [`HubError::Away`].
    pub async fn since(&self, room: &RoomName, ask: &Ask) -> Result<SinceRead, HubError> {
        let hub: &Arc<crate::Inner> = &self.inner;
        Ok(SinceRead { read: Seat::read(hub, room, ask).await?, limit: ask.limit })
    }
}
