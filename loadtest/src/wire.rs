//! Frames, as cheaply as a client can have them.
//!
//! The socket is read into a buffer that all connections of the thread share; whole frames are looked at in place, and
//! only a partial one is kept. What is sent is masked with a key of zeros, which is legal and changes nothing.

use std::cell::RefCell;
use std::io;

use tokio::net::TcpStream;

/// Bytes read from a socket at once.
const SCRATCH_BYTES: usize = 128 * 1024;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH_BYTES]);
}

const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;

/// One connection.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    /// The beginning of a frame whose end has not come.
    partial: Vec<u8>,
    /// Whether that came along with the handshake, so that whole frames may be in it.
    early: bool,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream, early: Vec<u8>) -> Self {
        Self { stream, early: !early.is_empty(), partial: early }
    }

    /// Waits for something to read and shows every whole text to `take`. An end is an error, whoever made it.
    pub(crate) async fn read(&mut self, take: &mut impl FnMut(&[u8])) -> io::Result<()> {
        let early = std::mem::take(&mut self.early);
        if !early {
            self.stream.readable().await?;
        }
        let pinged = SCRATCH.with_borrow_mut(|scratch| {
            let read = match self.stream.try_read(scratch) {
                _ if early => 0,
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            };
            if self.partial.is_empty() {
                let Eaten { bytes, pinged } = eat(&scratch[..read], take)?;
                self.partial.extend_from_slice(&scratch[bytes..read]);
                return Ok(pinged);
            }
            self.partial.extend_from_slice(&scratch[..read]);
            let Eaten { bytes, pinged } = eat(&self.partial, take)?;
            if bytes == self.partial.len() {
                self.partial = Vec::new(); // a connection at rest holds nothing
            } else {
                self.partial.drain(..bytes);
            }
            Ok(pinged)
        })?;
        if pinged {
            self.write(&[0x8a, 0x80, 0, 0, 0, 0]).await?;
        }
        Ok(())
    }

    pub(crate) async fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.stream.try_write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.stream.writable().await?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// How much was whole frames, and whether a ping was among them.
struct Eaten {
    bytes: usize,
    pinged: bool,
}

fn eat(bytes: &[u8], take: &mut impl FnMut(&[u8])) -> io::Result<Eaten> {
    let mut eaten = Eaten { bytes: 0, pinged: false };
    while let Some((opcode, header, length)) = header_of(&bytes[eaten.bytes..]) {
        let begin = eaten.bytes + header;
        let Some(payload) = bytes.get(begin..begin + length) else { break };
        match opcode {
            TEXT => take(payload),
            PING => eaten.pinged = true,
            CLOSE => return Err(io::ErrorKind::ConnectionAborted.into()),
            _ => {}
        }
        eaten.bytes = begin + length;
    }
    Ok(eaten)
}

/// Opcode, bytes of the header, bytes of the payload; `None` while the header is not whole.
fn header_of(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (opcode, short) = (bytes.first()? & 0x0f, usize::from(bytes.get(1)? & 0x7f));
    Some(match short {
        126 => (opcode, 4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (opcode, 10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?),
        _ => (opcode, 2, short),
    })
}

/// Appends one masked text frame.
pub(crate) fn frame(into: &mut Vec<u8>, payload: &[u8]) {
    into.push(0x80 | TEXT);
    match payload.len() {
        short @ ..126 => into.push(0x80 | short as u8),
        length => match u16::try_from(length) {
            Ok(length) => {
                into.push(0x80 | 126);
                into.extend_from_slice(&length.to_be_bytes());
            }
            Err(_) => {
                into.push(0x80 | 127);
                into.extend_from_slice(&(length as u64).to_be_bytes());
            }
        },
    }
    into.extend_from_slice(&[0; 4]);
    into.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_frames_are_taken_and_a_partial_one_is_left() {
        let mut bytes = vec![0x81, 2, b'h', b'i', 0x89, 0, 0x81, 126, 0, 200];
        bytes.extend_from_slice(&[b'x'; 200]);
        bytes.extend_from_slice(&[0x81, 5, b'h']);
        let mut lengths = Vec::new();
        let eaten = eat(&bytes, &mut |text| lengths.push(text.len())).unwrap();
        assert_eq!((lengths, eaten.bytes, eaten.pinged), (vec![2, 200], bytes.len() - 3, true));
    }

    #[test]
    fn a_close_is_an_end() {
        assert!(eat(&[0x88, 2, 3, 0xe8], &mut |_| ()).is_err());
    }
}
