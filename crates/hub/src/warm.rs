//! How a room becomes warm: subscribed, then read, then able to answer.

use std::sync::Arc;

use proto::{Entry, Epoch};

use crate::metrics::{Cause, Source};
use crate::room::{Room, State};
use crate::{HubError, Inner};

/// What a cold room starts from: the entries above `after`, complete to `complete_to`.
struct Start {
    epoch: Epoch,
    after: u64,
    complete_to: u64,
    /// At or below it everything is gone.
    floor: u64,
    entries: Vec<Entry>,
    source: Source,
}

impl State {
    /// Starts from what was read; `false` if that belongs to another history than the room's.
    fn seed(&mut self, Start { epoch, after, complete_to, floor, entries, .. }: Start) -> bool {
        if self.epoch != epoch {
            return false;
        }
        self.sequence.seed(after, entries, complete_to);
        self.sequence.forget(floor);
        true
    }
}

impl Inner {
    /// Sees to it that a room is warm. Many may wait for the one that does the work; only that one is told where the
    /// room's start came from.
    pub(crate) async fn warm(self: &Arc<Self>, room: &Arc<Room>) -> Result<Option<Source>, HubError> {
        if room.lock().is_warm() {
            return Ok(None);
        }
        let _alone = room.warming.lock().await;
        if room.lock().is_warm() {
            return Ok(None);
        }
        self.until_subscribed(room).await;
        for (node, count) in self.bus.presence(&room.name).await {
            room.lock().presence.others(node, count);
        }
        loop {
            let doubts = room.doubts();
            let start = self.start_of(room).await?;
            let (epoch, source) = (start.epoch, start.source);
            if !room.current(&self.view).seed(start) {
                self.check_epoch().await?;
                continue;
            }
            // What came since the subscription waited; the read may have left some of it to go out.
            if room.take(self, epoch, Vec::new(), None) == Some(true) {
                self.fill_gap(room);
            }
            // Subscribed, or lost, while the read was under way: whoever compared then passed over a cold room.
            if room.doubts() != doubts {
                let (hub, room) = (self.clone(), room.clone());
                self.spawn(async move { hub.compare(vec![room], Cause::Reconnect).await });
            }
            return Ok(Some(source));
        }
    }

    /// The order that makes heads worth reading: subscribed first. While the bus is away there is nothing to wait
    /// for, and the quickened sweep covers it.
    async fn until_subscribed(&self, room: &Room) {
        let heard = async {
            loop {
                let mut now = std::pin::pin!(room.subscribed_now.notified());
                now.as_mut().enable();
                if room.is_subscribed() || !self.bus.is_up() {
                    return;
                }
                now.await;
            }
        };
        if tokio::time::timeout(self.config.subscribe_wait, heard).await.is_err() {
            tracing::warn!(room = %room.name, "the subscription is not confirmed; the sweep watches the room");
        }
    }

    async fn start_of(self: &Arc<Self>, room: &Room) -> Result<Start, HubError> {
        let _permit = self.read_permit().await?;
        let epoch = self.view.epoch();
        if let Some(recent) = self.bus.recall(&room.name, epoch).await {
            let heads = self.answered(self.store.heads(std::slice::from_ref(&room.name)).await)?;
            let [head, floor] = [heads.heads, heads.floors].map(|numbers| numbers.first().copied().unwrap_or(0));
            if heads.epoch == epoch
                && let Some(after) = recent.floor(head)
                && let Some((entries, complete_to)) = recent.above(after, head)
            {
                return Ok(Start { epoch, after, complete_to, floor, entries, source: Source::Cache });
            }
        }
        let newest = self.answered(self.store.newest_changes(&room.name, self.config.ring_span).await)?;
        Ok(Start {
            epoch: newest.epoch,
            after: newest.after,
            complete_to: newest.complete_to,
            floor: newest.floor,
            entries: newest.messages.iter().map(proto::Message::entry).collect(),
            source: Source::Store,
        })
    }
}
