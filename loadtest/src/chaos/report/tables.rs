//! The tables of the page.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::super::record::{Evidence, FaultSpan};
use super::super::verdict::Verdict;
use super::escape::escape;
use super::figures::{ByReason, Figures};
use super::spans::SpanFigures;
use super::words::{self, Counter, JOINS, REPAIRS, RULES, grouped, many, moment, time, time_ms};

/// Past so many faults the list of each is folded away: the table by kind tells more.
const FAULTS_SHOWN: usize = 40;

/// Each rule: what it promises, what it was held against, what was found.
pub(super) fn rules(evidence: &Evidence, verdict: &Verdict, figures: &Figures) -> String {
    let repairs =
        evidence.counters.iter().filter(|counter| words::is_repair(&counter.series)).map(|counter| counter.gain);
    let repairs = repairs.sum::<f64>().round() as u64;
    let mut rows = String::new();
    for rule in RULES {
        let findings: Vec<_> = verdict.findings.iter().filter(|finding| finding.rule == rule).collect();
        let against = words::held_against(rule, &figures.counts, evidence.rooms.len(), evidence.clients.len(), repairs);
        let (class, said) = match findings.len() {
            0 => ("ok", "✓ held".to_owned()),
            count => ("bad", format!("✗ broken ×{count}")),
        };
        let _ = write!(
            rows,
            "<tr class=\"{class}\"><td><code>{}</code><p>{}</p></td><td>{against}</td><td><b class=\"{class}\">{said}</b></td></tr>",
            rule.name(),
            words::promise(rule),
        );
        if findings.is_empty() {
            continue;
        }
        rows.push_str("<tr class=\"findings\"><td colspan=\"3\"><ul>");
        for finding in findings {
            let at = finding.at.map(|at| format!(" <span class=\"soft\">at {}</span>", moment(at))).unwrap_or_default();
            let _ =
                write!(rows, "<li><b>{}</b>{at}<br/>{}</li>", escape(&finding.whereabouts), escape(&finding.detail));
        }
        rows.push_str("</ul></td></tr>");
    }
    let more = match verdict.more {
        0 => String::new(),
        more => {
            format!("<p class=\"note\">{} left out, of the same rules and rooms.</p>", many(more as u64, "finding"))
        }
    };
    format!(
        "<table class=\"rules\"><thead><tr><th>Promise</th><th>Held against</th><th>Found</th></tr></thead><tbody>{rows}</tbody></table>{more}"
    )
}

/// What the judge says that it looked at.
pub(super) fn looked_at(verdict: &Verdict) -> String {
    if verdict.looked_at.is_empty() {
        return String::new();
    }
    let counted: Vec<String> = verdict
        .looked_at
        .iter()
        .map(|(what, count)| format!("<span><b>{}</b> {}</span>", grouped(*count), escape(what)))
        .collect();
    format!("<p class=\"counted\">The judge looked at {}.</p>", counted.join(", "))
}

/// Faults by kind, then each.
pub(super) fn faults(evidence: &Evidence, figures: &Figures) -> String {
    if evidence.faults.is_empty() {
        return "<p>Nothing was broken in this run.</p>".to_owned();
    }
    let pairs = || evidence.faults.iter().zip(&figures.spans);
    let mut kinds: BTreeMap<&str, Vec<(&FaultSpan, &SpanFigures)>> = BTreeMap::new();
    for (fault, span) in pairs() {
        kinds.entry(fault.kind).or_default().push((fault, span));
    }
    let by_kind: String = kinds.iter().map(|(kind, of)| kind_row(kind, of)).collect();
    let each: String =
        pairs().enumerate().map(|(place, (fault, span))| fault_row(place, fault, span, evidence)).collect();
    let open = if evidence.faults.len() <= FAULTS_SHOWN { " open=\"open\"" } else { "" };
    format!(
        "<table class=\"kinds figures\"><thead><tr><th>Kind</th><th>Times</th><th>Lasted at most</th><th>Worst delay</th>\
         <th>Longest absence</th><th>Normal again after, at most</th></tr></thead><tbody>{by_kind}</tbody></table>\
         <details{open}><summary>Each of the {}</summary>\
         <table class=\"faults figures\"><thead><tr><th>Fault</th><th>At</th><th>Lasted</th><th>Delay p99</th>\
         <th>Worst</th><th>Put off</th><th>Lost</th><th>Refused</th><th>Absence</th><th>Normal after</th><th>Repairs</th></tr></thead>\
         <tbody>{each}</tbody></table></details>",
        many(evidence.faults.len() as u64, "fault"),
    )
}

fn kind_row(kind: &str, of: &[(&FaultSpan, &SpanFigures)]) -> String {
    let lasted = of.iter().map(|(fault, _)| fault.ended.saturating_sub(fault.began)).max().unwrap_or_default();
    let worst = of.iter().map(|(_, span)| span.delivery.max_ms).fold(0.0, f64::max);
    let absence = of.iter().map(|(_, span)| span.longest_absence).max().unwrap_or_default();
    let after =
        of.iter().map(|(_, span)| span.normal_after).max_by_key(|after| after.unwrap_or(Duration::MAX)).flatten();
    format!(
        "<tr><td><b>{}</b></td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
        escape(kind),
        grouped(of.len() as u64),
        time(lasted),
        time_ms(worst),
        some(absence),
        normal(after),
    )
}

