//! Sends this node's publications to the others, in order, as many at once as have gathered.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use fred::bytes_utils::Str;
use fred::interfaces::PubsubInterface;
use fred::types::Value;
use tokio::sync::{mpsc, oneshot};

use super::{Shared, heart, people};

/// Most publications in one pipeline: enough to fill a round trip, few enough to fail together.
const PIPELINE_MAX: usize = 256;
/// Most bytes that wait. A Redis that does not answer is noticed within seconds; until then this is what it costs.
const BYTES_MAX: usize = 32 * 1024 * 1024;

/// What waits to be sent.
enum Outgoing {
    Publication {
        channel: Str,
        payload: Bytes,
    },
    /// The node leaves. Nothing is sent after it.
    Goodbye(oneshot::Sender<()>),
}

/// The near end of the queue, bounded in number and bytes.
pub(super) struct Publications {
    queue: mpsc::Sender<Outgoing>,
    bytes: Arc<AtomicUsize>,
}

/// The far end.
pub(super) struct Queue {
    queue: mpsc::Receiver<Outgoing>,
    bytes: Arc<AtomicUsize>,
}

/// A queue of at most `len` publications.
pub(super) fn queue(len: usize) -> (Publications, Queue) {
    let (near, far) = mpsc::channel(len.max(1));
    let bytes = Arc::new(AtomicUsize::new(0));
    (Publications { queue: near, bytes: Arc::clone(&bytes) }, Queue { queue: far, bytes })
}

impl Publications {
    /// Returns whether there was room for it.
    pub(super) fn add(&self, channel: Str, payload: Bytes) -> bool {
        let length = payload.len();
        // Several may pass at once and go a little beyond; the bound is against megabytes, not bytes.
        if self.bytes.load(Ordering::Relaxed) + length > BYTES_MAX {
            return false;
        }
        self.bytes.fetch_add(length, Ordering::Relaxed);
        let added = self.queue.try_send(Outgoing::Publication { channel, payload }).is_ok();
        if !added {
            self.bytes.fetch_sub(length, Ordering::Relaxed);
        }
        added
    }

    /// Returns once everything before it was sent and the others were told.
    pub(super) async fn say_goodbye(&self) {
        let (said, done) = oneshot::channel();
        if self.queue.send(Outgoing::Goodbye(said)).await.is_ok() {
            _ = done.await;
        }
    }
}

pub(super) async fn publish(shared: &Shared, mut queue: Queue) {
    let mut gathered = Vec::with_capacity(PIPELINE_MAX);
    while queue.queue.recv_many(&mut gathered, PIPELINE_MAX).await > 0 {
        let mut publications = Vec::with_capacity(gathered.len());
        let mut goodbye = None;
        for outgoing in gathered.drain(..) {
            match outgoing {
                Outgoing::Publication { channel, payload } => {
                    queue.bytes.fetch_sub(payload.len(), Ordering::Relaxed);
                    publications.push((channel, payload));
                }
                Outgoing::Goodbye(said) => goodbye = Some(said),
            }
        }
        send(shared, publications).await;
        if let Some(said) = goodbye {
            people::forget(shared).await;
            _ = heart::say(shared, true).await;
            _ = said.send(());
            return;
        }
    }
}

/// Failures are counted and forgotten: whoever missed the publication finds it in the store.
async fn send(shared: &Shared, publications: Vec<(Str, Bytes)>) {
    let count = publications.len() as u64;
    if count == 0 {
        return;
    }
    let results = shared
        .voice
        .ask(|client| async move {
            let pipeline = client.pipeline();
            for (channel, payload) in publications {
                let _: () = pipeline.spublish(channel, payload).await?;
            }
            Ok(pipeline.try_all::<Value>().await)
        })
        .await;
    match results {
        Some(Ok(results)) => {
            let ok = results.iter().filter(|result| result.is_ok()).count() as u64;
            shared.metrics.published_ok.inc_by(ok);
            shared.metrics.published_failed.inc_by(count.saturating_sub(ok));
        }
        Some(Err(_)) => shared.metrics.published_failed.inc_by(count),
        None => shared.metrics.published_dropped.inc_by(count),
    }
}
