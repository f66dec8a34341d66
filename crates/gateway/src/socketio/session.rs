//! One session of Socket.IO, as the rest of the node sees it, whatever carries it: somewhere to write to, and what was read.
//!
//! The engine reads and writes; the session's own task (`life.rs`) does what was asked, in order. Between them stands what is here.
//! When more was read than is done, or answers are left lying, the client is not read from: its WebSocket or its next `POST` waits.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering, fence};

use engineioxide::{ProtocolVersion, Socket, Str, TransportType};
use futures_util::task::AtomicWaker;
use parking_lot::{Mutex, MutexGuard};
use proto::Refusal;
use tokio::sync::Notify;

use super::dialect::{self, Voice};
use super::frames::{self, PING};
use super::handshake::Values;
use super::out::{Kind, Out};
use super::packet::{self, Packed, Told};
use super::pulse::Pulse;
use super::wire::Line;
use crate::limits::AddressSlot;
use crate::node::Node;
use crate::recognized::Recognized;
use crate::stays::{Going, Visitor};

/// Bytes of packets that may wait to be done before nothing more is read.
const INBOX_BYTES: usize = 64 * 1024;
/// What each costs besides its text, so that small ones are bounded too.
const INBOX_EACH: usize = 64;
/// Bytes of answers that may wait before nothing more is read.
const ANSWERS_BYTES: usize = 64 * 1024;
/// Bytes that may wait while a replay goes on.
const REPLAY_BYTES: usize = 32 * 1024;
/// Bytes that may wait while it is still told who comes, goes and writes.
const WHISPER_BYTES: usize = 8 * 1024;
/// Sends that may wait for their acknowledgement before nothing more is read.
const SENDS_WAITING: u32 = 256;

/// What the engine keeps with its socket.
#[derive(Default)]
pub(crate) struct Attached(pub(super) std::sync::OnceLock<Arc<Session>>);

/// A session, from before the engine knows of it to its end.
pub(crate) struct Session {
    pub(super) node: Arc<Node>,
    /// What the query said.
    pub(super) query: Values,
    /// Who the headers of its first request say it is, or why they say nothing; absent if they brought nothing.
    pub(super) bearer: Option<Box<Recognized>>,
    out: Mutex<Out>,
    inbox: Mutex<Inbox>,
    /// Wakes the session's task: something came, or its end.
    pub(super) nudge: Notify,
    /// Word that more may be read, that less waits, or that a WebSocket is gone.
    pub(super) moved: Notify,
    pub(super) reader: AtomicWaker,
    /// Whether the reader waits for leave to read, and not only for the client.
    held_back: AtomicBool,
    pub(super) writer: AtomicWaker,
    sends_waiting: AtomicU32,
    /// Why it is asked to go, if it is.
    going: AtomicU8,
    /// Whether it was let into a namespace.
    pub(super) is_in: AtomicBool,
    /// Whether it is among the people who are counted.
    pub(super) is_counted: AtomicBool,
    /// WebSockets that carry it, whether there ever was one, and whether they are to end, whatever is under way.
    streams: AtomicUsize,
    pub(super) had_stream: AtomicBool,
    cut: AtomicBool,
    /// Whether some WebSocket is to take over from polling, and whether there is nothing more to poll for.
    way_claimed: AtomicBool,
    over: AtomicBool,
    pub(super) pulse: Pulse,
    /// Seconds on the node's clock at which it began, and its end was decided.
    pub(super) began_at: u32,
    pub(super) ended_at: AtomicU32,
    _slot: AddressSlot,
}

#[derive(Default)]
struct Inbox {
    packets: VecDeque<Str>,
    bytes: usize,
}

impl Session {
    pub(super) fn new(
        node: &Arc<Node>,
        query: Values,
        bearer: Option<Box<Recognized>>,
        slot: AddressSlot,
    ) -> Arc<Self> {
        let now = node.connections.now();
        Arc::new(Self {
            node: node.clone(),
            query,
            bearer,
            out: Mutex::default(),
            inbox: Mutex::default(),
            nudge: Notify::new(),
            moved: Notify::new(),
            reader: AtomicWaker::new(),
            held_back: AtomicBool::new(false),
            writer: AtomicWaker::new(),
            sends_waiting: AtomicU32::new(0),
            going: AtomicU8::new(Going::No as u8),
            is_in: AtomicBool::new(false),
            is_counted: AtomicBool::new(false),
            streams: AtomicUsize::new(0),
            had_stream: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            way_claimed: AtomicBool::new(false),
            over: AtomicBool::new(false),
            pulse: Pulse::new(now),
            began_at: now,
            ended_at: AtomicU32::new(u32::MAX),
            _slot: slot,
        })
    }

