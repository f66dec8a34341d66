//! What must hold for any bytes at all, whoever throws them: `cargo fuzz`, or the replay of its seeds in the tests.
//!
//! The seeds, and how to look for more, are in `fuzz/` at the root.

#![allow(clippy::unwrap_used, reason = "whatever has no value here is a find")]

use bytes::Bytes;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::to_client::{self, Joined, Kept, Limits};
use crate::{
    Body, Code, Entry, Envelope, EnvelopeError, Epoch, FRAME_BYTES_MAX, Frame, FromClient, Message, MessageId, NodeId,
    PersonName, Position, Refusal, Rejected, Request, RoomName, TAIL_MAX, Text, Timestamp, User, UserId,
};

/// Most bytes of an `error`: what is carried back is bounded, and nothing else of it is the client's.
const ERROR_BYTES_MAX: usize = 2048;

/// A text frame from a client: it is read or refused, within the limits, and what is answered can be sent.
pub fn frames(bytes: &[u8]) {
    // Neither comes past the WebSocket.
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if text.len() > FRAME_BYTES_MAX {
        return;
    }
    // Another reader of JSON, which knows less of depth and size than ours, but nothing of its shortcuts.
    let seen = serde_json::from_str::<Value>(text).ok();
    match Request::parse(text) {
        Ok(request) => {
            is_within_limits(&request);
            if let Some(seen) = seen {
                says_what_was_seen(&request, &seen);
            }
            assert_eq!(Request::parse(&spelled(&request).to_string()), Ok(request.clone()));
            is_answered(&request);
        }
        Err(rejected) => is_refused(&rejected, seen.as_ref()),
    }
}

/// Bytes from the bus: they are an envelope, or refused for what they are; an envelope is written as it was read.
pub fn envelope(bytes: &[u8]) {
    let shared = Bytes::copy_from_slice(bytes);
    let is_known = matches!(bytes, [1, 1..=4, ..]);
    match Envelope::decode(shared.clone()) {
        Err(EnvelopeError::Unknown { version, kind }) => {
            assert_eq!((version, kind), (bytes[0], bytes[1]));
            assert!(!is_known);
        }
        Err(EnvelopeError::Malformed) => assert!(is_known || bytes.len() < 2),
        Ok(envelope) => {
            assert!(is_known);
            let written = envelope.encode();
            assert_eq!(Envelope::decode(written.clone()).as_ref(), Ok(&envelope));
            assert_eq!(envelope.encode(), written);
            let mut newer = bytes.to_vec();
            newer[0] += 1;
            let refused = Err(EnvelopeError::Unknown { version: 2, kind: bytes[1] });
            assert_eq!(Envelope::decode(newer.into()), refused);
            match &envelope.body {
                Body::Entries(entries) | Body::Traced { entries, .. } => {
                    assert_eq!(written, shared);
                    assert!(Envelope::decode(shared.slice(..shared.len() - 1)).is_err(), "cut, and taken for whole");
                    assert!(Envelope::decode([bytes, b"x"].concat().into()).is_err(), "more than whole");
                    assert!(entries.is_sorted_by(|a, b| a.rev < b.rev));
                    entries.iter().for_each(is_entry);
                    if let Body::Traced { marks, .. } = &envelope.body {
                        assert!(marks.is_sorted_by(|a, b| a.rev < b.rev));
                        assert!(marks.iter().all(|mark| entries.iter().any(|entry| entry.rev == mark.rev)));
                    }
                }
                Body::Typing { frame, .. } => {
                    assert_eq!(written, shared);
                    is_whole(frame);
                }
                // JSON has more than one spelling; what it says is compared above.
                Body::Presence(beat) => {
                    for user in beat.joined.iter().chain(&beat.left) {
                        assert_eq!(PersonName::parse(user.name.as_str()).as_ref(), Ok(&user.name));
                    }
                }
            }
        }
    }
}

/// Numbers that a store could have given, beside one frame; and a message of these numbers says both.
fn is_entry(entry: &Entry) {
    assert!((1..=entry.rev).contains(&entry.seq) && entry.rev <= i64::MAX as u64);
    is_whole(&entry.frame);
    let said = message(RoomName::parse("general").unwrap(), "hola", None, entry.seq, entry.rev).entry();
    assert_eq!((said.seq, said.rev), (entry.seq, entry.rev));
    let shown = json_of(&said.frame);
    assert_eq!((shown["seq"].as_u64(), shown["rev"].as_u64()), (Some(entry.seq), Some(entry.rev)));
}

