//! Gathers findings, so many of a kind that a report stays readable.

use std::collections::HashMap;

use crate::chaos::record::{Moment, RoomIndex};
use crate::chaos::verdict::{Finding, Rule, Verdict};

/// Findings kept of one rule in one room.
const KEPT_MAX: usize = 5;

/// The findings so far.
pub(super) struct Findings<'a> {
    rooms: &'a [String],
    kept: Vec<Finding>,
    counts: HashMap<(Rule, Option<RoomIndex>), usize>,
    more: usize,
}

impl<'a> Findings<'a> {
    pub(super) fn new(rooms: &'a [String]) -> Self {
        Self { rooms, kept: Vec::new(), counts: HashMap::new(), more: 0 }
    }

    /// Adds one. The detail is put into words only if it is kept: a bad run may have millions.
    pub(super) fn add(
        &mut self,
        rule: Rule,
        room: Option<RoomIndex>,
        who: Option<&str>,
        at: Option<Moment>,
        detail: impl FnOnce() -> String,
    ) {
        let count = self.counts.entry((rule, room)).or_default();
        *count += 1;
        if *count > KEPT_MAX {
            self.more += 1;
            return;
        }
        let name = room.map(|room| self.rooms.get(room).map_or_else(|| format!("#{room}"), Clone::clone));
        let whereabouts = match (who, name) {
            (Some(who), Some(name)) => format!("{who} in room {name}"),
            (Some(who), None) => who.to_owned(),
            (None, Some(name)) => format!("room {name}"),
            (None, None) => "the cluster".to_owned(),
        };
        self.kept.push(Finding { rule, whereabouts, at, detail: detail() });
    }

    /// What is said in the end, rule by rule.
    pub(super) fn verdict(mut self, looked_at: Vec<(&'static str, u64)>) -> Verdict {
        self.kept.sort_by_key(|finding| finding.rule);
        Verdict { findings: self.kept, more: self.more, looked_at }
    }
}
