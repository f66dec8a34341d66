//! Copies and paces in Redis: a key each, with an expiry.
//!
//! A removed copy stays for a while as an empty one, and a copy is only put where there is no key: so one that was read
//! before the removal and comes late is not taken. Of what Redis says nothing is believed for long, and nothing is needed.

use std::time::Duration;

use bytes::Bytes;
use fred::clients::Client;
use fred::error::Error;
use fred::interfaces::{ClientLike, KeysInterface};
use fred::types::{Expiration, SetOptions, Value};
use tokio::time::timeout;

use super::Shared;
use super::recent::on_key;
use crate::Pace;
use crate::pacer::Pacer;

const SCRIPT: &str = include_str!("pace.lua");
/// Whoever waits is a person who signs in. Longer than this the store is the quicker way.
const PATIENCE: Duration = Duration::from_millis(250);

/// What is needed for paces, with Redis and without.
pub(super) struct Paces {
    sha1: String,
    /// While Redis is away each node counts for itself.
    own: Pacer,
}

impl Default for Paces {
    fn default() -> Self {
        Self { sha1: fred::util::sha1_hash(SCRIPT), own: Pacer::default() }
    }
}

/// What Redis says in time; `None` if it says nothing.
async fn ask<T, F>(shared: &Shared, commands: impl FnOnce(Client) -> F) -> Option<T>
where
    F: Future<Output = Result<T, Error>>,
{
    match timeout(PATIENCE, shared.voice.ask(commands)).await.ok()?? {
        Ok(answer) => Some(answer),
        Err(error) => {
            tracing::debug!(%error, "Redis did not answer about what nodes have in common");
            None
        }
    }
}

pub(super) async fn copy(shared: &Shared, key: &str) -> Option<Bytes> {
    let key = shared.names.copy(key);
    let copy: Option<Bytes> = ask(shared, |client| async move { client.get(key).await }).await?;
    copy.filter(|copy| !copy.is_empty())
}

pub(super) async fn put(shared: &Shared, key: &str, copy: Bytes, life: Duration) {
    set(shared, key, copy, life, Some(SetOptions::NX)).await;
}

pub(super) async fn remove(shared: &Shared, key: &str, shut: Duration) {
    set(shared, key, Bytes::new(), shut, None).await;
}

async fn set(shared: &Shared, key: &str, copy: Bytes, life: Duration, options: Option<SetOptions>) {
    let (key, life) =
        (shared.names.copy(key), Expiration::PX(i64::try_from(life.as_millis()).unwrap_or(i64::MAX).max(1)));
    let _: Option<Value> =
        ask(shared, |client| async move { client.set(key, copy, Some(life), options, false).await }).await;
}

pub(super) async fn take(shared: &Shared, key: &str, pace: Pace) -> Result<(), Duration> {
    let name = shared.names.pace(key);
    let arguments = |script: &str| -> Vec<Value> {
        let every = i64::try_from(pace.every.as_micros()).unwrap_or(i64::MAX);
        vec![script.into(), 1.into(), name.clone().into(), i64::from(pace.burst.max(1)).into(), every.into()]
    };
    let (known, whole) = (arguments(&shared.paces.sha1), arguments(SCRIPT));
    let excess = ask::<i64, _>(shared, |client| async move {
        match client.custom::<i64, _>(on_key("EVALSHA", &known), known).await {
            Err(error) if error.details().starts_with("NOSCRIPT") => client.custom(on_key("EVAL", &whole), whole).await,
            answer => answer,
        }
    });
    match excess.await {
        Some(0) => Ok(()),
        Some(excess) => Err(Duration::from_micros(u64::try_from(excess).unwrap_or(0))),
        None => shared.paces.own.take(key, pace),
    }
}
