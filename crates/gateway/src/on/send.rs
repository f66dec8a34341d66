//! `send`: acknowledged once the store keeps it. The sender hears the message itself from the room, like everybody else.

use std::time::Instant;

use proto::{MessageId, Refusal, RoomName, Text, to_client};
use roomlog::{AppendError, Job};
use store::Post;

use super::Guest;
use super::traced::Answering;
use crate::metrics::result_of;
use crate::refusal;

impl Guest {
    pub(super) fn on_send(
        &mut self,
        reference: Option<String>,
        room: RoomName,
        id: MessageId,
        text: Text,
        reply_to: Option<u64>,
    ) -> Result<(), Refusal> {
        self.node.send_rate.spend(self.user.id).inspect_err(|_| {
            self.node.metrics.sends.with_label_values(&["rejected"]).inc();
        })?;
        let trace = self.node.config.tracer.begin("send");
        let post = Post { room: room.clone(), id, from: self.user.clone(), text, reply_to };
        let (node, conn, received) = (self.node.clone(), self.conn.clone(), Instant::now());
        conn.send_begins();
        let whole = trace.clone();
        let settle = move |answer: Result<to_client::Kept, AppendError>| {
            let answering = whole.map(|trace| Answering::begins(&trace, &room, &answer));
            let reference = reference.as_deref();
            let result = match answer {
                Ok(kept) => {
                    node.metrics.send_ack_seconds.observe(received.elapsed().as_secs_f64());
                    conn.answer_later(&to_client::ack(reference, &room, &kept));
                    "ok"
                }
                Err(error) => {
                    let refusal = refusal::of_append(&error);
                    node.refuse(&conn, reference, Some(&id.to_string()), &refusal);
                    result_of(&refusal)
                }
            };
            node.metrics.sends.with_label_values(&[result]).inc();
            conn.send_ends();
            if let Some(answering) = answering {
                answering.ends(&node.config.tracer);
            }
        };
        self.node.room_log.submit_traced(Job::Post(post), trace, Box::new(settle));
        Ok(())
    }
}
