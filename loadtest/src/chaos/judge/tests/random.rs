//! Random clean runs, in which nothing may be found, and in each of them one thing spoiled, which must be.

use std::collections::HashMap;
use std::time::Duration;

use uuid::Uuid;

use super::model::Model;
use crate::chaos::judge::judge;
use crate::chaos::record::{Digest, Evidence, StoredMessage, What};

/// How many runs; each is a seed.
const RUNS: u64 = 300;
const NAMES: [&str; 4] = ["ana", "ben", "cleo", "rea"];
const READER: usize = 3;
const ROOMS: usize = 2;

/// SplitMix64: small, seeded, and good enough to choose.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound.max(1) as u64) as usize
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> Option<T> {
        all.get(self.below(all.len())).copied()
    }
}

/// What a client has asked and not been told.
#[derive(Default)]
struct Owed {
    sends: Vec<(usize, Uuid)>,
    change: Option<(usize, u64, Option<Digest>)>,
    /// Its own messages.
    mine: Vec<(usize, u64)>,
}

struct Run {
    chance: Chance,
    model: Model,
    owed: Vec<Owed>,
    /// Changes that a node was asked for on a connection that is gone. It may still make them, at any time.
    ghosts: Vec<(usize, u64, Option<Digest>)>,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut model = Model::new(&NAMES, ROOMS);
        model.tick = Duration::from_micros(50);
        let owed = NAMES.iter().map(|_| Owed::default()).collect();
        Self { chance: Chance(seed), model, owed, ghosts: Vec::new() }
    }

    fn play(mut self) -> Evidence {
        for _ in 0..50 + self.chance.below(400) {
            self.step();
        }
        for client in 0..NAMES.len() {
            self.back(client);
            self.settle(client);
        }
        self.model.evidence()
    }

    fn step(&mut self) {
        let (client, room) = (self.chance.below(NAMES.len()), self.chance.below(ROOMS));
        if !self.model.connected[client] {
            return if self.chance.below(3) == 0 {
                self.back(client)
            };
        }
        match self.chance.below(20) {
            0 => self.lose(client),
            1 => self.haunt(),
            2 => self.model.join(client, room),
            3..7 => {
                let count = 1 + self.chance.below(4);
                self.model.hear(client, room, count);
            }
            7..9 => self.model.hear_folded(client, room),
            _ if client == READER => {}
            9..14 => {
                let id = self.model.send(client, room);
                self.owed[client].sends.push((room, id));
                self.chance_to_settle(client);
            }
            14..18 => self.change(client),
            _ => self.settle(client),
        }
    }

    fn lose(&mut self, client: usize) {
        // What was asked may have been kept all the same, or may be later.
        for (room, id) in self.owed[client].sends.clone() {
            if self.chance.below(2) == 0 {
                self.model.commit(room, id);
            }
        }
        if let Some((room, seq, text)) = self.owed[client].change {
            match self.chance.below(3) {
                0 => _ = self.model.alter(room, seq, text),
                1 => self.ghosts.push((room, seq, text)),
                _ => {}
            }
        }
        self.model.lose(client);
    }

    fn haunt(&mut self) {
        if !self.ghosts.is_empty() {
            let at = self.chance.below(self.ghosts.len());
            let (room, seq, text) = self.ghosts.swap_remove(at);
            self.model.alter(room, seq, text);
        }
    }

    fn back(&mut self, client: usize) {
        if self.model.connected[client] {
            return;
        }
        self.model.connect(client, "n1");
        for room in 0..ROOMS {
            match self.chance.below(4) {
                0 => self.model.join_after(client, room, 2),
                1 => self.model.join_after(client, room, 5),
                _ => self.model.join(client, room),
            }
        }
        for (room, id) in self.owed[client].sends.clone() {
            self.model.send_again(client, room, id);
        }
        if let Some((room, seq, text)) = self.owed[client].change {
            self.model.ask(client, room, seq, text);
        }
    }

    fn change(&mut self, client: usize) {
        if self.owed[client].change.is_none()
            && let Some((room, seq)) = self.chance.of(&self.owed[client].mine)
        {
            let deletes = self.chance.below(6) == 0;
            let text = if deletes { None } else { Some(Digest(self.model.fresh())) };
            self.model.ask(client, room, seq, text);
            self.owed[client].change = Some((room, seq, text));
            self.chance_to_settle(client);
        }
    }

    fn chance_to_settle(&mut self, client: usize) {
        if self.chance.below(3) > 0 {
            self.settle(client);
        }
    }

    fn settle(&mut self, client: usize) {
        for (room, id) in std::mem::take(&mut self.owed[client].sends) {
            let seq = self.model.commit(room, id);
            self.model.ack(client, room, id, seq);
            self.owed[client].mine.push((room, seq));
        }
        if let Some((room, seq, text)) = self.owed[client].change.take() {
            match self.model.alter(room, seq, text) {
                Some(rev) => self.model.change_acked(client, room, seq, rev),
                None => self.model.note(client, What::ChangeRefused { room, seq, code: "not_found".to_owned() }),
            }
        }
    }
}

