//! All sessions of the node by the engine's number, looked at by the clock that connections have.

use std::sync::atomic::Ordering;
use std::time::Duration;

use engineioxide::socket::Sid;

use super::session::Session;
use super::{PING_INTERVAL, PING_TIMEOUT};
use crate::node::Node;
use crate::roster::Roster;

/// How long a goodbye may take to be read, in seconds.
const FAREWELL: u32 = 5;
/// Seconds of silence after which nobody is there: the engine asks, and has asked in vain.
const SILENCE: u32 = (PING_INTERVAL.as_secs() + PING_TIMEOUT.as_secs()) as u32 + 5;

/// The node's sessions, as the engine calls them.
pub(crate) type Sessions = Roster<Sid, Session>;

/// Looks at every session once a second, for ever: who was not let in anywhere, who is not there any more, whose goodbye has
/// taken too long.
pub(crate) async fn watch(node: &Node) {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        seconds.tick().await;
        node.sessions.all().iter().for_each(|session| look_at(session, node.config.hello_wait));
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
    } else if session.had_stream.load(Ordering::Acquire) && !session.has_stream() {
        // Mostly the engine has said so by now.
        session.end("lost");
    } else if session.is_counted.load(Ordering::Relaxed) && is_lost(session, now) {
        session.end("lost");
        session.cut();
    } else if session.pulse.silence(now) > SILENCE {
        session.end("idle");
        session.cut();
    }
}

/// Whether somebody is not there any more whom others miss; asks, while that is not sure.
fn is_lost(session: &Session, now: u32) -> bool {
    if !session.has_stream() {
        return session.pulse.is_unpolled(now);
    }
    if session.holds_back() {
        // Who is not read from cannot be heard.
        session.heard();
    } else if session.pulse.is_to_ask(now) {
        session.reader.wake();
    }
    session.pulse.is_silent(now)
}
