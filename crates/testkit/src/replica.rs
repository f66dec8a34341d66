//! What a client holds of a room, and the rules by which it may come to hold it.

use std::collections::BTreeMap;

use serde_json::Value;

/// A client's copy of a room: upserts by `seq`, keeps the higher `rev`, and fails the test when a rule of the protocol is
/// broken. Rules: live numbers rise and are above the last answer's head; a jump is only allowed where a message
/// that is held, or seen to come, was folded, which the comparison at the end shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replica {
    /// The position: everything up to this number is held.
    pub head: u64,
    /// The epoch that it belongs to.
    pub epoch: String,
    /// By `seq`: `rev`, text, whether deleted.
    pub messages: BTreeMap<u64, (u64, String, bool)>,
    /// Whether live messages may come.
    is_live: bool,
}

impl Replica {
    /// The request that brings this replica up to date.
    pub fn join(&self, room: &str) -> Value {
        if self.epoch.is_empty() {
            return serde_json::json!({"type": "join", "room": room, "after": 0});
        }
        serde_json::json!({"type": "join", "room": room, "after": self.head, "epoch": self.epoch})
    }

    /// Takes a `joined`; whether to ask again.
    ///
    /// # Panics
    /// When it breaks a rule.
    pub fn joined(&mut self, answer: &Value) -> bool {
        let epoch = answer["epoch"].as_str().expect("an epoch");
        if answer["reset"] == true {
            *self = Self::default();
        } else {
            assert!(self.epoch.is_empty() || self.epoch == epoch, "another epoch without a reset");
            let mut last = self.head;
            for message in answer["messages"].as_array().expect("messages") {
                let rev = number(message, "rev");
                assert!(rev > last, "{rev} after {last}: {answer}");
                last = rev;
            }
            assert!(number(answer, "head") >= last, "{answer}");
        }
        self.epoch = epoch.to_owned();
        for message in answer["messages"].as_array().expect("messages") {
            self.upsert(message);
        }
        self.head = number(answer, "head");
        self.is_live = answer["more"] == false;
        !self.is_live
    }

    /// Takes a live `message`.
    ///
    /// # Panics
    /// When it breaks a rule.
    pub fn message(&mut self, message: &Value) {
        let rev = number(message, "rev");
        assert!(self.is_live, "live before the last page: {message}");
        assert!(rev > self.head, "{rev} after {}: twice or out of order", self.head);
        self.head = rev;
        self.upsert(message);
    }

    fn upsert(&mut self, message: &Value) {
        let (seq, rev) = (number(message, "seq"), number(message, "rev"));
        let held = self.messages.get(&seq).map_or(0, |(rev, ..)| *rev);
        assert!(rev > held, "{seq}@{rev} after @{held}");
        let text = message["text"].as_str().expect("a text").to_owned();
        self.messages.insert(seq, (rev, text, message["deleted"] == true));
    }
}

fn number(value: &Value, field: &str) -> u64 {
    value[field].as_u64().unwrap_or_else(|| panic!("`{field}` is a number in {value}"))
}