/// One text frame, and exactly the one that is made of its payload: no socket takes another length.
fn is_whole(frame: &Frame) {
    assert_eq!(Frame::from_wire(frame.wire().clone()).as_ref(), Some(frame));
    assert_eq!(&Frame::written(|to| to.extend_from_slice(frame.payload())), frame);
}

fn json_of(frame: &Frame) -> Value {
    is_whole(frame);
    serde_json::from_slice(frame.payload()).unwrap()
}

fn is_within_limits(Request { reference, ask }: &Request) {
    assert!(reference.as_ref().is_none_or(|reference| reference.len() <= 128));
    let is_room = |room: &RoomName| assert!((1..=64).contains(&room.as_str().chars().count()));
    let is_text = |text: &Text| assert!((1..=16_384).contains(&text.as_str().len()) && !text.as_str().contains('\0'));
    let is_number = |number: u64, least: u64| assert!((least..=i64::MAX as u64).contains(&number));
    match ask {
        FromClient::HelloName { name } => {
            let chars = name.as_str().chars().count();
            assert!((1..=64).contains(&chars) && name.as_str().trim() == name.as_str());
        }
        FromClient::HelloToken { token } => assert!(token.reveal().len() <= 4096),
        FromClient::Join { room, position, limit } => {
            is_room(room);
            position.iter().for_each(|at| is_number(at.after, 0));
            assert!((1..=TAIL_MAX).contains(limit));
        }
        FromClient::Leave { room } | FromClient::Typing { room } => is_room(room),
        FromClient::Send { room, text, reply_to, .. } => {
            is_room(room);
            is_text(text);
            reply_to.iter().for_each(|seq| is_number(*seq, 1));
        }
        FromClient::Edit { room, seq, text } => {
            is_room(room);
            is_number(*seq, 1);
            is_text(text);
        }
        FromClient::Delete { room, seq } => {
            is_room(room);
            is_number(*seq, 1);
        }
        FromClient::History { room, before, limit } => {
            is_room(room);
            before.iter().for_each(|seq| is_number(*seq, 1));
            assert!((1..=TAIL_MAX).contains(limit));
        }
        FromClient::Ping => {}
    }
}

/// The frame that a client would send for a request.
fn spelled(Request { reference, ask }: &Request) -> Value {
    let mut frame = match ask {
        FromClient::HelloName { name } => json!({"type": "hello", "name": name}),
        FromClient::HelloToken { token } => json!({"type": "hello", "token": token.reveal()}),
        FromClient::Join { room, position: None, limit } => json!({"type": "join", "room": room, "limit": limit}),
        FromClient::Join { room, position: Some(Position { epoch, after }), limit } => {
            json!({"type": "join", "room": room, "after": after, "epoch": epoch, "limit": limit})
        }
        FromClient::Leave { room } => json!({"type": "leave", "room": room}),
        FromClient::Send { room, id, text, reply_to } => {
            json!({"type": "send", "room": room, "id": id, "text": text, "reply_to": reply_to})
        }
        FromClient::Edit { room, seq, text } => json!({"type": "edit", "room": room, "seq": seq, "text": text}),
        FromClient::Delete { room, seq } => json!({"type": "delete", "room": room, "seq": seq}),
        FromClient::Typing { room } => json!({"type": "typing", "room": room}),
        FromClient::History { room, before, limit } => {
            json!({"type": "history", "room": room, "before": before, "limit": limit})
        }
        FromClient::Ping => json!({"type": "ping"}),
    };
    frame["ref"] = json!(reference);
    frame
}

/// What was understood is what was written.
fn says_what_was_seen(request: &Request, seen: &Value) {
    let spelled = spelled(request);
    for (field, value) in spelled.as_object().unwrap() {
        match field.as_str() {
            // White space is cut from a name, a limit is cut, an id has more than one spelling, and so has an epoch.
            "name" => assert_eq!(value.as_str(), seen[field].as_str().map(str::trim)),
            "limit" | "epoch" | "id" => {}
            _ => assert_eq!(value, &seen[field], "{field}"),
        }
    }
}

