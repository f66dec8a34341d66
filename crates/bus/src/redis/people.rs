//! How many people each node has in a room: one hash a room, one field a node.
//!
//! A node tells its counts when they change, all of them when a connection begins, and all again before they would
//! expire. A field whose node is gone is not counted, and taken out by whoever reads it.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use fred::error::{Error, ErrorKind};
use fred::interfaces::{HashesInterface, KeysInterface};
use fred::types::Value;
use parking_lot::Mutex;
use proto::{NodeId, RoomName};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Shared;

const EXPIRY_SECONDS: i64 = 90;
const RETELL: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_millis(500);
/// A node's field may be seen a moment before its first heart-beat is heard.
const SUSPECT_FOR: Duration = Duration::from_secs(5);
const PIPELINE_MAX: usize = 256;

#[derive(Default)]
pub(super) struct People {
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Default)]
struct Inner {
    counts: HashMap<RoomName, u64>,
    /// Rooms whose count Redis does not have yet.
    touched: HashSet<RoomName>,
    /// Nodes with a field and without a voice, and since when.
    suspects: HashMap<NodeId, Instant>,
}

impl People {
    pub(super) fn set(&self, room: &RoomName, count: u64) {
        let mut inner = self.inner.lock();
        if count == 0 {
            inner.counts.remove(room);
        } else {
            inner.counts.insert(room.clone(), count);
        }
        inner.touched.insert(room.clone());
        drop(inner);
        self.changed.notify_one();
    }

    /// Tells everything again.
    pub(super) fn announce_all(&self) {
        let inner = &mut *self.inner.lock();
        inner.touched.extend(inner.counts.keys().cloned());
        self.changed.notify_one();
    }

    fn take(&self) -> Vec<(RoomName, u64)> {
        let mut inner = self.inner.lock();
        let batch: Vec<_> = inner.touched.iter().take(PIPELINE_MAX).cloned().collect();
        let counted = |room: RoomName| {
            inner.touched.remove(&room);
            let count = inner.counts.get(&room).copied().unwrap_or(0);
            (room, count)
        };
        batch.into_iter().map(counted).collect()
    }

    fn put_back(&self, batch: Vec<(RoomName, u64)>) {
        self.inner.lock().touched.extend(batch.into_iter().map(|(room, _)| room));
    }

    /// Whether a node that has a field and says nothing has done so for long enough to be taken out.
    fn is_dead(&self, node: NodeId) -> bool {
        self.inner.lock().suspects.entry(node).or_insert_with(Instant::now).elapsed() >= SUSPECT_FOR
    }

    fn acquit(&self, living: &[NodeId]) {
        self.inner.lock().suspects.retain(|node, _| !living.contains(node));
    }
}

pub(super) async fn tell(shared: &Shared) {
    let mut retell = tokio::time::interval(RETELL);
    loop {
        tokio::select! {
            _ = retell.tick() => shared.people.announce_all(),
            () = shared.people.changed.notified() => {}
        }
        loop {
            let batch = shared.people.take();
            if batch.is_empty() {
                break;
            }
            match write(shared, &batch).await {
                Some(Ok(())) => {}
                // Without a connection it waits for the next one, which tells everything anyway.
                None => {
                    shared.people.put_back(batch);
                    break;
                }
                Some(Err(error)) => {
                    tracing::debug!(%error, "Redis did not take the counts of people");
                    shared.people.put_back(batch);
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }
}

/// Takes this node's counts out, before it leaves.
pub(super) async fn forget(shared: &Shared) {
    let rooms = std::mem::take(&mut shared.people.inner.lock().counts);
    let batch: Vec<_> = rooms.into_keys().map(|room| (room, 0)).collect();
    for batch in batch.chunks(PIPELINE_MAX) {
        if !matches!(write(shared, batch).await, Some(Ok(()))) {
            return;
        }
    }
}

async fn write(shared: &Shared, batch: &[(RoomName, u64)]) -> Option<Result<(), Error>> {
    let field = shared.node.to_string();
    shared
        .voice
        .ask(|client| async move {
            let pipeline = client.pipeline();
            for (room, count) in batch {
                let key = shared.names.people(room);
                if *count == 0 {
                    let _: () = pipeline.hdel(key, field.as_str()).await?;
                } else {
                    let _: () = pipeline.hset(key.clone(), (field.as_str(), count.to_string())).await?;
                    let _: () = pipeline.expire(key, EXPIRY_SECONDS, None).await?;
                }
            }
            // What Redis itself refuses, for instance because somebody else uses the key, it would refuse again.
            let unanswered = |error: &Error| {
                matches!(
                    error.kind(),
                    ErrorKind::Timeout | ErrorKind::Canceled | ErrorKind::IO | ErrorKind::Backpressure
                )
            };
            let mut errors = pipeline.try_all::<Value>().await.into_iter().filter_map(Result::err);
            errors.find(unanswered).map_or(Ok(()), Err)
        })
        .await
}

/// The living other nodes' counts. Until this node has listened long enough to know who lives, the hash is trusted.
pub(super) async fn presence(shared: &Shared, room: &RoomName) -> Vec<(NodeId, u64)> {
    let key = shared.names.people(room);
    let read = shared.voice.ask(|client| async move { client.hgetall::<HashMap<String, String>, _>(key).await }).await;
    let Some(Ok(fields)) = read else { return Vec::new() };
    let living = shared.pulse.peers();
    if let Some(living) = &living {
        shared.people.acquit(living);
    }
    let (mut counts, mut dead) = (Vec::new(), Vec::new());
    for (field, count) in fields {
        let (Ok(node), Ok(count)) = (field.parse::<NodeId>(), count.parse::<u64>()) else { continue };
        if node == shared.node {
            continue;
        }
        match &living {
            Some(living) if !living.contains(&node) => {
                if shared.people.is_dead(node) {
                    dead.push(field);
                }
            }
            Some(_) => counts.push((node, count)),
            None => {
                shared.pulse.suppose(node);
                counts.push((node, count));
            }
        }
    }
    if !dead.is_empty() {
        let key = shared.names.people(room);
        _ = shared.voice.ask(|client| async move { client.hdel::<(), _, _>(key, dead).await }).await;
    }
    counts
}
