//! One fault at a time, planted in a clean run: it is found, and by the rules that it breaks.

use std::collections::BTreeSet;
use std::time::Duration;

use uuid::Uuid;

use super::clean;
use super::model::{ANA, BEN, REA};
use crate::chaos::judge::judge;
use crate::chaos::record::{CounterGain, Digest, Evidence, FaultSpan, Line, StoredMessage, What};
use crate::chaos::verdict::Rule::{self, *};

const ELSE: Digest = Digest(0xe15e);

#[track_caller]
fn finds(evidence: &Evidence, rules: &[Rule]) {
    let verdict = judge(evidence);
    let found: BTreeSet<Rule> = verdict.findings.iter().map(|finding| finding.rule).collect();
    assert_eq!(found, rules.iter().copied().collect(), "{:#?}", verdict.findings);
    assert_eq!(verdict.holds(), rules.is_empty());
}

/// What the judge finds in a clean run after something was done to it.
#[track_caller]
fn planted(plant: impl FnOnce(&mut Evidence), rules: &[Rule]) {
    let mut evidence = clean::evidence();
    let before = evidence.clone();
    plant(&mut evidence);
    assert!(evidence != before, "nothing was planted");
    finds(&evidence, rules);
}

fn lines(evidence: &mut Evidence, client: usize) -> &mut Vec<Line> {
    &mut evidence.clients[client].lines
}

/// Where a client got a number of room 0.
fn got(evidence: &Evidence, client: usize, number: u64) -> usize {
    let is = |line: &Line| matches!(line.what, What::Got { room: 0, rev, .. } if rev == number);
    evidence.clients[client].lines.iter().position(is).unwrap()
}

/// Where a client joined room 0, the n-th page of all.
fn joined(evidence: &Evidence, client: usize, nth: usize) -> usize {
    let is = |(_, line): &(usize, &Line)| matches!(line.what, What::Joined { room: 0, .. });
    evidence.clients[client].lines.iter().enumerate().filter(is).nth(nth).unwrap().0
}

fn ungot(client: usize, number: u64) -> impl FnOnce(&mut Evidence) {
    move |evidence| {
        let at = got(evidence, client, number);
        lines(evidence, client).remove(at);
    }
}

fn row(evidence: &mut Evidence, seq: u64) -> &mut StoredMessage {
    evidence.store[0].messages.iter_mut().find(|row| row.seq == seq).unwrap()
}

fn id_of(evidence: &Evidence, seq: u64) -> Uuid {
    evidence.store[0].messages.iter().find(|row| row.seq == seq).unwrap().id
}

#[test]
fn a_number_that_never_came_is_missing() {
    planted(ungot(REA, 6), &[NothingMissing]); // live
    planted(ungot(REA, 11), &[NothingMissing]); // in a page
    planted(ungot(REA, 14), &[NothingMissing]); // the last before silence
    planted(ungot(ANA, 14), &[NothingMissing]); // to one of them only
}

#[test]
fn a_hole_in_a_tail_is_missing() {
    let mut model = clean::run();
    model.lose(REA);
    model.connect(REA, "n1");
    model.join_tail(REA, 0, 5);
    let mut evidence = model.evidence();
    let at = evidence.clients[REA]
        .lines
        .iter()
        .rposition(|line| matches!(line.what, What::Got { room: 0, seq: 11, page: true, .. }))
        .unwrap();
    finds(&evidence, &[]);
    lines(&mut evidence, REA).remove(at);
    finds(&evidence, &[NothingMissing]);
}

#[test]
fn a_number_passed_over_before_its_change_was_asked_is_missing() {
    planted(ungot(REA, 5), &[NothingMissing]);
}

#[test]
fn a_change_that_never_came_is_missing_and_the_end_is_stale() {
    planted(ungot(REA, 7), &[NothingMissing, SameEnd]);
    planted(ungot(REA, 10), &[NothingMissing, SameEnd]);
}

#[test]
fn doubles_and_swaps_are_out_of_order() {
    let double = |number| {
        move |evidence: &mut Evidence| {
            let at = got(evidence, REA, number);
            let again = lines(evidence, REA)[at].clone();
            lines(evidence, REA).insert(at + 1, again);
        }
    };
    planted(double(6), &[RisingOnce]);
    planted(double(10), &[RisingOnce]);
    for number in [5, 9] {
        let swap = move |evidence: &mut Evidence| {
            let (one, other) = (got(evidence, REA, number), got(evidence, REA, number + 1));
            assert_eq!(one + 1, other);
            let lines = lines(evidence, REA);
            (lines[one].what, lines[other].what) = (lines[other].what.clone(), lines[one].what.clone());
        };
        planted(swap, &[RisingOnce]);
    }
}

