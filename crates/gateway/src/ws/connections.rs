//! All connections of the node, and the one clock that they share.
//!
//! A timer each would cost every idle connection memory and every core wake-ups. Instead one task looks at all of them
//! once a second: who has not said hello, who is not there any more, whose goodbye has taken too long.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::out::Conn;
use crate::roster::Roster;

/// The node's connections by number.
#[derive(Default)]
pub(crate) struct Connections {
    pub(crate) open: Roster<u64, Conn>,
    next: AtomicU64,
    /// Seconds since the node started, moved on by the tick.
    now: AtomicU32,
}

impl Connections {
    pub(crate) fn add(&self, conn: &Arc<Conn>) -> u64 {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.open.add(number, conn.clone());
        number
    }

    pub(crate) fn now(&self) -> u32 {
        self.now.load(Ordering::Relaxed)
    }

    /// Looks at every connection once a second, for ever.
    pub(crate) async fn watch(&self, hello_wait: Duration, heartbeat: Duration) {
        let heartbeat = (heartbeat.as_secs() as u32).max(1);
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        seconds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            seconds.tick().await;
            let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
            for (number, conn) in self.open.lock().iter() {
                look_at(*number, conn, now, hello_wait, heartbeat);
            }
        }
    }
}

fn look_at(number: u64, conn: &Conn, now: u32, hello_wait: Duration, heartbeat: u32) {
    let silent = now.saturating_sub(conn.heard_at.load(Ordering::Relaxed));
    if let Some(end) = conn.ending() {
        if end.is_overdue() {
            conn.abandon(end.reason);
        }
    } else if !conn.is_welcome.load(Ordering::Relaxed) {
        // However busy it is otherwise.
        if u64::from(now.saturating_sub(conn.began_at)) > hello_wait.as_secs() {
            conn.close("no_hello", 1008, "say hello first");
        }
    } else if silent > 2 * heartbeat + heartbeat / 2 {
        conn.abandon("idle");
    } else if silent >= heartbeat && number % u64::from(heartbeat) == u64::from(now % heartbeat) {
        conn.ping();
    }
}
