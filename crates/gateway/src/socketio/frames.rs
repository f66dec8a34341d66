//! What of WebSocket frames must be known around the engine, which reads and writes them itself.

/// A whole short frame from a client.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) says: Vec<u8>,
    /// Its bytes, head and all.
    pub(super) length: usize,
}

pub(super) const TEXT: u8 = 1;
pub(super) const PING: u8 = 9;
pub(super) const PONG: u8 = 10;

/// Not a whole short frame, nor the beginning of one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Strange;

/// Reads a frame at the beginning of some bytes, if all of it is there.
pub(super) fn first(bytes: &[u8]) -> Result<Option<Frame>, Strange> {
    let [kind, length, rest @ ..] = bytes else { return Ok(None) };
    let says = usize::from(length & 0x7f);
    // The last of its message, no extension, masked, and short.
    if kind & 0xf0 != 0x80 || length & 0x80 == 0 || says > 125 {
        return Err(Strange);
    }
    let (Some(mask), Some(masked)) = (rest.get(..4), rest.get(4..4 + says)) else { return Ok(None) };
    let says: Vec<u8> = masked.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    Ok(Some(Frame { kind: kind & 0x0f, length: 6 + says.len(), says }))
}

/// A short frame to a client.
pub(super) fn short(kind: u8, says: &[u8]) -> Vec<u8> {
    [&[0x80 | kind, says.len() as u8 & 0x7f], says].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_read_when_all_of_it_is_there() {
        let probe = [0x81, 0x82, 1, 2, 3, 4, b'h' ^ 1, b'i' ^ 2, 0xff];
        for end in 0..8 {
            assert_eq!(first(&probe[..end]), Ok(None), "{end}");
        }
        assert_eq!(first(&probe), Ok(Some(Frame { kind: TEXT, says: b"hi".into(), length: 8 })));
        for strange in [[0x01, 0x82], [0xc1, 0x82], [0x81, 0x02], [0x81, 0xfe]] {
            assert_eq!(first(&strange), Err(Strange), "{strange:?}");
        }
    }
}
