//! The socket of a session's WebSocket, written to by the engine and past it.
//!
//! The engine writes whole frames, and all that it writes is taken: what the socket does not take waits here, and nothing goes between
//! it and the rest of a frame. So whoever writes a frame of their own never writes into another.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;

use bytes::Bytes;
use tokio::net::TcpStream;

use super::packet::MESSAGE;

/// Frames in one write.
const FRAMES_A_WRITE: usize = 64;
/// Opcode and final bit of a text in one frame.
const TEXT: u8 = 0x81;

/// One WebSocket's way out.
pub(super) struct Line {
    tcp: Arc<TcpStream>,
    /// What goes before any other frame: the rest of one, and what the engine wrote after it.
    rest: VecDeque<Bytes>,
    /// Whether the session is open to the client: nothing goes before that.
    is_open: bool,
    is_broken: bool,
    /// Bytes that the socket has taken since somebody asked.
    sent: usize,
}

impl Line {
    /// One that the engine opens, or that was opened before it (`over.rs`).
    pub(super) fn new(tcp: Arc<TcpStream>, is_open: bool) -> Self {
        Self { tcp, rest: VecDeque::new(), is_open, is_broken: false, sent: 0 }
    }

    /// Bytes that the socket has taken since the last time.
    pub(super) fn takes_sent(&mut self) -> usize {
        std::mem::take(&mut self.sent)
    }

    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Whether something waits for the socket.
    pub(super) fn is_stalled(&self) -> bool {
        !self.rest.is_empty()
    }

    pub(super) fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Bytes of the engine's and of a frame under way that wait.
    pub(super) fn rest_bytes(&self) -> usize {
        self.rest.iter().map(Bytes::len).sum()
    }

    /// Takes frames of the engine's; says how many packets of Socket.IO are in them, if somebody wants to know.
    pub(super) fn engine_writes(&mut self, frames: &[u8], counts: bool) -> usize {
        self.is_open = true;
        let written = if self.rest.is_empty() { self.try_write(&[IoSlice::new(frames)]) } else { 0 };
        if written < frames.len() {
            self.rest.push_back(Bytes::copy_from_slice(&frames[written..]));
        }
        if counts { messages(frames) } else { 0 }
    }

    /// Takes a short frame of neither the engine's nor the session's.
    pub(super) fn write_between(&mut self, frame: Bytes) {
        let written = if self.rest.is_empty() { self.try_write(&[IoSlice::new(&frame)]) } else { 0 };
        if written < frame.len() {
            self.rest.push_back(frame.slice(written..));
        }
    }

    /// Writes what waits until the socket takes no more.
    pub(super) fn write_on(&mut self) {
        while let Some(first) = self.rest.front() {
            let first = first.clone();
            let written = self.try_write(&[IoSlice::new(&first)]);
            self.rest.pop_front();
            if written < first.len() {
                self.rest.push_front(first.slice(written..));
                return;
            }
        }
        // A connection at rest holds nothing.
        self.rest = VecDeque::new();
    }

    /// Writes whole frames, as many as the socket takes; of the last of them the rest waits here. Says how many were begun, and whether
    /// the socket takes no more.
    pub(super) fn write<'a>(&mut self, frames: impl Iterator<Item = &'a Bytes> + Clone) -> (usize, bool) {
        if self.is_stalled() {
            return (0, true);
        }
        let mut slices = [IoSlice::new(&[]); FRAMES_A_WRITE];
        let mut begun = 0;
        for (slice, frame) in slices.iter_mut().zip(frames.clone()) {
            *slice = IoSlice::new(frame);
            begun += 1;
        }
        let mut left = self.try_write(&slices[..begun]);
        let mut count = 0;
        for frame in frames.take(FRAMES_A_WRITE) {
            if left == 0 {
                return (count, true);
            }
            count += 1;
            if left < frame.len() {
                self.rest.push_back(frame.slice(left..));
                return (count, true);
            }
            left -= frame.len();
        }
        (count, false)
    }

    fn try_write(&mut self, slices: &[IoSlice<'_>]) -> usize {
        match self.tcp.try_write_vectored(slices) {
            Ok(written) => {
                self.sent += written;
                written
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_) => {
                self.is_broken = true;
                0
            }
        }
    }
}

