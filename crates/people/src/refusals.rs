//! What people are told, in one place: who guesses must not learn more from one sentence than from another.

use proto::{Code, Refusal};
use std::time::Duration;
use store::StoreError;

const SOON_MS: u64 = 1_000;

/// The store does not answer: nobody passes.
pub(crate) fn away(error: &StoreError) -> Refusal {
    tracing::debug!(%error, "the store did not answer about people");
    Refusal::for_now(Code::Unavailable, "who you are cannot be known right now", SOON_MS)
}

/// Too much waits already.
pub(crate) fn busy() -> Refusal {
    Refusal::for_now(Code::Unavailable, "too many want to come in at once", SOON_MS)
}

/// The node is being closed.
pub(crate) fn leaving() -> Refusal {
    Refusal::for_now(Code::Unavailable, "this node is leaving", SOON_MS)
}

pub(crate) fn no_guests() -> Refusal {
    Refusal::new(Code::Unauthorized, "guests are not let in here")
}

pub(crate) fn unknown_token() -> Refusal {
    Refusal::new(Code::Unauthorized, "the token is not one of ours, or holds no longer")
}

/// The same whether there is such a name, whether it has a password, and whether it is disabled.
pub(crate) fn no_such_pair() -> Refusal {
    Refusal::new(Code::Unauthorized, "there is no account with this name and password")
}

pub(crate) fn name_taken() -> Refusal {
    Refusal::new(Code::NameTaken, "the name is an account's: sign in, or take another name")
}

pub(crate) fn too_often(wait: Duration) -> Refusal {
    let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1);
    Refusal::for_now(Code::RateLimited, "too many attempts in too short a time", wait)
}

pub(crate) fn no_such_account() -> Refusal {
    Refusal::new(Code::NotFound, "there is no such account")
}

pub(crate) fn no_such_grant() -> Refusal {
    Refusal::new(Code::NotFound, "there is no such session or key")
}
