//! What all logs and the store know of each room together.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::changes::{Changes, Pending};
use super::faults::{TURNS_EPOCH, is_of};
use super::findings::Findings;
use super::lines;
use crate::chaos::record::{ClientLog, Digest, Evidence, Moment, RoomIndex, StoredMessage, What};
use crate::chaos::verdict::Rule;

/// Everything known of all rooms.
pub(super) struct Known<'a> {
    pub(super) rooms: Vec<KnownRoom<'a>>,
    /// The epoch of the first answer of all; `None` if something was done that may turn it.
    pub(super) epoch: Option<&'a str>,
    /// How much of each kind there was.
    pub(super) looked_at: Vec<(&'static str, u64)>,
}

/// Everything known of one room.
#[derive(Default)]
pub(super) struct KnownRoom<'a> {
    /// The store's rows by `seq`.
    pub(super) rows: HashMap<u64, &'a StoredMessage>,
    /// The store's rows by id.
    pub(super) ids: HashMap<Uuid, &'a StoredMessage>,
    /// What was sent, by id.
    pub(super) sends: HashMap<Uuid, Send<'a>>,
    /// What was acknowledged of changes.
    pub(super) changes_acked: Vec<ChangeAck<'a>>,
    /// Whose each number is: the message's `seq`. The store is asked first, then who got it, then who got an acknowledgement.
    pub(super) numbers: HashMap<u64, u64>,
    /// When each number was first acknowledged.
    pub(super) acked_at: HashMap<u64, Moment>,
    /// The same numbers, rising, and since when each may be folded.
    folds: Vec<Fold>,
    /// What was asked of each message.
    changes: HashMap<u64, Changes>,
}

/// A message as its sender knows it.
pub(super) struct Send<'a> {
    pub(super) by: &'a str,
    /// When it was first sent.
    pub(super) first: Moment,
    text: Digest,
    /// Other texts that were sent under the same id.
    others: Vec<Digest>,
    /// The first acknowledgement: when, and the number.
    pub(super) acked: Option<(Moment, u64)>,
    /// One that named another number.
    pub(super) acked_otherwise: Option<(Moment, u64)>,
    /// Acknowledged, or refused for good.
    settled: bool,
}

/// An acknowledged change.
pub(super) struct ChangeAck<'a> {
    pub(super) by: &'a str,
    pub(super) at: Moment,
    pub(super) seq: u64,
    pub(super) rev: u64,
    pub(super) text: Option<Digest>,
}

/// A number, and the earliest moment at which a later one can have taken its place.
pub(super) struct Fold {
    pub(super) rev: u64,
    pub(super) seq: u64,
    /// [`Moment::MAX`] if the store still has it.
    pub(super) since: Moment,
}

impl<'a> Known<'a> {
    /// Reads all logs. What shows already here is found: answers to what nobody asked, and what was never settled.
    pub(super) fn gather(evidence: &'a Evidence, findings: &mut Findings<'_>) -> Self {
        let mut gathering = Gathering::default();
        gathering.rooms.resize_with(evidence.rooms.len().max(evidence.store.len()), KnownRoom::default);
        for (room, stored) in gathering.rooms.iter_mut().zip(&evidence.store) {
            gathering.counts.rows += stored.messages.len() as u64;
            for row in &stored.messages {
                room.rows.insert(row.seq, row);
                room.ids.entry(row.id).or_insert(row);
                room.numbers.insert(row.rev, row.seq);
            }
            // A number that the store has is nobody else's, so these come last.
            stored.messages.iter().for_each(|row| _ = room.numbers.entry(row.seq).or_insert(row.seq));
        }
        for client in &evidence.clients {
            gathering.take_asked(client, evidence.ended_at, findings);
        }
        for client in &evidence.clients {
            gathering.take_got(client, evidence.ended_at);
        }
        for (index, room) in gathering.rooms.iter_mut().enumerate() {
            room.finish();
            let mut owed: Vec<_> = room.sends.iter().filter(|(_, send)| !send.settled).collect();
            owed.sort_unstable_by_key(|(id, send)| (send.first, **id));
            for (id, send) in owed {
                findings.add(Rule::Settles, Some(index), Some(send.by), Some(send.first), || {
                    format!("{id} was sent, and neither acknowledged nor refused")
                });
            }
        }
        let Gathering { rooms, epoch, counts } = gathering;
        let turned = evidence.faults.iter().any(|fault| is_of(fault, &TURNS_EPOCH));
        let epoch = epoch.filter(|_| !turned).map(|(_, epoch)| epoch);
        Self { rooms, epoch, looked_at: counts.named() }
    }
}

