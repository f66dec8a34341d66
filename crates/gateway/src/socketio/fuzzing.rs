//! What must hold for any packet at all, whoever throws it: `cargo fuzz`, or the replay of its seeds in the tests.
//!
//! The seeds, and how to look for more, are in `fuzz/` at the root.

#![allow(clippy::unwrap_used, reason = "whatever has no value here is a find")]

use engineioxide::ProtocolVersion;
use proto::{FRAME_BYTES_MAX, RoomName, Text};
use serde_json::Value;
use serde_json::value::RawValue;

use super::dialect::{self, Ask, Dialect, Form, Voice};
use super::frames;
use super::handshake::{self, Values};
use super::on;
use super::packet::{self, Namespace, Packet};
use super::wire;

/// Most bytes of an answer besides what it carries back.
const ANSWER_BYTES: usize = 1024;

/// A packet from a client: it is read as another reader reads it, or ends the session; what it asks for is within the limits; and
/// what is said again, in whatever dialect, can be read again as the same.
pub fn packets(bytes: &[u8]) {
    is_counted(bytes);
    // Neither comes past the engine.
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if text.len() > FRAME_BYTES_MAX {
        return;
    }
    let seen = Seen::of(text);
    match Packet::parse(text) {
        None => assert!(seen.is_none_or(|seen| seen.is_too_much()), "not taken, and yet a packet"),
        Some(Packet::Connect { namespace, auth }) => is_let_in_or_not(namespace, auth),
        Some(Packet::Event { name, arguments, ack }) => {
            if let Some(seen) = seen {
                assert_eq!(
                    (seen.ack.as_str(), &seen.name),
                    (&*ack.map_or(String::new(), |ack| ack.to_string()), &name)
                );
                let arguments: Vec<Value> =
                    arguments.iter().map(|raw| serde_json::from_str(raw.get()).unwrap()).collect();
                assert_eq!(seen.arguments, arguments);
            }
            is_answered(&name, &arguments, ack);
        }
        Some(Packet::Disconnect | Packet::Other) => assert!(seen.is_none()),
    }
}

/// An event as another reader sees it, which knows less of size and depth than ours.
struct Seen {
    ack: String,
    name: String,
    arguments: Vec<Value>,
}

impl Seen {
    fn of(text: &str) -> Option<Self> {
        let rest = match text.as_bytes().first()? {
            b'2' => &text[1..],
            _ => return None,
        };
        let rest = if rest.starts_with('/') { rest.split_once(',')?.1 } else { rest };
        let json = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
        let Ok(Value::Array(mut arguments)) = serde_json::from_str(json) else { return None };
        let ack = &rest[..rest.len() - json.len()];
        let ack = if ack.is_empty() {
            ""
        } else {
            Some(ack.trim_start_matches('0')).filter(|it| !it.is_empty()).unwrap_or("0")
        };
        if arguments.is_empty() {
            return None;
        }
        let Value::String(name) = arguments.remove(0) else { return None };
        Some(Self { ack: ack.to_owned(), name, arguments })
    }

    /// Whether it asks for an acknowledgement by a number that is none of ours.
    fn is_too_much(&self) -> bool {
        !self.ack.is_empty() && self.ack.parse::<u64>().is_err()
    }
}

fn is_let_in_or_not(namespace: &str, auth: Option<&RawValue>) {
    for version in [ProtocolVersion::V3, ProtocolVersion::V4] {
        let refusal = handshake::twice();
        let answer = packet::not_connected(namespace, Some(&refusal), version);
        let answer = answer.text();
        assert!(answer.len() <= namespace.len() + ANSWER_BYTES);
        let told = answer.strip_prefix('4').unwrap();
        let told = if namespace == "/" { told } else { &told[namespace.len() + 1..] };
        assert!(serde_json::from_str::<Value>(told).is_ok(), "{told}");
    }
    if let Ok(values) = Values::or(auth, &Values::default())
        && let Ok((room, offset)) = values.place()
    {
        assert!(offset.is_none_or(|offset| offset <= 1 << 53));
        assert_eq!(RoomName::parse(room.as_str()), Ok(room));
    }
}

/// Whatever an event asks for: it is one of the table's, or refused in few words.
fn is_answered(name: &str, arguments: &[&RawValue], ack: Option<u64>) {
    let Some(ask) = Ask::of(name) else {
        let refusal = on::unknown(name);
        let told = packet::event(Namespace::Ws, &(dialect::ERROR, packet::Told::of(&refusal)));
        let told = told.text();
        assert!(told.len() <= ANSWER_BYTES && matches!(Packet::parse(told), Some(Packet::Event { .. })));
        return;
    };
    if let Some(number) = ack {
        assert_eq!(packet::ack(Namespace::Ws, number, "[]").text().as_str(), format!("3/ws,{number}[]"));
    }
    let Ask::Say(dialect) = ask else { return };
    if let Some(key) = arguments.get(1)
        && let Ok(key) = on::key_of(key)
    {
        assert!(key.len() <= 256);
    }
    let Some(said) = arguments.first().and_then(|said| serde_json::from_str::<Value>(said.get()).ok()) else { return };
    if let Ok(said) = on::Said::of(&said)
        && let Ok(text) = Text::parse(said.text)
    {
        is_said_again(dialect, &text, said.name.unwrap_or("Ana"), said.form);
    }
}

/// What is told of a message is read as the same, in every dialect and in the form of whoever said it.
fn is_said_again(spoken: &'static Dialect, text: &Text, name: &str, form: Option<Form>) {
    let mut voice = Voice::new(Namespace::Ws);
    let strange = voice;
    voice.speaks(spoken, form);
    assert!(voice.hears().count() == 1 && strange.hears().count() > 1);
    for (dialect, form) in voice.hears().chain(strange.hears()) {
        let told = dialect::written(Namespace::Ws, dialect.message, form, u64::MAX, name, text.as_str());
        let told = told.text();
        let Some(Packet::Event { name: event, arguments, ack: None }) = Packet::parse(told) else { panic!("{told}") };
        assert_eq!(event, dialect.message);
        let arguments: Vec<Value> = arguments.iter().map(|raw| serde_json::from_str(raw.get()).unwrap()).collect();
        let said = on::Said::of(&arguments[0]).unwrap();
        assert_eq!(said.text, text.as_str());
        match form {
            Form::Text => assert_eq!(arguments.len(), 1),
            Form::Offset => assert_eq!(arguments[1..], [u64::MAX.to_string(), name.to_owned()]),
            Form::Object(..) => assert_eq!((said.name, said.form), (Some(name), Some(form))),
        }
    }
}

/// Bytes of a WebSocket that has not gone over yet, and bytes that are written to one.
fn is_counted(bytes: &[u8]) {
    if let Ok(Some(frame)) = frames::first(bytes) {
        assert!(frame.length <= bytes.len() && frame.says.len() <= 125);
        assert!((0..frame.length).all(|end| frames::first(&bytes[..end]) == Ok(None)));
    }
    // A frame with a packet has three bytes at least.
    assert!(wire::messages(bytes) <= bytes.len() / 3);
}

#[cfg(test)]
#[path = "../../../../fuzz/replay.rs"]
mod replay;

#[cfg(test)]
mod tests {
    /// Guards against a packet that stops a node, is taken for another than its client meant, or is told as another.
    #[test]
    fn whatever_a_client_of_socket_io_sends_is_read_or_ends_its_session() {
        super::replay::replay("packets", 2000, super::packets);
    }
}
