//! The queue of a cluster: three keys in Redis, changed by one script, over a connection of its own.
//!
//! Every answer of the script is a whole step, so that whoever dies, dies between two of them. What Redis is trusted with:
//! nothing. Without a connection each method is `None` at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use fred::error::ErrorKind;
use fred::interfaces::ClientLike;
use fred::types::FromValue;
use fred::types::Value;
use proto::{TaskId, Timestamp};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::config::{BusError, RedisConfig};
use super::link::{Backoff, NO_MESSAGES, Plan};
use super::names::Names;
use super::recent::on_key;
use super::voice::Voice;
use crate::metrics::Cause;
use crate::queue::{OFFERED_MAX, Queue, TAKEN_FOR};

const SCRIPT: &str = include_str!("queue.lua");
/// How long whoever leads does so without asking again.
const LEAD: Duration = Duration::from_secs(5);
/// How often an empty queue is looked at again: a blocking question would keep all others of the connection waiting.
const LOOK: Duration = Duration::from_millis(200);
/// Ids in one call.
const CALL_MAX: usize = 500;
/// Questions in a row without an answer, and the connection is given up.
const UNANSWERED_MAX: u32 = 2;
const FAREWELL: Duration = Duration::from_millis(500);

struct Shared {
    plan: Plan,
    names: Names,
    /// Who we are, for the lock: another run is somebody else.
    me: String,
    sha1: String,
    voice: Voice,
    unanswered: AtomicU32,
    /// Something was offered from here.
    offered: Notify,
}

/// A queue in Redis, shared by all nodes: a single server, Sentinel or Cluster, by its address alone.
pub struct RedisQueue {
    shared: Arc<Shared>,
    tasks: TaskTracker,
    stop: DropGuard,
}

impl RedisQueue {
    /// Starts without waiting for Redis, which may be away. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// [`BusError`], for an address or a prefix that can never work.
    pub fn start(config: &RedisConfig) -> Result<Self, BusError> {
        let shared = Arc::new(Shared {
            plan: Plan::parse(&config.url)?,
            names: config.names()?,
            me: format!("{:016x}", rand::random::<u64>()),
            sha1: fred::util::sha1_hash(SCRIPT),
            voice: Voice::default(),
            unanswered: AtomicU32::new(0),
            offered: Notify::new(),
        });
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let (kept, until) = (Arc::clone(&shared), stop.clone());
        tasks.spawn(async move { until.run_until_cancelled(Box::pin(keep(&kept))).await });
        tasks.close();
        Ok(Self { shared, tasks, stop: stop.drop_guard() })
    }

    async fn ask<T: FromValue>(&self, words: Vec<Value>) -> Option<T> {
        let shared = &*self.shared;
        let answer = shared.voice.ask(|client| async move {
            let arguments = shared.arguments(&shared.sha1, &words);
            match client.custom::<T, _>(on_key("EVALSHA", &arguments), arguments).await {
                // Each server learns the script when it first needs it, and again after a restart.
                Err(error) if error.details().starts_with("NOSCRIPT") => {
                    let arguments = shared.arguments(SCRIPT, &words);
                    client.custom::<T, _>(on_key("EVAL", &arguments), arguments).await
                }
                answer => answer,
            }
        });
        match answer.await? {
            Ok(answer) => {
                shared.unanswered.store(0, Ordering::Relaxed);
                Some(answer)
            }
            Err(error) => {
                tracing::debug!(%error, "Redis did not answer about tasks");
                let silent = *error.kind() == ErrorKind::Timeout;
                if silent && shared.unanswered.fetch_add(1, Ordering::Relaxed) + 1 >= UNANSWERED_MAX {
                    shared.unanswered.store(0, Ordering::Relaxed);
                    shared.voice.give_up(Cause::Stalled);
                }
                None
            }
        }
    }
}

impl Shared {
    fn arguments(&self, script: &str, words: &[Value]) -> Vec<Value> {
        let mut all: Vec<Value> = vec![script.into(), 3.into()];
        all.extend(["ready", "taken", "lead"].map(|what| Value::from(self.names.tasks(what))));
        all.extend_from_slice(words);
        all
    }
}

async fn keep(shared: &Shared) {
    let mut backoff = Backoff::default();
    loop {
        match shared.plan.open(NO_MESSAGES).await {
            Ok(mut session) => {
                backoff.reset();
                let end = shared.voice.lend(&mut session).await;
                tracing::info!(end, "the connection of the queue of tasks to Redis ended");
            }
            Err(error) => tracing::debug!(%error, "Redis cannot be reached for tasks"),
        }
        backoff.pause().await;
    }
}

fn ms(duration: Duration) -> Value {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX).into()
}

#[async_trait]
impl Queue for RedisQueue {
    async fn leads(&self) -> Option<bool> {
        let leads: i64 = self.ask(vec!["lead".into(), self.shared.me.as_str().into(), ms(LEAD)]).await?;
        Some(leads == 1)
    }

    async fn offer(&self, due: &[(TaskId, Timestamp)]) -> Option<usize> {
        let mut fresh = 0;
        for due in due.chunks(CALL_MAX) {
            let mut words: Vec<Value> = vec!["offer".into(), (OFFERED_MAX as i64).into()];
            for (id, since) in due {
                words.push(id.to_string().into());
                words.push(since.0.into());
            }
            fresh += self.ask::<usize>(words).await?;
        }
        if fresh > 0 {
            self.shared.offered.notify_waiters();
        }
        Some(fresh)
    }

    async fn take(&self, limit: usize, wait: Duration) -> Option<Vec<TaskId>> {
        let deadline = Instant::now() + wait;
        loop {
            let offered = self.shared.offered.notified();
            let limit = limit.min(CALL_MAX) as i64;
            let ids: Vec<String> = self.ask(vec!["take".into(), limit.into(), ms(TAKEN_FOR)]).await?;
            let now = Instant::now();
            if !ids.is_empty() || now >= deadline {
                // What is no id was not put there by us, and is not looked at again.
                return Some(ids.iter().filter_map(|id| id.parse().ok()).collect());
            }
            let pause = LOOK.mul_f64(rand::random_range(0.5..=1.0));
            _ = timeout(pause.min(deadline - now), offered).await;
        }
    }

    async fn finish(&self, ids: &[TaskId]) -> Option<()> {
        for ids in ids.chunks(CALL_MAX) {
            let words = std::iter::once("finish".into()).chain(ids.iter().map(|id| id.to_string().into()));
            let _: i64 = self.ask(words.collect()).await?;
        }
        Some(())
    }

    async fn close(&self) {
        let resign = self.ask::<i64>(vec!["resign".into(), self.shared.me.as_str().into()]);
        tokio::select! {
            _ = resign => {}
            () = sleep(FAREWELL) => {}
        }
        self.stop.token().cancel();
        self.tasks.wait().await;
    }
}
