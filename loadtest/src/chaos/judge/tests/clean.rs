//! A clean run with everything in it that may happen. The planted faults start from it.

use super::model::{ANA, BEN, Model, REA};
use crate::chaos::judge::judge;
use crate::chaos::record::{Digest, Evidence, What};

/// Two rooms, two who write and change, one who reads.
///
/// In room 0 the numbers are: 1–3 messages before anybody reads, 4 a change of 1; the reader joins with 2 and 3 in its
/// tail; 5 and 6 messages, 7 a change of 5, all of which it gets; then it is away, and 8–11 are a message, its deletion, a
/// change of 3, a message; then 12 a message, 13 a change of 12 that the reader gets in its place; 14 a message.
pub(super) fn run() -> Model {
    let mut model = Model::new(&["ana", "ben", "rea"], 2);
    for client in [ANA, BEN] {
        model.connect(client, "n1");
        model.join_after(client, 0, 2);
        model.join_after(client, 1, 2);
    }
    for _ in 0..3 {
        model.say(ANA, 0);
    }
    model.edit(ANA, 0, 1);
    model.note(REA, What::NotLetIn { why: "503".to_owned() });
    model.connect(REA, "n2");
    model.join_tail(REA, 0, 2);
    model.join(REA, 1);
    model.say(BEN, 0);
    model.say(ANA, 0);
    model.hear_all();
    model.edit(BEN, 0, 5);
    model.hear_all();

    // Away: what is missed comes in pages, and one number is folded.
    model.lose(REA);
    let deleted = model.say(BEN, 0);
    model.delete(BEN, 0, deleted);
    model.edit(ANA, 0, 3);
    model.say(ANA, 0);
    model.connect(REA, "n3");
    model.join_after(REA, 0, 2);
    model.join(REA, 1);

    // One that is folded on the way.
    let twelfth = model.say(ANA, 0);
    model.edit(ANA, 0, twelfth);
    model.hear_folded(REA, 0);

    // One that is refused for now, kept without an acknowledgement, and sent again; and a change asked twice.
    let id = model.send(BEN, 0);
    model.note(BEN, What::Deferred { room: 0, id, code: "unavailable".to_owned() });
    model.send_again(BEN, 0, id);
    model.commit(0, id);
    model.lose(BEN);
    model.connect(BEN, "n2");
    model.send_again(BEN, 0, id);
    let seq = model.commit(0, id);
    model.ack(BEN, 0, id, seq);
    model.ack(BEN, 0, id, seq);
    model.join(BEN, 0);
    model.join(BEN, 1);
    let text = Some(Digest(model.fresh()));
    let other = model.say(BEN, 1);
    model.ask(BEN, 1, other, text);
    model.alter(1, other, text);
    model.ask(BEN, 1, other, text);
    let rev = model.alter(1, other, text).unwrap();
    model.change_acked(BEN, 1, other, rev);
    // A joined room is joined again.
    model.join(BEN, 1);
    // A room that is joined while somebody writes.
    let id = model.send(ANA, 1);
    model.note(ANA, What::Refused { room: 1, id, code: "text_too_long".to_owned() });
    model.say(ANA, 1);
    model
}

pub(super) fn evidence() -> Evidence {
    run().evidence()
}

/// Guards against a judge that cries wolf, and one that looks at nothing.
#[test]
fn a_clean_run_holds() {
    let verdict = judge(&evidence());
    assert_eq!(verdict.findings, []);
    assert!(verdict.holds() && verdict.more == 0);
    assert!(verdict.looked_at.iter().all(|(_, count)| *count > 0), "{:?}", verdict.looked_at);
}

/// Guards against a judge that falls over where there is nothing to look at.
#[test]
fn nothing_is_found_in_nothing() {
    assert_eq!(judge(&Evidence::default()).findings, []);
}
