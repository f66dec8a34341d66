//! What a node says: each function makes one frame. Their field names are the protocol.

use serde::Serialize;

use crate::frame::write_json;
use crate::{Epoch, Frame, MessageId, PersonName, Refusal, RoomName, Text, Timestamp, User};

/// The bounds that a client should know of, told in `welcome`.
#[derive(Clone, Debug, Serialize)]
pub struct Limits {
    /// Most bytes in one frame.
    pub frame_bytes: usize,
    /// Most bytes in a text.
    pub text_bytes: usize,
    /// Most characters in a person's name.
    pub name_chars: usize,
    /// Most characters in a room's name.
    pub room_chars: usize,
    /// Most rooms that one connection may listen to.
    pub rooms_per_connection: usize,
    /// Messages a second and user; 0 means no limit.
    pub sends_per_second: u32,
    /// Bytes that may wait for a slow reader before it is told goodbye.
    pub backlog_bytes: usize,
}

impl Limits {
    /// The fixed limits, with those that an operator may set.
    pub fn new(rooms_per_connection: usize, sends_per_second: u32, backlog_bytes: usize) -> Self {
        Self {
            frame_bytes: crate::FRAME_BYTES_MAX,
            text_bytes: Text::BYTES_MAX,
            name_chars: PersonName::CHARS_MAX,
            room_chars: RoomName::CHARS_MAX,
            rooms_per_connection,
            sends_per_second,
            backlog_bytes,
        }
    }
}

/// Lets somebody in. The token, which only guests are given, makes the same guest again, on any node.
pub fn welcome(reference: Option<&str>, user: &User, token: Option<&str>, node: &str, limits: &Limits) -> Frame {
    #[derive(Serialize)]
    struct Welcome<'a> {
        r#type: &'static str,
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<&'a str>,
        user: &'a User,
        #[serde(skip_serializing_if = "Option::is_none")]
        token: Option<&'a str>,
        node: &'a str,
        limits: &'a Limits,
    }
    Frame::json(&Welcome { r#type: "welcome", reference, user, token, node, limits })
}

/// What a `joined` says besides its messages.
#[derive(Clone, Debug, Serialize)]
pub struct Joined<'a> {
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    /// The request's word.
    pub reference: Option<&'a str>,
    /// The room.
    pub room: &'a RoomName,
    /// The history that `head` belongs to.
    pub epoch: Epoch,
    /// The number that this answer is complete to.
    pub head: u64,
    /// Whether the client must forget what it held of this room.
    pub reset: bool,
    /// Whether to ask again, with `after` = `head`.
    pub more: bool,
    /// How many people are here.
    pub members: u64,
    /// Whether `members` may be out of date, because nodes cannot hear each other.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stale: bool,
}

/// Answers a `join`; `messages` are payloads of `message` frames.
pub fn joined<'a>(head: &Joined<'_>, messages: impl Iterator<Item = &'a [u8]>) -> Frame {
    with_messages("joined", head, messages)
}

/// Answers a `history`; `messages` are payloads of `message` frames, oldest first.
pub fn history<'a>(
    reference: Option<&str>,
    room: &RoomName,
    more: bool,
    messages: impl Iterator<Item = &'a [u8]>,
) -> Frame {
    #[derive(Serialize)]
    struct History<'a> {
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<&'a str>,
        room: &'a RoomName,
        more: bool,
    }
    with_messages("history", &History { reference, room, more }, messages)
}

/// Messages are JSON already: they are put in as they are, never parsed again.
fn with_messages<'a>(kind: &'static str, head: &impl Serialize, messages: impl Iterator<Item = &'a [u8]>) -> Frame {
    #[derive(Serialize)]
    struct Typed<'a, T> {
        r#type: &'static str,
        #[serde(flatten)]
        head: &'a T,
    }
    Frame::written(|json| write_page(json, &Typed { r#type: kind, head }, messages))
}

/// A page of a room for HTTP: the fields of `head`, which has some, and `messages`, which are payloads of `message` frames.
pub fn page<'a>(head: &impl Serialize, messages: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut json = Vec::new();
    write_page(&mut json, head, messages);
    json
}

fn write_page<'a>(json: &mut Vec<u8>, head: &impl Serialize, messages: impl Iterator<Item = &'a [u8]>) {
    write_json(json, head);
    json.pop(); // the closing brace, put back below
    json.extend_from_slice(b",\"messages\":[");
    for (index, message) in messages.enumerate() {
        if index > 0 {
            json.push(b',');
        }
        json.extend_from_slice(message);
    }
    json.extend_from_slice(b"]}");
}

/// Answers a `leave`.
pub fn left(reference: Option<&str>, room: &RoomName) -> Frame {
    #[derive(Serialize)]
    struct Left<'a> {
        r#type: &'static str,
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<&'a str>,
        room: &'a RoomName,
    }
    Frame::json(&Left { r#type: "left", reference, room })
}

/// What an `ack` confirms: the store keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// The message's id.
    pub id: MessageId,
    /// Its place in the room.
    pub seq: u64,
    /// The number of the change that was asked for; of a `send`, `seq`.
    pub rev: u64,
    /// When it was kept.
    pub at: Timestamp,
    /// Whether it had been kept before it was asked for.
    #[serde(skip)]
    pub known: bool,
}

