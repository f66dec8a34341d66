//! The form of an export: JSON lines, one kind of thing each. `docs/commands.md` describes it for others.
//!
//! What a reader does not know it must refuse, because it would be lost: another version, another kind, another field.

use proto::{Message, MessageId, RoomName, Text, Timestamp, User};
use serde::{Deserialize, Serialize};
use store::{GoneId, Record, TextHash};

/// Of the form, not of the program. It rises with whatever an older reader would misread.
pub(crate) const VERSION: u32 = 1;

/// A longer line is not ours: a text that must be escaped throughout takes six times its length.
pub(crate) const BYTES_MAX: usize = 8 * Text::BYTES_MAX;

/// One line.
#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Line {
    /// The first.
    Export(Header),
    /// The messages that follow are of this room.
    Room(Room),
    Message(Kept),
    /// What is left of a message that the room has forgotten.
    Id(Gone),
    /// The last: what is missing before it is missing from the file.
    End(End),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header {
    pub(crate) version: u32,
    /// The program that wrote it, for people.
    pub(crate) program: String,
    pub(crate) at: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Room {
    pub(crate) room: RoomName,
    /// The number that the lines up to the next of this kind are complete to.
    pub(crate) head: u64,
    /// Of what is at or below it only ids are left.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) floor: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Gone {
    seq: u64,
    id: MessageId,
    at: Timestamp,
    /// Of its text as it was first sent.
    text_hash: Hash,
}

impl From<GoneId> for Gone {
    fn from(GoneId { id, seq, at, text_hash }: GoneId) -> Self {
        Self { seq, id, at, text_hash: Hash(text_hash) }
    }
}

impl Gone {
    /// The id, or what cannot be.
    pub(crate) fn id(self, room: &Room) -> Result<GoneId, &'static str> {
        let Self { seq, id, at, text_hash } = self;
        if seq == 0 || seq > room.floor {
            return Err("its number is not that of a message which the room has forgotten");
        }
        Ok(GoneId { id, seq, at, text_hash: text_hash.0 })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kept {
    seq: u64,
    rev: u64,
    id: MessageId,
    from: User,
    text: String,
    at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    edited_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    deleted: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reply_to: Option<u64>,
    /// Of the text as it was first sent.
    text_hash: Hash,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct End {
    pub(crate) rooms: u64,
    pub(crate) messages: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) ids: u64,
}

/// The first line of an export made now.
pub(crate) fn header(at: Timestamp) -> Line {
    Line::Export(Header { version: VERSION, program: format!("tertulia {}", env!("CARGO_PKG_VERSION")), at })
}

impl From<Record> for Kept {
    fn from(record: Record) -> Self {
        let Message { room: _, seq, rev, id, from, text, at, edited_at, deleted, reply_to } = record.message;
        Self { seq, rev, id, from, text, at, edited_at, deleted, reply_to, text_hash: Hash(record.text_hash) }
    }
}

impl Kept {
    /// The record, or what cannot be.
    pub(crate) fn record(self, room: &RoomName) -> Result<Record, &'static str> {
        let Self { seq, rev, id, from, text, at, edited_at, deleted, reply_to, text_hash } = self;
        if seq == 0 || rev < seq || i64::try_from(rev).is_err() {
            return Err("its numbers are not those of a message");
        }
        let is_text = if deleted { text.is_empty() } else { Text::parse(&text).is_ok() };
        if !is_text {
            return Err("its text is empty, too long, or not that of a deleted message");
        }
        let message = Message { room: room.clone(), seq, rev, id, from, text, at, edited_at, deleted, reply_to };
        Ok(Record { message, text_hash: text_hash.0 })
    }
}

/// In hexadecimal.
struct Hash(TextHash);

impl Serialize for Hash {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{:032x}", u128::from_be_bytes(self.0)))
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let is_hex = text.len() == 32 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
        match u128::from_str_radix(&text, 16) {
            Ok(number) if is_hex => Ok(Self(number.to_be_bytes())),
            _ => Err(serde::de::Error::custom("a hash has 32 hexadecimal digits")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &str = r#"{"kind":"message","seq":1,"rev":3,"id":"0190c3f2-5b1e-7c44-9d2a-6f0f3a1b2c3d","from":{"id":"170b9e68-7846-43ac-8e73-cec333fc35be","name":"Ana"},"text":"Good \"evening\"","at":"2026-11-25T03:00:21.997Z","edited_at":"2026-11-25T03:00:24.313Z","reply_to":7,"text_hash":"00f1e2d3c4b5a6978879605142332415"}"#;

    fn read(line: &str) -> Result<Record, String> {
        let room = RoomName::parse("general").unwrap();
        match serde_json::from_str(line).map_err(|error| error.to_string())? {
            Line::Message(kept) => kept.record(&room).map_err(str::to_owned),
            _ => Err("another kind".into()),
        }
    }

    #[test]
    fn a_message_is_written_as_it_was_read() {
        let record = read(MESSAGE).unwrap();
        assert_eq!(record.message.edited_at.unwrap().to_string(), "2026-11-25T03:00:24.313Z");
        assert_eq!(serde_json::to_string(&Line::Message(record.into())).unwrap(), MESSAGE);
    }

    #[test]
    fn an_id_is_of_what_the_room_has_forgotten() {
        let line = r#"{"kind":"id","seq":3,"id":"0190c3f2-5b1e-7c44-9d2a-6f0f3a1b2c3d","at":"2026-11-25T03:00:21.997Z","text_hash":"00f1e2d3c4b5a6978879605142332415"}"#;
        let room = |floor| Room { room: RoomName::parse("general").unwrap(), head: 9, floor };
        for (floor, is_good) in [(3, true), (2, false)] {
            let Ok(Line::Id(gone)) = serde_json::from_str(line) else { panic!("another kind") };
            assert_eq!(serde_json::to_string(&Line::Id(gone)).unwrap(), line);
            let Ok(Line::Id(gone)) = serde_json::from_str(line) else { panic!("another kind") };
            assert_eq!(gone.id(&room(floor)).is_ok(), is_good);
        }
        let whole = serde_json::to_string(&Line::Room(room(0))).unwrap();
        assert_eq!(whole, r#"{"kind":"room","room":"general","head":9}"#, "as before there were floors");
    }

    #[test]
    fn what_cannot_be_is_refused() {
        assert!(read(MESSAGE).is_ok());
        for (good, bad) in [
            (r#""seq":1"#, r#""seq":0"#),
            (r#""seq":1"#, r#""seq":4"#),
            (r#""rev":3"#, r#""rev":18446744073709551615"#),
            (r#""reply_to":7"#, r#""deleted":true"#),
            (r#""reply_to":7"#, r#""colour":"red""#),
            (r#"Good \"evening\""#, ""),
            (r#"Good \"evening\""#, r"a\u0000b"),
            ("Ana", r"A\na"),
            ("24.313Z", "24"),
            ("00f1", "+0f1"),
            ("00f1", "f1"),
        ] {
            assert!(MESSAGE.contains(good) && read(&MESSAGE.replacen(good, bad, 1)).is_err(), "{bad}");
        }
    }
}
