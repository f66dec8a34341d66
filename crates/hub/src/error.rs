//! What the hub answers when it cannot.

/// Why a room could not be listened to or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HubError {
    /// The store is needed and does not answer. Nothing was changed; ask again in a while.
    #[error("the store does not answer")]
    Away,
}
