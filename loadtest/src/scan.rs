//! Fields of a frame, found instead of parsed.
//!
//! A quote inside a JSON string is written `\"`, so `"name":` can only be a key; and none of the keys that we look for is also
//! one of an object further inside, except in a page of messages, which is walked message by message.

use std::sync::LazyLock;

use memchr::memmem::Finder;

/// A key that is looked for often.
pub(crate) struct Key(LazyLock<Finder<'static>>);

macro_rules! keys {
    ($($name:ident = $key:literal;)*) => {
        $(pub(crate) static $name: Key = Key(LazyLock::new(|| Finder::new(concat!("\"", $key, "\":"))));)*
    };
}

keys! {
    TYPE = "type";
    REF = "ref";
    SEQ = "seq";
    REV = "rev";
    TEXT = "text";
    CODE = "code";
    EPOCH = "epoch";
    HEAD = "head";
    RESET = "reset";
    MORE = "more";
    RETRY = "retry_after_ms";
}

impl Key {
    /// What follows the key.
    fn after<'a>(&self, payload: &'a [u8]) -> Option<&'a [u8]> {
        Some(&payload[self.0.find(payload)? + self.0.needle().len()..])
    }

    pub(crate) fn number(&self, payload: &[u8]) -> Option<u64> {
        digits(self.after(payload)?)
    }

    pub(crate) fn word<'a>(&self, payload: &'a [u8]) -> Option<&'a [u8]> {
        let rest = self.after(payload)?.strip_prefix(b"\"")?;
        Some(&rest[..memchr::memchr(b'"', rest)?])
    }

    pub(crate) fn is_true(&self, payload: &[u8]) -> bool {
        self.after(payload).is_some_and(|rest| rest.starts_with(b"true"))
    }

    /// Every number under this key, in the order of the bytes.
    pub(crate) fn numbers<'a>(&'a self, payload: &'a [u8]) -> impl Iterator<Item = u64> + 'a {
        let ends = self.0.find_iter(payload).map(|at| at + self.0.needle().len());
        ends.filter_map(|end| digits(&payload[end..]))
    }
}

/// The number that bytes begin with.
pub(crate) fn digits(bytes: &[u8]) -> Option<u64> {
    let count = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (1..=19).contains(&count).then(|| bytes[..count].iter().fold(0, |sum, byte| sum * 10 + u64::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_wherever_they_stand_and_never_in_what_was_said() {
        let frame = br#"{"text":"a \"rev\":9 \"type\":\"ack\"","seq":3,"type":"message","rev":12}"#;
        assert_eq!(
            (SEQ.number(frame), REV.number(frame), TYPE.word(frame)),
            (Some(3), Some(12), Some(&b"message"[..]))
        );
        assert_eq!(HEAD.number(frame), None);
    }

    #[test]
    fn a_page_is_walked() {
        let page = br#"{"type":"joined","head":7,"more":true,"messages":[{"seq":6,"rev":6},{"seq":7,"rev":7}]}"#;
        assert_eq!(REV.numbers(page).collect::<Vec<_>>(), [6, 7]);
        assert_eq!((HEAD.number(page), MORE.is_true(page), RESET.is_true(page)), (Some(7), true, false));
    }
}
