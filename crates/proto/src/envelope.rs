//! What travels on the bus: numbered bytes in a versioned envelope.
//!
//! Layout of version 1, integers little-endian:
//! ```text
//! version u8 = 1 · kind u8 · epoch u64 · origin u64 · published_at_us u64 · body
//! kind 1, entries:  count u32 · count × (seq u64 · rev u64 · length u32) · the frames, one after another
//! kind 2, presence: people on the origin node u64 · JSON {"joined":[user…],"left":[user…]}
//! kind 3, typing:   the id of who types, 16 bytes · the frame
//! ```
//! Entries rise by `rev`. A reader that does not know a version or a kind must treat the publication as lost: it
//! reads the store. So nodes of two versions can share a bus.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::frame::write_json;
use crate::{Epoch, Frame, NodeId, User, UserId};

const VERSION: u8 = 1;
const ENTRIES: u8 = 1;
const PRESENCE: u8 = 2;
const TYPING: u8 = 3;
const HEAD_BYTES: usize = 26;
const ENTRY_HEAD_BYTES: usize = 20;

/// One numbered change to a room, with the frame that shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The message's place in the room.
    pub seq: u64,
    /// The number of this change.
    pub rev: u64,
    /// The `message` frame.
    pub frame: Frame,
}

/// Who came to a room and went from it on one node, and how many it has there now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beat {
    /// People on the origin node who listen to the room.
    pub count: u64,
    /// Who came since its last beat.
    pub joined: Vec<User>,
    /// Who went.
    pub left: Vec<User>,
}

#[derive(Serialize, Deserialize)]
struct Changes<T> {
    joined: T,
    left: T,
}

/// What an envelope holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Changes to the room's messages, rising by `rev`.
    Entries(Vec<Entry>),
    /// Somebody came or went.
    Presence(Beat),
    /// Somebody is writing.
    Typing {
        /// Who: they do not hear it themselves.
        user: UserId,
        /// The `typing` frame.
        frame: Frame,
    },
}

/// One publication on a room's channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The history that the numbers belong to.
    pub epoch: Epoch,
    /// The node that published it.
    pub origin: NodeId,
    /// When it was published, by the origin's clock: microseconds since 1970.
    pub published_at_us: u64,
    /// What it holds.
    pub body: Body,
}

/// Why bytes from the bus could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Made by a newer version: it may hold anything, so the store must be asked.
    #[error("an envelope of version {version}, kind {kind}, which this node does not know")]
    Unknown {
        /// The version byte.
        version: u8,
        /// The kind byte.
        kind: u8,
    },
    /// Cut short or not an envelope at all.
    #[error("an envelope that is cut short or malformed")]
    Malformed,
}

impl Envelope {
    /// An envelope that is published now.
    pub fn now(epoch: Epoch, origin: NodeId, body: Body) -> Self {
        Self { epoch, origin, published_at_us: now_us(), body }
    }

    /// How long ago it was published, as far as the two nodes' clocks agree; never less than nothing.
    pub fn age(&self) -> Duration {
        Duration::from_micros(now_us().saturating_sub(self.published_at_us))
    }

    /// The bytes for the bus.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(HEAD_BYTES + self.body_bytes_hint());
        out.put_u8(VERSION);
        out.put_u8(match self.body {
            Body::Entries(_) => ENTRIES,
            Body::Presence(_) => PRESENCE,
            Body::Typing { .. } => TYPING,
        });
        out.put_u64_le(self.epoch.0);
        out.put_u64_le(self.origin.0);
        out.put_u64_le(self.published_at_us);
        match &self.body {
            Body::Entries(entries) => {
                out.put_u32_le(entries.len() as u32);
                for entry in entries {
                    out.put_u64_le(entry.seq);
                    out.put_u64_le(entry.rev);
                    out.put_u32_le(entry.frame.wire().len() as u32);
                }
                for entry in entries {
                    out.put_slice(entry.frame.wire());
                }
            }
            Body::Presence(beat) => {
                out.put_u64_le(beat.count);
                let mut json = Vec::new();
                write_json(&mut json, &Changes { joined: &beat.joined, left: &beat.left });
                out.put_slice(&json);
            }
            Body::Typing { user, frame } => {
                out.put_slice(user.0.as_bytes());
                out.put_slice(frame.wire());
            }
        }
        out.freeze()
    }

    fn body_bytes_hint(&self) -> usize {
        match &self.body {
            Body::Entries(entries) => {
                4 + entries.iter().map(|entry| ENTRY_HEAD_BYTES + entry.frame.wire().len()).sum::<usize>()
            }
            Body::Presence(_) => 256,
            Body::Typing { frame, .. } => 16 + frame.wire().len(),
        }
    }

    /// Reads bytes from the bus. Frames share them; nothing is copied.
    ///
    /// # Errors
    /// [`EnvelopeError`]; either way the publication counts as lost.
    pub fn decode(mut bytes: Bytes) -> Result<Self, EnvelopeError> {
        let (version, kind) = match bytes.get(..2) {
            Some(&[version, kind]) => (version, kind),
            _ => return Err(EnvelopeError::Malformed),
        };
        if version != VERSION || !matches!(kind, ENTRIES | PRESENCE | TYPING) {
            return Err(EnvelopeError::Unknown { version, kind });
        }
        if bytes.len() < HEAD_BYTES {
            return Err(EnvelopeError::Malformed);
        }
        bytes.advance(2);
        let epoch = Epoch(bytes.get_u64_le());
        let origin = NodeId(bytes.get_u64_le());
        let published_at_us = bytes.get_u64_le();
        let body = match kind {
            ENTRIES => Body::Entries(entries(bytes).ok_or(EnvelopeError::Malformed)?),
            PRESENCE => Body::Presence(beat(bytes).ok_or(EnvelopeError::Malformed)?),
            _ => typing(bytes).ok_or(EnvelopeError::Malformed)?,
        };
        Ok(Self { epoch, origin, published_at_us, body })
    }
}

fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

fn entries(mut bytes: Bytes) -> Option<Vec<Entry>> {
    let count = bytes.try_get_u32_le().ok()? as usize;
    // The count is from outside: what it claims must be there before memory is set aside for it.
    let heads_bytes = count.checked_mul(ENTRY_HEAD_BYTES).filter(|need| *need <= bytes.len())?;
    let mut heads = bytes.split_to(heads_bytes);
    let mut entries = Vec::with_capacity(count);
    let mut last = 0;
    for _ in 0..count {
        let (seq, rev, length) = (heads.get_u64_le(), heads.get_u64_le(), heads.get_u32_le() as usize);
        // No store gives a number that its signed columns cannot hold.
        if seq == 0 || rev < seq || rev <= last || rev > i64::MAX as u64 || length > bytes.len() {
            return None;
        }
        last = rev;
        entries.push(Entry { seq, rev, frame: Frame::from_wire(bytes.split_to(length))? });
    }
    bytes.is_empty().then_some(entries)
}

fn beat(mut bytes: Bytes) -> Option<Beat> {
    let count = bytes.try_get_u64_le().ok()?;
    let Changes { joined, left } = serde_json::from_slice(&bytes).ok()?;
    Some(Beat { count, joined, left })
}

fn typing(mut bytes: Bytes) -> Option<Body> {
    if bytes.len() < 16 {
        return None;
    }
    let user = UserId(Uuid::from_slice(&bytes.split_to(16)).ok()?);
    Some(Body::Typing { user, frame: Frame::from_wire(bytes)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PersonName;
    use proptest::prelude::*;

    fn frame(text: &str) -> Frame {
        Frame::json(&text)
    }

    fn user(id: u128) -> User {
        User { id: UserId(Uuid::from_u128(id)), name: PersonName::parse("Ana").unwrap() }
    }

    fn envelope(body: Body) -> Envelope {
        Envelope { epoch: Epoch(3), origin: NodeId(9), published_at_us: 77, body }
    }

    #[test]
    fn every_kind_reads_back_what_was_written() {
        let bodies = [
            Body::Entries(vec![
                Entry { seq: 5, rev: 5, frame: frame("a") },
                Entry { seq: 2, rev: 6, frame: frame(&"b".repeat(300)) },
            ]),
            Body::Entries(vec![]),
            Body::Presence(Beat { count: 4, joined: vec![user(1)], left: vec![user(2), user(3)] }),
            Body::Typing { user: UserId(Uuid::from_u128(1)), frame: frame("t") },
        ];
        for body in bodies {
            let envelope = envelope(body);
            assert_eq!(Envelope::decode(envelope.encode()), Ok(envelope));
        }
    }

    #[test]
    fn a_newer_version_is_told_from_a_broken_one() {
        let mut bytes = envelope(Body::Entries(vec![])).encode().to_vec();
        bytes[0] = 2;
        assert_eq!(Envelope::decode(bytes.into()), Err(EnvelopeError::Unknown { version: 2, kind: 1 }));
        assert_eq!(Envelope::decode(Bytes::new()), Err(EnvelopeError::Malformed));
    }

    #[test]
    fn numbers_that_do_not_rise_are_not_taken() {
        let entries = vec![Entry { seq: 6, rev: 6, frame: frame("a") }, Entry { seq: 5, rev: 5, frame: frame("b") }];
        assert_eq!(Envelope::decode(envelope(Body::Entries(entries)).encode()), Err(EnvelopeError::Malformed));
    }

    proptest! {
        #[test]
        fn no_bytes_at_all_upset_the_reader(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in 0u8..5) {
            if let Some(head) = bytes.get_mut(..2) {
                head.copy_from_slice(&[VERSION, kind]);
            }
            let _ = Envelope::decode(bytes.into());
        }

        #[test]
        fn a_cut_envelope_is_never_taken_for_a_whole_one(keep in 0.0f64..1.0) {
            let whole = envelope(Body::Entries(vec![Entry { seq: 1, rev: 1, frame: frame("hola") }])).encode();
            let kept = (whole.len() as f64 * keep) as usize;
            prop_assert!(Envelope::decode(whole.slice(..kept)).is_err());
        }
    }
}
