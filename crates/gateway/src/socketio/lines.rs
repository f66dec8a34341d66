//! What was said, written for clients of Socket.IO: read once from the frame, and written once for each form of event that some
//! socket wants, whoever and how many they are.

use hub::Batch;
use parking_lot::Mutex;
use proto::{Entry, UserId};
use serde::Deserialize;

use super::dialect::{self, Dialect, Form, Voice};
use super::packet::{Namespace, Packed};

/// One message that is still there.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) seq: u64,
    from: UserId,
    name: String,
    text: String,
    written: Mutex<Vec<(Key, Packed)>>,
}

type Key = (Namespace, &'static str, Form);

/// The messages of a delivery, by `seq`. Changes of old messages are among them; who is told decides.
pub(super) struct Lines(Vec<Line>);

impl Lines {
    pub(super) fn of(entries: &[Entry]) -> Self {
        let mut lines: Vec<Line> = entries.iter().filter_map(Line::of).collect();
        // A number that was folded away comes as its later change; what is new goes by its place.
        lines.sort_by_key(|line| line.seq);
        Self(lines)
    }

    /// Those of a delivery, shared by all who get it.
    pub(super) fn of_batch(batch: &Batch) -> Option<&Self> {
        batch.other(Self::of)
    }

    /// Those after a `seq`.
    pub(super) fn after(&self, seq: u64) -> &[Line] {
        &self.0[self.0.partition_point(|line| line.seq <= seq)..]
    }
}

impl Line {
    /// Reads a `message` frame; `None` for one whose message was deleted.
    pub(super) fn of(entry: &Entry) -> Option<Self> {
        #[derive(Deserialize)]
        struct Said {
            from: From,
            text: String,
            #[serde(default)]
            deleted: bool,
        }
        #[derive(Deserialize)]
        struct From {
            id: UserId,
            name: String,
        }
        let said: Said = serde_json::from_slice(entry.frame.payload()).ok()?;
        (!said.deleted).then(|| Self {
            seq: entry.seq,
            from: said.from.id,
            name: said.from.name,
            text: said.text,
            written: Mutex::default(),
        })
    }

    /// The packets that tell a socket of it: in each dialect that it hears, unless that spares the sender.
    pub(super) fn packets(&self, voice: &Voice, user: UserId) -> impl Iterator<Item = Packed> {
        let namespace = voice.namespace;
        voice
            .hears()
            .filter(move |(dialect, _)| dialect.to_sender || self.from != user)
            .map(move |(dialect, form)| self.packet(namespace, dialect, form))
    }

    fn packet(&self, namespace: Namespace, dialect: &'static Dialect, form: Form) -> Packed {
        let key = (namespace, dialect.message, form);
        let mut written = self.written.lock();
        if let Some((_, packet)) = written.iter().find(|(other, _)| *other == key) {
            return packet.clone();
        }
        let packet = dialect::written(namespace, dialect.message, form, self.seq, &self.name, &self.text);
        written.push((key, packet.clone()));
        packet
    }
}

#[cfg(test)]
mod tests {
    use proto::Frame;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    fn entry(seq: u64, rev: u64, deleted: bool) -> Entry {
        let from = json!({"id": Uuid::from_u128(7), "name": "Ana"});
        let frame = json!({"type": "message", "seq": seq, "from": from, "text": format!("t{seq}"), "deleted": deleted});
        Entry { seq, rev, frame: Frame::json(&frame) }
    }

    #[test]
    fn a_delivery_is_told_by_place_without_what_was_deleted_and_written_once() {
        let batch = Batch::new(vec![entry(6, 6, false), entry(5, 7, false), entry(3, 8, false), entry(8, 9, true)]);
        let lines = Lines::of_batch(&batch).unwrap();
        let told: Vec<u64> = lines.after(4).iter().map(|line| line.seq).collect();
        assert_eq!(told, [5, 6]);
        let voice = Voice::default();
        let twice = [0, 1].map(|_| lines.after(5)[0].packets(&voice, UserId(Uuid::nil())).next().unwrap());
        assert_eq!(twice[0].frame().as_ptr(), twice[1].frame().as_ptr());
        assert_eq!(twice[0].text().as_str(), r#"2["chat message","t6","6","Ana"]"#);
    }

    #[test]
    fn the_sender_is_spared_where_the_dialect_says_so() {
        let line = Line::of(&entry(1, 1, false)).unwrap();
        let mut voice = Voice::default();
        voice.speaks(&dialect::DIALECTS[1], None);
        let told = |user| line.packets(&voice, UserId(Uuid::from_u128(user))).count();
        assert_eq!((told(7), told(8)), (0, 1));
    }
}
