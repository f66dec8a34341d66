//! What was acknowledged before another was sent comes before it, whoever sent them and wherever.

use super::findings::Findings;
use super::known::KnownRoom;
use crate::chaos::record::{Moment, RoomIndex};
use crate::chaos::verdict::Rule;

pub(super) fn check(index: RoomIndex, room: &KnownRoom<'_>, findings: &mut Findings<'_>) {
    let mut sent: Vec<(Moment, u64)> = Vec::new();
    let mut acked: Vec<(Moment, u64)> = Vec::new();
    for (id, send) in &room.sends {
        // The place it has, which is another rule's to compare with the acknowledged one.
        let place = room.ids.get(id).map(|row| row.seq).or(send.acked.map(|(_, seq)| seq));
        if let Some(seq) = place {
            sent.push((send.first, seq));
            acked.extend(send.acked.map(|(at, _)| (at, seq)));
        }
    }
    sent.sort_unstable();
    acked.sort_unstable();
    let mut before = acked.into_iter().peekable();
    let mut highest: Option<(u64, Moment)> = None;
    for (at, seq) in sent {
        while let Some((acked_at, acked)) = before.next_if(|(acked_at, _)| *acked_at < at) {
            if highest.is_none_or(|(highest, _)| acked > highest) {
                highest = Some((acked, acked_at));
            }
        }
        if let Some((above, acked_at)) = highest.filter(|(above, _)| *above > seq) {
            findings.add(Rule::RealTimeOrder, Some(index), None, Some(at), || {
                format!("message {seq} was first sent after message {above} was acknowledged, at {acked_at:?}")
            });
        }
    }
}
