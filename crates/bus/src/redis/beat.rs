//! What a node says on the nodes' channel, 18 bytes: `version u8 = 1 · goodbye u8 · node u64 · number u64`, little-endian.

use bytes::{BufMut, Bytes, BytesMut};
use proto::NodeId;

/// A heart-beat, or the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Beat {
    pub(super) node: NodeId,
    pub(super) number: u64,
    pub(super) goodbye: bool,
}

impl Beat {
    const VERSION: u8 = 1;

    pub(super) fn encode(self) -> Bytes {
        let mut out = BytesMut::with_capacity(18);
        out.put_u8(Self::VERSION);
        out.put_u8(u8::from(self.goodbye));
        out.put_u64_le(self.node.0);
        out.put_u64_le(self.number);
        out.freeze()
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (&[version, goodbye], rest) = bytes.split_first_chunk()?;
        let (node, number) = rest.split_first_chunk()?;
        let number = u64::from_le_bytes(number.try_into().ok()?);
        (version == Self::VERSION).then_some(Self {
            node: NodeId(u64::from_le_bytes(*node)),
            number,
            goodbye: goodbye == 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beat_reads_back_and_nothing_else_does() {
        let beat = Beat { node: NodeId(7), number: 3, goodbye: true };
        assert_eq!(Beat::decode(&beat.encode()), Some(beat));
        for bad in [&b""[..], b"\x01", &beat.encode()[..17], b"\x02\x00aaaaaaaabbbbbbbb", b"\x01\x00aaaaaaaabbbbbbbbc"]
        {
            assert_eq!(Beat::decode(bad), None, "{bad:?}");
        }
    }
}
