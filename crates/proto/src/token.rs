//! What proves who somebody is, and so is shown to nobody.

use std::fmt;

use crate::Refusal;

/// Most bytes in a token.
pub const TOKEN_BYTES_MAX: usize = 4096;

/// A token as a client gave it. It cannot get into a log by accident: neither `Debug` nor `Display` shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Takes a token that is not too long.
    ///
    /// # Errors
    /// [`Code::InvalidField`](crate::Code::InvalidField).
    pub fn parse(token: impl Into<String>) -> Result<Self, Refusal> {
        let token = token.into();
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Refusal::field("token", "at most 4096 bytes"));
        }
        Ok(Self(token))
    }

    /// The token itself, for whoever checks it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Code;

    #[test]
    fn a_token_is_not_shown() {
        let token = Token::parse("ts_secret").map(|token| (format!("{token:?}"), token));
        assert!(token.is_ok_and(|(shown, token)| shown == "Token(…)" && token.reveal() == "ts_secret"));
        assert!(Token::parse("x".repeat(4097)).is_err_and(|refusal| refusal.code == Code::InvalidField));
    }
}
