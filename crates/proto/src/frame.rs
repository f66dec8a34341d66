//! A WebSocket text frame, made once and shared by all who read it.
//!
//! Frames from a server are not masked (RFC 6455, section 5.1), so the same bytes serve every reader: the frame
//! that the committing node makes is what each socket of the cluster is handed.

use bytes::Bytes;
use serde::Serialize;

/// The longest header of an unmasked frame: two bytes and a 64-bit length.
const HEADER_MAX: usize = 10;

/// One whole text frame: header and JSON, ready for the wire. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    wire: Bytes,
    header: usize,
}

impl Frame {
    /// Encodes a value as the JSON of one text frame.
    pub fn json(value: &impl Serialize) -> Self {
        Self::written(|json| write_json(json, value))
    }

    /// Makes a frame of what `write` appends. The room for the header is kept in front, so nothing is copied.
    pub fn written(write: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut buffer = Vec::with_capacity(HEADER_MAX + 246);
        buffer.resize(HEADER_MAX, 0);
        write(&mut buffer);
        let length = buffer.len() - HEADER_MAX;
        let (header, size) = header_of(length);
        let start = HEADER_MAX - size;
        buffer[start..HEADER_MAX].copy_from_slice(&header[..size]);
        Self { wire: Bytes::from(buffer).slice(start..), header: size }
    }

    /// Takes back a frame that was [`wire`](Self::wire) bytes; `None` if these are not one whole text frame.
    pub fn from_wire(wire: Bytes) -> Option<Self> {
        let length_byte = usize::from(*wire.get(1)?);
        let (header, length) = match length_byte {
            0..=125 => (2, length_byte),
            126 => (4, usize::from(u16::from_be_bytes(wire.get(2..4)?.try_into().ok()?))),
            127 => (10, usize::try_from(u64::from_be_bytes(wire.get(2..10)?.try_into().ok()?)).ok()?),
            _ => return None,
        };
        // The length is from outside and may be any. A header longer than it need be is one that no reader takes.
        let is_whole = wire.len().checked_sub(header) == Some(length) && header_of(length).1 == header;
        (wire[0] == TEXT && is_whole).then_some(Self { wire, header })
    }

    /// Header and payload, as a socket wants them.
    pub fn wire(&self) -> &Bytes {
        &self.wire
    }

    /// The JSON alone.
    pub fn payload(&self) -> &[u8] {
        &self.wire[self.header..]
    }
}

/// FIN and the opcode of text.
const TEXT: u8 = 0x81;

fn header_of(length: usize) -> ([u8; HEADER_MAX], usize) {
    let mut header = [0; HEADER_MAX];
    header[0] = TEXT;
    let size = if length <= 125 {
        header[1] = length as u8;
        2
    } else if let Ok(short) = u16::try_from(length) {
        header[1] = 126;
        header[2..4].copy_from_slice(&short.to_be_bytes());
        4
    } else {
        header[1] = 127;
        header[2..10].copy_from_slice(&(length as u64).to_be_bytes());
        10
    };
    (header, size)
}

/// Appends a value's JSON. Our values are structs of strings and numbers, which always have one.
pub(crate) fn write_json(to: &mut Vec<u8>, value: &impl Serialize) {
    let from = to.len();
    if serde_json::to_writer(&mut *to, value).is_err() {
        debug_assert!(false, "a frame's value has no JSON");
        to.truncate(from);
        to.extend_from_slice(b"null");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_survives_the_wire_at_every_header_size() {
        for length in [0, 1, 123, 124, 125, 126, 65_535, 65_536, 70_000] {
            let frame = Frame::written(|json| json.resize(json.len() + length, b'x'));
            assert_eq!(frame.payload().len(), length);
            assert_eq!(Frame::from_wire(frame.wire().clone()), Some(frame));
        }
    }

    #[test]
    fn what_is_not_one_whole_text_frame_is_not_taken() {
        for bad in [
            &b""[..],
            b"\x81",
            b"\x81\x05hola",
            b"\x82\x01x",
            b"\x81\xff",
            b"\x81\x7e\x00",
            b"\x81\x01xy",
            b"\x81\x7e\x00\x01x",
            b"\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xffx",
        ] {
            assert_eq!(Frame::from_wire(Bytes::copy_from_slice(bad)), None, "{bad:?}");
        }
    }
}
