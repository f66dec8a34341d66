//! Who somebody is: guests, accounts, sessions, keys, and the tokens that prove it.
//!
//! Absent on purpose: sockets, HTTP, SQL, Redis. Refusals are in the words of [`proto::Code`].
//!
//! Start at [`People::recognize`].

mod guests;
mod identity;
mod jwt;

pub use guests::Tokens;
pub use identity::{GrantId, Identity, Standing};
pub use jwt::{JwtConfig, JwtError, LEEWAY, Pace, Vouchers};

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

/// An id made of some words, always the same one for the same words.
pub fn derived(words: &[&str]) -> Uuid {
    use sha2::{Digest, Sha256};
    let mut digest = Sha256::new();
    for word in words {
        // With their lengths, so that no two lists of words run together.
        digest.update((word.len() as u64).to_le_bytes());
        digest.update(word);
    }
    let digest = digest.finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_sha1_bytes(bytes).into_uuid()
}
