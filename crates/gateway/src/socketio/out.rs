//! A socket's way out: what it is owed waits here, and goes to the engine as the client takes it.
//!
//! The engine's own buffer is short, and full it would end the session. So only so many bytes are under way in it, counted off as
//! they are written; and some of its places are left to itself: without one an upgrade would wait for ever. Packets from rooms that wait are bounded: past the bound the
//! reader is too slow. What was asked for is not counted, since who does not take it is not read from, and a replay waits.

use std::collections::VecDeque;
use std::sync::Arc;

use engineioxide::{Socket, Str, TransportType};

use super::BUFFER;
use super::dialect::Voice;
use super::session::Attached;

/// Bytes under way in the engine. Of a poll less than half its bound, so that one answer takes them all: what an answer leaves over
/// would be lost on the way to a WebSocket.
const UNDER_WAY: usize = 64 * 1024;
const UNDER_WAY_POLLING: usize = 24 * 1024;
/// Packets under way in the engine that a poll may find. python-socketio reads sixteen in one answer and hangs up on more; two places are
/// the engine's own.
const POLLED: usize = 14;
/// Packets that find a place in the engine's buffer without a look, the engine's own too.
const SURELY: usize = BUFFER / 2;
/// What the transports add to a packet at least.
const AROUND: usize = 2;

#[derive(Default)]
pub(super) struct Out {
    /// The engine's end of it, while there is one.
    pub(super) socket: Option<Arc<Socket<Attached>>>,
    pub(super) voice: Voice,
    waiting: VecDeque<Waiting>,
    /// Bytes that wait, by kind.
    bytes: [usize; 3],
    under_way: usize,
    polled: usize,
    /// Packets handed on since nothing was under way.
    handed: usize,
    /// Why it ends, once that is decided: nothing more is taken.
    pub(super) end: Option<&'static str>,
}

struct Waiting {
    packet: Str,
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
    /// Hands a packet on, or lets it wait; says how many bytes more wait.
    pub(super) fn push(&mut self, packet: Str, kind: Kind) -> usize {
        if self.end.is_some() || (self.waiting.is_empty() && self.hand_on(&packet)) {
            return 0;
        }
        let bytes = packet.len();
        self.bytes[kind as usize] += bytes;
        self.waiting.push_back(Waiting { packet, kind });
        bytes
    }

    /// Notes that a poll has taken packets.
    pub(super) fn polled(&mut self, packets: usize) {
        self.polled = self.polled.saturating_sub(packets);
    }

    /// Notes that the client has taken bytes, and hands on what waits; says how many bytes less wait.
    pub(super) fn taken(&mut self, bytes: usize) -> usize {
        self.under_way = self.under_way.saturating_sub(bytes);
        let mut less = 0;
        while let Some(next) = self.waiting.pop_front() {
            if !self.hand_on(&next.packet) {
                self.waiting.push_front(next);
                break;
            }
            self.bytes[next.kind as usize] -= next.packet.len();
            less += next.packet.len();
        }
        less
    }

    /// Lets go of all that waits; says how many bytes that was.
    pub(super) fn drop_all(&mut self) -> usize {
        self.waiting = VecDeque::new();
        std::mem::take(&mut self.bytes).iter().sum()
    }

    /// Bytes of a kind that wait.
    pub(super) fn bytes(&self, kind: Kind) -> usize {
        self.bytes[kind as usize]
    }

    /// Bytes of any kind that wait.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.bytes.iter().sum()
    }

    /// Whether the client has taken everything.
    pub(super) fn is_taken(&self) -> bool {
        self.waiting.is_empty() && self.under_way == 0
    }

    fn hand_on(&mut self, packet: &Str) -> bool {
        let Some(socket) = &self.socket else { return false };
        let polls = socket.transport_type() == TransportType::Polling;
        let bound = if polls { UNDER_WAY_POLLING } else { UNDER_WAY };
        let bytes = packet.len() + AROUND;
        if self.under_way > 0 && (self.under_way + bytes > bound || (polls && self.polled >= POLLED)) {
            return false;
        }
        if self.under_way == 0 {
            self.handed = 0;
        }
        if self.handed < SURELY {
            if socket.emit(packet.clone()).is_err() {
                return false;
            }
        } else {
            // The engine's own: a ping, a close, and what lets a poll go when the session is upgraded.
            let (Ok(place), Ok(_ping), Ok(_close), Ok(_upgrade)) =
                (socket.reserve(), socket.reserve(), socket.reserve(), socket.reserve())
            else {
                return false;
            };
            place.emit(packet.clone());
        }
        self.handed += 1;
        self.under_way += bytes;
        self.polled += usize::from(polls);
        true
    }
}