#[test]
fn what_was_held_before_the_line_broke_does_not_come_again() {
    planted(
        |evidence| {
            let (old, page) = (got(evidence, REA, 7), joined(evidence, REA, 1));
            let mut again = lines(evidence, REA)[old].what.clone();
            if let What::Got { page, .. } = &mut again {
                *page = true;
            }
            let at = lines(evidence, REA)[page].at;
            lines(evidence, REA).insert(page + 1, Line { at, what: again });
        },
        &[RisingOnce],
    );
}

#[test]
fn an_answer_names_no_message_twice() {
    planted(
        |evidence| {
            let at = got(evidence, REA, 9);
            let mut older = lines(evidence, REA)[at].clone();
            if let What::Got { rev, .. } = &mut older.what {
                *rev = 8; // with the text that 9 took away
            }
            lines(evidence, REA).insert(at, older);
        },
        &[RisingOnce, NothingInvented],
    );
}

#[test]
fn nothing_comes_live_before_the_last_page_or_beyond_a_head() {
    planted(
        |evidence| {
            let at = joined(evidence, REA, 0);
            if let What::Joined { more, .. } = &mut lines(evidence, REA)[at].what {
                *more = true;
            }
        },
        &[RisingOnce],
    );
    planted(
        |evidence| {
            let at = got(evidence, REA, 9);
            let at = evidence.clients[REA].lines[..at]
                .iter()
                .rposition(|line| matches!(line.what, What::Joined { .. }))
                .unwrap();
            if let What::Joined { head, .. } = &mut lines(evidence, REA)[at].what {
                *head = 8;
            }
        },
        &[RisingOnce],
    );
}

#[test]
fn an_acknowledged_message_that_is_gone_is_found() {
    planted(|evidence| evidence.store[0].messages.retain(|row| row.seq != 6), &[AckedIsKept, NoHoles, SameEnd]);
    // The newest: not even a hole tells of it.
    planted(
        |evidence| {
            evidence.store[0].messages.retain(|row| row.seq != 14);
            evidence.store[0].head = 13;
        },
        &[AckedIsKept, SameEnd],
    );
}

#[test]
fn acknowledgements_name_the_number_that_is_stored() {
    let acked = |evidence: &Evidence, id: Uuid| {
        let is = |line: &Line| matches!(line.what, What::Acked { id: of, .. } if of == id);
        evidence.clients[BEN].lines.iter().position(is).unwrap()
    };
    for nth in 0..2 {
        planted(
            move |evidence| {
                let at = acked(evidence, id_of(evidence, 14)) + nth;
                let What::Acked { seq, .. } = &mut lines(evidence, BEN)[at].what else {
                    panic!("two acknowledgements")
                };
                *seq = 4;
            },
            &[AckedIsKept],
        );
    }
}

#[test]
fn a_message_stored_twice_is_found() {
    planted(
        |evidence| {
            let doubled = StoredMessage { seq: 15, rev: 15, ..row(evidence, 6).clone() };
            evidence.store[0].messages.push(doubled);
            evidence.store[0].head = 15;
        },
        &[KeptOnce, NothingMissing],
    );
    planted(
        |evidence| {
            let doubled = row(evidence, 6).clone();
            evidence.store[0].messages.push(doubled);
        },
        &[KeptOnce, NoHoles],
    );
}

#[test]
fn a_number_that_belongs_to_nothing_is_a_hole() {
    let mut model = clean::run();
    model.burn(0);
    model.say(ANA, 0);
    finds(&model.evidence(), &[NoHoles]);
    planted(|evidence| evidence.store[0].head += 1, &[NoHoles]);
    planted(|evidence| evidence.store[1].head = 0, &[NoHoles]);
}

/// Guards against blaming the store for a change whose number nobody saw.
#[test]
fn a_number_that_a_change_in_doubt_may_have_taken_is_no_hole() {
    let mut model = clean::run();
    let (seq, text) = (model.say(ANA, 0), Digest(model.fresh()));
    model.hear_all();
    model.ask(ANA, 0, seq, Some(text));
    model.ask(ANA, 0, seq, Some(text));
    let rev = model.alter(0, seq, Some(text)).unwrap();
    model.change_acked(ANA, 0, seq, rev);
    model.edit(ANA, 0, seq);
    // The first of the two is kept at last, and changed again before anybody hears of it.
    model.alter(0, seq, Some(text));
    model.edit(ANA, 0, seq);
    (ANA..=REA).for_each(|client| model.hear_folded(client, 0));
    finds(&model.evidence(), &[]);
}