fn fault_row(place: usize, fault: &FaultSpan, span: &SpanFigures, evidence: &Evidence) -> String {
    let repairs: Vec<String> = span
        .heals
        .iter()
        .filter_map(|(place, gain)| Some((&evidence.counters.get(*place)?.series, *gain)))
        .filter(|(series, _)| words::is_repair(series))
        .map(|(series, gain)| {
            let cause = words::short_series(series);
            format!("{}&#160;{}", escape(cause.trim_start_matches("gaps ")), grouped(gain.round() as u64))
        })
        .collect();
    format!(
        "<tr><td><span class=\"soft\">{}.</span> <b>{}</b> <span class=\"soft\">{}</span></td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>\
         <td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
        place + 1,
        escape(fault.kind),
        escape(&fault.target),
        moment(fault.began),
        time(fault.ended.saturating_sub(fault.began)),
        time_ms(span.delivery.p99_ms),
        time_ms(span.delivery.max_ms),
        number(span.deferred),
        number(span.lost),
        number(span.not_let_in),
        some(span.longest_absence),
        normal(span.normal_after),
        if repairs.is_empty() { "–".to_owned() } else { repairs.join(", ") },
    )
}

/// What the nodes counted: how losses were found, how those who came were answered, and the rest.
pub(super) fn heals(evidence: &Evidence) -> String {
    if evidence.counters.is_empty() {
        return "<p>The nodes’ counters were not read.</p>".to_owned();
    }
    let known = |counters: &[Counter]| -> String {
        let gain = |series: &&str| {
            evidence.counters.iter().filter(|counter| counter.series == *series).map(|of| of.gain).sum::<f64>()
        };
        counters.iter().map(|(series, label, meaning)| counter_row(label, gain(series), meaning)).collect()
    };
    let is_known = |series: &str| REPAIRS.iter().chain(&JOINS).any(|(known, ..)| *known == series);
    let others = evidence.counters.iter().filter(|counter| !is_known(&counter.series));
    let others: String =
        others.map(|of| counter_row(&words::short_series(&of.series), of.gain, words::meaning(&of.series))).collect();
    let groups = [
        ("Rooms read back from the store, by what found the loss", known(&REPAIRS)),
        ("Joins, by what answered", known(&JOINS)),
        ("What else the nodes counted", others),
    ];
    let groups: String = groups
        .iter()
        .filter(|(_, rows)| !rows.is_empty())
        .map(|(title, rows)| format!("<tbody><tr class=\"group\"><th colspan=\"3\">{title}</th></tr>{rows}</tbody>"))
        .collect();
    format!(
        "<table class=\"heals\"><thead><tr><th>Counter</th><th>Times</th><th>What it means</th></tr></thead>{groups}</table>"
    )
}

fn counter_row(label: &str, gain: f64, meaning: &str) -> String {
    let gain = gain.round() as u64;
    let class = if gain == 0 { " class=\"none\"" } else { "" };
    format!("<tr{class}><td><b>{}</b></td><td>{}</td><td>{meaning}</td></tr>", escape(label), grouped(gain))
}

/// Refusals and ends by reason, each list in a column.
pub(super) fn reasons(figures: &Figures) -> String {
    let counts = &figures.counts;
    let lists = [
        ("Connections lost", &counts.lost),
        ("Connections refused", &counts.not_let_in),
        ("Sends put off", &counts.deferred),
        ("Refused for good", &counts.given_up),
    ];
    lists.iter().map(|(title, reasons)| list(title, reasons)).collect()
}

fn list(title: &str, reasons: &ByReason) -> String {
    let mut rows: Vec<(&String, &u64)> = reasons.iter().collect();
    rows.sort_by_key(|(reason, count)| (std::cmp::Reverse(**count), *reason));
    let rows: String = rows
        .iter()
        .map(|(reason, count)| format!("<li><span>{}</span><b>{}</b></li>", escape(reason), grouped(**count)))
        .collect();
    let rows = if rows.is_empty() { "<li><span class=\"soft\">none</span></li>".to_owned() } else { rows };
    format!("<div><h3>{title}</h3><ul>{rows}</ul></div>")
}

fn number(count: u64) -> String {
    if count == 0 { "–".to_owned() } else { grouped(count) }
}

fn some(time_away: Duration) -> String {
    if time_away.is_zero() { "–".to_owned() } else { time(time_away) }
}

fn normal(after: Option<Duration>) -> String {
    match after {
        Some(Duration::ZERO) => "at once".to_owned(),
        Some(after) => time(after),
        None => "<b class=\"bad\">not before the end</b>".to_owned(),
    }
}
