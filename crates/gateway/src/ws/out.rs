//! A connection's way out.
//!
//! Everything that is written to a socket goes through [`Conn`]: what a room owes, answers, pongs, goodbyes; so nothing
//! interleaves inside a frame. Whoever has something writes it at once, from whatever task it is in. What the
//! socket does not take waits in the backlog, which only then exists, and the connection's own task writes it when it can.
//! Frames from rooms that wait are bounded in bytes: past the bound the reader is told goodbye. Answers are not counted,
//! since a client that does not read them is not read from either.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hub::{Batch, Outbox};
use parking_lot::Mutex;
use proto::Frame;
use proto::to_client::{self, Bye};
use rand::RngExt;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::backlog::Backlog;
use crate::metrics::GatewayMetrics;
use crate::stays::{Going, Visitor};

/// How long a goodbye may take to be read before the connection is simply closed.
const FAREWELL: Duration = Duration::from_secs(5);
/// Bytes of answers that may wait before nothing more is read from the client.
const ANSWERS_BYTES: usize = 64 * 1024;
/// Sends that may wait for their acknowledgement before nothing more is read from the client.
const SENDS_WAITING: u32 = 256;

/// One connection, as the rest of the node sees it: somewhere to write to.
pub(crate) struct Conn {
    pub(crate) stream: TcpStream,
    out: Mutex<Out>,
    /// Wakes the connection's task: something waits to be written, or its end has come.
    pub(crate) nudge: Notify,
    /// Sends that have not been acknowledged yet, and word of the last one that was.
    sends_waiting: AtomicU32,
    all_sent: Notify,
    /// Seconds on the node's own clock at which something was last heard.
    pub(crate) heard_at: AtomicU32,
    /// Seconds on the same clock at which the connection began.
    pub(crate) began_at: u32,
    /// Whether it has been welcomed.
    pub(crate) is_welcome: AtomicBool,
    /// Why it is asked to go, if it is: the task says goodbye once everything accepted is acknowledged.
    going: AtomicU8,
    backlog_bytes_max: usize,
    metrics: GatewayMetrics,
}

#[derive(Default)]
struct Out {
    backlog: Backlog,
    end: Option<End>,
}

/// How and until when a connection ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    /// The label of `tertulia_disconnects_total`.
    pub(crate) reason: &'static str,
    /// What is not written by then never will be.
    by: Instant,
}

impl Conn {
    pub(crate) fn new(stream: TcpStream, now: u32, backlog_bytes_max: usize, metrics: GatewayMetrics) -> Self {
        Self {
            stream,
            out: Mutex::default(),
            nudge: Notify::new(),
            sends_waiting: AtomicU32::new(0),
            all_sent: Notify::new(),
            heard_at: AtomicU32::new(now),
            began_at: now,
            is_welcome: AtomicBool::new(false),
            going: AtomicU8::new(Going::No as u8),
            backlog_bytes_max,
            metrics,
        }
    }

    /// Writes an answer. It may wait, and does not count as slow.
    pub(crate) fn answer(&self, frame: &Frame) {
        let mut out = self.out.lock();
        if out.end.is_none() {
            self.write(&mut out, frame.wire(), false);
        }
    }

    /// Leaves an answer for the connection's task, which writes all that has gathered at once. For tasks that have better
    /// things to do than to write to sockets.
    pub(crate) fn answer_later(&self, frame: &Frame) {
        let mut out = self.out.lock();
        if out.end.is_none() {
            self.wait(&mut out, frame.wire().clone(), false);
        }
    }

    /// Writes what the protocol engine has to say: a pong, the echo of a close.
    pub(crate) fn control(&self, bytes: &[u8]) {
        let mut out = self.out.lock();
        if out.end.is_none() {
            self.write(&mut out, &Bytes::copy_from_slice(bytes), false);
        }
    }

    /// Asks whether anybody is there. Not if something waits already: that will tell as well.
    pub(crate) fn ping(&self) {
        const PING: Bytes = Bytes::from_static(&[0x89, 0]);
        let mut out = self.out.lock();
        if out.end.is_none() && out.backlog.is_empty() {
            self.write(&mut out, &PING, false);
        }
    }

    /// Says goodbye and ends the connection. Only the first goodbye counts.
    pub(crate) fn goodbye(&self, bye: Bye) {
        let retry_after_ms = match bye {
            Bye::Unauthorized => None,
            // Spread out, so that those who were told together do not come back together.
            Bye::Drain | Bye::Slow | Bye::Reset => Some(rand::rng().random_range(50..1000)),
        };
        let frame = to_client::bye(bye, retry_after_ms);
        let mut out = self.out.lock();
        if bye == Bye::Slow {
            self.metrics.slow_closes.inc();
            // What waited was too much: all but the frame under way is let go.
            self.metrics.backlog_bytes.sub(out.backlog.drop_unstarted() as i64);
        }
        self.end(&mut out, bye.as_str(), Some(&frame), bye.close_code(), "");
    }

    /// Closes with a code and a sentence, for a client that broke the protocol.
    pub(crate) fn close(&self, reason: &'static str, code: u16, sentence: &str) {
        self.end(&mut self.out.lock(), reason, None, code, sentence);
    }

    /// Ends without a word: nobody is there to hear it.
    pub(crate) fn abandon(&self, reason: &'static str) {
        let mut out = self.out.lock();
        self.drop_all(&mut out);
        let by = Instant::now();
        match &mut out.end {
            Some(end) => end.by = by,
            none => *none = Some(End { reason, by }),
        }
        self.nudge.notify_one();
    }

