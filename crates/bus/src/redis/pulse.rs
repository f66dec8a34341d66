//! Who is alive: this node's own voice as it comes back through Redis, and the other nodes'.
//!
//! Once a second a node says its number on a channel that all nodes hear. Hearing itself proves the whole way:
//! a subscriber connection that is half open claims to be well and brings nothing, for ever.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use proto::NodeId;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::beat::Beat;

/// How often a node says that it is there.
pub(super) const BEAT: Duration = Duration::from_secs(1);
/// Heart-beats that Redis took and this node did not hear, before its connection counts as deaf.
const MISSED_MAX: u64 = 3;
/// A third canary may be acknowledged on one connection a moment before it arrives on the other.
const DEAF_AFTER: Duration = Duration::from_millis(3_200);
/// Silence after which another node is gone.
const GONE_AFTER: Duration = Duration::from_secs(5);
/// How long a node listens before it takes silence for absence.
const LISTEN_FIRST: Duration = Duration::from_secs(2);

/// How far this node's heart-beats came, on one server.
struct Canary {
    partition: u32,
    /// The last that Redis took, and the last that came back.
    taken: u64,
    heard: u64,
    heard_at: Instant,
    /// Whether one came back since either connection was made.
    fresh: bool,
}

pub(super) struct Pulse {
    inner: Mutex<Inner>,
    changed: Notify,
}

impl Default for Pulse {
    fn default() -> Self {
        let inner = Inner {
            number: 0,
            heard_at: Instant::now(),
            canaries: Vec::new(),
            peers: HashMap::new(),
            well_since: None,
        };
        Self { inner: Mutex::new(inner), changed: Notify::new() }
    }
}

struct Inner {
    number: u64,
    /// When this node last heard itself anywhere; at first, when it began to try.
    heard_at: Instant,
    /// Empty while there is no subscriber connection.
    canaries: Vec<Canary>,
    peers: HashMap<NodeId, Instant>,
    /// Since when everything is well, if it is.
    well_since: Option<Instant>,
}

impl Pulse {
    /// A new subscriber connection hears these partitions.
    pub(super) fn begin(&self, partitions: &[u32]) {
        let mut inner = self.inner.lock();
        let (heard, heard_at) = (inner.number, Instant::now());
        inner.canaries = partitions
            .iter()
            .map(|&partition| Canary { partition, taken: heard, heard, heard_at, fresh: false })
            .collect();
    }

    /// The subscriber connection is gone.
    pub(super) fn end(&self) {
        self.inner.lock().canaries.clear();
    }

    /// The publishing connection changed: what was proved before says nothing about the new one.
    pub(super) fn doubt(&self) {
        self.inner.lock().canaries.iter_mut().for_each(|canary| canary.fresh = false);
        self.changed.notify_one();
    }

    /// The next beat's number, and where it is to be said.
    pub(super) fn next(&self) -> (u64, Vec<u32>) {
        let mut inner = self.inner.lock();
        inner.number += 1;
        let partitions = inner.canaries.iter().map(|canary| canary.partition).collect::<Vec<_>>();
        (inner.number, if partitions.is_empty() { vec![0] } else { partitions })
    }

    /// Redis took a beat.
    pub(super) fn taken(&self, partition: u32, number: u64) {
        let mut inner = self.inner.lock();
        if let Some(canary) = inner.canaries.iter_mut().find(|canary| canary.partition == partition) {
            canary.taken = canary.taken.max(number);
        }
    }

    /// This node heard itself.
    pub(super) fn heard_self(&self, partition: u32, number: u64) {
        let mut inner = self.inner.lock();
        let now = Instant::now();
        if let Some(canary) = inner.canaries.iter_mut().find(|canary| canary.partition == partition)
            && number > canary.heard
        {
            canary.heard = number;
            canary.heard_at = now;
            canary.fresh = true;
            inner.heard_at = now;
        }
        drop(inner);
        self.changed.notify_one();
    }

