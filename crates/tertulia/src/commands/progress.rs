//! How far a long errand has come, for whoever waits: on standard error, a line now and then.

use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_secs(2);

/// Counts, and says so.
pub(super) struct Progress {
    /// What has been done to the messages: "exported".
    done: &'static str,
    pub(super) rooms: u64,
    pub(super) messages: u64,
    told: Instant,
}

impl Progress {
    pub(super) fn new(done: &'static str) -> Self {
        Self { done, rooms: 0, messages: 0, told: Instant::now() }
    }

    /// Says it if it is time.
    pub(super) fn tell(&mut self) {
        if self.told.elapsed() >= EVERY {
            self.told = Instant::now();
            super::mention(format_args!("{} so far", self.sentence()));
        }
    }

    pub(super) fn sentence(&self) -> String {
        let plural = |count| if count == 1 { "" } else { "s" };
        let (messages, rooms) = (self.messages, self.rooms);
        format!("{} {messages} message{} of {rooms} room{}", self.done, plural(messages), plural(rooms))
    }
}
