//! Who was recognized, by what, and for how long that holds.

use std::time::SystemTime;

use proto::User;
use uuid::Uuid;

/// The name of a session or an API key in the store; not its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GrantId(pub Uuid);

/// What stands behind somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A name and a signed token, nothing else.
    Guest,
    /// An account of this chat, by a session or an API key.
    Account {
        /// Which session or key.
        grant: GrantId,
        /// Whether the account may look after the chat: other people's keys, webhooks, tasks.
        admin: bool,
    },
    /// Somebody whom the embedding application vouches for, by a JWT.
    Vouched,
}

impl Standing {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Guest => "guest",
            Self::Account { .. } => "account",
            Self::Vouched => "vouched",
        }
    }
}

/// Somebody who was recognized.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// As others see them.
    pub user: User,
    /// What stands behind them.
    pub standing: Standing,
    /// When to ask [`People::check_again`](crate::People::check_again) whether it still holds; `None`: it always does.
    pub check_at: Option<SystemTime>,
}

impl Identity {
    /// The session or API key that they came by.
    pub fn grant(&self) -> Option<GrantId> {
        match self.standing {
            Standing::Account { grant, .. } => Some(grant),
            Standing::Guest | Standing::Vouched => None,
        }
    }

    /// Whether they may look after the chat.
    pub fn is_admin(&self) -> bool {
        matches!(self.standing, Standing::Account { admin: true, .. })
    }
}
