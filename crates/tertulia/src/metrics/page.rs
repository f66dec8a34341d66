//! `docs/metrics.md`, made from the registries, so that it cannot say anything else than a node does.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use prometheus::proto::{Metric, MetricFamily, MetricType};
use prometheus::{Error, Registry};
use store::{Durability, StoreMetrics};

const PAGE: &str = "../../docs/metrics.md";
const MAKE: &str = "WRITE_DOCS=1 cargo test --locked --workspace --bin tertulia metrics";

/// Labels whose values the code does not list, and why there are still few of them.
const OPEN: [(&str, &str); 5] = [
    ("version", "the version that runs"),
    ("revision", "what `TERTULIA_REVISION` was when it was compiled, or `unknown`"),
    ("node", "`--node-name`"),
    (
        "setting",
        "`synchronous_commit`, `fsync`, `full_page_writes` on Postgres; `synchronous`, `journal_mode` on SQLite",
    ),
    ("value", "what the setting is at"),
];

/// More values than this are no closed list to anybody who looks at a graph.
const VALUES_MAX: usize = 24;

struct Section {
    title: &'static str,
    families: Vec<MetricFamily>,
}

/// The page's parts, each with what one part of the house registers.
fn sections() -> Vec<Section> {
    let section = |title, register: &dyn Fn(&Registry) -> Result<(), Error>| {
        let registry = Registry::new();
        register(&registry).unwrap();
        Section { title, families: registry.gather() }
    };
    vec![
        section("Connections and requests", &|it| gateway::GatewayMetrics::register(it).map(drop)),
        section("People", &|it| people::PeopleMetrics::register(it).map(drop)),
        section("Rooms, deliveries, repairs", &|it| hub::HubMetrics::register(it).map(drop)),
        section("The queue to the store", &|it| roomlog::RoomLogMetrics::register(it).map(drop)),
        section("The store", &|it| StoreMetrics::register(it).map(|store| store.show_durability(&example()))),
        section("The bus", &|it| bus::BusMetrics::register(it).map(drop)),
        section("Work in the background", &|it| crate::background::BackgroundMetrics::register(it).map(drop)),
        section("Traces", &|it| trace::TraceMetrics::register(it).map(drop)),
        section("The process", &|it| super::about_the_process(it, "north")),
    ]
}

fn example() -> Durability {
    Durability { settings: vec![("synchronous_commit", "on".into())], weaknesses: Vec::new() }
}

fn page() -> String {
    let mut page = format!(
        "# Metrics\n\n\
         All that a node shows on `/metrics`. Made from the code by\n\n    {MAKE}\n\n\
         and held to it by a test: change the code, not this page. A histogram's name stands for its `_bucket`, `_sum` and `_count`;\n\
         all times have the bounds {}; sizes have {}.\n\n\
         Every series with a closed list of values is there from the start, so silence reads as zero, and nothing that a client says\n\
         can add one. The labels whose values are not listed here:\n\n",
        bounds(&tally::SECONDS),
        bounds(&tally::SIZES)
    );
    for (label, meaning) in OPEN {
        writeln!(page, "- `{label}`: {meaning}.").unwrap();
    }
    for Section { title, families } in sections() {
        write!(page, "\n## {title}\n\n| metric | type | unit | labels | what it says |\n|---|---|---|---|---|\n")
            .unwrap();
        for family in &families {
            let (kind, unit) = (kind_of(family), unit_of(family.name()));
            let labels =
                labels_of(family).iter().map(|(label, values)| told(label, values)).collect::<Vec<_>>().join("; ");
            writeln!(page, "| `{}` | {kind} | {unit} | {labels} | {} |", family.name(), family.help()).unwrap();
        }
    }
    page + "\nWhat to look at first, and the alerts made of these, are in [`deploy/`](../deploy/README.md).\n"
}

fn bounds(bounds: &[f64]) -> String {
    bounds.iter().map(f64::to_string).collect::<Vec<_>>().join(", ")
}

fn kind_of(family: &MetricFamily) -> &'static str {
    match family.get_field_type() {
        MetricType::COUNTER => "counter",
        MetricType::GAUGE => "gauge",
        MetricType::HISTOGRAM => "histogram",
        other => panic!("{}: nobody has said how to show {other:?}", family.name()),
    }
}

fn unit_of(name: &str) -> &'static str {
    let name = name.trim_end_matches("_total");
    ["seconds", "bytes"].into_iter().find(|unit| name.ends_with(unit)).unwrap_or_default()
}

/// The labels with the values that they have at the start.
fn labels_of(family: &MetricFamily) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut labels: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for label in family.get_metric().iter().flat_map(Metric::get_label) {
        labels.entry(label.name()).or_default().insert(label.value());
    }
    labels
}

fn told(label: &str, values: &BTreeSet<&str>) -> String {
    if is_open(label) {
        return format!("`{label}`");
    }
    format!("`{label}`: {}", values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", "))
}

fn is_open(label: &str) -> bool {
    OPEN.iter().any(|(open, _)| *open == label)
}

#[tokio::test]
async fn the_page_says_what_the_code_does() {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = page();
    if std::env::var_os("WRITE_DOCS").is_some() {
        std::fs::write(&place, &page).unwrap();
    }
    let written = std::fs::read_to_string(&place).unwrap_or_default();
    assert!(written == page, "docs/metrics.md is not what the code says. Make it anew: {MAKE}");
}

#[tokio::test]
async fn the_page_leaves_nothing_out_that_a_node_registers() {
    let node = super::Metrics::of_node("north").unwrap();
    node.store.show_durability(&example());
    let of = |families: &[MetricFamily]| families.iter().map(|family| family.name().to_owned()).collect::<Vec<_>>();
    let mut told: Vec<String> = sections().iter().flat_map(|section| of(&section.families)).collect();
    told.sort();
    assert_eq!(told, of(&node.registry.gather()));
}

#[tokio::test]
async fn names_and_labels_follow_the_rules() {
    for family in sections().iter().flat_map(|section| &section.families) {
        let name = family.name();
        // The process's own have the names that every program gives them.
        assert!(name.starts_with("tertulia_") || name.starts_with("process_"), "{name}: whose is it?");
        assert_eq!(name.ends_with("_total"), kind_of(family) == "counter", "{name}: counters, and only they, end so");
        for unit in ["_milliseconds", "_ms", "_us", "_kilobytes", "_mb", "_percent"] {
            assert!(!name.trim_end_matches("_total").ends_with(unit), "{name}: seconds and bytes are the only units");
        }
        assert!(family.help().ends_with('.'), "{name}: its help is a sentence");
        for (label, values) in labels_of(family) {
            assert!(is_open(label) || values.len() <= VALUES_MAX, "{name}: {label} has {} values", values.len());
            assert!(!is_open(label) || values.len() == 1, "{name}: {label} is open and has one value a node");
        }
    }
}
