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

/// Follows frames to a client as they are written, to know where something may stand between them.
#[derive(Debug, Default)]
pub(super) struct Written {
    head: [u8; 10],
    head_bytes: usize,
    /// Bytes of the frame's body that are still to come.
    body: u64,
}

impl Written {
    pub(super) fn wrote(&mut self, mut bytes: &[u8]) {
        while let [next, rest @ ..] = bytes {
            if self.body > 0 {
                let some = self.body.min(bytes.len() as u64);
                self.body -= some;
                bytes = &bytes[some as usize..];
                continue;
            }
            self.head[self.head_bytes] = *next;
            self.head_bytes += 1;
            bytes = rest;
            if let Some(body) = self.told() {
                (self.body, self.head_bytes) = (body, 0);
            }
        }
    }

    pub(super) fn is_between(&self) -> bool {
        self.head_bytes == 0 && self.body == 0
    }

    /// How long the body is, once the head has told.
    fn told(&self) -> Option<u64> {
        let told = &self.head[..self.head_bytes];
        let more = told.get(2..)?;
        match told[1] & 0x7f {
            126 => more.try_into().ok().map(u16::from_be_bytes).map(u64::from),
            127 => more.try_into().ok().map(u64::from_be_bytes),
            short => Some(u64::from(short)),
        }
    }
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

    #[test]
    fn what_is_written_is_followed_however_it_is_cut() {
        let mut all = Vec::new();
        let mut ends = vec![0];
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            all.push(0x82);
            match length {
                0..126 => all.push(length as u8),
                126..65_536 => all.extend([&[126], &(length as u16).to_be_bytes()[..]].concat()),
                _ => all.extend([&[127], &(length as u64).to_be_bytes()[..]].concat()),
            }
            all.extend(vec![0xff; length]);
            ends.push(all.len());
        }
        for piece in [1, 2, 3, 7, 1_000, all.len()] {
            let (mut written, mut so_far) = (Written::default(), 0);
            for bytes in all.chunks(piece) {
                written.wrote(bytes);
                so_far += bytes.len();
                assert_eq!(written.is_between(), ends.contains(&so_far), "{so_far} by {piece}");
            }
        }
    }
}
