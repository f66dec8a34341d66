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

#[derive(Default)]
pub(super) struct Out {
    /// The engine's end of it, while there is one.
    pub(super) socket: Option<Arc<Socket<Attached>>>,
    /// The WebSocket, while it is the only one that there was.
    pub(super) line: Option<Line>,
    /// Whether there were several: then it is not known what goes where, and the engine knows.
    several: bool,
    pub(super) voice: Voice,
    waiting: VecDeque<Waiting>,
    /// Bytes that wait, by kind.
    bytes: [usize; 3],
    under_way: usize,
    /// Packets that the engine has and that were not seen to leave it.
    in_engine: usize,
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
    /// Bytes that the client has taken, other than from the engine.
    pub(super) sent: usize,
    /// Bytes that wait more or less than before.
    pub(super) waiting: i64,
    /// Whether the socket takes no more for now.
    pub(super) stalled: bool,
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

    /// Notes that so many packets have left the engine.
    pub(super) fn left_engine(&mut self, packets: usize) {
        self.in_engine = self.in_engine.saturating_sub(packets);
    }

    /// Writes what the engine wants to write to the WebSocket, and what waits.
    pub(super) fn engine_writes(&mut self, frames: &[u8]) {
        let Some(line) = &mut self.line else { return };
        let packets = line.engine_writes(frames, self.in_engine > 0);
        self.moved.sent += frames.len();
        self.moved.stalled |= line.is_stalled();
        self.left_engine(packets);
        self.taken(frames.len());
    }

    /// Writes on, since the socket can take more.
    pub(super) fn write_on(&mut self) {
        if let Some(line) = &mut self.line {
            line.write_on();
        }
        self.hand_on_all();
    }

    /// Whether the WebSocket has more to write than its socket takes.
    pub(super) fn is_stalled(&self) -> bool {
        let is_past = self.is_past_engine();
        self.line.as_ref().is_some_and(|line| line.is_stalled() || (is_past && !self.waiting.is_empty() && !self.held))
    }

    /// A WebSocket begins to carry the session, or tries to.
    pub(super) fn add_line(&mut self, line: Line) -> bool {
        let is_polling = self.socket.as_ref().is_none_or(|it| it.transport_type() == TransportType::Polling);
        if self.line.is_none() && !self.several {
            self.line = Some(line);
            return true;
        }
        if is_polling {
            self.several = true;
        }
        false
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

    /// Whether nothing waits, so that what may be dropped need not be.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.line.as_ref().is_none_or(|line| !line.is_stalled())
    }

    /// Whether the client has taken everything.
    pub(super) fn is_taken(&self) -> bool {
        self.is_idle() && self.under_way == 0
    }

    /// Whether packets go past the engine: it has none of them, and speaks over one WebSocket that it has opened.
    fn is_past_engine(&self) -> bool {
        self.in_engine == 0
            && !self.several
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
            let (count, wrote) = line.write(frames);
            self.moved.sent += wrote.bytes();
            self.moved.stalled |= wrote.is_stalled();
            for _ in 0..count {
                if let Some(next) = self.waiting.pop_front() {
                    self.uncount(&next);
                }
            }
            if wrote.is_stalled() {
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
            let (count, wrote) = line.write([packet.frame()].into_iter());
            self.moved.sent += wrote.bytes();
            self.moved.stalled |= wrote.is_stalled();
            return count == 1;
        }
        let Some(socket) = &self.socket else { return false };
        let bound = match socket.transport_type() {
            TransportType::Websocket => UNDER_WAY,
            TransportType::Polling => UNDER_WAY_POLLING,
        };
        let bytes = packet.text().len() + AROUND;
        if self.under_way > 0 && self.under_way + bytes > bound {
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
        true
    }
}
