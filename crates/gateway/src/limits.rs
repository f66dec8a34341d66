//! How much is too much: rates a user, connections an address, newcomers a second.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use parking_lot::Mutex;
use people::Pace;
use proto::{Code, Refusal, UserId};

/// How many seconds' worth of messages a user may send at once.
const BURST_SECONDS: u32 = 4;

/// Messages a second and user, on this node.
pub(crate) struct SendRate {
    limiter: Option<RateLimiter<UserId, HashMapStateStore<UserId>, DefaultClock>>,
    clock: DefaultClock,
}

impl SendRate {
    pub(crate) fn new(a_second: u32) -> Self {
        let limiter = NonZeroU32::new(a_second).map(|rate| {
            let burst = rate.saturating_mul(NonZeroU32::MIN.saturating_add(BURST_SECONDS - 1));
            RateLimiter::hashmap(Quota::per_second(rate).allow_burst(burst))
        });
        Self { limiter, clock: DefaultClock::default() }
    }

    /// Lets one message pass, or says when the next may.
    pub(crate) fn spend(&self, user: UserId) -> Result<(), Refusal> {
        let Some(limiter) = &self.limiter else { return Ok(()) };
        limiter.check_key(&user).map_err(|not_until| {
            let wait = not_until.wait_time_from(self.clock.now()).as_millis() as u64;
            Refusal::for_now(Code::RateLimited, "too many messages in too short a time", wait.max(1))
        })
    }

    /// Forgets users who have not sent for a while.
    pub(crate) fn tidy(&self) {
        if let Some(limiter) = &self.limiter {
            limiter.retain_recent();
        }
    }
}

/// Who asks, as far as rates go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Asker {
    User(UserId),
    /// Somebody who is nobody yet.
    Address(IpAddr),
}

impl fmt::Display for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => id.fmt(f),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// Requests a second of the REST API and asker, on this node.
pub(crate) struct RequestRate {
    limiter: Option<RateLimiter<Asker, HashMapStateStore<Asker>, DefaultClock, StateInformationMiddleware>>,
    clock: DefaultClock,
    a_second: u32,
}

/// What is left of a rate: told in headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allowance {
    /// Requests at once.
    pub(crate) limit: u32,
    /// How many of them are left.
    pub(crate) remaining: u32,
    /// Seconds until all are there again.
    pub(crate) reset: u32,
}

impl RequestRate {
    pub(crate) fn new(a_second: u32) -> Self {
        let limiter = NonZeroU32::new(a_second).map(|rate| {
            let burst = rate.saturating_mul(NonZeroU32::MIN.saturating_add(BURST_SECONDS - 1));
            RateLimiter::hashmap(Quota::per_second(rate).allow_burst(burst))
                .with_middleware::<StateInformationMiddleware>()
        });
        Self { limiter, clock: DefaultClock::default(), a_second }
    }

    /// Lets one request pass, or says when the next may; and what is left, where there is a limit.
    pub(crate) fn spend(&self, asker: Asker) -> (Result<(), Refusal>, Option<Allowance>) {
        let Some(limiter) = &self.limiter else { return (Ok(()), None) };
        let limit = self.a_second.saturating_mul(BURST_SECONDS);
        let left = |remaining| Allowance { limit, remaining, reset: (limit - remaining).div_ceil(self.a_second) };
        match limiter.check_key(&asker) {
            Ok(state) => (Ok(()), Some(left(state.remaining_burst_capacity().min(limit)))),
            Err(not_until) => {
                let wait = not_until.wait_time_from(self.clock.now()).as_millis() as u64;
                let refusal = Refusal::for_now(Code::RateLimited, "too many requests in too short a time", wait.max(1));
                (Err(refusal), Some(left(0)))
            }
        }
    }

    /// The same rate, for those who count it together.
    pub(crate) fn pace(&self) -> Option<Pace> {
        let a_second = NonZeroU32::new(self.a_second)?;
        let every = Duration::from_secs(1) / a_second.get();
        Some(Pace { burst: self.a_second.saturating_mul(BURST_SECONDS), every })
    }

    /// Forgets askers who have not asked for a while.
    pub(crate) fn tidy(&self) {
        if let Some(limiter) = &self.limiter {
            limiter.retain_recent();
        }
    }
}

/// New connections a second: returning clients are let in at a pace, before anything expensive is done for them.
pub(crate) struct Admission {
    limiter: Option<DefaultDirectRateLimiter>,
    clock: DefaultClock,
}

impl Admission {
    pub(crate) fn new(a_second: u32) -> Self {
        let limiter = NonZeroU32::new(a_second).map(|rate| RateLimiter::direct(Quota::per_second(rate)));
        Self { limiter, clock: DefaultClock::default() }
    }

    /// Lets one in, or says how long to stay away.
    pub(crate) fn admit(&self) -> Result<(), Duration> {
        let Some(limiter) = &self.limiter else { return Ok(()) };
        limiter.check().map_err(|not_until| not_until.wait_time_from(self.clock.now()))
    }
}

/// How many connections each address has.
#[derive(Clone, Default)]
pub(crate) struct Addresses {
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Addresses {
    /// Counts one more, unless there are `max` already (0: no limit). The connection keeps what this returns.
    pub(crate) fn enter(&self, address: IpAddr, max: usize) -> Option<AddressSlot> {
        let mut counts = self.counts.lock();
        let count = counts.entry(address).or_insert(0);
        if max > 0 && *count >= max {
            return None;
        }
        *count += 1;
        Some(AddressSlot { address, counts: self.counts.clone() })
    }
}

/// One connection's place among those of its address, given back when dropped.
pub(crate) struct AddressSlot {
    address: IpAddr,
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Drop for AddressSlot {
    fn drop(&mut self) {
        let mut counts = self.counts.lock();
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_user_over_the_rate_is_told_when_to_come_back_and_others_are_not_held_back() {
        let rate = SendRate::new(2);
        let (ana, ben) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
        let refused = (0..20).find_map(|_| rate.spend(ana).err());
        assert!(refused.is_some_and(|r| r.code == Code::RateLimited && r.retry_after_ms.is_some_and(|ms| ms <= 500)));
        assert_eq!(rate.spend(ben), Ok(()));
        assert!((0..1000).all(|_| SendRate::new(0).spend(ana).is_ok()));
    }

    #[test]
    fn what_is_left_of_a_rate_is_told_and_each_asker_has_its_own() {
        let rate = RequestRate::new(2);
        let here = Asker::Address(IpAddr::from([127, 0, 0, 1]));
        let first = Allowance { limit: 8, remaining: 7, reset: 1 };
        assert_eq!(rate.spend(here), (Ok(()), Some(first)));
        let refused = (0..20).map(|_| rate.spend(here)).find(|(passed, _)| passed.is_err());
        assert_eq!(refused.and_then(|(_, left)| left), Some(Allowance { limit: 8, remaining: 0, reset: 4 }));
        let ana = Asker::User(UserId(Uuid::from_u128(1)));
        assert_eq!(rate.spend(ana), (Ok(()), Some(first)));
        assert_eq!(RequestRate::new(0).spend(ana), (Ok(()), None));
    }

    #[test]
    fn an_address_gets_its_places_back() {
        let addresses = Addresses::default();
        let here = IpAddr::from([127, 0, 0, 1]);
        let (first, second) = (addresses.enter(here, 2), addresses.enter(here, 2));
        assert!(first.is_some() && second.is_some() && addresses.enter(here, 2).is_none());
        drop(first);
        assert!(addresses.enter(here, 2).is_some());
        drop(second);
        assert!(addresses.counts.lock().is_empty());
    }
}
