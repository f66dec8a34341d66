//! Judges a run: a pure function from what was recorded to what was broken.
//!
//! All logs and the store are first put together room by room ([`known`]). Some promises can be read off that (`store`,
//! `holes`, `order`, `causes`); the others need each client's log to be walked line by line, as the client lived it
//! (`walk`, `view`). Nothing is taken on trust from the program under test: what a number means is what the store and the
//! clients say of it.
//!
//! A rule stays silent where the promise leaves a choice, so that every finding is worth a look.

mod causes;
mod changes;
mod faults;
mod findings;
mod holes;
mod known;
mod order;
mod store;
#[cfg(test)]
mod tests;
mod view;
mod walk;

use self::faults::Excuses;
use self::findings::Findings;
use self::known::Known;
use super::record::{ClientLog, Evidence, Line, Moment, OVER, What};
use super::verdict::Verdict;

/// Holds a run to all promises.
pub(crate) fn judge(evidence: &Evidence) -> Verdict {
    let mut findings = Findings::new(&evidence.rooms);
    let known = Known::gather(evidence, &mut findings);
    for (index, (room, known)) in evidence.store.iter().zip(&known.rooms).enumerate() {
        store::check(index, room, known, &mut findings);
        holes::check(index, room, known, &mut findings);
        order::check(index, known, &mut findings);
    }
    causes::check(evidence, &mut findings);
    let excuses = Excuses::of(evidence);
    for client in &evidence.clients {
        walk::check(client, evidence, &known, &excuses, &mut findings);
    }
    findings.verdict(known.looked_at)
}

/// The lines of a log until its client stopped. That its connection ended then or later says nothing.
fn lines(client: &ClientLog, ended_at: Moment) -> impl Iterator<Item = &Line> {
    let until = client.lines.iter().take_while(|line| !matches!(&line.what, What::Lost { why } if why == OVER));
    until.filter(move |line| line.at <= ended_at || !matches!(line.what, What::Lost { .. } | What::NotLetIn { .. }))
}