/// Answers a `send`, an `edit` or a `delete`, after the commit.
pub fn ack(reference: Option<&str>, room: &RoomName, kept: &Kept) -> Frame {
    #[derive(Serialize)]
    struct Ack<'a> {
        r#type: &'static str,
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<&'a str>,
        room: &'a RoomName,
        #[serde(flatten)]
        kept: &'a Kept,
    }
    Frame::json(&Ack { r#type: "ack", reference, room, kept })
}

/// Refuses a request; `id` is that of a `send`.
pub fn error(reference: Option<&str>, id: Option<&str>, refusal: &Refusal) -> Frame {
    #[derive(Serialize)]
    struct Error<'a> {
        r#type: &'static str,
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
        code: crate::Code,
        detail: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    }
    let Refusal { code, detail, retry_after_ms } = refusal;
    Frame::json(&Error { r#type: "error", reference, id, code: *code, detail, retry_after_ms: *retry_after_ms })
}

/// Who came and went since the last one, and how many are here now.
pub fn presence(room: &RoomName, joined: &[User], left: &[User], count: u64, stale: bool) -> Frame {
    #[derive(Serialize)]
    struct Presence<'a> {
        r#type: &'static str,
        room: &'a RoomName,
        joined: &'a [User],
        left: &'a [User],
        count: u64,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        stale: bool,
    }
    Frame::json(&Presence { r#type: "presence", room, joined, left, count, stale })
}

/// Somebody is writing.
pub fn typing(room: &RoomName, user: &User) -> Frame {
    #[derive(Serialize)]
    struct Typing<'a> {
        r#type: &'static str,
        room: &'a RoomName,
        user: &'a User,
    }
    Frame::json(&Typing { r#type: "typing", room, user })
}

/// Why the node ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bye {
    /// The node is leaving; others are there.
    Drain,
    /// Too much waited for this reader.
    Slow,
    /// The session has ended.
    Unauthorized,
    /// The history has another epoch: come back, and be told to start afresh.
    Reset,
}

impl Bye {
    /// The word on the wire, and the label on metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::Slow => "slow",
            Self::Unauthorized => "unauthorized",
            Self::Reset => "reset",
        }
    }

    /// The code of the close frame that follows.
    pub fn close_code(self) -> u16 {
        match self {
            Self::Drain | Self::Reset => 1012,
            Self::Slow => 1013,
            Self::Unauthorized => 1008,
        }
    }
}

/// The last frame before the close frame. An unauthorized client gets no time to come back at.
pub fn bye(reason: Bye, retry_after_ms: Option<u64>) -> Frame {
    #[derive(Serialize)]
    struct Farewell {
        r#type: &'static str,
        reason: Bye,
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    }
    Frame::json(&Farewell { r#type: "bye", reason, retry_after_ms })
}

/// Answers a `ping`.
pub fn pong(reference: Option<&str>) -> Frame {
    #[derive(Serialize)]
    struct Pong<'a> {
        r#type: &'static str,
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<&'a str>,
    }
    Frame::json(&Pong { r#type: "pong", reference })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Code;

    fn json(frame: &Frame) -> &str {
        std::str::from_utf8(frame.payload()).unwrap_or("not UTF-8")
    }

    #[test]
    fn messages_are_put_into_an_answer_as_they_are() -> Result<(), Refusal> {
        let room = RoomName::parse("general")?;
        let head = Joined {
            reference: Some("j"),
            room: &room,
            epoch: Epoch(255),
            head: 4,
            reset: false,
            more: false,
            members: 2,
            stale: false,
        };
        let frame = joined(&head, [&br#"{"seq":3}"#[..], br#"{"seq":4}"#].into_iter());
        assert_eq!(
            json(&frame),
            r#"{"type":"joined","ref":"j","room":"general","epoch":"00000000000000ff","head":4,"reset":false,"more":false,"members":2,"messages":[{"seq":3},{"seq":4}]}"#
        );
        assert_eq!(
            json(&history(None, &room, true, [].into_iter())),
            r#"{"type":"history","room":"general","more":true,"messages":[]}"#
        );
        Ok(())
    }

    #[test]
    fn an_error_says_when_to_retry_only_where_that_helps() {
        let never = error(Some("r"), None, &Refusal::new(Code::IdTaken, "no"));
        assert_eq!(json(&never), r#"{"type":"error","ref":"r","code":"id_taken","detail":"no"}"#);
        let later = error(None, Some("i"), &Refusal::for_now(Code::Unavailable, "later", 250));
        assert_eq!(
            json(&later),
            r#"{"type":"error","id":"i","code":"unavailable","detail":"later","retry_after_ms":250}"#
        );
        assert_eq!(json(&bye(Bye::Unauthorized, None)), r#"{"type":"bye","reason":"unauthorized"}"#);
    }
}