#[test]
fn invented_words_are_found() {
    planted(|evidence| row(evidence, 6).text = Some(ELSE), &[NothingInvented, SameEnd]);
    planted(|evidence| row(evidence, 3).text = Some(ELSE), &[NothingInvented, SameEnd, ChangedIsKept]);
    planted(
        |evidence| {
            let at = got(evidence, REA, 6);
            let What::Got { text, .. } = &mut lines(evidence, REA)[at].what else { return };
            *text = None;
        },
        &[NothingInvented, SameEnd],
    );
    // As it was before the change that brings it.
    planted(
        |evidence| {
            let (old, new) = (got(evidence, REA, 5), got(evidence, REA, 7));
            let What::Got { text: before, .. } = lines(evidence, REA)[old].what else { return };
            let What::Got { text, .. } = &mut lines(evidence, REA)[new].what else { return };
            *text = before;
        },
        &[NothingInvented, SameEnd],
    );
    planted(
        |evidence| {
            let nobodys = id_of(evidence, 6);
            let sent = |line: &Line| matches!(line.what, What::Sent { id, .. } if id == nobodys);
            lines(evidence, ANA).retain(|line| !sent(line));
        },
        &[NothingInvented],
    );
}

#[test]
fn an_acknowledged_change_that_is_gone_is_found() {
    let acked = |seq: u64, by: u64| {
        move |evidence: &mut Evidence| {
            for line in evidence.clients.iter_mut().flat_map(|client| &mut client.lines) {
                match &mut line.what {
                    What::ChangeAcked { room: 0, seq: of, rev } if *of == seq => *rev = by,
                    _ => {}
                }
            }
        }
    };
    planted(acked(3, 99), &[ChangedIsKept]);
    planted(acked(3, 6), &[ChangedIsKept]); // another message's number
    planted(acked(3, 3), &[ChangedIsKept]); // its own, from before the change
    // Back to what it was, in the store and with everybody.
    planted(
        |evidence| {
            let before = evidence.clients[REA].lines[got(evidence, REA, 5)].what.clone();
            let What::Got { text, .. } = before else { return };
            (row(evidence, 5).rev, row(evidence, 5).text) = (5, text);
        },
        &[ChangedIsKept, SameEnd, NoHoles],
    );
}

#[test]
fn what_is_sent_after_an_acknowledgement_comes_after_it() {
    let mut model = clean::run();
    let late = Uuid::from_u128(u128::from(model.fresh()));
    let seq = model.commit(0, late);
    model.say(ANA, 0);
    model.send_again(BEN, 0, late);
    model.ack(BEN, 0, late, seq);
    finds(&model.evidence(), &[RealTimeOrder]);
}

#[test]
fn a_reset_without_need_is_found() {
    planted(
        |evidence| {
            let at = joined(evidence, REA, 2);
            if let What::Joined { reset, .. } = &mut lines(evidence, REA)[at].what {
                *reset = true;
            }
        },
        &[NoNeedlessReset],
    );
    for turned in [false, true] {
        planted(
            move |evidence| {
                let at = joined(evidence, REA, 2);
                if let What::Joined { epoch, reset, .. } = &mut lines(evidence, REA)[at].what {
                    (*epoch, *reset) = ("f".to_owned(), turned);
                }
            },
            &[NoNeedlessReset],
        );
    }
}

#[test]
fn what_is_never_settled_is_found() {
    planted(
        |evidence| {
            let unanswered = id_of(evidence, 6);
            lines(evidence, ANA).retain(|line| !matches!(line.what, What::Acked { id, .. } if id == unanswered));
        },
        &[Settles],
    );
    planted(
        |evidence| lines(evidence, ANA).retain(|line| !matches!(line.what, What::ChangeAcked { seq: 3, .. })),
        &[Settles],
    );
    // One that is away in the end, and one whose join is not answered.
    let last = |what: What| {
        move |evidence: &mut Evidence| {
            let at = evidence.healed_at;
            let end = lines(evidence, REA).len() - 1;
            lines(evidence, REA).insert(end, Line { at, what });
        }
    };
    planted(last(What::Lost { why: "silent".to_owned() }), &[Settles]);
    planted(last(What::NotLetIn { why: "503".to_owned() }), &[Settles]);
    planted(last(What::JoinAsked { room: 0, after: Some(14) }), &[Settles]);
}

