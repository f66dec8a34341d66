//! How many sockets are open at a time, and who goes when there is no place left.
//!
//! Each accepted socket has a place, before a byte of it is read. People, whose sockets became WebSockets, keep theirs, and may have
//! all but a few. Everybody else's is on loan: when a newcomer finds no place, the socket that has been here longest without
//! becoming a WebSocket is let go. So neither people nor idlers can keep out who asks for `/healthz`: an answer takes
//! moments, and whoever wants to push it out must first fill every place that is not people's, again and again.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::limits::{AddressSlot, Addresses};

/// One place in so many is never a WebSocket's: for the page, health and metrics, and for saying no over HTTP.
const PLACES_A_SPARE_ONE: usize = 16;
const SPARE_MIN: usize = 16;
const SPARE_MAX: usize = 256;
/// Sockets that an address may have besides twice its connections: pages load over several, and whoever has too many shall
/// be told so.
const ADDRESS_SPARE: usize = 16;

/// All places of a node.
pub(crate) struct Places {
    state: Mutex<State>,
    addresses: Addresses,
    /// Sockets from one address; 0: no limit.
    per_address: usize,
    max: usize,
    people_max: usize,
    freed: Notify,
}

#[derive(Default)]
struct State {
    next: u64,
    open: usize,
    people: usize,
    /// Those that are no WebSocket (yet), by age, and how each is let go.
    on_loan: BTreeMap<u64, CancellationToken>,
}

/// Why a socket gets no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// Its address has too many.
    Address,
    /// There is none.
    Full,
}

impl Places {
    pub(crate) fn new(max: usize, connections_per_address: usize) -> Arc<Self> {
        let spare = (max / PLACES_A_SPARE_ONE).clamp(SPARE_MIN, SPARE_MAX);
        let per_address = match connections_per_address {
            0 => 0,
            connections => connections.saturating_mul(2).saturating_add(ADDRESS_SPARE),
        };
        Arc::new(Self {
            state: Mutex::default(),
            addresses: Addresses::default(),
            per_address,
            max,
            people_max: max.saturating_sub(spare),
            freed: Notify::new(),
        })
    }

    /// Gives a newcomer a place, and what is cancelled when it is to be let go. If there is none, `displaced` is called, the oldest
    /// that is on loan is let go, and its place waited for: moments. `address` is absent for a proxy of ours, which brings many.
    pub(crate) async fn enter(
        self: &Arc<Self>,
        address: Option<IpAddr>,
        stop: &CancellationToken,
        displaced: impl Fn(),
    ) -> Result<(Place, CancellationToken), NoPlace> {
        let slot = match address
            .filter(|_| self.per_address > 0)
            .map(|address| self.addresses.enter(address, self.per_address))
        {
            Some(None) => return Err(NoPlace::Address),
            Some(slot) => slot,
            None => None,
        };
        loop {
            let mut freed = std::pin::pin!(self.freed.notified());
            freed.as_mut().enable();
            {
                let mut state = self.state.lock();
                if state.open < self.max {
                    let (number, gone) = (state.next, stop.child_token());
                    state.next += 1;
                    state.open += 1;
                    state.on_loan.insert(number, gone.clone());
                    let place = Place { number, is_persons: false.into(), places: self.clone(), _slot: slot };
                    return Ok((place, gone));
                }
                let (_, oldest) = state.on_loan.pop_first().ok_or(NoPlace::Full)?;
                oldest.cancel();
            }
            displaced();
            freed.await;
        }
    }
}

/// One socket's place, given back when dropped.
pub(crate) struct Place {
    number: u64,
    is_persons: AtomicBool,
    places: Arc<Places>,
    _slot: Option<AddressSlot>,
}

impl Place {
    /// The socket becomes a WebSocket and keeps its place; not if people have all that they may have.
    pub(crate) fn keep(&self) -> Result<(), NoPlace> {
        let mut state = self.places.state.lock();
        // Whoever was let go a moment ago has no place to keep.
        if state.people >= self.places.people_max || state.on_loan.remove(&self.number).is_none() {
            return Err(NoPlace::Full);
        }
        state.people += 1;
        self.is_persons.store(true, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.places.state.lock();
        state.on_loan.remove(&self.number);
        state.open -= 1;
        state.people -= usize::from(*self.is_persons.get_mut());
        drop(state);
        self.places.freed.notify_waiters();
    }
}

/// What a WebSocket holds for as long as it lives.
pub(crate) struct Held {
    _place: Arc<Place>,
    /// Among the connections of the client's address, wherever the socket comes from.
    _slot: AddressSlot,
}

impl Held {
    pub(crate) fn new(place: Arc<Place>, slot: AddressSlot) -> Self {
        Self { _place: place, _slot: slot }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    async fn enter(places: &Arc<Places>, address: Option<IpAddr>) -> Result<Place, NoPlace> {
        places.enter(address, &CancellationToken::new(), || {}).await.map(|(place, _)| place)
    }

    #[tokio::test]
    async fn a_newcomer_takes_the_place_of_the_oldest_on_loan_and_nobodys_else() {
        let places = Places::new(18, 0); // two for people
        let stop = CancellationToken::new();
        let mut all = Vec::new();
        for _ in 0..18 {
            all.push(places.enter(None, &stop, || {}).await.ok().unwrap());
        }
        assert_eq!(all[0].0.keep(), Ok(()));
        let (oldest, gone) = all.remove(1);
        let leaving = tokio::spawn(async move {
            gone.cancelled().await;
            assert_eq!(oldest.keep(), Err(NoPlace::Full), "who was let go cannot stay");
        });
        assert!(enter(&places, None).await.is_ok());
        leaving.await.unwrap();
        assert!(all.iter().all(|(_, gone)| !gone.is_cancelled()));
        drop(all);
        let state = places.state.lock();
        assert_eq!((state.open, state.people, state.on_loan.len()), (0, 0, 0));
    }

    #[tokio::test]
    async fn people_leave_some_places_to_the_rest() {
        let places = Places::new(18, 0);
        let mut all = Vec::new();
        for _ in 0..3 {
            all.push(enter(&places, None).await.ok().unwrap());
        }
        let kept: Vec<_> = all.iter().map(Place::keep).collect();
        assert_eq!(kept, [Ok(()), Ok(()), Err(NoPlace::Full)]);
        all.remove(0);
        assert_eq!(all[1].keep(), Ok(()), "a place that was given back");
    }

    #[tokio::test]
    async fn an_address_has_twice_its_connections_and_some_and_a_proxy_of_ours_all() {
        let places = Places::new(1000, 2);
        let mut all = Vec::new();
        for _ in 0..20 {
            all.push(enter(&places, Some(HERE)).await.ok().unwrap());
        }
        assert_eq!(enter(&places, Some(HERE)).await.err(), Some(NoPlace::Address));
        for _ in 0..100 {
            all.push(enter(&places, None).await.ok().unwrap());
        }
    }
}
