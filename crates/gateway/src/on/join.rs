//! `join`: an answer complete to a number, and from there everything live.

use futures_util::FutureExt;
use hub::{Answer, Ask};
use proto::to_client::{self, Joined};
use proto::{Code, Position, Refusal, RoomName};

use super::Guest;
use crate::refusal;
use crate::ws::session::{After, Work};

impl Guest {
    pub(super) fn on_join(
        &mut self,
        reference: Option<String>,
        room: RoomName,
        position: Option<Position>,
        limit: usize,
    ) -> Result<Work, Refusal> {
        let mut seat = match self.seats.remove(&room) {
            Some(seat) => seat, // joining again starts the subscription again; the person was here all along
            None if self.seats.len() >= self.node.config.rooms_per_connection => {
                let detail = format!("a connection listens to at most {} rooms", self.seats.len());
                return Err(Refusal::new(Code::TooManyRooms, detail));
            }
            None => self.node.hub.enter(&room, self.user.clone(), self.conn.clone()),
        };
        let (node, conn) = (self.node.clone(), self.conn.clone());
        Ok(async move {
            conn.until_all_sent().await;
            let joined = seat
                .join(Ask { position, limit }, &mut |answer: &Answer<'_>| {
                    let head = Joined {
                        reference: reference.as_deref(),
                        room: &room,
                        epoch: answer.epoch,
                        head: answer.head,
                        reset: answer.reset,
                        more: answer.more,
                        members: answer.members,
                        stale: answer.stale,
                    };
                    conn.answer(&to_client::joined(&head, answer.entries.iter().map(|entry| entry.frame.payload())));
                })
                .await;
            match joined {
                Ok(()) => After::Seated(room, seat),
                Err(error) => {
                    node.refuse(&conn, reference.as_deref(), None, &refusal::of_hub(&error));
                    After::Nothing
                }
            }
        }
        .boxed())
    }
}
