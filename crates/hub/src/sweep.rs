//! Comparing heads with the store: at once where something may have been lost, and now and then in any case.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use proto::{Epoch, RoomName};

use crate::metrics::Cause;
use crate::room::Room;
use crate::{HubError, Inner};

/// Rooms in one read of heads.
const ROOMS_A_READ: usize = 1000;

impl Inner {
    /// The slow sweep, for ever. While nodes cannot hear each other it is quick, and is what carries messages.
    pub(crate) async fn sweep(self: Arc<Self>) {
        loop {
            let every = if self.bus.is_up() { self.config.sweep_every } else { self.config.sweep_every_deaf };
            tokio::select! {
                () = tokio::time::sleep(every) => {}
                () = self.sweep_now.notified() => {}
            }
            let cause = if self.bus.is_up() { Cause::Sweep } else { Cause::Away };
            self.compare(self.rooms.all(), cause).await;
            // A node that nobody listens on still writes epochs on what it publishes.
            if self.rooms.len() == 0
                && let Ok(epoch) = self.answered(self.store.epoch().await)
            {
                self.note_epoch(epoch);
            }
        }
    }

    /// Compares the numbers of some rooms with the store's and reads what is missing.
    pub(crate) async fn compare(self: &Arc<Self>, rooms: Vec<Arc<Room>>, cause: Cause) {
        for chunk in rooms.chunks(ROOMS_A_READ) {
            let behind = self.behind(chunk, cause).await;
            if behind.is_empty() {
                continue;
            }
            // What is under way is not lost; only what stays away is a find. After a known loss nobody waits.
            if cause == Cause::Sweep {
                tokio::time::sleep(self.config.sweep_grace).await;
            }
            let fills = futures_util::stream::iter(behind);
            // In a quiet cluster this is nobody; with Redis away it may be every room, and none should wait for all others.
            let at_once = self.config.reads_max;
            let heal = async |(room, head): (Arc<Room>, u64)| {
                {
                    let state = room.lock();
                    if state.sequence.known() >= head {
                        return;
                    }
                    if cause == Cause::Sweep && !state.filling {
                        self.metrics.sweep_found.inc();
                        tracing::warn!(room = %room.name, head, known = state.sequence.known(), "a lost publication was found by the sweep");
                    }
                }
                self.fill(&room, cause).await;
            };
            fills.for_each_concurrent(at_once, heal).await;
        }
    }

    /// The warm rooms that the store is ahead of, with the store's head.
    async fn behind(self: &Arc<Self>, rooms: &[Arc<Room>], cause: Cause) -> Vec<(Arc<Room>, u64)> {
        let warm: Vec<(Arc<Room>, Epoch, u64)> = rooms
            .iter()
            .filter_map(|room| {
                let state = room.lock();
                // A room that lingers may be joined again at once: a known loss counts there too.
                let counts = state.is_warm() && (state.is_pinned() || !matches!(cause, Cause::Sweep | Cause::Away));
                counts.then(|| (room.clone(), state.epoch, state.sequence.known()))
            })
            .collect();
        if warm.is_empty() {
            return Vec::new();
        }
        let names: Vec<RoomName> = warm.iter().map(|(room, ..)| room.name.clone()).collect();
        let Ok(heads) = self.answered(self.store.heads(&names).await) else { return Vec::new() };
        self.note_epoch(heads.epoch);
        let mut behind = Vec::new();
        for ((room, epoch, known), (head, floor)) in warm.into_iter().zip(heads.heads.into_iter().zip(heads.floors)) {
            // What a room has forgotten, its nodes learn here, and see to it that Redis does.
            if epoch == heads.epoch && floor > 0 && room.forget(epoch, floor) {
                self.bus.forget(&room.name, epoch, floor);
            }
            if epoch != heads.epoch {
                // Numbers of two histories say nothing about each other; the room is about to start again.
            } else if head > known {
                behind.push((room, head));
            } else if head < known {
                self.head_fell(&room, known, epoch).await;
            }
        }
        behind
    }

    /// A head below what was delivered, read after the delivery: if a second read agrees, numbers will be issued twice,
    /// and the history needs another epoch.
    async fn head_fell(self: &Arc<Self>, room: &Room, delivered: u64, epoch: Epoch) {
        let Ok(again) = self.store.heads(std::slice::from_ref(&room.name)).await else { return };
        if again.epoch != epoch || again.heads.first().is_none_or(|head| *head >= delivered) {
            return;
        }
        tracing::error!(room = %room.name, delivered, head = ?again.heads, "the store has lost numbers: its epoch is rotated");
        match self.store.rotate_epoch(epoch).await {
            Ok(new) => self.note_epoch(new),
            Err(error) => tracing::error!(%error, "the epoch could not be rotated"),
        }
    }

    /// Takes note of an epoch that came with a read or a publication. A new one is confirmed by a read of its own, since an
    /// answer that was long under way may bring the old one after the new.
    pub(crate) fn note_epoch(self: &Arc<Self>, seen: Epoch) {
        if seen == self.view.epoch() || self.noting_epoch.swap(true, Ordering::AcqRel) {
            return;
        }
        let hub = self.clone();
        self.spawn(async move {
            while hub.check_epoch().await.is_err() {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        });
    }

    /// Reads the epoch; if it is another, every room starts again. One at a time, so that what is read later counts.
    pub(crate) async fn check_epoch(&self) -> Result<(), HubError> {
        let _alone = self.checking_epoch.lock().await;
        let epoch = self.answered(self.store.epoch().await)?;
        self.noting_epoch.store(false, Ordering::Release);
        if self.view.set_epoch(epoch) {
            tracing::warn!(%epoch, "the history has a new epoch: every client starts afresh");
            self.rooms.all().iter().for_each(|room| drop(room.current(&self.view)));
        }
        Ok(())
    }
}
