//! The connection that hears, and the one task that decides what is subscribed and what the hub is told about it.
//!
//! It compares the rooms that are wanted with those confirmed on this connection, and subscribes the difference. The
//! order is always: Redis confirmed, then `Subscribed`. A new connection begins with nothing confirmed, so that a
//! reconnect needs no code of its own. While nodes do not hear each other nothing is announced; once they do, all is.
//!
//! Subscriptions are single-channel commands in pipelines of 512. fred pairs each answer with one command, and
//! SSUBSCRIBE answers once a channel: of a command for many, all answers but the first would be taken for answers to
//! the commands after it, which would then be confirmed too early. In pipelines each is confirmed, redirected or
//! refused for itself, rooms of all partitions may go together, and the cost is a round trip for 512 either way.
//!
//! In Redis Cluster each server has a canary of its own. What no canary sees is a slot that moves to another server
//! while both live: the old owner drops the subscription, and fred drops the notice of it. So the ear asks every few
//! seconds who has what, and begins anew when that has changed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fred::bytes_utils::Str;
use fred::clients::Client;
use fred::error::Error;
use fred::interfaces::{ClientLike, PubsubInterface};
use fred::types::{ClusterHash, CustomCommand, Value};
use proto::RoomName;

use super::Shared;
use super::link::{Backoff, Session};
use super::names::partition_of;
use super::reader::Reader;
use crate::metrics::Cause;
use crate::{BusEvent, Loss};

const BATCH_MAX: usize = 512;
/// Messages that may wait for the reader; fred's default of 32 loses a burst. fred makes six channels of this length,
/// and their empty places cost about 24 MB.
const MESSAGES_MAX: usize = 32_768;
/// How often silence is looked for.
const LOOK: Duration = Duration::from_millis(250);
/// How often a cluster is asked who has what.
const ASK: Duration = Duration::from_secs(4);

/// Keeps a connection for ever.
pub(super) async fn listen(shared: &Arc<Shared>) {
    let mut backoff = Backoff::default();
    loop {
        match shared.plan.open(MESSAGES_MAX).await {
            Ok(session) => {
                let mut ear = Ear { shared, confirmed: HashSet::new(), todo: Vec::new(), was_well: false };
                let cause = ear.hear(session).await;
                shared.pulse.end();
                shared.metrics.subscriptions.set(0);
                shared.metrics.reconnect(cause);
                if ear.was_well {
                    backoff.reset();
                    let loss = if cause == Cause::Deaf { Loss::Deaf } else { Loss::Reconnect };
                    shared.outlet.tell(BusEvent::Lost(loss));
                }
                if set_up(shared, false) {
                    shared.outlet.tell(BusEvent::Reachable(false));
                }
            }
            Err(error) => tracing::debug!(%error, "Redis cannot be reached to subscribe"),
        }
        backoff.pause().await;
    }
}

/// Returns whether that was news.
fn set_up(shared: &Shared, up: bool) -> bool {
    shared.metrics.up.set(i64::from(up));
    shared.up.swap(up, Ordering::Relaxed) != up
}

/// One life of the connection.
struct Ear<'a> {
    shared: &'a Arc<Shared>,
    confirmed: HashSet<RoomName>,
    /// Wanted, and not yet confirmed.
    todo: Vec<RoomName>,
    /// Whether nodes heard each other at any time of it: before that, nothing can be lost.
    was_well: bool,
}

