//! Guests' tokens: who holds one is the same guest again, on any node that knows the secret.
//!
//! `g1.` · base64url of `{"id":…,"name":…}` · `.` · base64url of its HMAC-SHA-256. Nothing is looked up, so nothing is lost when
//! a node dies. The version in front lets another kind of token come later.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use proto::User;
use sha2::Sha256;

const VERSION: &str = "g1";

/// Makes and checks tokens.
#[derive(Clone)]
pub struct Tokens {
    key: Hmac<Sha256>,
}

impl Tokens {
    /// Signs with this secret. Nodes of one cluster must share it.
    pub fn new(secret: &str) -> Self {
        let key = Hmac::new_from_slice(secret.as_bytes());
        // HMAC takes keys of any length; the fallback only spares us a panic that cannot happen.
        Self { key: key.unwrap_or_else(|_| Hmac::new(&Default::default())) }
    }

    /// Whether a token says that it is one of these.
    pub(crate) fn are_like(token: &str) -> bool {
        token.strip_prefix(VERSION).is_some_and(|rest| rest.starts_with('.'))
    }

    /// What else is signed is signed with the same key.
    pub(crate) fn key(&self) -> Hmac<Sha256> {
        self.key.clone()
    }

    /// The token of a guest.
    pub fn issue(&self, user: &User) -> String {
        let claims = URL_SAFE_NO_PAD.encode(serde_json::to_vec(user).unwrap_or_default());
        let signed = format!("{VERSION}.{claims}");
        let signature = URL_SAFE_NO_PAD.encode(self.mac(&signed).finalize().into_bytes());
        format!("{signed}.{signature}")
    }

    /// The guest of a token; `None` if we did not make it.
    pub fn check(&self, token: &str) -> Option<User> {
        let (signed, signature) = token.rsplit_once('.')?;
        let claims = signed.strip_prefix(VERSION)?.strip_prefix('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        self.mac(signed).verify_slice(&signature).ok()?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
    }

    fn mac(&self, signed: &str) -> Hmac<Sha256> {
        let mut mac = self.key.clone();
        mac.update(signed.as_bytes());
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::{PersonName, UserId};
    use uuid::Uuid;

    fn ana() -> User {
        User { id: UserId(Uuid::from_u128(7)), name: PersonName::parse("Ana").unwrap() }
    }

    #[test]
    fn a_token_is_good_on_every_node_that_knows_the_secret() {
        let token = Tokens::new("secret").issue(&ana());
        assert_eq!(Tokens::new("secret").check(&token), Some(ana()));
        assert_eq!(Tokens::new("another").check(&token), None);
    }

    #[test]
    fn a_token_that_was_touched_is_worth_nothing() {
        let tokens = Tokens::new("secret");
        let token = tokens.issue(&ana());
        for (index, _) in token.char_indices() {
            let mut touched = token.clone().into_bytes();
            touched[index] = if touched[index] == b'A' { b'B' } else { b'A' };
            let touched = String::from_utf8(touched).unwrap();
            // The last character of base64 may carry unused bits, which decoding refuses or which change the signature.
            assert_eq!(tokens.check(&touched), None, "{touched}");
        }
        for bad in ["", ".", "..", "g1..", "g1.e30.AAAA", "g2.e30.AAAA"] {
            assert_eq!(tokens.check(bad), None, "{bad}");
        }
    }
}
