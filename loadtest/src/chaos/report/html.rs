//! The report for people: one page that needs nothing else, no script and no other host.

use std::fmt::Write as _;

use super::super::record::Evidence;
use super::super::verdict::Verdict;
use super::escape::escape;
use super::figures::Figures;
use super::words::{broken, grouped, length, many, time, time_ms};
use super::{RunInfo, chart, cores, tables};

const STYLE: &str = include_str!("style.css");

/// The whole page. It is written as XML would want it, so that a plain check of the tags is a check.
pub(super) fn page(run: &RunInfo, evidence: &Evidence, verdict: &Verdict, figures: &Figures) -> String {
    let held = verdict.holds();
    let (class, word) = if held { ("ok", "Held") } else { ("bad", "Broken") };
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\
         <meta name=\"color-scheme\" content=\"light dark\"/>\
         <title>{word}: Tertulia under faults, seed {seed}</title><style>{STYLE}</style></head>\
         <body><main><header class=\"{class}\"><p class=\"eyebrow\">Tertulia under faults · seed {seed}</p>\
         <h1>{mark}<span>{sentence}</span></h1><p class=\"lead\">{lead}</p></header>\n\
         {tiles}\n\
         <section><h2>The run</h2><figure>{wide}{narrow}<figcaption>A delay is from a message’s first writing to a socket until a \
         client has it, retries and the client’s own absence included; it is drawn where the message was sent. Shaded: \
         something was broken.</figcaption></figure></section>\n\
         <section><h2>What was promised</h2>{rules}{looked_at}</section>\n\
         <section><h2>What was broken</h2>{faults}<p class=\"note\">{reach}</p></section>\n\
         <section><h2>How losses were healed</h2>{heals}<p class=\"note\">What a killed process had counted since it was last \
         asked is not here.</p></section>\n\
         <section><h2>What clients met</h2><div class=\"reasons\">{reasons}</div></section>\n\
         <section><h2>What was run</h2>{settings}</section>\n\
         <section class=\"words\"><h2>What was checked, and what the words mean</h2>{explained}</section>\n\
         </main></body></html>\n",
        seed = run.seed,
        mark = mark(held),
        sentence = sentence(verdict),
        lead = lead(run, evidence, verdict, figures),
        tiles = tiles(evidence, figures),
        wide = chart::wide(evidence, figures),
        narrow = chart::narrow(evidence, figures),
        rules = tables::rules(evidence, verdict, figures),
        looked_at = tables::looked_at(verdict),
        faults = tables::faults(evidence, figures),
        reach = REACH,
        heals = tables::heals(evidence),
        reasons = tables::reasons(figures),
        settings = settings(run, evidence, figures),
        explained = EXPLAINED,
    )
}

/// A sign beside the word, for whoever cannot tell the colours.
fn mark(held: bool) -> &'static str {
    if held {
        "<svg class=\"mark\" viewBox=\"0 0 48 48\" aria-hidden=\"true\"><circle cx=\"24\" cy=\"24\" r=\"22\"/><path d=\"M13 25l8 8 15-17\"/></svg>"
    } else {
        "<svg class=\"mark\" viewBox=\"0 0 48 48\" aria-hidden=\"true\"><path class=\"sign\" d=\"M15 2h18l13 13v18L33 46H15L2 33V15z\"/><path d=\"M15 15l18 18M33 15L15 33\"/></svg>"
    }
}

fn sentence(verdict: &Verdict) -> String {
    if verdict.holds() {
        return "Held. Every promise was kept.".to_owned();
    }
    match broken(&verdict.findings).as_slice() {
        [(rule, _)] => format!("Broken. The promise <code>{}</code> was not kept.", rule.name()),
        rules => format!("Broken. {} were not kept.", many(rules.len() as u64, "promise")),
    }
}

fn lead(run: &RunInfo, evidence: &Evidence, verdict: &Verdict, figures: &Figures) -> String {
    let what = format!(
        "{} on {} in {}, {} writing and reading in {}",
        many(evidence.faults.len() as u64, "fault"),
        many(run.nodes as u64, "node"),
        length(run.seconds),
        many(evidence.clients.len() as u64, "client"),
        many(evidence.rooms.len() as u64, "room"),
    );
    if verdict.holds() {
        return format!(
            "{what}: of {} none was lost, none doubled, none out of order.",
            many(figures.counts.acknowledged, "acknowledged message")
        );
    }
    let findings = (verdict.findings.len() + verdict.more) as u64;
    format!("{what}: {}, listed below with each promise.", many(findings, "finding"))
}

