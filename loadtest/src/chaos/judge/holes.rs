//! A room's numbers are 1, 2, 3 … up to its head, and each is explained by somebody.

use super::findings::Findings;
use super::known::KnownRoom;
use crate::chaos::record::{RoomIndex, StoredRoom};
use crate::chaos::verdict::Rule;

/// Ranges of holes named in a finding.
const NAMED_MAX: usize = 8;

pub(super) fn check(index: RoomIndex, room: &StoredRoom, known: &KnownRoom<'_>, findings: &mut Findings<'_>) {
    let mut report = |detail: String| findings.add(Rule::NoHoles, Some(index), None, None, || detail);
    let largest = room.messages.iter().map(|row| row.rev.max(row.seq)).max().unwrap_or(0);
    if room.head != largest {
        report(format!("the head is {}, and the largest number {largest}", room.head));
    }
    let mut revs: Vec<u64> = room.messages.iter().map(|row| row.rev).collect();
    revs.sort_unstable();
    for pair in revs.windows(2).filter(|pair| pair[0] == pair[1]) {
        report(format!("two messages have the number {}", pair[0]));
    }
    for row in room.messages.iter().filter(|row| row.seq == 0 || row.rev < row.seq) {
        report(format!("message {} has the number {}", row.seq, row.rev));
    }

    let head = room.head.max(largest);
    let folded = known.numbers.iter().filter(|(rev, seq)| known.rows.get(seq).is_some_and(|row| row.rev > **rev));
    let mut explained: Vec<u64> = room.messages.iter().flat_map(|row| [row.seq, row.rev]).collect();
    explained.extend(folded.map(|(rev, _)| *rev));
    explained.push(head + 1);
    explained.retain(|number| (1..=head + 1).contains(number));
    explained.sort_unstable();
    let (mut last, mut count, mut ranges) = (0, 0, Vec::new());
    for number in explained {
        if number > last + 1 {
            count += number - last - 1;
            ranges.push((last + 1, number - 1));
        }
        last = number;
    }
    // A change that was asked and never answered may have taken a number that was folded before anybody saw it.
    let in_doubt = known.changes_in_doubt();
    if count > in_doubt {
        let named: Vec<String> = ranges.iter().take(NAMED_MAX).map(|(from, to)| format!("{from}..={to}")).collect();
        report(format!(
            "{count} numbers belong to nothing, and {in_doubt} changes are in doubt: {}{}",
            named.join(", "),
            if ranges.len() > NAMED_MAX { " …" } else { "" },
        ));
    }
}
