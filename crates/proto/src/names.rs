//! Names and texts: what people typed, once it has been found good.
//!
//! Each type can only be made by its `parse`, so whoever holds one need not check again.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Code, Refusal};

macro_rules! shared_text {
    ($name:ident) => {
        impl $name {
            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                Self::parse(&String::deserialize(from)?).map_err(serde::de::Error::custom)
            }
        }
    };
}

/// A room's name: 1–64 letters or digits of any script, or `-` `_` `.` `:`.
///
/// Cheap to clone. A letter written as a base and a combining mark is refused, so that one name has one spelling.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoomName(Arc<str>);

impl RoomName {
    /// Most characters in a room's name.
    pub const CHARS_MAX: usize = 64;

    /// Takes a name that keeps to the alphabet.
    ///
    /// # Errors
    /// [`Code::InvalidRoom`].
    pub fn parse(name: &str) -> Result<Self, Refusal> {
        let good = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
        if name.is_empty() || name.chars().nth(Self::CHARS_MAX).is_some() || !name.chars().all(good) {
            return Err(Refusal::new(Code::InvalidRoom, "a room's name is 1 to 64 letters, digits or - _ . :"));
        }
        Ok(Self(name.into()))
    }

    /// A channel beside the room, where nothing is kept. Nobody can ask for it: `~` is outside the alphabet.
    pub fn beside(&self, what: &str) -> Self {
        Self(format!("{self}~{what}").into())
    }
}

shared_text!(RoomName);

/// A person's name: 1–64 characters, none of them invisible, no space at either end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PersonName(Arc<str>);

impl PersonName {
    /// Most characters in a person's name.
    pub const CHARS_MAX: usize = 64;

    /// Takes a name after cutting white space at its ends.
    ///
    /// # Errors
    /// [`Code::InvalidName`].
    pub fn parse(name: &str) -> Result<Self, Refusal> {
        let name = name.trim();
        if name.is_empty() || name.chars().nth(Self::CHARS_MAX).is_some() || name.chars().any(misleads) {
            return Err(Refusal::new(Code::InvalidName, "a name is 1 to 64 visible characters on one line"));
        }
        Ok(Self(name.into()))
    }
}

shared_text!(PersonName);

/// Characters that hide, break lines or turn the writing direction: in a name they pass for somebody else's.
fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{00ad}')
}

/// What a message says: not blank, at most [`Text::BYTES_MAX`] bytes, kept exactly as sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(Arc<str>);

impl Text {
    /// Most bytes of UTF-8 in a text.
    pub const BYTES_MAX: usize = 16 * 1024;

    /// Takes a text as it is.
    ///
    /// # Errors
    /// [`Code::TextEmpty`], [`Code::TextTooLong`], or [`Code::InvalidField`] for a NUL, which stores cannot keep.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        if text.len() > Self::BYTES_MAX {
            let detail = format!("a text is at most {} bytes, this one has {}", Self::BYTES_MAX, text.len());
            return Err(Refusal::new(Code::TextTooLong, detail));
        }
        if text.trim().is_empty() {
            return Err(Refusal::new(Code::TextEmpty, "a text must say something"));
        }
        if text.contains('\0') {
            return Err(Refusal::new(Code::InvalidField, "a text cannot hold the character NUL"));
        }
        Ok(Self(text.into()))
    }
}

shared_text!(Text);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_keep_to_their_alphabet() {
        for good in ["general", "a", "Música-2", "r:1.x_y", &"x".repeat(64)] {
            assert!(RoomName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", " ", "a b", "../x", "a/b", "a\0", "mu\u{301}sica", "<b>", &"x".repeat(65)] {
            assert_eq!(RoomName::parse(bad).map_err(|r| r.code), Err(Code::InvalidRoom), "{bad}");
        }
    }

    #[test]
    fn names_are_trimmed_and_visible() {
        assert_eq!(PersonName::parse("  Ana María ").map(|n| n.to_string()), Ok("Ana María".into()));
        for bad in ["", "  ", "a\nb", "a\u{202e}b", "\u{200b}", &"x".repeat(65)] {
            assert_eq!(PersonName::parse(bad).map_err(|r| r.code), Err(Code::InvalidName), "{bad:?}");
        }
    }

    #[test]
    fn texts_are_bounded_and_say_something() {
        assert_eq!(Text::parse(" hola ").map(|t| t.to_string()), Ok(" hola ".into()));
        assert_eq!(Text::parse(" \n ").map_err(|r| r.code), Err(Code::TextEmpty));
        assert!(Text::parse(&"x".repeat(Text::BYTES_MAX)).is_ok());
        assert_eq!(Text::parse(&"x".repeat(Text::BYTES_MAX + 1)).map_err(|r| r.code), Err(Code::TextTooLong));
        assert_eq!(Text::parse("a\0b").map_err(|r| r.code), Err(Code::InvalidField));
    }
}
