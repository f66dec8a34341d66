//! Rules that can be evaluated; alerts that fire when they should, and otherwise not.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;
use testkit::patience;
use testkit::process::run;
use testkit::prometheus::folder;

use crate::watched::{PATIENCE, Watched, named};

fn scenes() -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder().join("tests")).unwrap();
    files.map(|entry| entry.unwrap().path()).collect()
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn runbooks() -> String {
    read(folder().join("../../docs/operations.md"))
}

/// What fires, or will if it goes on.
async fn alarms(watched: &Watched) -> BTreeSet<String> {
    let alarms = watched.ask("ALERTS").await;
    alarms.iter().filter_map(|alarm| alarm["metric"]["alertname"].as_str()).map(str::to_owned).collect()
}

async fn is_alarmed(watched: &Watched, by: &[&str]) {
    let all = patience(PATIENCE, async || {
        let alarms = alarms(watched).await;
        by.iter().all(|name| alarms.contains(*name)).then_some(())
    });
    assert!(all.await.is_some(), "{by:?} should be among {:?}", alarms(watched).await);
}

#[test]
fn the_configuration_is_one_and_each_scene_of_the_rules_plays_as_written() {
    run("promtool", &["check", "config", folder().join("prometheus.yml").to_str().unwrap()]);
    let scenes = scenes();
    let scenes = scenes.iter().filter_map(|scene| scene.to_str());
    run("promtool", &["test", "rules"].into_iter().chain(scenes).collect::<Vec<_>>());
}

#[tokio::test]
async fn rules_can_be_evaluated_on_a_cluster_and_a_healthy_one_alarms_nobody() {
    let watched = Watched::start().await;
    let rules = watched.prometheus.rules().await.unwrap();
    assert!(rules.len() > 30, "{}", rules.len());
    for rule in &rules {
        assert_eq!(rule["health"], "ok", "{rule}");
        watched.ask(rule["query"].as_str().unwrap()).await;
    }
    let runbooks = runbooks();
    rules.iter().filter(|rule| rule["type"] == "alerting").for_each(|alert| says_what_to_do(alert, &runbooks));
    for name in named(&runbooks) {
        let is_there = watched.names.contains(&name) || watched.names.contains(&format!("{name}_count"));
        assert!(is_there, "a runbook sends people to {name}");
    }
    // What was on its way to an alarm while the cluster was starting is off it now.
    let quiet = patience(PATIENCE, async || alarms(&watched).await.is_empty().then_some(()));
    assert!(quiet.await.is_some(), "{:?}", alarms(&watched).await);
}

/// It says how bad it is, has a runbook, and fires in some scene.
fn says_what_to_do(alert: &Value, runbooks: &str) {
    let name = alert["name"].as_str().unwrap();
    let (severity, says) = (alert["labels"]["severity"].as_str(), &alert["annotations"]);
    assert!(matches!(severity, Some("critical" | "warning")), "{alert}");
    assert!(says["summary"].is_string() && says["description"].is_string(), "{alert}");
    assert_eq!(says["runbook_url"], format!("docs/operations.md#{}", name.to_lowercase()).as_str());
    let is_heading = |line: &str| line.starts_with('#') && line.trim_start_matches('#').trim() == name;
    assert!(runbooks.lines().any(is_heading), "{name} has no runbook");
    let fires = |scene: &PathBuf| read(scene).contains(&format!("alertname=\"{name}\""));
    assert!(scenes().iter().any(fires), "{name} fires in no scene");
}

#[tokio::test]
async fn what_breaks_is_on_its_way_to_an_alarm_within_seconds() {
    let mut watched = Watched::start().await;
    watched.cluster.redis.stop();
    is_alarmed(&watched, &["TertuliaBusDown"]).await;
    watched.cluster.nodes[1].kill();
    is_alarmed(&watched, &["TertuliaNodeDown", "TertuliaProxyNodeDown", "TertuliaTooFewReady"]).await;
}