/// Spoils one thing; `None` where there is nothing of this kind to spoil.
fn spoil(kind: usize, chance: &mut Chance, evidence: &mut Evidence) -> Option<&'static str> {
    let stands = |evidence: &Evidence, room: usize, number: u64| {
        evidence.store[room].messages.iter().any(|row| row.rev == number)
    };
    let mut receipts = Vec::new();
    let mut pairs = Vec::new();
    let mut acks = Vec::new();
    let mut returns = Vec::new();
    for (client, log) in evidence.clients.iter().enumerate() {
        for (at, line) in log.lines.iter().enumerate() {
            match &line.what {
                What::Got { room, rev, page, .. } => {
                    receipts.push((client, at, *room, *rev));
                    if let Some(What::Got { room: other, page: also, .. }) =
                        log.lines.get(at + 1).map(|line| &line.what)
                        && (room, page) == (other, also)
                    {
                        pairs.push((client, at));
                    }
                }
                What::Acked { room, id, .. } => acks.push((client, at, *room, *id)),
                What::Joined { .. } if matches!(log.lines[at - 1].what, What::JoinAsked { after: Some(_), .. }) => {
                    returns.push((client, at));
                }
                _ => {}
            }
        }
    }
    let rooms: Vec<usize> = (0..ROOMS).filter(|room| !evidence.store[*room].messages.is_empty()).collect();
    let room = chance.of(&rooms)?;
    let row = chance.below(evidence.store[room].messages.len());
    Some(match kind {
        0 => {
            let standing: Vec<_> =
                receipts.into_iter().filter(|(.., room, rev)| stands(evidence, *room, *rev)).collect();
            let claimed: Vec<_> = standing
                .into_iter()
                .filter(|(client, at, room, _)| {
                    // The oldest of a tail may be missing from it: it is then a shorter tail.
                    let before = &evidence.clients[*client].lines[..*at];
                    let page = before.iter().rev().find(|line| !matches!(line.what, What::Got { .. }));
                    let of = before
                        .iter()
                        .rposition(|line| matches!(line.what, What::JoinAsked { room: of, .. } if of == *room));
                    let tail = of.is_some_and(|of| matches!(before[of].what, What::JoinAsked { after: None, .. }));
                    !(tail && page.is_some_and(|line| matches!(line.what, What::Joined { .. })))
                })
                .collect();
            let (client, at, ..) = chance.of(&claimed)?;
            evidence.clients[client].lines.remove(at);
            "a receipt is taken away"
        }
        1 => {
            let (client, at, ..) = chance.of(&receipts)?;
            let again = evidence.clients[client].lines[at].clone();
            evidence.clients[client].lines.insert(at + 1, again);
            "a receipt is doubled"
        }
        2 => {
            let (client, at) = chance.of(&pairs)?;
            let lines = &mut evidence.clients[client].lines;
            (lines[at].what, lines[at + 1].what) = (lines[at + 1].what.clone(), lines[at].what.clone());
            "two receipts are swapped"
        }
        3 => {
            let (client, at, ..) = chance.of(&receipts)?;
            if let What::Got { text, .. } = &mut evidence.clients[client].lines[at].what {
                *text = Some(Digest(u64::MAX));
            }
            "a receipt has another text"
        }
        4 => {
            let (client, at, ..) = chance.of(&acks)?;
            if let What::Acked { seq, .. } = &mut evidence.clients[client].lines[at].what {
                *seq += 1 + chance.below(3) as u64;
            }
            "an acknowledgement names another number"
        }
        5 => {
            let (client, _, _, id) = chance.of(&acks)?;
            let of = |what: &What| matches!(what, What::Acked { id: of, .. } if *of == id);
            evidence.clients[client].lines.retain(|line| !of(&line.what));
            "an acknowledgement is taken away"
        }
        6 => {
            evidence.store[room].messages.remove(row);
            "a row is taken away"
        }
        7 => {
            let head = evidence.store[room].head + 1;
            let doubled = StoredMessage { seq: head, rev: head, ..evidence.store[room].messages[row].clone() };
            evidence.store[room].messages.push(doubled);
            evidence.store[room].head = head;
            "a row is doubled"
        }
        8 => {
            evidence.store[room].messages[row].text = Some(Digest(u64::MAX));
            "a row has another text"
        }
        9 => {
            evidence.store[room].head += 1;
            "a head is too high"
        }
        10 => {
            let (client, at) = chance.of(&returns)?;
            if let What::Joined { reset, .. } = &mut evidence.clients[client].lines[at].what {
                *reset = true;
            }
            "a position is taken back"
        }
        _ => {
            let at = evidence.ended_at;
            let end = evidence.clients[READER].lines.len() - 1;
            let what = What::Lost { why: "cut".to_owned() };
            evidence.clients[READER].lines.insert(end, crate::chaos::record::Line { at, what });
            "somebody is away in the end"
        }
    })
}

#[test]
fn random_clean_runs_hold_and_whatever_is_spoiled_is_found() {
    let mut spoiled: HashMap<&str, u64> = HashMap::new();
    for seed in 0..RUNS {
        let mut evidence = Run::new(seed).play();
        let verdict = judge(&evidence);
        assert!(verdict.holds(), "seed {seed}: {:#?}", verdict.findings);
        let mut chance = Chance(!seed);
        if let Some(how) = spoil(seed as usize % 12, &mut chance, &mut evidence) {
            assert!(!judge(&evidence).holds(), "seed {seed}: {how}, and nothing was found");
            *spoiled.entry(how).or_default() += 1;
        }
    }
    assert!(spoiled.len() == 12 && spoiled.values().all(|count| *count > 10), "{spoiled:?}");
}
