//! One place that turns what went wrong inside into what the client is told.

use hub::HubError;
use proto::{Code, Refusal};
use roomlog::AppendError;
use store::StoreError;

/// What a failed append means to its sender.
pub(crate) fn of_append(error: &AppendError) -> Refusal {
    let detail = error.to_string();
    match error {
        AppendError::IdTaken => Refusal::new(Code::IdTaken, detail),
        AppendError::NotFound => Refusal::new(Code::NotFound, detail),
        AppendError::Forbidden => Refusal::new(Code::Forbidden, detail),
        AppendError::Busy { retry_after_ms } | AppendError::Unknown { retry_after_ms } => {
            Refusal::for_now(Code::Unavailable, detail, *retry_after_ms)
        }
    }
}

/// What a store that does not answer means to who asked.
pub(crate) fn of_store(error: StoreError) -> Refusal {
    tracing::warn!(%error, "the store could not be asked");
    Refusal::for_now(Code::Unavailable, "the store does not answer", 1000)
}

/// What a room that cannot be read means to who asked.
pub(crate) fn of_hub(error: &HubError) -> Refusal {
    match error {
        HubError::Away => Refusal::for_now(Code::Unavailable, error.to_string(), 1000),
    }
}
