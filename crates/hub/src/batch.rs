//! What a room owes its members, gathered.

use std::any::Any;
use std::sync::OnceLock;

use bytes::{Bytes, BytesMut};
use proto::Entry;

/// Entries that go to every member of a room together: several frames cost one write.
#[derive(Debug)]
pub struct Batch {
    entries: Vec<Entry>,
    wire: Bytes,
    other: OnceLock<Box<dyn Any + Send + Sync>>,
}

impl Batch {
    /// Gathers entries that rise by `rev`. A lone frame is shared as it is.
    pub fn new(entries: Vec<Entry>) -> Self {
        let wire = gather(&entries);
        Self { entries, wire, other: OnceLock::new() }
    }

    /// The entries, rising by `rev`.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Their frames, one after another, as a WebSocket wants them.
    pub fn wire(&self) -> &Bytes {
        &self.wire
    }

    /// The same entries as another door wants them: made by the first member that asks, shared by the rest. `None` if what is
    /// there was made for a third kind of door; there is none so far.
    pub fn other<T: Any + Send + Sync>(&self, make: impl FnOnce(&[Entry]) -> T) -> Option<&T> {
        self.other.get_or_init(|| Box::new(make(&self.entries))).downcast_ref()
    }

    /// What is left for somebody who has everything up to a number: all of it (as `Err`, nothing to make), a part, or nothing.
    pub(crate) fn above(&self, start: u64) -> Result<Option<Self>, &Self> {
        if self.entries.first().is_none_or(|first| first.rev > start) {
            return Err(self);
        }
        let rest = &self.entries[self.entries.partition_point(|entry| entry.rev <= start)..];
        Ok((!rest.is_empty()).then(|| Self::new(rest.to_vec())))
    }
}

fn gather(entries: &[Entry]) -> Bytes {
    if let [entry] = entries {
        return entry.frame.wire().clone();
    }
    let mut wire = BytesMut::with_capacity(entries.iter().map(|entry| entry.frame.wire().len()).sum());
    for entry in entries {
        wire.extend_from_slice(entry.frame.wire());
    }
    wire.freeze()
}
