//! The dashboards: well made, and every query of theirs gives something on a cluster that is used.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;
use testkit::patience;

use crate::watched::{PATIENCE, Watched};

/// Panels that Grafana has without plugins, in each version from 10 on.
const KINDS: [&str; 5] = ["heatmap", "stat", "state-timeline", "table", "timeseries"];
const COLUMNS: u64 = 24;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/grafana")
}

fn dashboards() -> Vec<(String, Value)> {
    let files = std::fs::read_dir(folder().join("dashboards")).unwrap();
    let paths = files.map(|entry| entry.unwrap().path());
    let named = |path: PathBuf| {
        let dashboard = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        (path.file_stem().unwrap().to_string_lossy().into_owned(), dashboard)
    };
    paths.map(named).collect()
}

fn list<'a>(of: &'a Value, pointer: &str) -> &'a [Value] {
    of.pointer(pointer).and_then(Value::as_array).unwrap_or_else(|| panic!("no list {pointer}: {of}"))
}

/// A query as Grafana would send it, for all nodes and a short time.
fn filled_in(query: &str) -> String {
    let query = query.replace("$node", ".*").replace("$__rate_interval", "1m").replace("$__range", "5m");
    assert!(!query.contains('$'), "a variable that nobody fills in: {query}");
    query
}

/// The fields of the grid that a panel covers.
fn covers(panel: &Value) -> impl Iterator<Item = (u64, u64)> {
    let at = |side: &str| panel["gridPos"][side].as_u64().unwrap();
    let (x, y, w, h) = (at("x"), at("y"), at("w"), at("h"));
    (x..x + w).flat_map(move |column| (y..y + h).map(move |row| (column, row)))
}

#[test]
fn dashboards_are_whole_and_need_no_plugin() {
    for (file, dashboard) in dashboards() {
        assert_eq!(dashboard["uid"], file.as_str(), "a dashboard is called as its file, so that links to it stay");
        assert_eq!(dashboard["tags"], serde_json::json!(["tertulia"]), "{file}: the others link to it by its tag");
        let variables: Vec<&Value> = list(&dashboard, "/templating/list").iter().map(|it| &it["name"]).collect();
        assert_eq!(variables, ["datasource", "node"], "{file}");
        let nodes = dashboard.pointer("/templating/list/1/query/query").unwrap();
        assert_eq!(nodes, "label_values(tertulia_build_info, instance)", "{file}: what every node shows");
        let (mut numbers, mut covered) = (BTreeSet::new(), BTreeSet::new());
        for panel in list(&dashboard, "/panels") {
            let title = format!("{file}, {}", panel["title"]);
            assert!(numbers.insert(panel["id"].as_u64().unwrap()), "{title}: its number is another's");
            assert!(KINDS.contains(&panel["type"].as_str().unwrap()), "{title}: {}", panel["type"]);
            assert!(
                panel["description"].as_str().is_some_and(|text| text.ends_with('.')),
                "{title} says what it shows"
            );
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
            for field in covers(panel) {
                assert!(
                    field.0 < COLUMNS && covered.insert(field),
                    "{title} lies over another panel, or beside the page"
                );
            }
        }
    }
}

#[tokio::test]
async fn every_query_of_a_dashboard_gives_something_on_a_cluster_that_is_used() {
    let watched = Watched::start().await;
    let mut count = 0;
    for (file, dashboard) in dashboards() {
        let panels = list(&dashboard, "/panels").iter().flat_map(|panel| list(panel, "/targets"));
        for target in panels.chain(list(&dashboard, "/annotations/list")) {
            let query = filled_in(target["expr"].as_str().unwrap());
            // A rate takes two looks at a counter. That no alert fires is as it should be.
            let some = async || (!watched.ask(&query).await.is_empty() || query.contains("ALERTS")).then_some(());
            assert!(patience(PATIENCE, some).await.is_some(), "{file}: nothing comes of {query}");
            count += 1;
        }
    }
    assert!(count > 100, "{count}");
}
