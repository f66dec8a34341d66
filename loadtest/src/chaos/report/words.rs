//! How figures and promises are said.

use std::time::Duration;

use super::super::verdict::{Finding, Rule};
use super::figures::Counts;

/// Every rule, in the order of the report.
pub(super) const RULES: [Rule; 13] = [
    Rule::AckedIsKept,
    Rule::KeptOnce,
    Rule::NoHoles,
    Rule::RisingOnce,
    Rule::NothingMissing,
    Rule::SameEnd,
    Rule::RealTimeOrder,
    Rule::NothingInvented,
    Rule::ChangedIsKept,
    Rule::NoNeedlessReset,
    Rule::Settles,
    Rule::FoundByCause,
    Rule::HealedInTime,
];

/// What a rule promises.
pub(super) fn promise(rule: Rule) -> &'static str {
    match rule {
        Rule::AckedIsKept => {
            "An acknowledged message is in the store, once, under the number it was acknowledged with; every \
             acknowledgement of it named the same one."
        }
        Rule::KeptOnce => "However often a message was sent, and to whichever nodes, it is stored once.",
        Rule::NoHoles => "A room’s numbers have no holes: 1, 2, 3 …",
        Rule::RisingOnce => "Numbers reach a client rising, none of them twice.",
        Rule::NothingMissing => "A client misses nothing: each number comes, or the later one that replaced it.",
        Rule::SameEnd => "What a client holds in the end is what the store holds.",
        Rule::RealTimeOrder => "What was acknowledged before another message was sent comes before it.",
        Rule::NothingInvented => "Nothing appears that nobody sent, nor a text that its author did not write.",
        Rule::ChangedIsKept => "An acknowledged edit or deletion is in the store, or a later one.",
        Rule::NoNeedlessReset => "No client is told to start anew, unless the history itself was taken back.",
        Rule::Settles => "Once all is healed, everything sent is settled and everybody is back.",
        Rule::FoundByCause => {
            "What was lost on the way is found by whoever knows of the loss; the slow sweep is for losses that nobody can \
             know of."
        }
        Rule::HealedInTime => {
            "While a client was connected and nothing was broken, a message was with it within five seconds of its \
             acknowledgement."
        }
    }
}

/// How much of the run a rule had to hold for.
pub(super) fn held_against(rule: Rule, counts: &Counts, rooms: usize, clients: usize, heals: u64) -> String {
    match rule {
        Rule::AckedIsKept | Rule::RealTimeOrder => many(counts.acknowledged, "acknowledged message"),
        Rule::KeptOnce => format!("{}, {}", many(counts.writes, "send"), many(counts.rows, "row")),
        Rule::NoHoles => many(rooms as u64, "room"),
        Rule::RisingOnce | Rule::HealedInTime => many(counts.deliveries, "delivery"),
        Rule::NothingMissing => {
            format!("{}, {}", many(counts.deliveries, "delivery"), many(counts.joins, "join"))
        }
        Rule::SameEnd => format!("{}, {}", many(clients as u64, "client"), many(counts.rows, "row")),
        Rule::NothingInvented => format!("{}, {}", many(counts.deliveries, "delivery"), many(counts.rows, "row")),
        Rule::ChangedIsKept => many(counts.changes_acknowledged, "acknowledged change"),
        Rule::NoNeedlessReset => many(counts.pages, "answer to a join"),
        Rule::Settles => format!("{}, {}", many(counts.sent, "message"), many(clients as u64, "client")),
        Rule::FoundByCause => many(heals, "repair"),
    }
}

