//! A socket's way out: what it is owed waits here, and goes to the client as it can take it.
//!
//! There are two ways. Packets for a poll go to the engine; so do those for a WebSocket until all that the engine has are written. The
//! engine's own buffer is short, and full it would end the session. So only so many bytes are under way in it, counted off as they are
//! written; and some of its places are left to itself: without one an upgrade would wait for ever.
//!
//! Then packets go past the engine, as frames that are the same for everybody, straight to the socket (`wire.rs`).
//!
//! Packets from rooms that wait are bounded: past the bound the reader is too slow. What was asked for is not counted, since who does not
//! take it is not read from, and a replay waits.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use engineioxide::{Socket, TransportType};

use super::dialect::Voice;
use super::packet::Packed;
use super::session::Attached;
use super::wire::Line;

/// Bytes under way in the engine. Of a poll less than half its bound, so that one answer takes them all: what an answer leaves over
/// would be lost on the way to a WebSocket.
const UNDER_WAY: usize = 64 * 1024;
const UNDER_WAY_POLLING: usize = 24 * 1024;
/// What the transports add to a packet at least.
const AROUND: usize = 2;
/// Packets under way in the engine that a poll may find. python-socketio reads sixteen in one answer and hangs up on more; two places are
/// the engine's own.
const POLLED: usize = 14;

#[derive(Default)]
pub(super) struct Out {
    /// The engine's end of it, while there is one.
    pub(super) socket: Option<Arc<Socket<Attached>>>,
    /// The WebSocket, while there is one.
    pub(super) line: Option<Line>,
    pub(super) voice: Voice,
    waiting: VecDeque<Waiting>,
    /// Bytes that wait, by kind.
    bytes: [usize; 3],
    under_way: usize,
    /// Packets that the engine has and that were not seen to leave it.
    in_engine: usize,
    /// Those of them that a poll may find.
    polled: usize,
    /// Whether packets are held, to be written as one.
    held: bool,
    /// What has come of changes since somebody took note.
    pub(super) moved: Moved,
    /// Why it ends, once that is decided: nothing more is taken.
    pub(super) end: Option<&'static str>,
}

/// What a change came to.
#[derive(Default)]
pub(super) struct Moved {
    /// Bytes that a WebSocket has taken.
    pub(super) sent: usize,
    /// Bytes that wait more or less than before.
    pub(super) waiting: i64,
    /// Whether the socket takes no more for now.
    pub(super) stalled: bool,
}

impl Moved {
    /// What became of writing to a WebSocket.
    fn line(&mut self, line: &mut Line) {
        self.sent += line.takes_sent();
        self.stalled |= line.is_stalled();
    }
}

struct Waiting {
    packet: Packed,
    kind: Kind,
}

/// What a packet is owed to, and so who waits when many do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The client's own requests: it is not read from.
    Answer,
    /// A room's past: its reader waits.
    Past,
    /// A room's present: past the bound the client is too slow.
    Present,
}

impl Out {
    /// Hands a packet on, or lets it wait.
    pub(super) fn push(&mut self, packet: Packed, kind: Kind) {
        if self.end.is_some() || (self.waiting.is_empty() && !self.held && self.hand_on(&packet)) {
            return;
        }
        let bytes = packet.text().len();
        self.bytes[kind as usize] += bytes;
        self.moved.waiting += bytes as i64;
        self.waiting.push_back(Waiting { packet, kind });
    }

    /// Lets packets wait from now on, where it is worth it.
    pub(super) fn hold(&mut self, worth: bool) {
        self.held = worth;
    }

    /// Hands on what was held.
    pub(super) fn let_go(&mut self) {
        if std::mem::take(&mut self.held) {
            self.hand_on_all();
        }
    }

    /// Notes that the client has taken bytes from the engine, and hands on what waits.
    pub(super) fn taken(&mut self, bytes: usize) {
        self.under_way = self.under_way.saturating_sub(bytes);
        self.hand_on_all();
    }

    /// Notes that a poll has taken so many packets from the engine; `None` if nobody has counted them. Then it is never known again what
    /// the engine has, and everything goes by it for ever.
    pub(super) fn polled(&mut self, packets: Option<usize>) {
        match packets {
            Some(packets) => {
                self.polled = self.polled.saturating_sub(packets);
                self.left_engine(packets);
            }
            None => self.polled = 0,
        }
    }

    fn left_engine(&mut self, packets: usize) {
        self.in_engine = self.in_engine.saturating_sub(packets);
    }