fn fault(kind: &'static str, target: &str, began: u64, ended: u64) -> FaultSpan {
    let (began, ended) = (Duration::from_secs(began), Duration::from_secs(ended));
    FaultSpan { kind, target: target.to_owned(), began, ended }
}

#[test]
fn the_sweep_finds_only_what_nobody_can_know_of() {
    let series = ["tertulia_sweep_found_total", "tertulia_gaps_total{cause=\"sweep\"}"];
    let found = |series: &str, seconds: u64, faults: Vec<FaultSpan>| {
        let steps = vec![(Duration::from_secs(seconds), 1.0)];
        let counter = CounterGain { series: series.to_owned(), gain: 1.0, steps };
        Evidence { counters: vec![counter], faults, ..clean::evidence() }
    };
    for series in series {
        finds(&found(series, 3, vec![]), &[FoundByCause]);
        finds(&found(series, 3, vec![fault("redis-flush", "redis", 2, 4)]), &[FoundByCause]);
        finds(&found(series, 3, vec![fault("node-kill", "n1", 4, 5)]), &[FoundByCause]);
        finds(&found(series, 3, vec![fault("node-kill", "n1", 2, 4)]), &[]);
        finds(&found(series, 11, vec![fault("node-kill", "n1", 2, 4)]), &[]);
        finds(&found(series, 13, vec![fault("node-kill", "n1", 2, 4)]), &[FoundByCause]);
    }
    finds(&found("tertulia_gaps_total{cause=\"skip\"}", 3, vec![]), &[]);
    let mut unseen = found(series[0], 3, vec![]);
    unseen.counters[0].steps.clear();
    finds(&unseen, &[FoundByCause]);
}

#[test]
fn what_is_late_is_found_unless_it_could_not_be_in_time() {
    // The reader stays on its node, n3, and gets the last number of room 0 so many seconds late.
    let late = |seconds: u64, faults: Vec<FaultSpan>| {
        let mut evidence = Evidence { faults, ..clean::evidence() };
        let at = got(&evidence, REA, 14);
        let late = Duration::from_secs(seconds);
        lines(&mut evidence, REA)[at..].iter_mut().for_each(|line| line.at += late);
        evidence.ended_at += late;
        evidence
    };
    finds(&late(5, vec![]), &[]);
    finds(&late(8, vec![]), &[HealedInTime]);
    finds(&late(8, vec![fault("redis-restart", "redis", 0, 7)]), &[HealedInTime]);
    finds(&late(8, vec![fault("readers-stall", "clients", 0, 4)]), &[]);
    finds(&late(12, vec![fault("readers-stall", "clients", 0, 4)]), &[HealedInTime]);
    finds(&late(8, vec![fault("postgres-crash", "postgres", 0, 4)]), &[]);
    finds(&late(15, vec![fault("postgres-crash", "postgres", 0, 4), fault("storm", "clients", 8, 10)]), &[]);
    finds(&late(8, vec![fault("node-freeze", "n3", 0, 4)]), &[]);
    finds(&late(8, vec![fault("node-freeze", "n2", 0, 4)]), &[HealedInTime]);
    // One that was away meanwhile was promised nothing.
    let mut model = clean::run();
    model.hear_all();
    model.say(ANA, 0);
    model.lose(REA);
    model.now += Duration::from_secs(9);
    model.hear_all();
    let evidence = model.evidence();
    let found = judge(&evidence).findings;
    assert!(found.iter().all(|finding| finding.whereabouts != "rea in room room 0"), "{found:#?}");
}

/// Guards against a report of a million lines.
#[test]
fn of_many_findings_some_are_named_and_the_rest_counted() {
    let mut model = clean::run();
    (0..20).for_each(|_| _ = model.say(ANA, 0));
    let mut evidence = model.evidence();
    evidence.store[0].messages.iter_mut().for_each(|row| row.text = Some(ELSE));
    let verdict = judge(&evidence);
    let invented = verdict.findings.iter().filter(|finding| finding.rule == NothingInvented).count();
    assert_eq!(invented, 5);
    assert!(verdict.more >= 20, "{}", verdict.more);
}