    fn end(&self, out: &mut Out, reason: &'static str, last: Option<&Frame>, code: u16, sentence: &str) {
        if out.end.is_some() {
            return;
        }
        if let Some(frame) = last {
            self.write(out, frame.wire(), false);
        }
        let mut close = vec![0x88, 2 + sentence.len() as u8];
        close.extend_from_slice(&code.to_be_bytes());
        close.extend_from_slice(sentence.as_bytes());
        self.write(out, &Bytes::from(close), false);
        if out.end.is_none() {
            out.end = Some(End { reason, by: Instant::now() + FAREWELL });
        }
        self.nudge.notify_one();
    }

    /// How the connection ends, once that is decided.
    pub(crate) fn ending(&self) -> Option<End> {
        self.out.lock().end
    }

    /// Asks the task to say goodbye once everything accepted is acknowledged; nothing more is accepted.
    pub(crate) fn ask_to_go(&self, going: Going) {
        self.going.fetch_max(going as u8, Ordering::AcqRel);
        self.nudge.notify_one();
    }

    pub(crate) fn going(&self) -> Going {
        Going::of(self.going.load(Ordering::Acquire))
    }

    pub(crate) fn send_begins(&self) {
        self.sends_waiting.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn send_ends(&self) {
        let before = self.sends_waiting.fetch_sub(1, Ordering::AcqRel);
        if before == 1 {
            self.all_sent.notify_waiters();
        }
        if before == SENDS_WAITING || self.going() != Going::No {
            self.nudge.notify_one();
        }
    }

    /// Waits until every send so far has been settled: what reads a room must find what was said before it.
    pub(crate) async fn until_all_sent(&self) {
        loop {
            let mut sent = std::pin::pin!(self.all_sent.notified());
            sent.as_mut().enable();
            if !self.has_sends_waiting() {
                return;
            }
            sent.await;
        }
    }

    pub(crate) fn has_sends_waiting(&self) -> bool {
        self.sends_waiting.load(Ordering::Acquire) > 0
    }

    /// Whether to read on: not while the client leaves its answers lying, nor with too many sends under way, nor at its end.
    pub(crate) fn may_read(&self) -> bool {
        if self.sends_waiting.load(Ordering::Acquire) >= SENDS_WAITING || self.going() != Going::No {
            return false;
        }
        let out = self.out.lock();
        out.end.is_none() && out.backlog.answer_bytes() < ANSWERS_BYTES
    }

    pub(crate) fn has_backlog(&self) -> bool {
        !self.out.lock().backlog.is_empty()
    }

    /// Writes what waits until the socket takes no more.
    pub(crate) fn drain_backlog(&self) {
        let mut out = self.out.lock();
        while !out.backlog.is_empty() {
            match self.stream.try_write_vectored(&out.backlog.slices()) {
                Ok(written) if written > 0 => {
                    self.metrics.sent_bytes.inc_by(written as u64);
                    self.metrics.backlog_bytes.sub(written as i64);
                    out.backlog.written(written);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Ok(_) | Err(_) => {
                    self.broken(&mut out);
                    return;
                }
            }
        }
    }

    /// Writes now what can be written now, and lets the rest wait.
    fn write(&self, out: &mut Out, bytes: &Bytes, from_room: bool) {
        if !out.backlog.is_empty() {
            self.wait(out, bytes.clone(), from_room);
            return;
        }
        match self.stream.try_write(bytes) {
            Ok(written) => {
                self.metrics.sent_bytes.inc_by(written as u64);
                if written < bytes.len() {
                    self.metrics.backlog_bytes.add((bytes.len() - written) as i64);
                    out.backlog.push_rest(bytes.slice(written..), from_room);
                    self.nudge.notify_one();
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait(out, bytes.clone(), from_room),
            Err(_) => self.broken(out),
        }
    }

    fn wait(&self, out: &mut Out, bytes: Bytes, from_room: bool) {
        self.metrics.backlog_bytes.add(bytes.len() as i64);
        let first = out.backlog.is_empty();
        out.backlog.push(bytes, from_room);
        if first {
            self.nudge.notify_one();
        }
    }

    fn drop_all(&self, out: &mut Out) {
        self.metrics.backlog_bytes.sub(out.backlog.drop_all() as i64);
    }

    fn broken(&self, out: &mut Out) {
        self.drop_all(out);
        out.end.get_or_insert(End { reason: "lost", by: Instant::now() }).by = Instant::now();
        self.nudge.notify_one();
    }
}

impl End {
    pub(crate) fn is_overdue(&self) -> bool {
        Instant::now() >= self.by
    }
}

impl Outbox for Conn {
    fn deliver(&self, batch: &Batch) {
        let slow = {
            let mut out = self.out.lock();
            if out.end.is_some() {
                return;
            }
            self.write(&mut out, batch.wire(), true);
            out.backlog.room_bytes() > self.backlog_bytes_max
        };
        if slow {
            self.goodbye(Bye::Slow);
        }
    }

    fn whisper(&self, frame: &Frame) {
        let mut out = self.out.lock();
        if out.end.is_none() && out.backlog.is_empty() {
            self.write(&mut out, frame.wire(), true);
        }
    }

    fn reset(&self) {
        self.goodbye(Bye::Reset);
    }
}

impl Visitor for Conn {
    fn dismiss(&self) {
        self.ask_to_go(Going::Unauthorized);
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        self.metrics.backlog_bytes.sub(self.out.get_mut().backlog.bytes() as i64);
    }
}