/// A counter of the nodes: its series, what it is called here, and what it says.
pub(super) type Counter = (&'static str, &'static str, &'static str);

/// What found a loss. All are told, those that found nothing too.
pub(super) const REPAIRS: [Counter; 9] = [
    ("tertulia_gaps_total{cause=\"skip\"}", "skip", "A number was skipped; the missing ones were read back."),
    ("tertulia_gaps_total{cause=\"reconnect\"}", "reconnect", "The connection to Redis was lost and came back."),
    ("tertulia_gaps_total{cause=\"away\"}", "away", "Redis was away; the store carried the messages meanwhile."),
    (
        "tertulia_gaps_total{cause=\"deaf\"}",
        "deaf",
        "Redis claimed to be well and brought nothing; the heartbeat noticed.",
    ),
    ("tertulia_gaps_total{cause=\"lag\"}", "lag", "Publications came faster than they were taken."),
    ("tertulia_gaps_total{cause=\"snapshot\"}", "snapshot", "A returning reader’s answer was ahead of its node."),
    ("tertulia_gaps_total{cause=\"version\"}", "version", "A publication could not be read."),
    ("tertulia_gaps_total{cause=\"sweep\"}", "sweep", "Nobody had noticed; the slow sweep did."),
    (
        "tertulia_sweep_found_total",
        "found by the sweep",
        "Rooms found behind by the slow sweep alone, the last resort.",
    ),
];

/// What answered those who came.
pub(super) const JOINS: [Counter; 3] = [
    ("tertulia_joins_total{source=\"ring\"}", "ring", "The node’s own memory."),
    ("tertulia_joins_total{source=\"cache\"}", "cache", "What Redis remembered."),
    ("tertulia_joins_total{source=\"store\"}", "store", "The database."),
];

/// What any other counter says, where that is known.
pub(super) fn meaning(series: &str) -> &'static str {
    match series.split('{').next().unwrap_or_default() {
        "tertulia_admission_refused_total" => "Connections refused before they were made, by reason.",
        "tertulia_disconnects_total" => "Connections that nodes saw end, by how.",
        "tertulia_bus_losses_total" => "Times that publications may have been missed, by cause.",
        "tertulia_bus_reconnects_total" => "Connections to Redis given up, by what ended them.",
        "tertulia_bus_published_total" => "Publications to other nodes, by what became of them.",
        "tertulia_store_retries_total" => "Batches tried again because Postgres was away.",
        "tertulia_republished_total" => "Publications repeated because a known id was sent again.",
        "tertulia_refusals_total" => "Requests refused, by code.",
        _ => "",
    }
}

/// A series without what all of them have in common: `gaps skip`, `bus losses lag`.
pub(super) fn short_series(series: &str) -> String {
    let (metric, labels) = series.split_once('{').unwrap_or((series, ""));
    let metric = metric.trim_start_matches("tertulia_").trim_end_matches("_total").replace('_', " ");
    let values: Vec<&str> = labels.split('"').skip(1).step_by(2).collect();
    [&[metric.as_str()], values.as_slice()].concat().join(" ")
}

/// Whether a series counts repairs of something lost.
pub(super) fn is_repair(series: &str) -> bool {
    series.starts_with("tertulia_gaps_total")
}

/// The rules that were broken, and how many findings each has.
pub(super) fn broken(findings: &[Finding]) -> Vec<(Rule, usize)> {
    let count = |rule| findings.iter().filter(|finding| finding.rule == rule).count();
    RULES.iter().map(|rule| (*rule, count(*rule))).filter(|(_, count)| *count > 0).collect()
}

/// `5,213`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `1 delivery`, `2 deliveries`, `3 answers to a join`.
pub(super) fn many(number: u64, noun: &str) -> String {
    if number == 1 {
        return format!("1 {noun}");
    }
    let (head, rest) = match noun.find(" to ") {
        Some(place) => noun.split_at(place),
        None => (noun, ""),
    };
    let plural = match head.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{stem}ies"),
        _ => format!("{head}s"),
    };
    format!("{} {plural}{rest}", grouped(number))
}

/// A time in milliseconds, with as many digits as mean something: `0.8 ms`, `12 ms`, `2.9 s`, `3 min 20 s`.
pub(super) fn time_ms(time: f64) -> String {
    match time {
        none if none <= 0.0 => "0".to_owned(),
        tiny if tiny < 0.095 => "< 0.1 ms".to_owned(),
        small if small < 9.95 => format!("{small:.1} ms"),
        some if some < 999.5 => format!("{some:.0} ms"),
        seconds if seconds < 9_950.0 => format!("{:.1} s", seconds / 1000.0),
        seconds if seconds < 119_500.0 => format!("{:.0} s", seconds / 1000.0),
        longer => minutes((longer / 1000.0).round() as u64),
    }
}

/// The same of a duration.
pub(super) fn time(duration: Duration) -> String {
    time_ms(super::delays::ms(duration))
}

/// A length in whole seconds: `60 s`, `5 min`, `1 h 2 min`.
pub(super) fn length(seconds: u64) -> String {
    if seconds < 120 { format!("{seconds} s") } else { minutes(seconds) }
}

fn minutes(seconds: u64) -> String {
    let parts = [(seconds / 3600, "h"), (seconds / 60 % 60, "min"), (seconds % 60, "s")];
    let said: Vec<String> =
        parts.iter().filter(|(number, _)| *number > 0).map(|(number, unit)| format!("{number} {unit}")).collect();
    said.join(" ")
}

/// A moment of the run: `12.3 s`, `1:02:03.4`.
pub(super) fn moment(at: Duration) -> String {
    let tenths = (at.as_millis() + 50) / 100;
    let (seconds, tenth) = (tenths / 10, tenths % 10);
    match seconds {
        0..120 => format!("{seconds}.{tenth} s"),
        120..3600 => format!("{}:{:02}.{tenth}", seconds / 60, seconds % 60),
        _ => format!("{}:{:02}:{:02}.{tenth}", seconds / 3600, seconds / 60 % 60, seconds % 60),
    }
}
