//! What was acknowledged is stored, once, and nothing else is.

use std::collections::HashSet;

use super::findings::Findings;
use super::known::KnownRoom;
use crate::chaos::record::{RoomIndex, StoredRoom};
use crate::chaos::verdict::Rule;

pub(super) fn check(index: RoomIndex, room: &StoredRoom, known: &KnownRoom<'_>, findings: &mut Findings<'_>) {
    kept_once(index, room, findings);
    acked_is_kept(index, known, findings);
    changed_is_kept(index, known, findings);
    for row in &room.messages {
        if let Err(why) = known.is_written(row.seq, row.rev, row.id, row.text) {
            findings.add(Rule::NothingInvented, Some(index), None, None, || format!("the store has {why}"));
        }
    }
}

fn kept_once(index: RoomIndex, room: &StoredRoom, findings: &mut Findings<'_>) {
    let (mut ids, mut seqs) = (HashSet::new(), HashSet::new());
    for row in &room.messages {
        if !ids.insert(row.id) {
            let detail = || format!("{} is stored again as message {}", row.id, row.seq);
            findings.add(Rule::KeptOnce, Some(index), None, None, detail);
        }
        if !seqs.insert(row.seq) {
            let detail = || format!("there is a second message {}: {}", row.seq, row.id);
            findings.add(Rule::KeptOnce, Some(index), None, None, detail);
        }
    }
}

fn acked_is_kept(index: RoomIndex, known: &KnownRoom<'_>, findings: &mut Findings<'_>) {
    let mut acked: Vec<_> = known.sends.iter().filter_map(|(id, send)| Some((send.acked?, id, send))).collect();
    acked.sort_unstable_by_key(|(acked, id, _)| (*acked, **id));
    for ((at, seq), id, send) in acked {
        match known.ids.get(id) {
            Some(row) if row.seq == seq => {}
            Some(row) => findings.add(Rule::AckedIsKept, Some(index), None, Some(at), || {
                format!("{id} was acknowledged as {seq} and is stored as {}", row.seq)
            }),
            None => findings.add(Rule::AckedIsKept, Some(index), None, Some(at), || {
                format!("{id} was acknowledged as {seq} and is not stored")
            }),
        }
        if let Some((at, other)) = send.acked_otherwise {
            findings.add(Rule::AckedIsKept, Some(index), None, Some(at), || {
                format!("{id} was acknowledged as {seq} and as {other}")
            });
        }
    }
}

fn changed_is_kept(index: RoomIndex, known: &KnownRoom<'_>, findings: &mut Findings<'_>) {
    for ack in &known.changes_acked {
        let (seq, rev) = (ack.seq, ack.rev);
        let wrong = match known.rows.get(&seq) {
            None => "it is not stored".to_owned(),
            Some(row) if row.rev < rev => format!("it is stored with {}", row.rev),
            Some(row) if row.rev == rev && row.text != ack.text => "another text is stored under it".to_owned(),
            Some(_) if known.numbers.get(&rev).is_some_and(|owner| *owner != seq) => {
                "the number is another message's".to_owned()
            }
            Some(_) if !known.may_be(seq, rev, ack.text) => "it had another text under it".to_owned(),
            Some(_) => continue,
        };
        findings.add(Rule::ChangedIsKept, Some(index), Some(ack.by), Some(ack.at), || {
            format!("a change of message {seq} was acknowledged with {rev}: {wrong}")
        });
    }
}
