//! Evidence made up for tests: a plausible run with lines of every kind, always the same for a seed.

use std::time::Duration;

use uuid::Uuid;

use super::super::record::{
    ClientLog, CounterGain, Digest, Evidence, FaultSpan, Line, Moment, StoredMessage, StoredRoom, What,
};
use super::super::verdict::{Finding, Rule, Verdict};
use super::RunInfo;

/// A small generator of numbers; its quality does not matter here.
struct Dice(u64);

impl Dice {
    /// A number below `sides`.
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

const KINDS: [(&str, &[&str], u64); 8] = [
    ("node-kill", &["n1", "n2", "n3"], 1_400),
    ("node-pause", &["n1", "n2", "n3"], 2_600),
    ("node-drain", &["n1", "n2", "n3"], 2_200),
    ("redis-restart", &["redis"], 1_200),
    ("redis-flush", &["redis"], 20),
    ("postgres-restart", &["postgres"], 1_700),
    ("proxy-reload", &["proxy"], 150),
    ("line-cut", &["clients"], 900),
];

fn ms(time: u64) -> Moment {
    Duration::from_millis(time)
}

/// A message on its way: when its first answer and its acknowledgement came.
struct Way {
    room: usize,
    seq: u64,
    id: Uuid,
    sent: u64,
    acked: u64,
}

/// What was asked for in the run that [`evidence`] makes up.
pub(super) fn run(seed: u64, seconds: u64) -> RunInfo {
    RunInfo {
        seed,
        command: format!("loadtest chaos --seed {seed} --seconds {seconds} --html run.html"),
        seconds,
        nodes: 3,
        rooms: 4,
        writers: 4,
        editors: 1,
        readers: 8,
        version: "tertulia 0.1.0".to_owned(),
        kinds: KINDS.iter().map(|(kind, _, _)| (*kind).to_owned()).collect(),
    }
}

/// A run of so many seconds with faults, ten quiet seconds behind it.
pub(super) fn evidence(seed: u64, seconds: u64) -> Evidence {
    let mut dice = Dice(seed);
    let faults = faults(&mut dice, seconds * 1000);
    let ways = ways(&mut dice, &faults, seconds * 1000 + 4_000);
    let names = (0..4).map(|place| format!("writer {place}"));
    let names = names.chain(["editor 0".to_owned()]).chain((0..8).map(|place| format!("reader {place}")));
    let clients = names.enumerate().map(|(place, name)| client(&mut dice, place, name, &ways, &faults)).collect();
    let healed_at = faults.iter().map(|fault| fault.ended).max().unwrap_or_default();
    Evidence {
        rooms: (0..4).map(|room| format!("tertulia-{room}")).collect(),
        clients,
        store: (0..4).map(|room| stored(room, &ways)).collect(),
        counters: counters(&faults),
        faults,
        healed_at,
        ended_at: ms(seconds * 1000 + 10_000),
    }
}

fn faults(dice: &mut Dice, until: u64) -> Vec<FaultSpan> {
    let mut faults = Vec::new();
    let mut at = 2_500;
    while at + 3_500 < until {
        let (kind, targets, lasts) = KINDS[dice.roll(KINDS.len() as u64) as usize];
        let ended = at + lasts / 2 + dice.roll(lasts);
        let target = targets[dice.roll(targets.len() as u64) as usize].to_owned();
        faults.push(FaultSpan { kind, target, began: ms(at), ended: ms(ended) });
        at += 1_800 + dice.roll(6_500);
    }
    faults
}

fn ways(dice: &mut Dice, faults: &[FaultSpan], until: u64) -> Vec<Way> {
    let mut heads = [0; 4];
    let mut ways = Vec::new();
    let mut at = 300;
    while at < until {
        let room = dice.roll(4) as usize;
        heads[room] += 1;
        let stopped = faults
            .iter()
            .filter(|fault| fault.target == "postgres" && fault.began <= ms(at) && ms(at) < fault.ended)
            .map(|fault| fault.ended.as_millis() as u64 - at)
            .max();
        let took = 2 + dice.roll(5) + if dice.roll(40) == 0 { dice.roll(60) } else { 0 } + stopped.unwrap_or(0);
        let id = Uuid::from_u128(u128::from(at) << 64 | u128::from(dice.roll(u64::MAX >> 33)));
        ways.push(Way { room, seq: heads[room], id, sent: at, acked: at + took });
        at += 40 + dice.roll(90);
    }
    ways
}

fn client(dice: &mut Dice, place: usize, name: String, ways: &[Way], faults: &[FaultSpan]) -> ClientLog {
    let mut lines = vec![Line { at: ms(5), what: What::Connected { node: format!("n{}", place % 3 + 1) } }];
    let mut push = |at: u64, what: What| lines.push(Line { at: ms(at), what });
    for room in 0..4 {
        push(10, What::JoinAsked { room, after: None });
        push(14, What::Joined { room, epoch: "2b45fd1f8928ed91".to_owned(), head: 0, reset: false, more: false });
    }
    let absences = absences(dice, place, faults);
    for (began, back, why) in &absences {
        push(*began, What::Lost { why: (*why).to_owned() });
        if back - began > 250 {
            push(began + 100, What::NotLetIn { why: "503".to_owned() });
        }
        push(back - 8, What::Connected { node: format!("n{}", dice.roll(3) + 1) });
        for room in 0..4 {
            let head = ways.iter().rfind(|way| way.room == room && way.acked < *began).map_or(0, |way| way.seq);
            push(back - 6, What::JoinAsked { room, after: Some(head) });
            let epoch = "2b45fd1f8928ed91".to_owned();
            push(*back, What::Joined { room, epoch, head, reset: false, more: false });
        }
    }
    let deaf: Vec<(u64, u64)> = faults
        .iter()
        .filter(|fault| fault.target == "redis")
        .map(|fault| (fault.began.as_millis() as u64, fault.ended.as_millis() as u64))
        .collect();
    for (number, way) in ways.iter().enumerate() {
        if place < 4 && number % 4 == place {
            say(&mut push, way);
        }
        if place == 4 && number.is_multiple_of(20) {
            push(way.acked + 300, What::ChangeAsked { room: way.room, seq: way.seq, text: None });
            let answer = match number % 100 {
                0 => What::ChangeRefused { room: way.room, seq: way.seq, code: "forbidden".to_owned() },
                _ => What::ChangeAcked { room: way.room, seq: way.seq, rev: way.seq },
            };
            push(way.acked + 306, answer);
        }
        let carried = if deaf.iter().any(|(began, ended)| (*began..*ended).contains(&way.acked)) { 400 } else { 3 };
        let due = way.acked + dice.roll(carried);
        let away = absences.iter().find(|(began, back, _)| (*began..*back).contains(&due));
        let (at, page) = away.map_or((due, false), |(_, back, _)| (*back, true));
        let text = Some(Digest(way.seq));
        push(at, What::Got { room: way.room, seq: way.seq, rev: way.seq, id: way.id, text, page });
    }
    lines.sort_by_key(|line| line.at);
    let last = lines.last().map(|line| line.at).unwrap_or_default();
    lines.push(Line { at: last + ms(5_000), what: What::Lost { why: "over".to_owned() } });
    ClientLog { name, lines }
}

/// When this client was away, and why.
fn absences(dice: &mut Dice, place: usize, faults: &[FaultSpan]) -> Vec<(u64, u64, &'static str)> {
    let mut absences: Vec<(u64, u64, &str)> = Vec::new();
    for fault in faults {
        let began = fault.began.as_millis() as u64 + dice.roll(40);
        let lasted = (fault.ended.saturating_sub(fault.began)).as_millis() as u64;
        let hit = dice.roll(3) == 0;
        let (back, why) = match fault.kind {
            "node-kill" if hit => (began + 120 + dice.roll(500), "lost"),
            "node-pause" if hit => (began + 900 + dice.roll(900), "silent"),
            "node-drain" if hit => (began + 60 + dice.roll(200), "bye drain"),
            "line-cut" if place.is_multiple_of(2) => (began + lasted + dice.roll(300), "lost"),
            _ => continue,
        };
        if absences.last().is_none_or(|last| last.1 + 20 < began) {
            absences.push((began, back.max(began + 30), why));
        }
    }
    absences
}

fn say(push: &mut impl FnMut(u64, What), way: &Way) {
    let (room, id, text) = (way.room, way.id, Digest(way.seq));
    push(way.sent, What::Sent { room, id, text });
    let mut again = way.sent + 400;
    while again < way.acked {
        push(again - 20, What::Deferred { room, id, code: "unavailable".to_owned() });
        push(again, What::Sent { room, id, text });
        again += 400;
    }
    push(way.acked, What::Acked { room, id, seq: way.seq });
}

fn stored(room: usize, ways: &[Way]) -> StoredRoom {
    let messages: Vec<StoredMessage> = ways
        .iter()
        .filter(|way| way.room == room)
        .map(|way| StoredMessage { seq: way.seq, rev: way.seq, id: way.id, text: Some(Digest(way.seq)) })
        .collect();
    StoredRoom { head: messages.len() as u64, messages }
}

fn counters(faults: &[FaultSpan]) -> Vec<CounterGain> {
    let counter = |series: &str, of: &str, each: f64| {
        let steps: Vec<(Moment, f64)> = faults
            .iter()
            .filter(|fault| fault.kind.starts_with(of))
            .map(|fault| (fault.ended + ms(300), each))
            .collect();
        CounterGain { series: series.to_owned(), gain: steps.iter().map(|(_, gain)| gain).sum(), steps }
    };
    vec![
        counter("tertulia_gaps_total{cause=\"skip\"}", "proxy", 1.0),
        counter("tertulia_gaps_total{cause=\"reconnect\"}", "redis-restart", 12.0),
        counter("tertulia_gaps_total{cause=\"away\"}", "redis-restart", 9.0),
        counter("tertulia_gaps_total{cause=\"deaf\"}", "node-pause", 4.0),
        counter("tertulia_bus_losses_total{cause=\"reconnect\"}", "redis-restart", 3.0),
        counter("tertulia_disconnects_total{reason=\"drain\"}", "node-drain", 4.0),
        counter("tertulia_gaps_total{cause=\"sweep\"}", "node-kill", 1.0),
        counter("tertulia_sweep_found_total", "node-kill", 1.0),
        counter("tertulia_joins_total{source=\"ring\"}", "node", 14.0),
        counter("tertulia_joins_total{source=\"store\"}", "node-kill", 3.0),
    ]
}

/// Every promise held.
pub(super) fn held() -> Verdict {
    let looked_at = vec![("sends", 5_802), ("acknowledgements", 5_213), ("receipts", 41_704), ("rows", 5_213)];
    Verdict { findings: Vec::new(), more: 0, looked_at }
}

/// Some did not; names and details are as hostile as can be.
pub(super) fn broken() -> Verdict {
    let finding = |rule, whereabouts: &str, at: Option<u64>, detail: &str| Finding {
        rule,
        whereabouts: whereabouts.to_owned(),
        at: at.map(ms),
        detail: detail.to_owned(),
    };
    let lost = "0190c3f2-5b1e-7c44-9d2a-6f0f3a1b2c3d was acknowledged with 118; the store has no such number";
    Verdict {
        findings: vec![
            finding(Rule::AckedIsKept, "room tertulia-2", Some(23_400), lost),
            finding(Rule::AckedIsKept, "room <b>&\"tertulia\"</b>", None, "<script>alert('no')</script> \u{1} ]]>"),
            finding(Rule::SameEnd, "reader 7 in room tertulia-2", Some(69_900), "holds 118, which the store does not"),
        ],
        more: 4,
        ..held()
    }
}
