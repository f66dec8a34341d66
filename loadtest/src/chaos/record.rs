//! What a run leaves behind to be judged: each client's log, the store's rows, and what was broken when.
//!
//! All clients are tasks of one process, so all moments are of one clock: time since the run began.

use std::time::Duration;

use uuid::Uuid;

/// Time since the run began.
pub(crate) type Moment = Duration;
/// A room: its place in [`Evidence::rooms`].
pub(crate) type RoomIndex = usize;
/// Stands for a text, so that a log of millions of lines stays small. Equal texts have equal digests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Digest(pub(crate) u64);

/// Everything known once the run is over.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Evidence {
    /// The names of the rooms.
    pub(crate) rooms: Vec<String>,
    /// What each client did and saw, in the order in which it did and saw it.
    pub(crate) clients: Vec<ClientLog>,
    /// What the store holds at the end, one for each room, read from the database itself.
    pub(crate) store: Vec<StoredRoom>,
    /// What was broken, and when.
    pub(crate) faults: Vec<FaultSpan>,
    /// What the nodes' counters gained: how losses were healed and what was refused, by series (`tertulia_gaps_total{cause="skip"}`).
    /// A node's counters begin anew with its process; what a killed process had counted since it was last asked is lost.
    pub(crate) counters: Vec<CounterGain>,
    /// When the last fault was healed: from then on everything had time to settle until the end.
    pub(crate) healed_at: Moment,
    /// When the clients stopped.
    pub(crate) ended_at: Moment,
}

/// One client's log. A client lives through many connections; what it holds of a room outlives them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ClientLog {
    /// `writer 3`, `editor 1`, `reader 7`.
    pub(crate) name: String,
    /// Rising in time.
    pub(crate) lines: Vec<Line>,
}

/// One line of a log.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    /// When.
    pub(crate) at: Moment,
    /// What.
    pub(crate) what: What,
}

/// Why a client's last connection ended, if it stopped by itself: no loss, and it did nothing after.
pub(crate) const OVER: &str = "over";

/// What a client did or saw.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum What {
    /// A message was written to the socket: for the first time, or again under the same id. Noted before its first byte is
    /// written, or what came between would seem to come before it.
    Sent { room: RoomIndex, id: Uuid, text: Digest },
    /// It was acknowledged.
    Acked { room: RoomIndex, id: Uuid, seq: u64 },
    /// It was refused for now (`unavailable`, `busy`, `rate_limited` …); the client sends it again later.
    Deferred { room: RoomIndex, id: Uuid, code: String },
    /// It was refused for good, and the client gave it up.
    Refused { room: RoomIndex, id: Uuid, code: String },
    /// A change was written to the socket, for the first time or again; no text is a deletion. Noted before its first byte.
    ChangeAsked { room: RoomIndex, seq: u64, text: Option<Digest> },
    /// The oldest change asked of this message was acknowledged; `rev` is the number the node names.
    ChangeAcked { room: RoomIndex, seq: u64, rev: u64 },
    /// A change was given up: refused for good.
    ChangeRefused { room: RoomIndex, seq: u64, code: String },
    /// A connection was made and welcomed.
    Connected { node: String },
    /// It ended: `bye drain`, `closed 1012`, `lost`, `silent` …; `over` when the client stopped, which ends its log.
    Lost { why: String },
    /// A connection could not be made: `refused`, `503`, …
    NotLetIn { why: String },
    /// A `join` was written to the socket. `after` is the client's position: `None` is a first join of the recent tail.
    /// A client has one under way in a room at most; one that was refused is asked again.
    JoinAsked { room: RoomIndex, after: Option<u64> },
    /// A page of its answer, before the messages in it.
    Joined { room: RoomIndex, epoch: String, head: u64, reset: bool, more: bool },
    /// A message, live or in a page of `joined`; no text is a deleted one.
    Got { room: RoomIndex, seq: u64, rev: u64, id: Uuid, text: Option<Digest>, page: bool },
}

/// What the store holds of one room.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct StoredRoom {
    /// The room's latest number, as the store says; 0 when nobody ever wrote in it.
    pub(crate) head: u64,
    /// Its messages by `seq`.
    pub(crate) messages: Vec<StoredMessage>,
}

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StoredMessage {
    pub(crate) seq: u64,
    pub(crate) rev: u64,
    pub(crate) id: Uuid,
    /// As it is now; `None` once deleted.
    pub(crate) text: Option<Digest>,
}

/// Something that was broken for a while.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FaultSpan {
    /// Its kind, as on the command line: `node-kill`.
    pub(crate) kind: &'static str,
    /// To whom it was done: `n2`, `redis`, `postgres`, `proxy`, `clients`.
    pub(crate) target: String,
    pub(crate) began: Moment,
    /// When it was undone.
    pub(crate) ended: Moment,
}

/// How much a counter gained over the run, on all nodes and through their restarts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CounterGain {
    pub(crate) series: String,
    pub(crate) gain: f64,
    /// When it was seen to have gained, and by how much each time.
    pub(crate) steps: Vec<(Moment, f64)>,
}
