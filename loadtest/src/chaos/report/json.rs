//! The report for programs.
//!
//! The names are stable; more may be added. Each ends in its unit, moments are seconds since the run began, and a value
//! that does not exist is `null`.
//!
//! | key | what |
//! |---|---|
//! | `format` | the version of this document: 1 |
//! | `held` | whether every promise held |
//! | `run` | what was asked for: seed, command, settings, the machine's cores |
//! | `healed_at_seconds`, `ended_at_seconds` | when the last fault was undone, and the end |
//! | `findings`, `findings_left_out` | the broken promises, and how many are not listed |
//! | `rules` | each rule with the number of its findings |
//! | `looked_at` | what the judge counted |
//! | `counts` | what happened how often; tables by reason or code |
//! | `times` | delivery (first writing → receipt) and acknowledgement (first writing → first `ack`), absence, silence |
//! | `faults` | each fault with what happened in its reach |
//! | `counters` | what the nodes' counters gained |
//! | `timeline` | columns of one value for each second; `delivery_*` are of messages first sent in it |

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::super::record::Evidence;
use super::super::verdict::Verdict;
use super::delays::{Spread, ms};
use super::figures::{Figures, Slot};
use super::words::RULES;
use super::{RunInfo, cores};

pub(super) fn document(run: &RunInfo, evidence: &Evidence, verdict: &Verdict, figures: &Figures) -> Value {
    json!({
        "format": 1,
        "held": verdict.holds(),
        "run": {
            "seed": run.seed,
            "command": run.command,
            "version": run.version,
            "seconds": run.seconds,
            "nodes": run.nodes,
            "rooms": run.rooms,
            "writers": run.writers,
            "editors": run.editors,
            "readers": run.readers,
            "kinds": run.kinds,
            "cores": cores(),
        },
        "healed_at_seconds": seconds(evidence.healed_at),
        "ended_at_seconds": seconds(evidence.ended_at),
        "findings": findings(verdict),
        "findings_left_out": verdict.more,
        "rules": rules(verdict),
        "looked_at": verdict.looked_at.iter().map(|(what, count)| ((*what).to_owned(), json!(count))).collect::<Map<_, _>>(),
        "counts": counts(evidence, figures),
        "times": times(figures),
        "faults": faults(evidence, figures),
        "counters": evidence.counters.iter().map(|counter| {
            json!({ "series": counter.series, "gain": counter.gain })
        }).collect::<Value>(),
        "timeline": timeline(&figures.timeline(1, evidence.ended_at)),
    })
}

fn findings(verdict: &Verdict) -> Value {
    let finding = |finding: &super::super::verdict::Finding| {
        json!({
            "rule": finding.rule.name(),
            "whereabouts": finding.whereabouts,
            "at_seconds": finding.at.map(seconds),
            "detail": finding.detail,
        })
    };
    verdict.findings.iter().map(finding).collect()
}

fn rules(verdict: &Verdict) -> Value {
    let count = |rule| verdict.findings.iter().filter(|finding| finding.rule == rule).count();
    RULES.iter().map(|rule| (rule.name().to_owned(), json!(count(*rule)))).collect::<Map<_, _>>().into()
}

fn counts(evidence: &Evidence, figures: &Figures) -> Value {
    let counts = &figures.counts;
    json!({
        "faults": evidence.faults.len(),
        "clients": evidence.clients.len(),
        "sent": counts.sent,
        "writes": counts.writes,
        "acknowledged": counts.acknowledged,
        "deferred_by_code": counts.deferred,
        "given_up_by_code": counts.given_up,
        "changes_asked": counts.changes_asked,
        "changes_acknowledged": counts.changes_acknowledged,
        "deliveries": counts.deliveries,
        "deliveries_in_pages": counts.paged,
        "connections": counts.connections,
        "connections_lost_by_why": counts.lost,
        "connections_refused_by_why": counts.not_let_in,
        "absences": figures.absences.len(),
        "not_back": figures.not_back,
        "joins": counts.joins,
        "pages": counts.pages,
        "resets": counts.resets,
        "rows": counts.rows,
    })
}

fn times(figures: &Figures) -> Value {
    json!({
        "delivery": spread(&figures.delivery),
        "acknowledgement": spread(&figures.acknowledgement),
        "longest_absence_ms": ms(figures.longest_absence),
        "longest_absence_client": figures.longest_away,
        "longest_silence_ms": ms(figures.longest_silence),
        "slowest_recovery_ms": figures.slowest_recovery().map(ms),
    })
}

fn faults(evidence: &Evidence, figures: &Figures) -> Value {
    let fault = |(fault, span): (&super::super::record::FaultSpan, &super::spans::SpanFigures)| {
        let heal = |(place, gain): &(usize, f64)| Some((evidence.counters.get(*place)?.series.clone(), json!(gain)));
        json!({
            "kind": fault.kind,
            "target": fault.target,
            "began_seconds": seconds(fault.began),
            "ended_seconds": seconds(fault.ended),
            "reach_seconds": seconds(span.until),
            "delivery": spread(&span.delivery),
            "late": span.late,
            "normal_after_ms": span.normal_after.map(ms),
            "deferred": span.deferred,
            "connections_lost": span.lost,
            "connections_refused": span.not_let_in,
            "longest_absence_ms": ms(span.longest_absence),
            "counters": span.heals.iter().filter_map(heal).collect::<Map<_, _>>(),
        })
    };
    evidence.faults.iter().zip(&figures.spans).map(fault).collect()
}

fn timeline(slots: &[Slot]) -> Value {
    let delay = |of: fn(&Spread) -> f64| -> Value { slots.iter().map(|slot| slot.delivery.as_ref().map(of)).collect() };
    let count = |of: fn(&Slot) -> u64| -> Value { slots.iter().map(of).collect() };
    json!({
        "began_seconds": slots.iter().map(|slot| slot.began.as_secs()).collect::<Value>(),
        "delivery_p50_ms": delay(|spread| spread.p50_ms),
        "delivery_p99_ms": delay(|spread| spread.p99_ms),
        "delivery_max_ms": delay(|spread| spread.max_ms),
        "acknowledged": count(|slot| slot.acked),
        "deferred": count(|slot| slot.deferred),
        "connections_lost": count(|slot| slot.lost),
        "connections_refused": count(|slot| slot.not_let_in),
        "returns": count(|slot| slot.returned),
    })
}

fn spread(spread: &Spread) -> Value {
    json!({ "count": spread.count, "p50_ms": spread.p50_ms, "p99_ms": spread.p99_ms, "max_ms": spread.max_ms })
}

fn seconds(at: Duration) -> f64 {
    at.as_millis() as f64 / 1000.0
}
