//! `edit` and `delete`: an author's second thoughts. Each takes the room's next number and is acknowledged like a send.

use proto::{Refusal, RoomName, Text, to_client};
use roomlog::Job;
use store::{Amendment, Change};

use super::Guest;
use crate::writing::{Kind, Writing};

impl Guest {
    pub(super) fn on_edit(
        &mut self,
        reference: Option<String>,
        room: RoomName,
        seq: u64,
        text: Text,
    ) -> Result<(), Refusal> {
        self.amend(reference, room, seq, Change::Text(text))
    }

    pub(super) fn on_delete(&mut self, reference: Option<String>, room: RoomName, seq: u64) -> Result<(), Refusal> {
        self.amend(reference, room, seq, Change::Delete)
    }

    fn amend(&mut self, reference: Option<String>, room: RoomName, seq: u64, change: Change) -> Result<(), Refusal> {
        let kind = if matches!(change, Change::Delete) { Kind::Delete } else { Kind::Edit };
        let writing = Writing::begin(&self.node, self.user.id, kind)?;
        let amendment = Amendment { room: room.clone(), seq, by: self.user.id, change };
        let (node, conn, place) = (self.node.clone(), self.conn.clone(), room.clone());
        conn.send_begins();
        writing.submit(&room, Job::Amend(amendment), move |told| {
            let reference = reference.as_deref();
            match told {
                Ok(kept) => conn.answer_later(&to_client::ack(reference, &place, &kept)),
                Err(refusal) => node.refuse(&conn, reference, None, &refusal),
            }
            conn.send_ends();
        });
        Ok(())
    }
}
