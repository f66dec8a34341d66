//! Webhooks: who outside a room is told of it, and who outside may speak in it.

use async_trait::async_trait;
use proto::{RoomName, Timestamp, UserId, WebhookId};

use crate::StoreError;

/// The kind of the tasks that a message, an edit or a deletion inserts, one for each webhook that wants to hear of it.
///
/// Their payload: `{"webhook":"…","room":"…","seq":1,"rev":1,"event":"message"}`, the event being one of `message`, `edit` and
/// `delete`. What the message says is read when it is told: it may have changed since, and then there is a task for that, too.
pub const WEBHOOK_TASK: &str = "webhook";

/// Which way it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// What comes to it is said in the room.
    In,
    /// It is told of what happens in the room.
    Out,
}

impl Direction {
    /// The word in the table and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }

    pub(crate) fn parse(word: &str) -> Result<Self, StoreError> {
        match word {
            "in" => Ok(Self::In),
            "out" => Ok(Self::Out),
            other => Err(StoreError::Refused(format!("its webhook of direction {other:?} was not written by us"))),
        }
    }
}

/// What a webhook wants to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Events(i32);

impl Events {
    /// New messages.
    pub const MESSAGE: Self = Self(1);
    /// Edits.
    pub const EDIT: Self = Self(2);
    /// Deletions.
    pub const DELETE: Self = Self(4);
    /// All of them.
    pub const ALL: Self = Self(7);
    /// None: for one that only brings messages in.
    pub const NONE: Self = Self(0);

    const NAMED: [(&'static str, Self); 3] =
        [("message", Self::MESSAGE), ("edit", Self::EDIT), ("delete", Self::DELETE)];

    /// The events of these names; `None` if one is unknown.
    pub fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        names.into_iter().try_fold(Self::NONE, |all, name| {
            let (_, event) = Self::NAMED.into_iter().find(|(known, _)| *known == name)?;
            Some(Self(all.0 | event.0))
        })
    }

    /// Their names.
    pub fn names(self) -> Vec<&'static str> {
        Self::NAMED.into_iter().filter(|(_, event)| self.has(*event)).map(|(name, _)| name).collect()
    }

    /// Whether all of these are among them.
    pub fn has(self, events: Self) -> bool {
        self.0 & events.0 == events.0
    }

    pub(crate) fn bits(self) -> i32 {
        self.0
    }

    pub(crate) fn from_bits(bits: i32) -> Self {
        Self(bits)
    }
}

/// A webhook of a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Its room.
    pub room: RoomName,
    /// Its id.
    pub id: WebhookId,
    /// Which way it goes.
    pub direction: Direction,
    /// What people call it; an incoming one speaks under this name.
    pub name: String,
    /// Where an outgoing one is told.
    pub url: Option<String>,
    /// What an outgoing one's deliveries are signed with; what an incoming one's callers must know, or a hash of it.
    pub secret: String,
    /// What it wants to hear of.
    pub events: Events,
    /// Who made it.
    pub created_by: UserId,
    /// When it was made; the store's clock when it is added.
    pub created_at: Timestamp,
    /// Since when it is not told any more, and may not speak.
    pub disabled_at: Option<Timestamp>,
}

/// Where webhooks are kept.
#[async_trait]
pub trait Webhooks: Send + Sync + 'static {
    /// Adds one, as it is given but for the moment. `false`: its room has one of that id.
    async fn add_webhook(&self, webhook: &Webhook) -> Result<bool, StoreError>;

    /// One webhook, by its id alone.
    async fn webhook(&self, id: WebhookId) -> Result<Option<Webhook>, StoreError>;

    /// The webhooks of a room, or of all rooms, by room and id; those behind `after`, at most `limit`.
    async fn list_webhooks(
        &self,
        room: Option<&RoomName>,
        after: Option<(&RoomName, WebhookId)>,
        limit: usize,
    ) -> Result<Vec<Webhook>, StoreError>;

    /// Gives it another name, address, secret and other events, as in `webhook`; and disables it, or enables it again, by whether
    /// `disabled_at` has a moment (which is the store's). `false`: there is none of that room and id.
    async fn change_webhook(&self, webhook: &Webhook) -> Result<bool, StoreError>;

    /// Forgets one. Its tasks find nobody to tell, and are done.
    async fn remove_webhook(&self, id: WebhookId) -> Result<bool, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_read_back_as_they_were_named() {
        let some = Events::named(["delete", "message"]).unwrap();
        assert_eq!(some.names(), ["message", "delete"]);
        assert!(some.has(Events::DELETE) && !some.has(Events::EDIT) && !some.has(Events::ALL));
        assert_eq!(Events::named(["message", "edit", "delete"]), Some(Events::ALL));
        assert_eq!(Events::named(["react"]), None);
    }
}
