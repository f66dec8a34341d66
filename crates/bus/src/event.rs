//! What a bus tells its one listener, the hub.

use bytes::Bytes;
use proto::{NodeId, RoomName};

/// One thing that happened on the bus. Delivered in order through a bounded queue; when that is full, publications are
/// dropped and a [`BusEvent::Lost`] takes their place. The other events wait for room, gathered: they are never dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BusEvent {
    /// An envelope arrived on a room's channel. It may come late, twice, out of order or never.
    Publication {
        /// The room.
        room: RoomName,
        /// The bytes of a [`proto::Envelope`].
        envelope: Bytes,
    },
    /// From now on publications of these rooms arrive: heads read after this find whatever was missed before.
    Subscribed(Vec<RoomName>),
    /// Publications may be missing in any room, from now back. After [`Loss::Lag`] the subscriptions hold; after the
    /// other two `Subscribed` follows for every wanted room, as soon as the connection is back.
    Lost(Loss),
    /// Other nodes can or cannot be heard from now on. After a return, `Subscribed` follows for every wanted room.
    Reachable(bool),
    /// Nothing has been heard of a node for some seconds, or it said goodbye: its people are no longer counted.
    NodeGone(NodeId),
}

/// How publications were lost, as far as the bus knows. The label of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Loss {
    /// The subscriber connection ended.
    Reconnect,
    /// They came faster than they were taken.
    Lag,
    /// The connection claimed to be well and brought nothing: three canaries were missed.
    Deaf,
}

impl Loss {
    /// All of them, for metrics that exist from the start.
    pub const ALL: [Self; 3] = [Self::Reconnect, Self::Lag, Self::Deaf];

    /// The word on metrics and in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reconnect => "reconnect",
            Self::Lag => "lag",
            Self::Deaf => "deaf",
        }
    }
}
