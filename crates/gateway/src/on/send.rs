//! `send`: acknowledged once the store keeps it. The sender hears the message itself from the room, like everybody else.

use proto::{MessageId, Refusal, RoomName, Text, to_client};
use roomlog::Job;
use store::Post;

use super::Guest;
use crate::writing::{Kind, Writing};

impl Guest {
    pub(super) fn on_send(
        &mut self,
        reference: Option<String>,
        room: RoomName,
        id: MessageId,
        text: Text,
        reply_to: Option<u64>,
    ) -> Result<(), Refusal> {
        let writing = Writing::begin(&self.node, self.user.id, Kind::Send)?;
        let post = Post { room: room.clone(), id, from: self.user.clone(), text, reply_to };
        let (node, conn, place) = (self.node.clone(), self.conn.clone(), room.clone());
        conn.send_begins();
        writing.submit(&room, Job::Post(post), move |told| {
            let reference = reference.as_deref();
            match told {
                Ok(kept) => conn.answer_later(&to_client::ack(reference, &place, &kept)),
                Err(refusal) => node.refuse(&conn, reference, Some(&id.to_string()), &refusal),
            }
            conn.send_ends();
        });
        Ok(())
    }
}