#[derive(Default)]
struct Gathering<'a> {
    rooms: Vec<KnownRoom<'a>>,
    epoch: Option<(Moment, &'a str)>,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    sent: u64,
    acked: u64,
    changes_asked: u64,
    changes_acked: u64,
    got: u64,
    joined: u64,
    connected: u64,
    rows: u64,
}

impl Counts {
    fn named(self) -> Vec<(&'static str, u64)> {
        vec![
            ("sends", self.sent),
            ("acknowledgements", self.acked),
            ("changes asked", self.changes_asked),
            ("changes acknowledged", self.changes_acked),
            ("receipts", self.got),
            ("joins", self.joined),
            ("connections", self.connected),
            ("rows", self.rows),
        ]
    }
}

impl<'a> Gathering<'a> {
    /// Takes all that a client did and was answered.
    fn take_asked(&mut self, client: &'a ClientLog, ended_at: Moment, findings: &mut Findings<'_>) {
        let by = client.name.as_str();
        let mut pending: HashMap<(RoomIndex, u64), Pending> = HashMap::new();
        for line in lines(client, ended_at) {
            let at = line.at;
            match &line.what {
                What::Sent { room: index, id, text } => {
                    self.counts.sent += 1;
                    let Some(room) = self.rooms.get_mut(*index) else { continue };
                    let send = room.sends.entry(*id).or_insert_with(|| Send::new(by, at, *text));
                    send.first = send.first.min(at);
                    if send.text != *text && !send.others.contains(text) {
                        send.others.push(*text);
                    }
                }
                What::Acked { room: index, id, seq } => {
                    self.counts.acked += 1;
                    let Some(room) = self.rooms.get_mut(*index) else { continue };
                    match room.sends.get_mut(id) {
                        Some(send) => send.acked(at, *seq),
                        None => findings.add(Rule::NothingInvented, Some(*index), Some(by), Some(at), || {
                            format!("an acknowledgement as {seq} of {id}, which was not sent")
                        }),
                    }
                }
                What::Refused { room, id, .. } => {
                    if let Some(send) = self.rooms.get_mut(*room).and_then(|room| room.sends.get_mut(id)) {
                        send.settled = true;
                    }
                }
                What::ChangeAsked { room: index, seq, text } => {
                    self.counts.changes_asked += 1;
                    let Some(room) = self.rooms.get_mut(*index) else { continue };
                    room.changes.entry(*seq).or_default().ask(at, *text);
                    pending.entry((*index, *seq)).or_default().ask(*text);
                }
                What::ChangeAcked { room: index, seq, rev } => {
                    self.counts.changes_acked += 1;
                    let Some(room) = self.rooms.get_mut(*index) else { continue };
                    match pending.entry((*index, *seq)).or_default().answered() {
                        Some(text) => {
                            room.changes.entry(*seq).or_default().answer();
                            room.changes_acked.push(ChangeAck { by, at, seq: *seq, rev: *rev, text });
                        }
                        None => findings.add(Rule::NothingInvented, Some(*index), Some(by), Some(at), || {
                            format!("an acknowledgement of a change of message {seq}, which was not asked")
                        }),
                    }
                }
                What::ChangeRefused { room: index, seq, .. } => {
                    let Some(room) = self.rooms.get_mut(*index) else { continue };
                    room.changes.entry(*seq).or_default().answer();
                    pending.entry((*index, *seq)).or_default().answered();
                }
                What::Joined { epoch, .. } => {
                    self.counts.joined += 1;
                    if self.epoch.is_none_or(|(first, _)| at < first) {
                        self.epoch = Some((at, epoch));
                    }
                }
                What::Connected { .. } => self.counts.connected += 1,
                What::Got { .. } => self.counts.got += 1,
                What::Deferred { .. } | What::Lost { .. } | What::NotLetIn { .. } | What::JoinAsked { .. } => {}
            }
        }
        let mut owed: Vec<_> = pending.into_iter().filter(|(_, pending)| !pending.is_settled()).collect();
        owed.sort_unstable_by_key(|(of, _)| *of);
        for ((room, seq), _) in owed {
            findings.add(Rule::Settles, Some(room), Some(by), None, || {
                format!("a change of message {seq} was asked, and neither acknowledged nor refused")
            });
        }
    }

    /// Takes the numbers that a client got; all that was asked is known by now.
    fn take_got(&mut self, client: &ClientLog, ended_at: Moment) {
        for line in lines(client, ended_at) {
            let What::Got { room, seq, rev, text, .. } = &line.what else { continue };
            let Some(room) = self.rooms.get_mut(*room) else { continue };
            room.numbers.entry(*rev).or_insert(*seq);
            if rev > seq {
                room.numbers.entry(*seq).or_insert(*seq);
                room.saw(*seq, *rev, *text);
            }
        }
    }
}

