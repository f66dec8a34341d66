//! Why the room log did not keep a job.

/// Each variant says what the sender may do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The id already names another text. Retrying will not help.
    #[error("the id already names another text in this room")]
    IdTaken,
    /// No such message, or only its place is left.
    #[error("no such message")]
    NotFound,
    /// The message is somebody else's.
    #[error("only its author may change a message")]
    Forbidden,
    /// Too many wait in this lane. Nothing was written; come back after the hint.
    #[error("too many messages are waiting to be kept")]
    Busy {
        /// Milliseconds to wait.
        retry_after_ms: u64,
    },
    /// The store went silent or refused, so it cannot be known. Retry with the same id: it is kept once either way.
    #[error("the store does not answer; sending it again with the same id is safe")]
    Unknown {
        /// Milliseconds to wait.
        retry_after_ms: u64,
    },
}