    /// Writes what the engine wants to write to the WebSocket, and what waits.
    pub(super) fn engine_writes(&mut self, frames: &[u8]) {
        let Some(line) = &mut self.line else { return };
        let packets = line.engine_writes(frames, self.in_engine > 0);
        self.moved.line(line);
        self.left_engine(packets);
        self.taken(frames.len());
    }

    /// Writes on, since the socket can take more.
    pub(super) fn write_on(&mut self) {
        if let Some(line) = &mut self.line {
            line.write_on();
            self.moved.line(line);
        }
        self.hand_on_all();
    }

    /// Writes a frame that is neither a packet's nor the engine's.
    pub(super) fn write_between(&mut self, frame: Bytes) {
        if let Some(line) = &mut self.line {
            line.write_between(frame);
            self.moved.line(line);
        }
    }

    /// Whether the WebSocket has more to write than its socket takes.
    pub(super) fn is_stalled(&self) -> bool {
        let is_past = self.is_past_engine();
        self.line.as_ref().is_some_and(|line| line.is_stalled() || (is_past && !self.waiting.is_empty() && !self.held))
    }

    /// Lets go of all that waits.
    pub(super) fn drop_all(&mut self) {
        self.waiting = VecDeque::new();
        self.moved.waiting -= std::mem::take(&mut self.bytes).iter().sum::<usize>() as i64;
    }

    /// Bytes of a kind that wait.
    pub(super) fn bytes(&self, kind: Kind) -> usize {
        let rest = self.line.as_ref().filter(|_| kind == Kind::Answer).map_or(0, Line::rest_bytes);
        self.bytes[kind as usize] + rest
    }

    /// Bytes of any kind that wait.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.bytes.iter().sum()
    }

    /// Whether the client has taken everything.
    pub(super) fn is_taken(&self) -> bool {
        self.waiting.is_empty() && self.under_way == 0 && self.line.as_ref().is_none_or(|line| !line.is_stalled())
    }

    /// Whether packets go past the engine: it has none of them, and speaks over a WebSocket that it has opened.
    fn is_past_engine(&self) -> bool {
        self.in_engine == 0
            && self.line.as_ref().is_some_and(Line::is_open)
            && self.socket.as_ref().is_some_and(|it| it.transport_type() == TransportType::Websocket)
    }

    fn hand_on_all(&mut self) {
        if self.waiting.is_empty() || self.held {
            return;
        }
        if self.is_past_engine() {
            self.write_waiting();
            return;
        }
        while let Some(next) = self.waiting.pop_front() {
            if !self.hand_on(&next.packet) {
                self.waiting.push_front(next);
                break;
            }
            self.uncount(&next);
        }
    }

    /// Writes what waits, many frames at once.
    fn write_waiting(&mut self) {
        while !self.waiting.is_empty()
            && let Some(line) = &mut self.line
        {
            let frames = self.waiting.iter().map(|next| next.packet.frame());
            let (count, is_stalled) = line.write(frames);
            self.moved.line(line);
            self.moved.stalled |= is_stalled;
            for _ in 0..count {
                if let Some(next) = self.waiting.pop_front() {
                    self.uncount(&next);
                }
            }
            if is_stalled {
                return;
            }
        }
        // A client that fell behind once should not keep the room it took.
        self.waiting = VecDeque::new();
    }

    fn uncount(&mut self, gone: &Waiting) {
        let bytes = gone.packet.text().len();
        self.bytes[gone.kind as usize] -= bytes;
        self.moved.waiting -= bytes as i64;
    }

    fn hand_on(&mut self, packet: &Packed) -> bool {
        if self.is_past_engine()
            && let Some(line) = &mut self.line
        {
            let (count, is_stalled) = line.write([packet.frame()].into_iter());
            self.moved.line(line);
            self.moved.stalled |= is_stalled;
            return count == 1;
        }
        let Some(socket) = &self.socket else { return false };
        let polls = socket.transport_type() == TransportType::Polling;
        let bound = if polls { UNDER_WAY_POLLING } else { UNDER_WAY };
        let bytes = packet.text().len() + AROUND;
        if self.under_way > 0 && (self.under_way + bytes > bound || (polls && self.polled >= POLLED)) {
            return false;
        }
        // The engine's own: a ping, a close, and what lets a poll go when the session is upgraded.
        let (Ok(place), Ok(_ping), Ok(_close), Ok(_upgrade)) =
            (socket.reserve(), socket.reserve(), socket.reserve(), socket.reserve())
        else {
            return false;
        };
        place.emit(packet.text().clone());
        self.under_way += bytes;
        self.in_engine += 1;
        self.polled += usize::from(polls);
        true
    }
}
