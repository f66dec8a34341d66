//! `typing`: shown to the others for a moment, kept nowhere.

use std::time::{Duration, Instant};

use proto::{Refusal, RoomName};

use super::Guest;

/// A person is shown writing at most this often; what comes sooner says nothing new.
const EVERY: Duration = Duration::from_secs(1);

impl Guest {
    pub(super) fn on_typing(&mut self, room: &RoomName) -> Result<(), Refusal> {
        self.seat(room)?;
        if self.typed_at.is_none_or(|at| at.elapsed() >= EVERY) {
            self.typed_at = Some(Instant::now());
            self.node.hub.typing(room, &self.user);
        }
        Ok(())
    }
}
