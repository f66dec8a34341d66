//! One reader's memory of one room: numbers must rise by one, since nobody edits here.

use std::collections::BTreeSet;

/// Missing numbers that are remembered; past this, one that comes late counts as a double.
const MISSING_MAX: usize = 10_000;

/// What was heard, and what was wrong with it.
#[derive(Debug, Default)]
pub(crate) struct Witness {
    /// The highest number heard.
    pub(crate) last: u64,
    pub(crate) heard: u64,
    pub(crate) doubles: u64,
    /// Came after a higher one.
    pub(crate) late: u64,
    /// Never came, so far.
    pub(crate) gaps: u64,
    missing: BTreeSet<u64>,
}

impl Witness {
    /// Stands at a number without having heard what is below.
    pub(crate) fn at(last: u64) -> Self {
        Self { last, ..Self::default() }
    }

    pub(crate) fn hear(&mut self, number: u64) {
        self.heard += 1;
        if number > self.last {
            self.miss(self.last + 1..number);
            self.last = number;
        } else if self.missing.remove(&number) {
            self.late += 1;
            self.gaps -= 1;
        } else {
            self.doubles += 1;
        }
    }

    /// It is known that there is everything up to a number: what was not heard of it is missing.
    pub(crate) fn expect(&mut self, head: u64) {
        if head > self.last {
            self.miss(self.last + 1..head + 1);
            self.last = head;
        }
    }

    fn miss(&mut self, numbers: std::ops::Range<u64>) {
        self.gaps += numbers.end - numbers.start;
        let room = MISSING_MAX.saturating_sub(self.missing.len());
        self.missing.extend(numbers.take(room));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_doubles_and_late_ones_are_told_apart() {
        let mut witness = Witness::at(10);
        [11, 13, 13, 15, 12].into_iter().for_each(|number| witness.hear(number));
        witness.expect(16);
        assert_eq!((witness.heard, witness.doubles, witness.late, witness.gaps), (5, 1, 1, 2));
    }
}