    /// Another node was heard. After a goodbye it is not waited for.
    pub(super) fn heard_peer(&self, beat: Beat) {
        let mut inner = self.inner.lock();
        if beat.goodbye {
            inner.peers.remove(&beat.node);
        } else {
            inner.peers.insert(beat.node, Instant::now());
        }
    }

    /// Another node has left a trace. It counts as heard now, and is gone if it stays silent.
    pub(super) fn suppose(&self, node: NodeId) {
        self.inner.lock().peers.entry(node).or_insert_with(Instant::now);
    }

    /// Waits until something was heard or doubted.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// How long this node has not heard itself, on the server where that is longest.
    pub(super) fn age(&self) -> Duration {
        let inner = self.inner.lock();
        let canaries = inner.canaries.iter().map(|canary| canary.heard_at.elapsed());
        canaries.fold(inner.heard_at.elapsed(), Duration::max)
    }

    /// Whether canaries that Redis took do not come back: the subscriber connection is not what it claims to be.
    pub(super) fn is_deaf(&self) -> bool {
        self.inner.lock().canaries.iter().any(|canary| {
            canary.taken.saturating_sub(canary.heard) >= MISSED_MAX && canary.heard_at.elapsed() > DEAF_AFTER
        })
    }

    /// Whether this node hears itself everywhere, while it `can_speak`.
    pub(super) fn judge(&self, can_speak: bool) -> bool {
        let mut inner = self.inner.lock();
        let hears = |canary: &Canary| canary.fresh && canary.heard_at.elapsed() <= DEAF_AFTER;
        let well = can_speak && !inner.canaries.is_empty() && inner.canaries.iter().all(hears);
        if !well {
            inner.well_since = None;
        } else if inner.well_since.is_none() {
            inner.well_since = Some(Instant::now());
        }
        well
    }

    /// Takes out the nodes that fell silent. While this one hears nothing itself, silence says nothing about others.
    pub(super) fn take_silent(&self) -> Vec<NodeId> {
        let mut inner = self.inner.lock();
        let Some(well_since) = inner.well_since else { return Vec::new() };
        let silent = |heard: &Instant| (*heard).max(well_since).elapsed() > GONE_AFTER;
        inner.peers.extract_if(|_, heard| silent(heard)).map(|(node, _)| node).collect()
    }

    /// The other nodes that are known to live; `None` until this one has listened long enough to tell.
    pub(super) fn peers(&self) -> Option<Vec<NodeId>> {
        let inner = self.inner.lock();
        inner
            .well_since
            .is_some_and(|since| since.elapsed() >= LISTEN_FIRST)
            .then(|| inner.peers.keys().copied().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn three_beats_taken_and_not_heard_are_deafness_and_none_taken_is_not() {
        let pulse = Pulse::default();
        pulse.begin(&[0]);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(!pulse.is_deaf());
        for _ in 0..3 {
            let (number, partitions) = pulse.next();
            assert_eq!(partitions, [0]);
            assert!(!pulse.is_deaf());
            pulse.taken(0, number);
        }
        assert!(pulse.is_deaf());
        pulse.heard_self(0, 3);
        assert!(!pulse.is_deaf() && pulse.judge(true) && !pulse.judge(false));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_counts_only_while_this_node_hears_itself() {
        let pulse = Pulse::default();
        pulse.begin(&[0]);
        let peer = NodeId(2);
        pulse.heard_peer(Beat { node: peer, number: 1, goodbye: false });
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(pulse.take_silent(), []);
        assert_eq!(pulse.peers(), None);
        for number in 1..=6 {
            pulse.next();
            pulse.heard_self(0, number);
            assert!(pulse.judge(true));
            assert_eq!(pulse.take_silent(), []);
            tokio::time::advance(BEAT).await;
        }
        assert_eq!(pulse.peers(), Some(vec![peer]));
        assert_eq!(pulse.take_silent(), [peer]);
        assert_eq!(pulse.peers(), Some(vec![]));
    }
}
