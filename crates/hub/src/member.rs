//! One listener of one room.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use proto::{Frame, UserId};

use crate::Batch;

/// Where frames for one connection go. None of these may wait: what the socket does not take is the outbox's own
/// backlog, and past its bound the outbox closes itself.
pub trait Outbox: Send + Sync + 'static {
    /// Numbered entries of a room: each must arrive, in this order.
    fn deliver(&self, batch: &Batch);

    /// A frame that may be dropped when the connection is behind: presence, typing.
    fn whisper(&self, frame: &Frame);

    /// Positions are worth nothing any more: the client must come back and be told to start afresh.
    fn reset(&self);
}

pub(crate) struct Member {
    pub(crate) outbox: Arc<dyn Outbox>,
    pub(crate) user: UserId,
    /// Nothing at or below this number is sent.
    start: u64,
    /// Held while something is handed to the outbox, so that whoever shuts it knows that nothing more will be.
    open: Mutex<bool>,
    /// The member's place in the room's list.
    pub(crate) index: AtomicUsize,
}

impl Member {
    pub(crate) fn new(outbox: Arc<dyn Outbox>, user: UserId, start: u64, index: usize) -> Self {
        Self { outbox, user, start, open: Mutex::new(true), index: AtomicUsize::new(index) }
    }

    pub(crate) fn index(&self) -> usize {
        self.index.load(Ordering::Relaxed)
    }

    pub(crate) fn deliver(&self, batch: &Batch) {
        let open = self.open.lock();
        if *open {
            match batch.above(self.start) {
                Err(whole) => self.outbox.deliver(whole),
                Ok(Some(part)) => self.outbox.deliver(&part),
                Ok(None) => {}
            }
        }
    }

    pub(crate) fn whisper(&self, frame: &Frame) {
        let open = self.open.lock();
        if *open {
            self.outbox.whisper(frame);
        }
    }

    /// When this returns, nothing is being delivered and nothing more will be.
    pub(crate) fn shut(&self) {
        *self.open.lock() = false;
    }
}
