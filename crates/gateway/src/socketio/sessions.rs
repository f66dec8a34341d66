//! All sessions of the node by their number, and the clock that they share.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use engineioxide::socket::Sid;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::session::Session;
use super::{PING_INTERVAL, PING_TIMEOUT};

/// How long a goodbye may take to be read, in seconds.
const FAREWELL: u32 = 5;
/// Seconds of silence after which nobody is there: the engine asks, and has asked in vain.
const SILENCE: u32 = (PING_INTERVAL.as_secs() + PING_TIMEOUT.as_secs()) as u32 + 5;

#[derive(Default)]
pub(crate) struct Sessions {
    all: Mutex<HashMap<Sid, Arc<Session>>>,
    emptied: Notify,
}

impl Sessions {
    pub(super) fn add(&self, sid: Sid, session: Arc<Session>) {
        self.all.lock().insert(sid, session);
    }

    pub(super) fn get(&self, sid: Sid) -> Option<Arc<Session>> {
        self.all.lock().get(&sid).cloned()
    }

    pub(super) fn remove(&self, sid: Sid) {
        let mut all = self.all.lock();
        all.remove(&sid);
        if all.is_empty() {
            self.emptied.notify_waiters();
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.all.lock().len()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Session>> {
        self.all.lock().values().cloned().collect()
    }

    /// Returns when there is none left.
    pub(crate) async fn emptied(&self) {
        loop {
            let mut emptied = std::pin::pin!(self.emptied.notified());
            emptied.as_mut().enable();
            if self.len() == 0 {
                return;
            }
            emptied.await;
        }
    }

    /// Looks at every session once a second, for ever: who was not let in anywhere, who is not there any more, whose goodbye has
    /// taken too long.
    pub(crate) async fn watch(&self, connect_wait: Duration) {
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        seconds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            seconds.tick().await;
            self.all().iter().for_each(|session| look_at(session, connect_wait));
        }
    }
}

fn look_at(session: &Session, connect_wait: Duration) {
    let now = session.node.connections.now();
    let since = |then: u32| now.saturating_sub(then);
    if session.ending().is_some() {
        if since(session.ended_at.load(Ordering::Relaxed)) > FAREWELL {
            session.cut();
        }
    } else if !session.is_in.load(Ordering::Relaxed) && u64::from(since(session.began_at)) > connect_wait.as_secs() {
        session.end("no_hello");
    } else if session.had_stream.load(Ordering::Acquire) && session.streams.load(Ordering::Acquire) == 0 {
        // Mostly the engine has said so by now. It does not of an upgrade that failed half-way, and answers no more polls.
        session.end("lost");
    } else if since(session.heard_at.load(Ordering::Relaxed)) > SILENCE {
        session.end("idle");
        session.cut();
    }
}
