//! A tiny model of the cluster that writes evidence: numbers, changes, folds, and clients that come and go.

use std::time::Duration;

use uuid::Uuid;

use crate::chaos::record::{ClientLog, Digest, Evidence, Line, Moment, StoredMessage, StoredRoom, What};

pub(super) const ANA: usize = 0;
pub(super) const BEN: usize = 1;
pub(super) const REA: usize = 2;

/// One number of a room, as it was when it was given out.
#[derive(Clone, Copy, Debug)]
struct Entry {
    rev: u64,
    seq: u64,
    id: Uuid,
    text: Option<Digest>,
}

#[derive(Default)]
struct Room {
    head: u64,
    entries: Vec<Entry>,
}

impl Room {
    /// What survives above a number, by `rev`.
    fn above(&self, after: u64) -> Vec<Entry> {
        let stands = |entry: &&Entry| !self.entries.iter().any(|later| later.seq == entry.seq && later.rev > entry.rev);
        self.entries.iter().filter(|entry| entry.rev > after).filter(stands).copied().collect()
    }

    fn latest(&self, seq: u64) -> Option<Entry> {
        self.entries.iter().rfind(|entry| entry.seq == seq).copied()
    }
}

/// The cluster and its clients.
pub(super) struct Model {
    pub(super) now: Moment,
    rooms: Vec<Room>,
    logs: Vec<ClientLog>,
    /// By client and room: the position, and whether it is live.
    stand: Vec<Vec<(Option<u64>, bool)>>,
    pub(super) connected: Vec<bool>,
    made: u128,
    pub(super) tick: Duration,
}

impl Model {
    pub(super) fn new(clients: &[&str], rooms: usize) -> Self {
        Self {
            now: Duration::ZERO,
            rooms: (0..rooms).map(|_| Room::default()).collect(),
            logs: clients.iter().map(|name| ClientLog { name: (*name).to_owned(), lines: Vec::new() }).collect(),
            stand: vec![vec![(None, false); rooms]; clients.len()],
            connected: vec![false; clients.len()],
            made: 0,
            tick: Duration::from_millis(1),
        }
    }

    pub(super) fn note(&mut self, client: usize, what: What) {
        self.now += self.tick;
        self.logs[client].lines.push(Line { at: self.now, what });
    }

    /// A text, or an id, that there was never before.
    pub(super) fn fresh(&mut self) -> u64 {
        self.made += 1;
        self.made as u64
    }

    pub(super) fn connect(&mut self, client: usize, node: &str) {
        self.note(client, What::Connected { node: node.to_owned() });
        self.connected[client] = true;
    }

    pub(super) fn lose(&mut self, client: usize) {
        self.note(client, What::Lost { why: "cut".to_owned() });
        self.connected[client] = false;
        self.stand[client].iter_mut().for_each(|(_, live)| *live = false);
    }

    /// From nothing: the newest messages by `seq`.
    pub(super) fn join_tail(&mut self, client: usize, room: usize, limit: usize) {
        self.note(client, What::JoinAsked { room, after: None });
        self.joined(client, room, self.rooms[room].head, false);
        let mut tail = self.rooms[room].above(0);
        tail.sort_unstable_by_key(|entry| entry.seq);
        for entry in tail.split_off(tail.len().saturating_sub(limit)) {
            self.got(client, room, entry, true);
        }
    }

    /// From the position, or the start; in pages of so many.
    pub(super) fn join_after(&mut self, client: usize, room: usize, page: usize) {
        loop {
            let after = self.stand[client][room].0.unwrap_or(0);
            self.note(client, What::JoinAsked { room, after: Some(after) });
            let mut above = self.rooms[room].above(after);
            let more = above.len() > page;
            above.truncate(page);
            let head = if more { above[page - 1].rev } else { self.rooms[room].head };
            self.joined(client, room, head, more);
            above.into_iter().for_each(|entry| self.got(client, room, entry, true));
            if !more {
                return;
            }
        }
    }

    /// As a client does: from the position if it has one.
    pub(super) fn join(&mut self, client: usize, room: usize) {
        match self.stand[client][room].0 {
            Some(_) => self.join_after(client, room, 200),
            None => self.join_tail(client, room, 3),
        }
    }

    fn joined(&mut self, client: usize, room: usize, head: u64, more: bool) {
        self.note(client, What::Joined { room, epoch: "e".to_owned(), head, reset: false, more });
        self.stand[client][room] = (Some(head), !more);
    }

    fn got(&mut self, client: usize, room: usize, entry: Entry, page: bool) {
        let Entry { rev, seq, id, text } = entry;
        self.note(client, What::Got { room, seq, rev, id, text, page });
    }

    /// A message is sent; nothing more happens to it.
    pub(super) fn send(&mut self, client: usize, room: usize) -> Uuid {
        let id = Uuid::from_u128(u128::from(self.fresh()));
        self.send_again(client, room, id);
        id
    }

    pub(super) fn send_again(&mut self, client: usize, room: usize, id: Uuid) {
        self.note(client, What::Sent { room, id, text: text_of(id) });
    }

