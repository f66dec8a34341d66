//! Identical reads merged: whoever asks while the same is being asked gets the same answer.

use std::collections::HashMap;
use std::hash::Hash;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use parking_lot::Mutex;

use crate::HubError;

type Answer<V> = Result<V, HubError>;
type Read<V> = BoxFuture<'static, Answer<V>>;

/// Reads under way, by what they ask.
pub(crate) struct SingleFlight<K: Eq + Hash, V: Clone> {
    // Weak: only those who wait keep a read alive. A connection that breaks half way drops its wait, and with the last one
    // go the read and the place among the reads that it holds.
    flights: Mutex<HashMap<K, WeakShared<Read<V>>>>,
}

/// One who waits for a flight.
struct Waiter<'a, K: Eq + Hash, V: Clone> {
    all: &'a SingleFlight<K, V>,
    key: K,
    flight: Option<Shared<Read<V>>>,
    has_landed: bool,
}

impl<K: Eq + Hash + Clone, V: Clone + Send + Sync + 'static> SingleFlight<K, V> {
    pub(crate) fn new() -> Self {
        Self { flights: Mutex::new(HashMap::new()) }
    }

    /// Joins the read under this key, or begins it. Whoever waits drives it, and it ends when nobody waits any more.
    pub(crate) async fn run(&self, key: K, read: impl FnOnce() -> Read<V>) -> Answer<V> {
        let flight = self.board(&key, read);
        let mut waiter = Waiter { all: self, key, flight: Some(flight.clone()), has_landed: false };
        let answer = flight.await;
        waiter.has_landed = true;
        answer
    }

    fn board(&self, key: &K, read: impl FnOnce() -> Read<V>) -> Shared<Read<V>> {
        let mut flights = self.flights.lock();
        if let Some(flight) = flights.get(key).and_then(WeakShared::upgrade) {
            return flight;
        }
        let flight = read().shared();
        flights.extend(flight.downgrade().map(|weak| (key.clone(), weak)));
        flight
    }
}

impl<K: Eq + Hash, V: Clone> Drop for Waiter<'_, K, V> {
    /// Takes the flight off the list once it has an answer or nobody waits for it: the next who asks asks anew.
    fn drop(&mut self) {
        let mut flights = self.all.flights.lock();
        let Some(mine) = self.flight.take() else { return };
        // Only this flight: the next one under the same key may have begun.
        let is_listed = flights.get(&self.key).and_then(WeakShared::upgrade).is_some_and(|it| it.ptr_eq(&mine));
        drop(mine); // under the lock, so that of two who go at once the second knows that it is the last
        if is_listed && (self.has_landed || flights.get(&self.key).and_then(WeakShared::upgrade).is_none()) {
            flights.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::{Notify, Semaphore};

    /// A read that holds one of the places until it is let go.
    fn slow(places: &Arc<Semaphore>, done: &Arc<Notify>) -> Read<usize> {
        let (places, done) = (places.clone(), done.clone());
        async move {
            let _place = places.acquire().await.map_err(|_| HubError::Away)?;
            done.notified().await;
            Ok(1)
        }
        .boxed()
    }

    #[tokio::test]
    async fn those_who_ask_together_share_one_read_and_the_next_asks_anew() {
        let (flights, begun) = (SingleFlight::<u8, usize>::new(), AtomicUsize::new(0));
        let read = || {
            let count = begun.fetch_add(1, Ordering::SeqCst) + 1;
            async move {
                tokio::task::yield_now().await;
                Ok(count)
            }
            .boxed()
        };
        assert_eq!(
            tokio::join!(flights.run(1, read), flights.run(1, read), flights.run(2, read)),
            (Ok(1), Ok(1), Ok(2))
        );
        assert_eq!(flights.run(1, read).await, Ok(3));
        assert!(flights.flights.lock().is_empty());
    }

    /// Guards against connections that break while they join: each left its read behind, with its place among the reads.
    #[tokio::test]
    async fn a_read_that_nobody_waits_for_any_more_gives_its_place_back() {
        let flights = SingleFlight::<u8, usize>::new();
        let (places, done) = (Arc::new(Semaphore::new(1)), Arc::new(Notify::new()));
        {
            let mut first = std::pin::pin!(flights.run(1, || slow(&places, &done)));
            let mut second = std::pin::pin!(flights.run(1, || slow(&places, &done)));
            assert!(first.as_mut().now_or_never().is_none() && second.as_mut().now_or_never().is_none());
            assert_eq!(places.available_permits(), 0);
        }
        assert_eq!(places.available_permits(), 1);
        assert!(flights.flights.lock().is_empty());
    }

    #[tokio::test]
    async fn a_read_goes_on_for_those_who_stay() {
        let flights = SingleFlight::<u8, usize>::new();
        let (places, done) = (Arc::new(Semaphore::new(1)), Arc::new(Notify::new()));
        let mut stays = std::pin::pin!(flights.run(1, || slow(&places, &done)));
        {
            let mut goes = std::pin::pin!(flights.run(1, || slow(&places, &done)));
            assert!(goes.as_mut().now_or_never().is_none() && stays.as_mut().now_or_never().is_none());
        }
        done.notify_one();
        assert_eq!(stays.await, Ok(1));
        assert!(flights.flights.lock().is_empty());
    }
}
