//! What the run tells its clients, and what they tell it.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;

/// What all clients are told.
#[derive(Clone, Default)]
pub(crate) struct Orders {
    /// Nothing new is said; what is under way is settled.
    pub(crate) quiet: bool,
    /// The run is over.
    pub(crate) over: bool,
    /// Texts are padded to this many bytes.
    pub(crate) text_bytes: usize,
    /// The numbers of those who do not read.
    pub(crate) stalled: Arc<HashSet<usize>>,
}

/// How a client stands, for the run to see when everything is settled.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standing {
    /// Messages and changes without an answer.
    pub(crate) owed: usize,
    /// In each room the position, once the subscription is complete on the present connection.
    pub(crate) positions: Vec<Option<u64>>,
}

/// A standing that both can see.
pub(crate) type Shared = Arc<Mutex<Standing>>;
