//! What a store answers when it cannot.

/// Why a store did not answer. Each variant says what the caller may do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It went silent or is not there: what was asked may have happened or not. Ask again.
    #[error("the store is away: {0}")]
    Away(String),
    /// It answered and nothing happened: a conflict with somebody else's transaction. Ask again.
    #[error("the store had to choose and chose another: {0}")]
    Conflict(String),
    /// It answered that it will not, and will say so again: a bug, a full disk, missing rights.
    #[error("the store refuses: {0}")]
    Refused(String),
}

impl StoreError {
    /// Whether asking the same again can help.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Away(_) | Self::Conflict(_))
    }

    /// What it said, for whoever says the rest.
    pub fn why(&self) -> &str {
        match self {
            Self::Away(why) | Self::Conflict(why) | Self::Refused(why) => why,
        }
    }
}
