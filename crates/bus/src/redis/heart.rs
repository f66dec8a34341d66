//! Says once a second that this node is there.

use fred::error::Error;
use fred::interfaces::PubsubInterface;
use fred::types::Value;
use tokio::time::MissedTickBehavior;

use super::Shared;
use super::beat::Beat;
use super::pulse::BEAT;
use crate::metrics::Cause;

/// Beats without an answer before the connection that took them is given up. fred notices most silent connections
/// itself, but not while it is stuck in a write.
const UNANSWERED_MAX: u32 = 2;

pub(super) async fn beat(shared: &Shared) {
    let mut every = tokio::time::interval(BEAT);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut unanswered = 0;
    loop {
        tokio::select! {
            _ = every.tick() => {}
            () = shared.beat_now.notified() => {}
        }
        shared.metrics.canary_age_seconds.set(shared.pulse.age().as_secs_f64());
        match say(shared, false).await {
            Some(Ok(true)) | None => unanswered = 0,
            Some(_) => unanswered += 1,
        }
        if unanswered >= UNANSWERED_MAX {
            unanswered = 0;
            shared.voice.give_up(Cause::Stalled);
        }
    }
}

/// Says a beat or a goodbye on every server that this node listens to. `None` without a connection; otherwise
/// whether any server took it.
pub(super) async fn say(shared: &Shared, goodbye: bool) -> Option<Result<bool, Error>> {
    let (number, partitions) = shared.pulse.next();
    let beat = Beat { node: shared.node, number, goodbye }.encode();
    shared
        .voice
        .ask(|client| async move {
            let pipeline = client.pipeline();
            for &partition in &partitions {
                let _: () = pipeline.spublish(shared.names.nodes(partition), beat.clone()).await?;
            }
            let results = pipeline.try_all::<Value>().await;
            if results.len() != partitions.len() {
                return Ok(false);
            }
            let taken = partitions.into_iter().zip(results).filter(|(_, result)| result.is_ok());
            Ok(taken.map(|(partition, _)| shared.pulse.taken(partition, number)).count() > 0)
        })
        .await
}
