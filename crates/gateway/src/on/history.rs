//! `history`: older messages, oldest first.

use futures_util::FutureExt;
use proto::{RoomName, to_client};

use super::Guest;
use crate::refusal;
use crate::ws::session::{After, Work};

impl Guest {
    pub(super) fn on_history(
        &mut self,
        reference: Option<String>,
        room: RoomName,
        before: Option<u64>,
        limit: usize,
    ) -> Work {
        let (node, conn) = (self.node.clone(), self.conn.clone());
        async move {
            conn.until_all_sent().await;
            let reference = reference.as_deref();
            match node.hub.history(&room, before, limit).await {
                Ok(page) => {
                    let messages = page.entries().iter().map(|entry| entry.frame.payload());
                    conn.answer(&to_client::history(reference, &room, page.more(), messages));
                }
                Err(error) => node.refuse(&conn, reference, None, &refusal::of_hub(&error)),
            }
            After::Nothing
        }
        .boxed()
    }
}