fn tiles(evidence: &Evidence, figures: &Figures) -> String {
    let counts = &figures.counts;
    let recovery = match (evidence.faults.is_empty(), figures.slowest_recovery()) {
        (true, _) => "–".to_owned(),
        (false, Some(slowest)) => time(slowest),
        (false, None) => "not yet".to_owned(),
    };
    let tiles = [
        (grouped(counts.acknowledged), "acknowledged", format!("after {}", many(counts.writes, "send"))),
        (grouped(counts.deliveries), "deliveries", format!("{} in pages after a join", grouped(counts.paged))),
        (
            time_ms(figures.delivery.p50_ms),
            "median delivery delay",
            format!("p99 {}, max {}", time_ms(figures.delivery.p99_ms), time_ms(figures.delivery.max_ms)),
        ),
        (
            time_ms(figures.acknowledgement.p50_ms),
            "median wait for an ack",
            format!("p99 {}, max {}", time_ms(figures.acknowledgement.p99_ms), time_ms(figures.acknowledgement.max_ms)),
        ),
        (recovery, "slowest heal", "from a fault’s end until all was normal".to_owned()),
        (
            time(figures.longest_absence),
            "longest absence",
            match &figures.longest_away {
                Some(client) => format!("{}; {} in all", escape(client), grouped(figures.absences.len() as u64)),
                None => "nobody was away".to_owned(),
            },
        ),
    ];
    let tile = |(value, what, more): &(String, &str, String)| {
        format!("<div><dt>{what}</dt><dd><b>{value}</b><small>{more}</small></dd></div>")
    };
    format!("<dl class=\"tiles\">{}</dl>", tiles.iter().map(tile).collect::<String>())
}

fn settings(run: &RunInfo, evidence: &Evidence, figures: &Figures) -> String {
    let counts = &figures.counts;
    let machine = match cores() {
        0 => "unknown".to_owned(),
        cores => format!("{}; cluster and clients share them", many(cores as u64, "core")),
    };
    let rows = [
        ("Version", escape(&run.version)),
        ("Seed", run.seed.to_string()),
        ("Machine", machine),
        ("Cluster", format!("{}, with Redis, Postgres and a proxy", many(run.nodes as u64, "node"))),
        (
            "Clients",
            format!(
                "{}, {}, {} in {}",
                many(run.writers as u64, "writer"),
                many(run.editors as u64, "editor"),
                many(run.readers as u64, "reader"),
                many(run.rooms as u64, "room")
            ),
        ),
        ("Kinds of fault", escape(&run.kinds.join(", "))),
        (
            "Duration",
            format!(
                "{} of faults; all healed at {}, ended at {}",
                length(run.seconds),
                time(evidence.healed_at),
                time(evidence.ended_at)
            ),
        ),
        (
            "Changes",
            format!("{} asked, {} acknowledged", grouped(counts.changes_asked), grouped(counts.changes_acknowledged)),
        ),
        (
            "Connections",
            format!(
                "{} made, {}, {}",
                grouped(counts.connections),
                many(counts.joins, "join"),
                many(counts.resets, "reset")
            ),
        ),
        ("Longest silence", format!("{} between two deliveries to one client", time(figures.longest_silence))),
    ];
    let mut list = String::from("<p>The same run again:</p><pre><code>");
    list.push_str(&escape(&run.command));
    list.push_str("</code></pre><dl class=\"settings\">");
    for (name, value) in rows {
        let _ = write!(list, "<div><dt>{name}</dt><dd>{value}</dd></div>");
    }
    list.push_str("</dl>");
    list
}

const REACH: &str = "A fault’s figures are from its beginning until five seconds after its end, or until the next one begins. \
    Faults that overlap share them. <b>Normal after</b>: from the end of the fault until the last delivery that took more than \
    half a second had arrived and the last client that was lost had its rooms again.";

const EXPLAINED: &str = "<p>A real cluster ran behind a real proxy, with real Redis and Postgres. Clients wrote, edited and read \
    through its public protocol while processes were killed, stopped and restarted and lines were cut, on a schedule drawn from \
    the seed. Every client kept a log of all that it did and saw. Afterwards the logs were held against each other and against \
    the rows in the database. The seed gives the same schedule again; the moments within the cluster are its own.</p>\
    <dl><div><dt>acknowledged</dt><dd>A node said that the message is stored. From then on it must never be lost, whatever \
    breaks.</dd></div>\
    <div><dt>put off</dt><dd>A node refused a message for the moment. The client sent it again, under the same id; it is no \
    loss.</dd></div>\
    <div><dt>delivery</dt><dd>A message reached a client, at once or in the answer to a <code>join</code> after an absence. \
    Changed messages count again.</dd></div>\
    <div><dt>absence</dt><dd>From a lost connection until the client was connected and had everything it had missed in all of its \
    rooms.</dd></div>\
    <div><dt>repair</dt><dd>A node noticed that a message had not come through Redis, and read it from the store.</dd></div>\
    <div><dt>reset</dt><dd>A client is told to forget what it holds and to start anew.</dd></div>\
    <div><dt>p50, p99, max</dt><dd>Half of all took no longer; 99 of 100 took no longer; none took longer.</dd></div></dl>";