/// Whatever answers a request carries its word, and can be sent.
fn is_answered(request: &Request) {
    let reference = request.reference.as_deref();
    let user = User { id: UserId(Uuid::from_u128(9)), name: PersonName::parse("Ana").unwrap() };
    let kept = |id| Kept { id, seq: 4, rev: 4, at: Timestamp(0), known: false };
    let answer = match &request.ask {
        FromClient::HelloName { name } => {
            let user = User { name: name.clone(), ..user };
            to_client::welcome(reference, &user, Some("g1."), "north", &Limits::new(1000, 50, 1 << 20))
        }
        FromClient::HelloToken { token } => {
            to_client::welcome(reference, &user, Some(token.reveal()), "north", &Limits::new(1000, 50, 1 << 20))
        }
        FromClient::Join { room, position, .. } => {
            let shown = message(room.clone(), "hola", None, 1, 1).frame();
            let head = Joined {
                reference,
                room,
                epoch: position.and_then(|at| at.epoch).unwrap_or(Epoch(1)),
                head: position.map_or(0, |at| at.after),
                reset: false,
                more: false,
                members: 1,
                stale: true,
            };
            to_client::joined(&head, [shown.payload(), shown.payload()].into_iter())
        }
        FromClient::Leave { room } => to_client::left(reference, room),
        FromClient::Send { room, id, text, reply_to } => {
            is_carried(message(room.clone(), text.as_str(), *reply_to, 4, 4));
            to_client::ack(reference, room, &kept(*id))
        }
        FromClient::Edit { room, seq, text } => {
            is_carried(message(room.clone(), text.as_str(), None, *seq, *seq));
            to_client::ack(reference, room, &kept(MessageId(Uuid::nil())))
        }
        FromClient::Delete { room, .. } => to_client::ack(reference, room, &kept(MessageId(Uuid::nil()))),
        FromClient::Typing { room } => {
            json_of(&to_client::typing(room, &user));
            to_client::error(reference, None, &Refusal::new(Code::NotJoined, format!("`{room}` was not joined")))
        }
        FromClient::History { room, .. } => to_client::history(reference, room, false, [].into_iter()),
        FromClient::Ping => to_client::pong(reference),
    };
    assert_eq!(json_of(&answer)["ref"].as_str(), reference);
}

fn message(room: RoomName, text: &str, reply_to: Option<u64>, seq: u64, rev: u64) -> Message {
    Message {
        room,
        seq,
        rev,
        id: MessageId(Uuid::from_u128(7)),
        from: User { id: UserId(Uuid::from_u128(9)), name: PersonName::parse("Ana").unwrap() },
        text: text.into(),
        at: Timestamp(0),
        edited_at: None,
        deleted: false,
        reply_to,
    }
}

/// What was said is shown word for word, also by a node that had it from the bus.
fn is_carried(said: Message) {
    let entry = said.entry();
    let shown = json_of(&entry.frame);
    assert_eq!(shown["text"].as_str(), Some(said.text.as_str()));
    assert_eq!(shown["room"].as_str(), Some(said.room.as_str()));
    assert_eq!(shown["reply_to"].as_u64(), said.reply_to);
    let envelope =
        Envelope { epoch: Epoch(3), origin: NodeId(9), published_at_us: 77, body: Body::Entries(vec![entry]) };
    assert_eq!(Envelope::decode(envelope.encode()), Ok(envelope));
}

/// A refusal stands, says why in a bounded frame, and carries back whatever could be read to carry back.
fn is_refused(rejected: &Rejected, seen: Option<&Value>) {
    let Rejected { reference, id, refusal } = rejected;
    assert_eq!(refusal.retry_after_ms, None);
    assert!(matches!(
        refusal.code,
        Code::InvalidFrame
            | Code::UnknownType
            | Code::InvalidField
            | Code::InvalidName
            | Code::InvalidRoom
            | Code::TextEmpty
            | Code::TextTooLong
    ));
    let frame = to_client::error(reference.as_deref(), id.as_deref(), refusal);
    assert!(frame.wire().len() <= ERROR_BYTES_MAX, "an error of {} bytes", frame.wire().len());
    let shown = json_of(&frame);
    assert_eq!(shown["code"].as_str(), Some(refusal.code.as_str()));
    let Some(seen) = seen else { return };
    if refusal.code == Code::InvalidFrame {
        return; // not an object, or a known field twice, of which the other reader keeps one
    }
    let short = |field: &str| seen[field].as_str().filter(|word| word.len() <= 128);
    assert_eq!(shown["ref"].as_str(), short("ref"));
    // Only of a `send` is it promised.
    assert!(shown["id"].as_str() == short("id") || (shown["id"].is_null() && seen["type"] != "send"));
}

#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
mod replay;

#[cfg(test)]
mod tests {
    /// Guards against a frame that stops a node, gets past a limit, or is refused with an answer that nobody can take.
    #[test]
    fn whatever_a_client_sends_is_answered_within_the_limits() {
        super::replay::replay("frames", 1500, super::frames);
    }

    /// Guards against bytes on the bus that stop a node, or that one node takes for something else than another said.
    #[test]
    fn whatever_the_bus_brings_is_an_envelope_or_refused() {
        super::replay::replay("envelope", 3000, super::envelope);
    }
}