impl Ear<'_> {
    async fn hear(&mut self, mut session: Session) -> Cause {
        let shared = self.shared;
        let _reader = Reader::start(shared, session.take_messages());
        let owners = session.owners();
        let canaries = owners.a_partition_a_server();
        let channels = canaries.iter().map(|&partition| shared.names.nodes(partition));
        if let Err(error) = subscribe(&session.client, channels).await {
            return refused(&error);
        }
        shared.pulse.begin(&canaries);
        shared.beat_now.notify_one();
        self.todo = shared.wanted.all();
        let mut look = tokio::time::interval(LOOK);
        let mut ask = tokio::time::interval(ASK);
        loop {
            if let Err(error) = self.catch_up(&session.client).await {
                return refused(&error);
            }
            tokio::select! {
                biased;
                end = session.ended() => {
                    tracing::warn!(%end, "the subscriber connection to Redis ended");
                    return Cause::Closed;
                }
                () = shared.pulse.changed() => {}
                _ = ask.tick() => match session.owners_now().await {
                    Ok(now) if now == owners => {}
                    Ok(_) => return Cause::Moved,
                    Err(error) => return refused(&error),
                },
                _ = look.tick() => {}
                () = shared.wanted.changed() => {}
                () = std::future::ready(()), if !self.todo.is_empty() => {}
            }
            if shared.pulse.is_deaf() {
                tracing::warn!("the subscriber connection to Redis is deaf");
                // The two may stand on different servers after a failover; which of them is wrong cannot be known.
                shared.voice.give_up(Cause::Deaf);
                return Cause::Deaf;
            }
            self.was_well |= self.judge();
        }
    }

    /// Takes up what was wanted and left meanwhile, and subscribes one batch.
    async fn catch_up(&mut self, client: &Client) -> Result<(), Error> {
        let shared = self.shared;
        let (mut back, mut gone) = (Vec::new(), Vec::new());
        for (room, wanted) in shared.wanted.take_touched() {
            match (wanted, self.confirmed.contains(&room)) {
                // Left and wanted again in between: what came meanwhile went nowhere, so it must be told again.
                (true, true) => back.push(room),
                (true, false) => self.todo.push(room),
                (false, true) => gone.push(room),
                (false, false) => self.todo.retain(|other| *other != room),
            }
        }
        self.announce(back);
        if !gone.is_empty() {
            gone.iter().for_each(|room| _ = self.confirmed.remove(room));
            unsubscribe(shared, client, &gone).await?;
        }
        let batch = self.todo.split_off(self.todo.len().saturating_sub(BATCH_MAX));
        if !batch.is_empty() {
            subscribe(client, batch.iter().map(|room| shared.names.channel(room))).await?;
            self.confirmed.extend(batch.iter().cloned());
            self.announce(batch);
        }
        shared.metrics.subscriptions.set(self.confirmed.len() as i64);
        Ok(())
    }

    fn announce(&self, rooms: Vec<RoomName>) {
        if !rooms.is_empty() && self.shared.up.load(Ordering::Relaxed) {
            self.shared.outlet.tell(BusEvent::Subscribed(rooms));
        }
    }

    /// Tells the hub whether nodes hear each other, when that changes. Returns whether they do.
    fn judge(&self) -> bool {
        let shared = self.shared;
        let well = shared.pulse.judge(shared.voice.is_up());
        if set_up(shared, well) {
            tracing::info!(well, "nodes hear each other");
            shared.outlet.tell(BusEvent::Reachable(well));
            self.announce(self.confirmed.iter().cloned().collect());
        }
        for node in shared.pulse.take_silent() {
            shared.outlet.tell(BusEvent::NodeGone(node));
        }
        well
    }
}

fn refused(error: &Error) -> Cause {
    tracing::warn!(%error, "a command on the subscriber connection to Redis failed");
    Cause::Closed
}

/// Returns once all of them are confirmed.
async fn subscribe(client: &Client, channels: impl Iterator<Item = Str>) -> Result<(), Error> {
    let pipeline = client.pipeline();
    for channel in channels {
        let command = CustomCommand::new_static("SSUBSCRIBE", ClusterHash::FirstKey, false);
        let _: () = pipeline.custom(command, vec![channel]).await?;
    }
    pipeline.all::<Value>().await.map(|_| ())
}

/// Returns once it is on its way: fred does not wait for the answers, and neither does anything here.
async fn unsubscribe(shared: &Shared, client: &Client, rooms: &[RoomName]) -> Result<(), Error> {
    // One command may name channels of one slot only, in a cluster.
    let mut partitions: HashMap<u32, Vec<Str>> = HashMap::new();
    for room in rooms {
        let partition = if client.is_clustered() { partition_of(room) } else { 0 };
        partitions.entry(partition).or_default().push(shared.names.channel(room));
    }
    for channels in partitions.into_values() {
        for batch in channels.chunks(BATCH_MAX) {
            client.sunsubscribe(batch.to_vec()).await?;
        }
    }
    Ok(())
}
