//! What tunes the hub.

use std::time::Duration;

use trace::Tracer;

/// Bounds and rhythms of the hub.
#[derive(Clone, Debug)]
pub struct HubConfig {
    /// Most bytes in one room's ring.
    pub ring_bytes_max: usize,
    /// Most bytes in all rings together.
    pub rings_bytes_max: usize,
    /// Numbers that a cold room reads back to fill its ring, so that returning clients cost one read a room.
    pub ring_span: u64,
    /// Most entries in one page of a `joined` that comes from the store.
    pub page_len: usize,
    /// Reads of the store at once.
    pub reads_max: usize,
    /// How long a skipped number may be late before it is read from the store.
    pub gap_wait: Duration,
    /// How long a join waits for the room's subscription; after that the sweep must find what is missed.
    pub subscribe_wait: Duration,
    /// How often heads are compared with the store's. With its grace it stays below the 5 s that are promised.
    pub sweep_every: Duration,
    /// The same while nodes cannot hear each other: it is what carries messages then.
    pub sweep_every_deaf: Duration,
    /// How long a publication may be under way before the sweep calls it lost: a bus under load is late, and a find must
    /// point at a loss.
    pub sweep_grace: Duration,
    /// How long a room stays subscribed after its last seat.
    pub linger: Duration,
    /// Least time between two presence frames of a room.
    pub presence_every: Duration,
    /// Rooms with at most this many members are written to at once, larger ones by a task.
    pub inline_members_max: usize,
    /// Who is told of publications that are traced.
    pub tracer: Tracer,
}

impl Default for HubConfig {
    fn default() -> Self {
        Self {
            ring_bytes_max: 256 * 1024,
            rings_bytes_max: 64 * 1024 * 1024,
            ring_span: 256,
            page_len: 200,
            reads_max: 4,
            gap_wait: Duration::from_millis(50),
            subscribe_wait: Duration::from_secs(1),
            sweep_every: Duration::from_millis(2500),
            sweep_every_deaf: Duration::from_millis(400),
            sweep_grace: Duration::from_secs(1),
            linger: Duration::from_secs(10),
            presence_every: Duration::from_secs(1),
            inline_members_max: 16,
            tracer: Tracer::default(),
        }
    }
}
