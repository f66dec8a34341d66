//! What an operator sees of people: how they come in, and who is kept out.

use prometheus::{Gauge, Histogram, IntCounter, IntCounterVec, IntGauge, Registry};
use proto::{Code, Refusal};
use tally::Tally;

/// The series of people, all of them there from the start. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PeopleMetrics {
    sign_ins: IntCounterVec,
    sign_ups: IntCounterVec,
    recognized: IntCounterVec,
    turned_away: IntCounterVec,
    pub(crate) by_copy: IntCounter,
    pub(crate) by_store: IntCounter,
    pub(crate) revoked: IntCounter,
    pub(crate) ended: IntCounter,
    pub(crate) watch_age_seconds: Gauge,
    pub(crate) password_seconds: Histogram,
    password_queue: IntGauge,
}

/// How trying to come in ended.
const OUTCOMES: [&str; 5] = ["ok", "refused", "rate_limited", "unavailable", "name_taken"];

fn outcome<T>(result: &Result<T, Refusal>) -> &'static str {
    match result.as_ref().map_err(|refusal| refusal.code) {
        Ok(_) => "ok",
        Err(Code::RateLimited) => "rate_limited",
        Err(Code::Unavailable) => "unavailable",
        Err(Code::NameTaken) => "name_taken",
        Err(_) => "refused",
    }
}

impl PeopleMetrics {
    /// Makes the series and shows them in a registry.
    ///
    /// # Errors
    /// If the registry already has one of them.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let found = registry.counters(
            "tertulia_people_tokens_total",
            "Sessions and API keys recognized, by what knew them: a copy that nodes share, or the store.",
            "by",
            &["copy", "store"],
        )?;
        Ok(Self {
            sign_ins: registry.counters(
                "tertulia_people_sign_ins_total",
                "Attempts to sign in with a name and a password, by how they ended.",
                "outcome",
                &OUTCOMES[..4],
            )?,
            sign_ups: registry.counters(
                "tertulia_people_sign_ups_total",
                "Attempts to make an account for oneself, by how they ended.",
                "outcome",
                &OUTCOMES,
            )?,
            recognized: registry.counters(
                "tertulia_people_recognized_total",
                "People let in at a door, by what stands behind them.",
                "standing",
                &["guest", "account", "vouched"],
            )?,
            turned_away: registry.counters(
                "tertulia_people_turned_away_total",
                "Guests and tokens that were not let in at a door, by why.",
                "why",
                &OUTCOMES[1..],
            )?,
            by_copy: found.with_label_values(&["copy"]),
            by_store: found.with_label_values(&["store"]),
            revoked: registry
                .counter("tertulia_people_revoked_total", "Sessions and API keys that this node was asked to end.")?,
            ended: registry.counter(
                "tertulia_people_ended_total",
                "Sessions and API keys that ended while somebody was connected here by them.",
            )?,
            watch_age_seconds: registry.level(
                "tertulia_people_watch_age_seconds",
                "How long ago this node last read from the store what was revoked.",
            )?,
            password_seconds: registry
                .seconds("tertulia_people_password_seconds", "Time to hash or check one password, without the wait.")?,
            password_queue: registry
                .gauge("tertulia_people_password_queue", "Passwords that are being checked, or wait for it.")?,
        })
    }

    pub(crate) fn sign_in<T>(&self, result: &Result<T, Refusal>) {
        // A taken name cannot be what kept somebody from signing in.
        self.sign_ins.with_label_values(&[outcome(result)]).inc();
    }

    pub(crate) fn sign_up<T>(&self, result: &Result<T, Refusal>) {
        self.sign_ups.with_label_values(&[outcome(result)]).inc();
    }

    pub(crate) fn at_the_door(&self, result: &Result<crate::Identity, Refusal>) {
        match result {
            Ok(identity) => self.recognized.with_label_values(&[identity.standing.as_str()]).inc(),
            Err(_) => self.turned_away.with_label_values(&[outcome(result)]).inc(),
        }
    }

    /// Counts a password until what is returned is dropped.
    pub(crate) fn waits(&self) -> impl Send + use<> {
        struct Waits(IntGauge);
        impl Drop for Waits {
            fn drop(&mut self) {
                self.0.dec();
            }
        }
        self.password_queue.inc();
        Waits(self.password_queue.clone())
    }
}
