//! `leave`: nothing of the room comes after the answer.

use proto::{Refusal, RoomName, to_client};

use super::Guest;

impl Guest {
    pub(super) fn on_leave(&mut self, reference: Option<&str>, room: &RoomName) -> Result<(), Refusal> {
        self.seat(room)?;
        self.seats.remove(room);
        self.conn.answer(&to_client::left(reference, room));
        Ok(())
    }
}
