//! Whether somebody is still there.
//!
//! The engine asks every 25 s and waits 20 s more; clients are told so, and it is no matter for most. But of who is counted others are
//! told within 15 s that they were lost, whatever stands between: proxies keep their own connections alive. So these are asked by a
//! WebSocket's own pings, which every client answers without its user's knowing; and by polling they must ask again soon.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

/// Seconds of silence after which a WebSocket is asked, and asked again.
const ASK_AFTER: u32 = 3;
/// Seconds of silence after which nobody is there.
const LOST_AFTER: u32 = 10;
/// Whoever was written as much since they were last heard may only be slow: the question waits behind it.
const MUCH: usize = 256 * 1024;
/// Seconds without a poll after which nobody is there.
const UNPOLLED: u32 = 7;

/// Signs of life. All times are seconds on the node's clock.
#[derive(Debug)]
pub(super) struct Pulse {
    heard_at: AtomicU32,
    asked_at: AtomicU32,
    asks: AtomicBool,
    /// Bytes written since something was heard.
    written: AtomicUsize,
    polled_at: AtomicU32,
    polls: AtomicU32,
    /// Whether the client is on the way from polling to a WebSocket.
    goes_over: AtomicBool,
}

impl Pulse {
    pub(super) fn new(now: u32) -> Self {
        Self {
            heard_at: AtomicU32::new(now),
            asked_at: AtomicU32::new(now),
            asks: AtomicBool::new(false),
            written: AtomicUsize::new(0),
            polled_at: AtomicU32::new(now),
            polls: AtomicU32::new(0),
            goes_over: AtomicBool::new(false),
        }
    }

    /// Something came from the client.
    pub(super) fn heard(&self, now: u32) {
        self.heard_at.store(now, Ordering::Relaxed);
        self.written.store(0, Ordering::Relaxed);
    }

    pub(super) fn wrote(&self, bytes: usize) {
        self.written.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn silence(&self, now: u32) -> u32 {
        now.saturating_sub(self.heard_at.load(Ordering::Relaxed))
    }

    pub(super) fn poll_begins(&self, now: u32) {
        self.polls.fetch_add(1, Ordering::AcqRel);
        self.heard(now);
    }

    /// A poll is answered; the client has that at some time, and may poll again from then on.
    pub(super) fn poll_ends(&self, at: u32) {
        self.polled_at.store(at, Ordering::Relaxed);
        self.polls.fetch_sub(1, Ordering::AcqRel);
    }

    pub(super) fn goes_over(&self, goes_over: bool) {
        self.goes_over.store(goes_over, Ordering::Release);
    }

    pub(super) fn is_going_over(&self) -> bool {
        self.goes_over.load(Ordering::Acquire)
    }

    /// Whether nobody has polled for too long.
    pub(super) fn is_unpolled(&self, now: u32) -> bool {
        let since = now.saturating_sub(self.polled_at.load(Ordering::Relaxed));
        self.polls.load(Ordering::Acquire) == 0 && since > UNPOLLED
    }

    /// Whether nothing has come by a WebSocket for too long.
    pub(super) fn is_silent(&self, now: u32) -> bool {
        self.silence(now) > LOST_AFTER && self.written.load(Ordering::Relaxed) < MUCH
    }

    /// Whether it is time to ask; the stream then does.
    pub(super) fn is_to_ask(&self, now: u32) -> bool {
        let is_due =
            self.silence(now) >= ASK_AFTER && now.saturating_sub(self.asked_at.load(Ordering::Relaxed)) >= ASK_AFTER;
        if is_due {
            self.asked_at.store(now, Ordering::Relaxed);
            self.asks.store(true, Ordering::Release);
        }
        is_due
    }

    /// Takes the question that waits to be asked.
    pub(super) fn takes_question(&self) -> bool {
        self.asks.swap(false, Ordering::AcqRel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_silent_is_asked_and_then_given_up_unless_much_is_under_way() {
        let pulse = Pulse::new(100);
        assert!(!pulse.is_to_ask(102) && !pulse.takes_question());
        assert!(pulse.is_to_ask(103) && pulse.takes_question() && !pulse.takes_question());
        assert!(!pulse.is_to_ask(105), "not at once again");
        assert!(!pulse.is_silent(110) && pulse.is_silent(111));
        pulse.wrote(MUCH);
        assert!(!pulse.is_silent(200));
        pulse.heard(200);
        assert!(pulse.is_silent(211));
    }

    #[test]
    fn a_poll_that_waits_is_a_sign_of_life_and_so_is_its_end_for_a_while() {
        let pulse = Pulse::new(100);
        pulse.poll_begins(101);
        assert!(!pulse.is_unpolled(200));
        pulse.poll_ends(200);
        assert!(!pulse.is_unpolled(207) && pulse.is_unpolled(208));
    }
}
