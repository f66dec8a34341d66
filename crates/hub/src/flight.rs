//! Identical reads merged: whoever asks while the same is being asked gets the same answer.

use std::collections::HashMap;
use std::hash::Hash;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use parking_lot::Mutex;

use crate::HubError;

type Answer<V> = Result<V, HubError>;
type Flight<V> = Shared<BoxFuture<'static, Answer<V>>>;

/// Reads under way, by what they ask.
pub(crate) struct SingleFlight<K, V> {
    flights: Mutex<HashMap<K, Flight<V>>>,
}

impl<K: Eq + Hash + Clone, V: Clone + Send + Sync + 'static> SingleFlight<K, V> {
    pub(crate) fn new() -> Self {
        Self { flights: Mutex::new(HashMap::new()) }
    }

    /// Joins the read under this key, or begins it. Whoever waits drives it, so it ends when nobody waits any more.
    pub(crate) async fn run(&self, key: K, read: impl FnOnce() -> BoxFuture<'static, Answer<V>>) -> Answer<V> {
        let flight = self.flights.lock().entry(key.clone()).or_insert_with(|| read().shared()).clone();
        let answer = flight.clone().await;
        let mut flights = self.flights.lock();
        // Only this flight: the next one under the same key may have begun.
        if flights.get(&key).is_some_and(|other| other.ptr_eq(&flight)) {
            flights.remove(&key);
        }
        answer
    }
}
