//! Reading back what is missing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Inner;
use crate::metrics::Cause;
use crate::room::Room;

/// Most entries in one read.
const READ_LEN: usize = 500;
/// How long a room waits after a read that failed or brought nothing; the sweep would find it too, but this knows already.
const RETRY: Duration = Duration::from_millis(500);

impl Inner {
    /// A number was skipped: waits a moment for it, then reads. One at a time for a room.
    pub(crate) fn fill_gap(self: &Arc<Self>, room: &Arc<Room>) {
        if std::mem::replace(&mut room.lock().filling, true) {
            return;
        }
        let (hub, room) = (self.clone(), room.clone());
        self.spawn(async move {
            loop {
                let stood_at = room.lock().sequence.known();
                tokio::time::sleep(hub.config.gap_wait).await;
                {
                    let mut state = room.lock();
                    if !state.sequence.has_gap() {
                        state.filling = false;
                        return;
                    }
                    // It came late, and now another is missing: that one may take its time too.
                    if state.sequence.known() != stood_at {
                        continue;
                    }
                }
                let answered = hub.fill(&room, Cause::Skip).await;
                // A store that does not have the number either is not asked without a pause.
                if !answered || room.lock().sequence.known() == stood_at {
                    tokio::time::sleep(RETRY).await;
                }
            }
        });
    }

    /// Somebody knows of a higher number: waits a moment for it to come by itself, then reads.
    pub(crate) fn look_behind(self: &Arc<Self>, room: &Arc<Room>, cause: Cause) {
        if std::mem::replace(&mut room.lock().looking, true) {
            return; // that look is still to come, and will see this number too
        }
        let (hub, room) = (self.clone(), room.clone());
        self.spawn(async move {
            tokio::time::sleep(hub.config.gap_wait).await;
            room.lock().looking = false;
            hub.fill(&room, cause).await;
        });
    }

    /// Reads everything above what the room has, and hands it on. `false` if the store did not answer.
    pub(crate) async fn fill(self: &Arc<Self>, room: &Arc<Room>, cause: Cause) -> bool {
        let began = Instant::now();
        let mut found = 0;
        loop {
            let (warm, after) = {
                let state = room.lock();
                (state.is_warm(), state.sequence.known())
            };
            if !warm {
                return true; // it will be read when somebody joins
            }
            let Ok(_permit) = self.read_permit().await else { return false };
            let Ok(changes) = self.answered(self.store.changes(&room.name, after, READ_LEN).await) else {
                return false;
            };
            self.note_epoch(changes.epoch);
            if changes.epoch != self.view.epoch() {
                return true;
            }
            found += room.fill(self, &changes);
            if !changes.more {
                break;
            }
        }
        if found > 0 {
            self.metrics.healed(cause, began.elapsed());
            tracing::debug!(room = %room.name, cause = cause.as_str(), found, "read back what was missing");
        }
        true
    }
}
