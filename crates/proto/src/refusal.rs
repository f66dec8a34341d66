//! Refusals: what a node answers when it will not, or cannot now, do what was asked.
//!
//! The vocabulary is fixed: clients switch on [`Code`], people read the detail. A `retry_after_ms` is there exactly
//! where trying again makes sense.

use std::fmt;

use serde::Serialize;

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// Not JSON, or not an object.
    InvalidFrame,
    /// No request has this `type`.
    UnknownType,
    /// A field is missing, of the wrong kind or out of range; the detail names it.
    InvalidField,
    /// A person's name outside the alphabet or too long.
    InvalidName,
    /// The name is an account's: whoever it belongs to signs in.
    NameTaken,
    /// A room's name outside the alphabet or too long.
    InvalidRoom,
    /// The text is blank.
    TextEmpty,
    /// The text is over the limit.
    TextTooLong,
    /// The first request must be `hello`.
    HelloRequired,
    /// `hello` was already answered on this connection.
    AlreadyWelcome,
    /// The token is not ours or holds no longer, name and password do not fit, or guests are not let in.
    Unauthorized,
    /// Only for those who joined the room.
    NotJoined,
    /// This connection is in as many rooms as it may be.
    TooManyRooms,
    /// No such message, or only its place is left.
    NotFound,
    /// The message is somebody else's.
    Forbidden,
    /// The id already names another text in this room. It will always be so.
    IdTaken,
    /// Too many in too short a time.
    RateLimited,
    /// It cannot be done, or be known to be done, right now. Trying again with the same id is safe.
    Unavailable,
}

impl Code {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 18] = [
        Self::InvalidFrame,
        Self::UnknownType,
        Self::InvalidField,
        Self::InvalidName,
        Self::NameTaken,
        Self::InvalidRoom,
        Self::TextEmpty,
        Self::TextTooLong,
        Self::HelloRequired,
        Self::AlreadyWelcome,
        Self::Unauthorized,
        Self::NotJoined,
        Self::TooManyRooms,
        Self::NotFound,
        Self::Forbidden,
        Self::IdTaken,
        Self::RateLimited,
        Self::Unavailable,
    ];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidFrame => "invalid_frame",
            Self::UnknownType => "unknown_type",
            Self::InvalidField => "invalid_field",
            Self::InvalidName => "invalid_name",
            Self::NameTaken => "name_taken",
            Self::InvalidRoom => "invalid_room",
            Self::TextEmpty => "text_empty",
            Self::TextTooLong => "text_too_long",
            Self::HelloRequired => "hello_required",
            Self::AlreadyWelcome => "already_welcome",
            Self::Unauthorized => "unauthorized",
            Self::NotJoined => "not_joined",
            Self::TooManyRooms => "too_many_rooms",
            Self::NotFound => "not_found",
            Self::Forbidden => "forbidden",
            Self::IdTaken => "id_taken",
            Self::RateLimited => "rate_limited",
            Self::Unavailable => "unavailable",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A refused request: the code for programs, the detail for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Refusal {
    /// One of the fixed vocabulary.
    pub code: Code,
    /// A sentence for whoever debugs the client.
    pub detail: String,
    /// When to try again, in milliseconds; absent where trying again cannot help.
    pub retry_after_ms: Option<u64>,
}

impl Refusal {
    /// A refusal that stands: the same request will be refused again.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), retry_after_ms: None }
    }

    /// A refusal for now.
    pub fn for_now(code: Code, detail: impl Into<String>, retry_after_ms: u64) -> Self {
        Self { code, detail: detail.into(), retry_after_ms: Some(retry_after_ms) }
    }

    /// A field that is missing, of the wrong kind or out of range.
    pub fn field(name: &str, wanted: &str) -> Self {
        Self::new(Code::InvalidField, format!("`{name}` must be {wanted}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_called_the_same_in_frames_and_in_logs() {
        for code in Code::ALL {
            assert_eq!(serde_json::to_string(&code).ok(), Some(format!("\"{code}\"")));
        }
    }
}
