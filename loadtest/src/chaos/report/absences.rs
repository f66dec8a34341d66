//! When clients were away: from a lost connection until they hold their rooms again.

use std::collections::HashSet;
use std::time::Duration;

use super::super::record::{ClientLog, Evidence, Moment, OVER, What};

/// A client was away.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Absence {
    /// Its place in [`Evidence::clients`].
    pub(super) client: usize,
    pub(super) began: Moment,
    /// When it was connected and had the last page of every room that it had been in. `None`: not before the end.
    pub(super) back: Option<Moment>,
}

impl Absence {
    /// How long it was, up to the end of the run.
    pub(super) fn length(&self, ended_at: Moment) -> Duration {
        self.back.unwrap_or(ended_at).saturating_sub(self.began)
    }
}

/// All absences by their beginning. A connection that breaks again on the way back prolongs the absence.
pub(super) fn absences(evidence: &Evidence) -> Vec<Absence> {
    let mut all: Vec<Absence> = evidence
        .clients
        .iter()
        .enumerate()
        .flat_map(|(client, log)| of_client(client, log))
        // What ends with the run is the run's own end.
        .filter(|absence| absence.began < evidence.ended_at)
        .collect();
    all.sort_by_key(|absence| absence.began);
    all
}

fn of_client(client: usize, log: &ClientLog) -> Vec<Absence> {
    let mut absences = Vec::new();
    let mut rooms = HashSet::new();
    let mut missing = HashSet::new();
    let mut away: Option<Moment> = None;
    let mut connected = false;
    for line in &log.lines {
        match &line.what {
            // Its own end.
            What::Lost { why } if why == OVER => break,
            What::Lost { .. } => {
                away.get_or_insert(line.at);
                connected = false;
            }
            What::Connected { .. } => {
                missing = rooms.clone();
                connected = true;
            }
            What::Joined { room, more: false, .. } => {
                rooms.insert(*room);
                missing.remove(room);
            }
            _ => continue,
        }
        if connected && missing.is_empty() {
            absences.extend(away.take().map(|began| Absence { client, began, back: Some(line.at) }));
        }
    }
    absences.extend(away.map(|began| Absence { client, began, back: None }));
    absences
}
