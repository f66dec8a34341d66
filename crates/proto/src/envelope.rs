//! What travels on the bus: numbered bytes in a versioned envelope.
//!
//! Layout of version 1, integers little-endian:
//! ```text
//! version u8 = 1 · kind u8 · epoch u64 · origin u64 · published_at_us u64 · body
//! kind 1, entries:  count u32 · count × (seq u64 · rev u64 · length u32) · the frames, one after another
//! kind 2, presence: people on the origin node u64 · JSON {"joined":[user…],"left":[user…]}
//! kind 3, typing:   the id of who types, 16 bytes · the frame
//! kind 4, traced:   count u32 · count × (rev u64 · trace id, 16 bytes · span id, 8 bytes) · the body of kind 1
//! ```
//! Entries rise by `rev`, and so do the marks of those that are traced; their ids are not zero and have the high byte
//! first, as W3C has it. A reader that does not know a version or a kind must treat the publication as lost: it
//! reads the store. So nodes of two versions can share a bus.

use std::num::{NonZeroU64, NonZeroU128};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::frame::write_json;
use crate::{Epoch, Frame, Mark, NodeId, TraceContext, User, UserId};

const VERSION: u8 = 1;
const ENTRIES: u8 = 1;
const PRESENCE: u8 = 2;
const TYPING: u8 = 3;
const TRACED: u8 = 4;
const HEAD_BYTES: usize = 26;
const ENTRY_HEAD_BYTES: usize = 20;
const MARK_BYTES: usize = 32;

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
    /// The same as `Entries`, and some of them are traced. Nodes that know nothing of traces read the store instead.
    Traced {
        /// Which are, rising by `rev`.
        marks: Vec<Mark>,
        /// All of them.
        entries: Vec<Entry>,
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

    /// When it was published, by the origin's clock.
    pub fn published_at(&self) -> SystemTime {
        UNIX_EPOCH.checked_add(Duration::from_micros(self.published_at_us)).unwrap_or(UNIX_EPOCH)
    }

    /// The bytes for the bus.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(HEAD_BYTES + self.body_bytes_hint());
        out.put_u8(VERSION);
        out.put_u8(match self.body {
            Body::Entries(_) => ENTRIES,
            Body::Presence(_) => PRESENCE,
            Body::Typing { .. } => TYPING,
            Body::Traced { .. } => TRACED,
        });
        out.put_u64_le(self.epoch.0);
        out.put_u64_le(self.origin.0);
        out.put_u64_le(self.published_at_us);
        match &self.body {
            Body::Entries(entries) => put_entries(&mut out, entries),
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
            Body::Traced { marks, entries } => {
                put_marks(&mut out, marks);
                put_entries(&mut out, entries);
            }
        }
        out.freeze()
    }

    fn body_bytes_hint(&self) -> usize {
        match &self.body {
            Body::Entries(entries) => entries_bytes(entries),
            Body::Presence(_) => 256,
            Body::Typing { frame, .. } => 16 + frame.wire().len(),
            Body::Traced { marks, entries } => 4 + MARK_BYTES * marks.len() + entries_bytes(entries),
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
        if version != VERSION || !matches!(kind, ENTRIES | PRESENCE | TYPING | TRACED) {
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
            TRACED => traced(bytes).ok_or(EnvelopeError::Malformed)?,
            _ => typing(bytes).ok_or(EnvelopeError::Malformed)?,
        };
        Ok(Self { epoch, origin, published_at_us, body })
    }
}

fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

fn entries_bytes(entries: &[Entry]) -> usize {
    4 + entries.iter().map(|entry| ENTRY_HEAD_BYTES + entry.frame.wire().len()).sum::<usize>()
}

fn put_entries(out: &mut BytesMut, entries: &[Entry]) {
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

fn put_marks(out: &mut BytesMut, marks: &[Mark]) {
    out.put_u32_le(marks.len() as u32);
    for Mark { rev, context } in marks {
        out.put_u64_le(*rev);
        out.put_u128(context.trace.get());
        out.put_u64(context.span.get());
    }
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

fn traced(mut bytes: Bytes) -> Option<Body> {
    let count = bytes.try_get_u32_le().ok()? as usize;
    let marks_bytes = count.checked_mul(MARK_BYTES).filter(|need| *need <= bytes.len())?;
    let mut heads = bytes.split_to(marks_bytes);
    let entries = entries(bytes)?;
    let mut marks = Vec::with_capacity(count);
    let mut unmarked = entries.iter();
    for _ in 0..count {
        let rev = heads.get_u64_le();
        let (trace, span) = (NonZeroU128::new(heads.get_u128())?, NonZeroU64::new(heads.get_u64())?);
        unmarked.find(|entry| entry.rev == rev)?; // both rise, so one look is enough
        marks.push(Mark { rev, context: TraceContext { trace, span } });
    }
    Some(Body::Traced { marks, entries })
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

    fn mark(rev: u64) -> Mark {
        let (trace, span) = (NonZeroU128::MIN.saturating_add(rev.into()), NonZeroU64::MAX);
        Mark { rev, context: TraceContext { trace, span } }
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
            Body::Traced {
                marks: vec![mark(5), mark(7)],
                entries: [5, 6, 7].map(|rev| Entry { seq: 5, rev, frame: frame("a") }).to_vec(),
            },
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

    #[test]
    fn a_mark_is_of_an_entry_that_is_there_and_of_a_real_trace() {
        let entries = vec![Entry { seq: 5, rev: 5, frame: frame("a") }, Entry { seq: 6, rev: 6, frame: frame("b") }];
        let traced = |marks| envelope(Body::Traced { marks, entries: entries.clone() }).encode();
        for marks in [vec![mark(7)], vec![mark(6), mark(5)], vec![mark(5), mark(5)]] {
            assert_eq!(Envelope::decode(traced(marks)), Err(EnvelopeError::Malformed));
        }
        let mut nobody = traced(vec![mark(5)]).to_vec();
        nobody[HEAD_BYTES + 4 + 8..][..16].fill(0);
        assert_eq!(Envelope::decode(nobody.into()), Err(EnvelopeError::Malformed));
    }

    /// Guards nodes of the version before against a change that nobody meant: without a trace nothing is different.
    #[test]
    fn without_a_trace_the_bytes_are_those_of_the_first_version() {
        let said = envelope(Body::Entries(vec![Entry { seq: 2, rev: 3, frame: frame("a") }])).encode();
        let head = [&[1, 1][..], &3u64.to_le_bytes(), &9u64.to_le_bytes(), &77u64.to_le_bytes()].concat();
        let entry = [&1u32.to_le_bytes()[..], &2u64.to_le_bytes(), &3u64.to_le_bytes(), &5u32.to_le_bytes()].concat();
        assert_eq!(said, [&head[..], &entry, b"\x81\x03\"a\""].concat());
    }

    proptest! {
        #[test]
        fn no_bytes_at_all_upset_the_reader(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in 0u8..6) {
            if let Some(head) = bytes.get_mut(..2) {
                head.copy_from_slice(&[VERSION, kind]);
            }
            let _ = Envelope::decode(bytes.into());
        }

        #[test]
        fn a_cut_envelope_is_never_taken_for_a_whole_one(keep in 0.0f64..1.0) {
            let entries = vec![Entry { seq: 1, rev: 1, frame: frame("hola") }];
            for body in [Body::Entries(entries.clone()), Body::Traced { marks: vec![mark(1)], entries }] {
                let whole = envelope(body).encode();
                let kept = (whole.len() as f64 * keep) as usize;
                prop_assert!(Envelope::decode(whole.slice(..kept)).is_err());
            }
        }
    }
}
