//! Sends this node's publications to the others, in order, as many at once as have gathered.

use bytes::Bytes;
use fred::bytes_utils::Str;
use fred::interfaces::PubsubInterface;
use fred::types::Value;
use tokio::sync::{mpsc, oneshot};

use super::{Shared, heart, people};

/// Most publications in one pipeline: enough to fill a round trip, few enough to fail together.
const PIPELINE_MAX: usize = 256;

/// What waits to be sent.
pub(super) enum Outgoing {
    Publication {
        channel: Str,
        payload: Bytes,
    },
    /// The node leaves. Nothing is sent after it.
    Goodbye(oneshot::Sender<()>),
}

pub(super) async fn publish(shared: &Shared, mut queue: mpsc::Receiver<Outgoing>) {
    let mut gathered = Vec::with_capacity(PIPELINE_MAX);
    while queue.recv_many(&mut gathered, PIPELINE_MAX).await > 0 {
        let mut publications = Vec::with_capacity(gathered.len());
        let mut goodbye = None;
        for outgoing in gathered.drain(..) {
            match outgoing {
                Outgoing::Publication { channel, payload } if goodbye.is_none() => {
                    publications.push((channel, payload))
                }
                Outgoing::Publication { .. } => shared.metrics.published_dropped.inc(),
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
