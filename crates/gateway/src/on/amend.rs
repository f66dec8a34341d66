//! `edit` and `delete`: an author's second thoughts. Each takes the room's next number and is acknowledged like a send.

use proto::{Refusal, RoomName, Text, to_client};
use roomlog::Job;
use store::{Amendment, Change};

use super::Guest;
use super::traced::Answering;
use crate::metrics::result_of;
use crate::refusal;

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
        self.node.send_rate.spend(self.user.id).inspect_err(|_| {
            self.node.metrics.amendments.with_label_values(&["rejected"]).inc();
        })?;
        let trace = self.node.config.tracer.begin(if matches!(change, Change::Delete) { "delete" } else { "edit" });
        let amendment = Amendment { room: room.clone(), seq, by: self.user.id, change };
        let (node, conn) = (self.node.clone(), self.conn.clone());
        conn.send_begins();
        let whole = trace.clone();
        let settle = move |answer: Result<to_client::Kept, _>| {
            let answering = whole.map(|trace| Answering::begins(&trace, &room, &answer));
            let result = match answer {
                Ok(kept) => {
                    conn.answer_later(&to_client::ack(reference.as_deref(), &room, &kept));
                    "ok"
                }
                Err(error) => {
                    let refusal = refusal::of_append(&error);
                    node.refuse(&conn, reference.as_deref(), None, &refusal);
                    result_of(&refusal)
                }
            };
            node.metrics.amendments.with_label_values(&[result]).inc();
            conn.send_ends();
            if let Some(answering) = answering {
                answering.ends(&node.config.tracer);
            }
        };
        self.node.room_log.submit_traced(Job::Amend(amendment), trace, Box::new(settle));
        Ok(())
    }
}