impl<'a> Send<'a> {
    fn new(by: &'a str, first: Moment, text: Digest) -> Self {
        Self { by, first, text, others: Vec::new(), acked: None, acked_otherwise: None, settled: false }
    }

    fn acked(&mut self, at: Moment, seq: u64) {
        self.settled = true;
        match self.acked {
            Some((first, known)) => {
                if known != seq {
                    self.acked_otherwise.get_or_insert((at, seq));
                }
                self.acked = Some((first.min(at), known));
            }
            None => self.acked = Some((at, seq)),
        }
    }

    fn said(&self, text: Option<Digest>) -> bool {
        text.is_some_and(|text| text == self.text || self.others.contains(&text))
    }
}

impl KnownRoom<'_> {
    fn saw(&mut self, seq: u64, rev: u64, text: Option<Digest>) {
        if let Some(changes) = self.changes.get_mut(&seq) {
            changes.saw(rev, text);
        }
    }

    fn finish(&mut self) {
        let rows: Vec<&StoredMessage> = self.rows.values().copied().filter(|row| row.rev > row.seq).collect();
        rows.into_iter().for_each(|row| self.saw(row.seq, row.rev, row.text));
        for ack in &self.changes_acked {
            let owner = *self.numbers.entry(ack.rev).or_insert(ack.seq);
            if owner == ack.seq {
                let at = self.acked_at.entry(ack.rev).or_insert(ack.at);
                *at = ack.at.min(*at);
            }
        }
        for (id, send) in &self.sends {
            // One that is acknowledged with another number than it has is another rule's.
            if let (Some((at, seq)), Some(row)) = (send.acked, self.ids.get(id))
                && row.seq == seq
            {
                self.acked_at.insert(seq, at);
            }
        }
        self.folds = self.numbers.iter().map(|(rev, seq)| self.fold(*rev, *seq)).collect();
        self.folds.sort_unstable_by_key(|fold| fold.rev);
    }

    fn fold(&self, rev: u64, seq: u64) -> Fold {
        let folded = self.rows.get(&seq).is_some_and(|row| row.rev > rev);
        let since = match self.changes.get(&seq) {
            _ if !folded => Moment::MAX,
            Some(changes) => changes.fold(rev),
            None => Moment::ZERO,
        };
        Fold { rev, seq, since }
    }

    /// The known numbers between two, both excluded.
    pub(super) fn between(&self, above: u64, below: u64) -> &[Fold] {
        let from = self.folds.partition_point(|fold| fold.rev <= above);
        let to = self.folds.partition_point(|fold| fold.rev < below);
        self.folds.get(from..to).unwrap_or_default()
    }

    /// How many changes may have taken a number that nobody saw. What was answered took the number in the answer, or none.
    pub(super) fn changes_in_doubt(&self) -> u64 {
        let named: HashSet<u64> = self.changes_acked.iter().map(|ack| ack.rev).collect();
        let mut seen: HashMap<u64, u64> = HashMap::new();
        for (_, seq) in self.numbers.iter().filter(|(rev, seq)| rev > seq && !named.contains(rev)) {
            *seen.entry(*seq).or_default() += 1;
        }
        self.changes.iter().map(|(seq, changes)| changes.in_doubt(seen.get(seq).copied().unwrap_or(0))).sum()
    }

    /// Whether somebody wrote this; otherwise what is wrong with it.
    pub(super) fn is_written(&self, seq: u64, rev: u64, id: Uuid, text: Option<Digest>) -> Result<(), String> {
        let Some(send) = self.sends.get(&id) else { return Err(format!("message {seq}, {id}, which nobody sent")) };
        let written = match self.changes.get(&seq) {
            _ if rev == seq => send.said(text),
            Some(changes) => changes.asked_for(text),
            None => false,
        };
        if written {
            Ok(())
        } else {
            Err(format!("message {seq} at {rev}, {id}, with a text that nobody wrote for it"))
        }
    }

    /// Whether nobody saw another text of a message under a number.
    pub(super) fn may_be(&self, seq: u64, rev: u64, text: Option<Digest>) -> bool {
        if rev == seq {
            let send = self.rows.get(&seq).and_then(|row| self.sends.get(&row.id));
            return send.is_none_or(|send| send.said(text));
        }
        self.changes.get(&seq).is_none_or(|changes| changes.may_be(rev, text))
    }
}
