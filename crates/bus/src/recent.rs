//! A room's recent entries, and whether they can be trusted to be complete.

use std::collections::BTreeMap;

use proto::{Entry, Epoch};

/// Recent entries of a room by number. A number whose entry moved to a later one is there without an entry, so a hole is
/// a number that is not there at all: whoever wrote it died, or Redis forgot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recent {
    /// The history they belong to.
    pub epoch: Epoch,
    /// Every number that was written, with its surviving entry.
    pub numbers: BTreeMap<u64, Option<Entry>>,
}

impl Recent {
    /// The entries above `after`, rising by `rev`, if every number from `after` + 1 to `head` is there. With
    /// numbers beyond `head` it reaches as far as they follow without a hole; the second value says how far.
    pub fn above(&self, after: u64, head: u64) -> Option<(Vec<Entry>, u64)> {
        let mut complete_to = after;
        let mut entries = Vec::new();
        for (&number, entry) in self.numbers.range(after + 1..) {
            if number != complete_to + 1 {
                break;
            }
            complete_to = number;
            entries.extend(entry.clone());
        }
        (complete_to >= head).then_some((entries, complete_to))
    }

    /// The smallest `after` for which [`above`](Self::above) can answer up to `head`; `None` if `head` itself is not there.
    pub fn floor(&self, head: u64) -> Option<u64> {
        let mut floor = head;
        for &number in self.numbers.range(..=head).rev().map(|(number, _)| number) {
            if number != floor {
                break;
            }
            floor -= 1;
        }
        (floor < head).then_some(floor)
    }
}
