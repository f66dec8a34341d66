//! A message as the store keeps it, and the frame it is shown in.

use serde::{Deserialize, Serialize};

use crate::{Entry, Frame, MessageId, PersonName, RoomName, Timestamp, UserId};

/// A person, as others see them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Who it is.
    pub id: UserId,
    /// What they are called.
    pub name: PersonName,
}

/// A message in its present state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The room it was said in.
    pub room: RoomName,
    /// Its place in the room: the number it was given when it was kept.
    pub seq: u64,
    /// The number of its last change; equal to `seq` while it is as it was sent.
    pub rev: u64,
    /// The id its sender made.
    pub id: MessageId,
    /// Who sent it, by the name they had then.
    pub from: User,
    /// What it says now; empty once it is deleted.
    pub text: String,
    /// When the store numbered it.
    pub at: Timestamp,
    /// When its text last changed.
    pub edited_at: Option<Timestamp>,
    /// Whether only its place is left.
    pub deleted: bool,
    /// The `seq` it answers.
    pub reply_to: Option<u64>,
}

#[derive(Serialize)]
struct Wire<'a> {
    r#type: &'static str,
    room: &'a RoomName,
    seq: u64,
    rev: u64,
    id: MessageId,
    from: &'a User,
    text: &'a str,
    at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    edited_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    deleted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<u64>,
}

impl Message {
    /// The `message` frame. The same message gives the same bytes on every node.
    pub fn frame(&self) -> Frame {
        Frame::json(&Wire {
            r#type: "message",
            room: &self.room,
            seq: self.seq,
            rev: self.rev,
            id: self.id,
            from: &self.from,
            text: &self.text,
            at: self.at,
            edited_at: self.edited_at,
            deleted: self.deleted,
            reply_to: self.reply_to,
        })
    }

    /// The frame with its numbers in front, as the bus and the hub carry it.
    pub fn entry(&self) -> Entry {
        Entry { seq: self.seq, rev: self.rev, frame: self.frame() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_message_is_written_with_exactly_the_fields_that_apply() -> Result<(), Box<dyn std::error::Error>> {
        let mut message = Message {
            room: RoomName::parse("general")?,
            seq: 5,
            rev: 5,
            id: MessageId(Uuid::from_u128(7)),
            from: User { id: UserId(Uuid::from_u128(9)), name: PersonName::parse("Ana")? },
            text: "a \"quoted\" <b>".into(),
            at: Timestamp(1_700_000_000_123),
            edited_at: None,
            deleted: false,
            reply_to: None,
        };
        assert_eq!(
            std::str::from_utf8(message.frame().payload())?,
            r#"{"type":"message","room":"general","seq":5,"rev":5,"id":"00000000-0000-0000-0000-000000000007","from":{"id":"00000000-0000-0000-0000-000000000009","name":"Ana"},"text":"a \"quoted\" <b>","at":"2023-11-14T22:13:20.123Z"}"#
        );
        message.rev = 6;
        message.deleted = true;
        message.text.clear();
        message.reply_to = Some(2);
        let shown: serde_json::Value = serde_json::from_slice(message.frame().payload())?;
        assert_eq!((&shown["deleted"], &shown["reply_to"], &shown["rev"]), (&true.into(), &2.into(), &6.into()));
        Ok(())
    }
}