/// How many of some whole frames carry a packet of Socket.IO.
pub(super) fn messages(mut frames: &[u8]) -> usize {
    let mut count = 0;
    while let [kind, length, rest @ ..] = frames {
        let (length, rest) = match (*length, rest) {
            (126, [high, low, rest @ ..]) => (usize::from(u16::from_be_bytes([*high, *low])), rest),
            (127, [a, b, c, d, e, f, g, h, rest @ ..]) => {
                (u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]) as usize, rest)
            }
            (short, rest) => (usize::from(short), rest),
        };
        count += usize::from(*kind == TEXT && rest.first() == Some(&MESSAGE));
        frames = rest.get(length..).unwrap_or_default();
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection that takes little at a time, and its other end.
    async fn narrow() -> (Arc<TcpStream>, TcpStream) {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let there = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (here, _) = listener.accept().await.unwrap();
        socket2::SockRef::from(&here).set_send_buffer_size(4096).unwrap();
        (Arc::new(here), there)
    }

    /// What the other end reads: the numbers in texts, and how many pings were among them, the engine's and those between.
    async fn read(mut there: TcpStream, last: u32) -> (Vec<u32>, [usize; 2]) {
        use tokio::io::AsyncReadExt;
        let (mut numbers, mut pings) = (Vec::new(), [0, 0]);
        while numbers.last() != Some(&last) {
            let (kind, short) = (there.read_u8().await.unwrap(), there.read_u8().await.unwrap());
            let length = if short == 126 { usize::from(there.read_u16().await.unwrap()) } else { short.into() };
            let mut payload = vec![0; length];
            there.read_exact(&mut payload).await.unwrap();
            if (kind, length) == (0x89, 0) {
                pings[1] += 1;
                continue;
            }
            assert_eq!(kind, TEXT, "a frame begins within another");
            match std::str::from_utf8(&payload).unwrap() {
                "2" => pings[0] += 1,
                text => numbers.push(text.trim_start_matches('4').trim_end_matches('x').parse().unwrap()),
            }
        }
        (numbers, pings)
    }

    #[tokio::test]
    async fn frames_stay_whole_and_in_order_whatever_the_socket_takes() {
        const COUNT: u32 = 5_000;
        let (tcp, there) = narrow().await;
        let mut line = Line::new(tcp.clone(), false);
        let frame = |number: u32| {
            let text = format!("4{number:05}{}", "x".repeat(number as usize % 700));
            proto::Frame::written(|frame| frame.extend_from_slice(text.as_bytes())).wire().clone()
        };
        let frames: Vec<Bytes> = (0..=COUNT).map(frame).collect();
        let mut stalls = 0;
        let written = async {
            let mut next = 0;
            while next < frames.len() || line.is_stalled() {
                if next < frames.len() {
                    assert_eq!(line.engine_writes(b"\x81\x012", true), 0, "a ping is no packet");
                }
                line.write_between(Bytes::from_static(b"\x89\x00"));
                // One, or many at once.
                let (count, is_stalled) = line.write(frames[next..].iter().take(next % 100 + 1));
                next += count;
                if is_stalled {
                    stalls += 1;
                    tcp.writable().await.unwrap();
                    line.write_on();
                }
            }
        };
        let ((), (numbers, pings)) = tokio::join!(written, read(there, COUNT));
        assert!(numbers.into_iter().eq(0..=COUNT));
        assert!(stalls > 0 && !pings.contains(&0), "nothing was tried: {stalls} {pings:?}");
    }

    #[test]
    fn packets_are_counted_in_frames_of_any_length() {
        let mut frames = b"\x81\x012\x81\x0640/ws,\x89\x00".to_vec();
        frames.extend_from_slice(&[0x81, 126, 1, 0]);
        frames.extend_from_slice(&[b'4'; 256]);
        frames.extend_from_slice(&[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
        frames.extend_from_slice(&[b'4'; 65536]);
        frames.extend_from_slice(b"\x81\x016");
        assert_eq!(messages(&frames), 3);
    }
}