    /// A message takes the next number, unless it is known.
    pub(super) fn commit(&mut self, room: usize, id: Uuid) -> u64 {
        let room = &mut self.rooms[room];
        if let Some(known) = room.entries.iter().find(|entry| entry.id == id) {
            return known.seq;
        }
        room.head += 1;
        room.entries.push(Entry { rev: room.head, seq: room.head, id, text: Some(text_of(id)) });
        room.head
    }

    pub(super) fn ack(&mut self, client: usize, room: usize, id: Uuid, seq: u64) {
        self.note(client, What::Acked { room, id, seq });
    }

    /// Sent, kept and acknowledged.
    pub(super) fn say(&mut self, client: usize, room: usize) -> u64 {
        let id = self.send(client, room);
        let seq = self.commit(room, id);
        self.ack(client, room, id, seq);
        seq
    }

    pub(super) fn ask(&mut self, client: usize, room: usize, seq: u64, text: Option<Digest>) {
        self.note(client, What::ChangeAsked { room, seq, text });
    }

    /// A change takes the next number, unless it alters nothing; `None` for an edit of what is deleted.
    pub(super) fn alter(&mut self, room: usize, seq: u64, text: Option<Digest>) -> Option<u64> {
        let room = &mut self.rooms[room];
        let latest = room.latest(seq)?;
        if latest.text == text {
            return Some(latest.rev);
        }
        latest.text?;
        room.head += 1;
        room.entries.push(Entry { rev: room.head, text, ..latest });
        Some(room.head)
    }

    pub(super) fn change_acked(&mut self, client: usize, room: usize, seq: u64, rev: u64) {
        self.note(client, What::ChangeAcked { room, seq, rev });
    }

    /// Asked, kept and acknowledged; the number and the text.
    pub(super) fn edit(&mut self, client: usize, room: usize, seq: u64) -> (u64, Digest) {
        let text = Digest(self.fresh());
        self.ask(client, room, seq, Some(text));
        let rev = self.alter(room, seq, Some(text)).unwrap();
        self.change_acked(client, room, seq, rev);
        (rev, text)
    }

    pub(super) fn delete(&mut self, client: usize, room: usize, seq: u64) -> u64 {
        self.ask(client, room, seq, None);
        let rev = self.alter(room, seq, None).unwrap();
        self.change_acked(client, room, seq, rev);
        rev
    }

    /// A number is lost, as no number may be.
    pub(super) fn burn(&mut self, room: usize) {
        self.rooms[room].head += 1;
    }

    /// So many numbers come live, one by one, if there are as many.
    pub(super) fn hear(&mut self, client: usize, room: usize, count: usize) {
        let Some(position) = self.position_if_live(client, room) else { return };
        let owed: Vec<Entry> = self.rooms[room].entries.iter().filter(|entry| entry.rev > position).copied().collect();
        for entry in owed.into_iter().take(count) {
            self.got(client, room, entry, false);
            self.stand[client][room].0 = Some(entry.rev);
        }
    }

    /// What survives comes live: the node has read it from the store.
    pub(super) fn hear_folded(&mut self, client: usize, room: usize) {
        let Some(position) = self.position_if_live(client, room) else { return };
        for entry in self.rooms[room].above(position) {
            self.got(client, room, entry, false);
            self.stand[client][room].0 = Some(entry.rev);
        }
    }

    fn position_if_live(&self, client: usize, room: usize) -> Option<u64> {
        let (position, live) = self.stand[client][room];
        position.filter(|_| live)
    }

    pub(super) fn hear_all(&mut self) {
        for client in 0..self.logs.len() {
            (0..self.rooms.len()).for_each(|room| self.hear(client, room, usize::MAX));
        }
    }

    /// Everybody is back and has everything.
    pub(super) fn evidence(mut self) -> Evidence {
        for client in 0..self.logs.len() {
            if !self.connected[client] {
                self.connect(client, "n1");
            }
            for room in (0..self.rooms.len()).filter(|room| !self.stand[client][*room].1).collect::<Vec<_>>() {
                self.join(client, room);
            }
        }
        self.hear_all();
        let ended_at = self.now + Duration::from_secs(1);
        for log in &mut self.logs {
            log.lines.push(Line { at: ended_at, what: What::Lost { why: "over".to_owned() } });
        }
        let row = |Entry { rev, seq, id, text }| StoredMessage { seq, rev, id, text };
        let stored = |room: &Room| {
            let mut messages: Vec<StoredMessage> = room.above(0).into_iter().map(row).collect();
            messages.sort_unstable_by_key(|row| row.seq);
            StoredRoom { head: room.head, messages }
        };
        Evidence {
            rooms: (0..self.rooms.len()).map(|room| format!("room {room}")).collect(),
            store: self.rooms.iter().map(stored).collect(),
            clients: self.logs,
            healed_at: self.now,
            ended_at,
            ..Evidence::default()
        }
    }
}

fn text_of(id: Uuid) -> Digest {
    Digest(id.as_u128() as u64 ^ 0xaaaa_0000_0000)
}