    /// What waits to be written, held while several packets go together.
    pub(super) fn out(&self) -> MutexGuard<'_, Out> {
        self.out.lock()
    }

    /// The engine has opened the session, or let go of it.
    pub(super) fn set_socket(&self, socket: Option<Arc<Socket<Attached>>>) -> Option<Arc<Socket<Attached>>> {
        std::mem::replace(&mut self.out().socket, socket)
    }

    pub(super) fn voice(&self) -> Voice {
        self.out().voice
    }

    /// Writes an answer. It may wait, and does not count as slow.
    pub(super) fn answer(&self, packet: Packed) {
        self.push(&mut self.out(), packet, Kind::Answer);
    }

    /// Writes packets that belong together and may be dropped when the client is behind.
    pub(super) fn whisper(&self, packets: impl IntoIterator<Item = Packed>) {
        let mut out = self.out();
        if out.waiting_bytes() <= WHISPER_BYTES {
            packets.into_iter().for_each(|packet| self.push(&mut out, packet, Kind::Present));
        }
    }

    pub(super) fn push(&self, out: &mut Out, packet: Packed, kind: Kind) {
        out.push(packet, kind);
        self.after(out);
    }

    /// Writes what was held together, as one.
    pub(super) fn let_go(&self, out: &mut Out) {
        out.let_go();
        self.after(out);
    }

    /// Counts what a change of `out` came to, and wakes whoever writes on when the client can take it.
    fn after(&self, out: &mut Out) {
        let moved = std::mem::take(&mut out.moved);
        if moved.sent > 0 {
            self.node.metrics.sent_bytes.inc_by(moved.sent as u64);
            self.pulse.wrote(moved.sent);
        }
        if moved.waiting != 0 {
            self.node.metrics.backlog_bytes.add(moved.waiting);
        }
        if moved.stalled {
            self.reader.wake();
        }
    }

    /// Refuses something: an `error` event, and no acknowledgement.
    pub(super) fn refuse(&self, refusal: &Refusal) {
        self.node.metrics.refusals.with_label_values(&[refusal.code.as_str()]).inc();
        self.answer(packet::event(self.voice().namespace, &(dialect::ERROR, Told::of(refusal))));
    }

    /// The client has taken bytes.
    pub(super) fn taken(&self, bytes: usize) {
        self.node.metrics.sent_bytes.inc_by(bytes as u64);
        let mut out = self.out();
        out.taken(bytes);
        self.after(&mut out);
        drop(out);
        self.tell();
    }

    /// Whether a WebSocket has more to write than its socket takes. A question that waits is put first, behind what is under way.
    pub(super) fn has_more_to_write(&self) -> bool {
        let mut out = self.out();
        if out.line.as_ref().is_some_and(|line| !line.is_stalled()) && self.pulse.takes_question() {
            out.write_between(frames::short(PING, b"").into());
            self.after(&mut out);
        }
        out.is_stalled()
    }

    /// Writes on, since the socket can take more.
    pub(super) fn write_on(&self) {
        let mut out = self.out();
        out.write_on();
        self.after(&mut out);
        drop(out);
        self.tell();
    }

    /// The engine writes to its WebSocket: whole frames.
    pub(super) fn engine_writes(&self, frames: &[u8]) {
        let mut out = self.out();
        out.engine_writes(frames);
        self.after(&mut out);
        drop(out);
        self.tell();
    }

    /// A poll has taken bytes, which are so many packets, if that is known.
    pub(super) fn polled(&self, bytes: usize, packets: Option<usize>) {
        self.out().polled(packets);
        self.taken(bytes);
    }

    /// Something came from the client.
    pub(super) fn heard(&self) {
        self.pulse.heard(self.node.connections.now());
    }

    /// A packet came.
    pub(super) fn came(&self, packet: Str) {
        let mut inbox = self.inbox.lock();
        inbox.bytes += packet.len() + INBOX_EACH;
        inbox.packets.push_back(packet);
        drop(inbox);
        self.nudge.notify_one();
    }

    /// The next packet to do.
    pub(super) fn next_packet(&self) -> Option<Str> {
        let mut inbox = self.inbox.lock();
        let packet = inbox.packets.pop_front()?;
        inbox.bytes -= packet.len() + INBOX_EACH;
        drop(inbox);
        self.tell();
        Some(packet)
    }

    pub(super) fn send_begins(&self) {
        self.sends_waiting.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn send_ends(&self) {
        self.sends_waiting.fetch_sub(1, Ordering::AcqRel);
        self.tell();
        if self.going() != Going::No {
            self.nudge.notify_one();
        }
    }

    pub(super) fn has_sends_waiting(&self) -> bool {
        self.sends_waiting.load(Ordering::Acquire) > 0
    }

    /// Whether to read on.
    pub(super) fn may_read(&self) -> bool {
        if self.sends_waiting.load(Ordering::Acquire) >= SENDS_WAITING || self.going() != Going::No {
            return false;
        }
        let out = self.out();
        out.end.is_none() && out.bytes(Kind::Answer) < ANSWERS_BYTES && self.inbox.lock().bytes < INBOX_BYTES
    }

    /// Whether its WebSocket is to wait, to be woken when that changes. Not on the way from polling: until that is done, what waits
    /// cannot be taken.
    pub(super) fn holds_back(&self) -> bool {
        // Before the look, so that whoever changes what is seen there knows that it is awaited.
        self.held_back.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let is_over = self.out().socket.as_ref().is_some_and(|it| it.transport_type() == TransportType::Websocket);
        let holds = is_over && !self.may_read() && self.ending().is_none();
        self.held_back.store(holds, Ordering::Relaxed);
        holds
    }

    /// Waits until a replay may write on.
    pub(super) async fn until_room(&self) {
        self.until(|| self.out().bytes(Kind::Past) < REPLAY_BYTES).await;
    }

    /// Waits until every send so far has been settled.
    pub(super) async fn until_all_sent(&self) {
        self.until(|| !self.has_sends_waiting()).await;
    }

    /// Waits for something that [`tell`](Self::tell) tells of.
    pub(super) async fn until(&self, done: impl Fn() -> bool) {
        loop {
            let mut moved = std::pin::pin!(self.moved.notified());
            moved.as_mut().enable();
            if done() {
                return;
            }
            moved.await;
        }
    }

    /// Tells whoever waits for it that something has moved.
    pub(super) fn tell(&self) {
        fence(Ordering::SeqCst);
        if self.held_back.load(Ordering::Relaxed) {
            self.reader.wake();
        }
        self.moved.notify_waiters();
    }

    /// Decides the end; only the first reason counts. What waits is still written, unless it was too much or nobody reads it.
    pub(super) fn end(&self, reason: &'static str) {
        self.end_in(&mut self.out(), reason);
    }

    pub(super) fn end_in(&self, out: &mut Out, reason: &'static str) {
        if out.end.is_some() {
            return;
        }
        out.end = Some(reason);
        if matches!(reason, "slow" | "lost" | "idle" | "client") {
            out.drop_all();
            self.after(out);
        }
        if reason == "slow" {
            self.node.metrics.slow_closes.inc();
        }
        self.ended_at.store(self.node.connections.now(), Ordering::Relaxed);
        self.nudge.notify_one();
        self.tell();
    }

    pub(super) fn ending(&self) -> Option<&'static str> {
        self.out().end
    }

    /// Ends its WebSockets at once, and with them whatever the engine waits for.
    pub(super) fn cut(&self) {
        self.cut.store(true, Ordering::Release);
        self.reader.wake();
        self.writer.wake();
        self.moved.notify_waiters();
    }

    pub(super) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }

    /// A WebSocket carries it from now on, or one is gone. There is one at a time.
    pub(super) fn stream_begins(&self, line: Line) {
        self.out().line = Some(line);
        self.streams.fetch_add(1, Ordering::AcqRel);
        self.had_stream.store(true, Ordering::Release);
        self.heard();
        self.tell();
    }

    pub(super) fn stream_ends(&self) {
        self.out().line = None;
        self.streams.fetch_sub(1, Ordering::AcqRel);
        self.tell();
    }

    pub(super) fn has_stream(&self) -> bool {
        self.streams.load(Ordering::Acquire) > 0
    }

    /// Claims the way from polling to a WebSocket, or gives it free; `false` if that was so.
    pub(super) fn claim_way(&self, claim: bool) -> bool {
        self.way_claimed.swap(claim, Ordering::AcqRel) != claim
    }

    /// There is nothing more to poll for.
    pub(super) fn is_now_over(&self) {
        self.over.store(true, Ordering::Release);
        self.tell();
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Asks the task to close once everything accepted is acknowledged; nothing more is accepted.
    pub(crate) fn ask_to_go(&self, going: Going) {
        self.going.fetch_max(going as u8, Ordering::AcqRel);
        self.nudge.notify_one();
        self.tell();
    }

    pub(super) fn going(&self) -> Going {
        Going::of(self.going.load(Ordering::Acquire))
    }

    pub(super) fn version(&self) -> ProtocolVersion {
        self.out().socket.as_ref().map_or(ProtocolVersion::V4, |socket| socket.protocol)
    }
}

impl Visitor for Session {
    fn dismiss(&self) {
        self.ask_to_go(Going::Unauthorized);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let out = self.out.get_mut();
        out.drop_all();
        self.node.metrics.backlog_bytes.add(out.moved.waiting);
    }
}
