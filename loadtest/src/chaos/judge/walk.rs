//! Walks through one client's log as the client lived it.

use super::faults::Excuses;
use super::findings::Findings;
use super::known::Known;
use super::lines;
use super::view::{Answer, Got, Scene, View};
use crate::chaos::record::{ClientLog, Evidence, Line, Moment, StoredRoom, What};
use crate::chaos::verdict::Rule;

pub(super) fn check(
    client: &ClientLog,
    evidence: &Evidence,
    known: &Known<'_>,
    excuses: &Excuses<'_>,
    findings: &mut Findings<'_>,
) {
    let who = client.name.as_str();
    let mut views: Vec<View<'_>> = Vec::new();
    views.resize_with(known.rooms.len(), View::default);
    let mut node = None;
    for Line { at, what } in lines(client, evidence.ended_at) {
        let at = *at;
        match what {
            What::Connected { .. } | What::Lost { .. } | What::NotLetIn { .. } => {
                node = if let What::Connected { node } = what { Some(node.as_str()) } else { None };
                views.iter_mut().zip(&known.rooms).for_each(|(view, room)| view.cut(room));
            }
            What::JoinAsked { room, .. } | What::Joined { room, .. } | What::Got { room, .. } => {
                let (Some(view), Some(known_room)) = (views.get_mut(*room), known.rooms.get(*room)) else { continue };
                let epoch = known.epoch;
                let mut scene = Scene { room: *room, who, known: known_room, epoch, excuses, findings };
                match what {
                    What::JoinAsked { after, .. } => view.ask(*after, known_room),
                    What::Joined { epoch, head, reset, more, .. } => {
                        let answer = Answer { epoch, head: *head, reset: *reset, more: *more };
                        view.answer(at, answer, &mut scene);
                    }
                    What::Got { seq, rev, id, text, page, .. } => {
                        let got = Got { seq: *seq, rev: *rev, id: *id, text: *text };
                        judge_words(at, got, &mut scene);
                        if *page {
                            view.got_in_page(at, got, &mut scene);
                        } else {
                            view.got_live(at, got, node.unwrap_or_default(), &mut scene);
                        }
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }
    end(client, evidence, known, excuses, node.is_some(), views, findings);
}

/// Whether it is back, and holds what it should.
fn end(
    client: &ClientLog,
    evidence: &Evidence,
    known: &Known<'_>,
    excuses: &Excuses<'_>,
    connected: bool,
    views: Vec<View<'_>>,
    findings: &mut Findings<'_>,
) {
    let (who, at) = (client.name.as_str(), evidence.ended_at);
    if !connected {
        findings.add(Rule::Settles, None, Some(who), Some(at), || "it is not connected in the end".to_owned());
    }
    let nothing = StoredRoom::default();
    for (room, (view, known_room)) in views.into_iter().zip(&known.rooms).enumerate() {
        if connected && !view.is_complete() {
            let detail = || "its last join is not answered, or not to the end".to_owned();
            findings.add(Rule::Settles, Some(room), Some(who), Some(at), detail);
        }
        let mut scene = Scene { room, who, known: known_room, epoch: known.epoch, excuses, findings };
        view.end(connected, evidence.store.get(room).unwrap_or(&nothing), &mut scene);
    }
}

/// Whether somebody wrote what came, and all agree on whose number it is.
fn judge_words(at: Moment, got: Got, scene: &mut Scene<'_, '_>) {
    let Got { seq, rev, id, text } = got;
    let known = scene.known;
    let wrong = match known.is_written(seq, rev, id, text) {
        Err(why) => why,
        Ok(()) if known.numbers.get(&rev).is_some_and(|owner| *owner != seq) => {
            format!("message {seq} at {rev}, which is another message's number")
        }
        Ok(()) if known.rows.get(&seq).is_some_and(|row| row.id != id) => {
            format!("message {seq} as {id}, which is another's place in the store")
        }
        Ok(()) => return,
    };
    scene.find(Rule::NothingInvented, Some(at), || format!("got {wrong}"));
}
