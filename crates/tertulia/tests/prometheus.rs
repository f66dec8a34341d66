//! What watches a cluster, against a cluster that is used: rules that can be evaluated, metrics that exist, alerts that fire when they
//! should and otherwise not.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use testkit::cluster::Cluster;
use testkit::haproxy::HaProxy;
use testkit::patience;
use testkit::process::run;
use testkit::prometheus::{self, Prometheus};

const PATIENCE: Duration = Duration::from_secs(60);

fn tests() -> Vec<PathBuf> {
    let folder = std::fs::read_dir(prometheus::folder().join("tests")).unwrap();
    let mut files: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The metrics that a query names. Labels and functions begin otherwise.
fn named(query: &str) -> BTreeSet<String> {
    let words = query.split(|letter: char| !(letter.is_ascii_alphanumeric() || "_:".contains(letter)));
    let ours = ["tertulia_", "tertulia:", "process_", "haproxy_"];
    words.filter(|word| ours.iter().any(|prefix| word.starts_with(prefix))).map(str::to_owned).collect()
}

/// A cluster of two with people on it, and what watches it.
struct Watched {
    prometheus: Prometheus,
    _haproxy: HaProxy,
    cluster: Cluster,
}

impl Watched {
    async fn start() -> Self {
        let cluster = Cluster::of(env!("CARGO_BIN_EXE_tertulia"), 2).await;
        let haproxy = HaProxy::before(&cluster.addresses()).await;
        let prometheus = Prometheus::watching(&cluster.addresses(), haproxy.inner()).await;
        let watched = Self { prometheus, _haproxy: haproxy, cluster };
        watched.people_talk().await;
        watched
    }

    /// Until each station of a message's way has been measured often enough for a rate.
    async fn people_talk(&self) {
        let [north, south] = &self.cluster.nodes[..] else { panic!("two nodes") };
        let (mut ana, mut ben) = (north.guest("Ana").await, south.guest("Ben").await);
        let joined = ana.join("r").await;
        ben.join("r").await;
        let mut count = 0;
        let measured = patience(PATIENCE, async || {
            count += 1;
            let seq = ana.send("r", &format!("message {count}")).await["seq"].clone();
            ana.say(json!({"type": "edit", "room": "r", "seq": seq, "text": "better"})).await;
            ana.expect("ack").await;
            ben.send("r", "yes").await;
            ben.say(json!({"type": "join", "room": "r", "after": seq, "epoch": joined["epoch"]})).await;
            ben.expect("joined").await;
            let stations = ["store_queue", "store_commit", "send_ack", "bus_lag", "deliver"];
            for station in stations {
                self.prometheus.number(&format!("tertulia:{station}_seconds:p99")).await?;
            }
            Some(())
        });
        assert!(
            measured.await.is_some(),
            "not every station of a message's way is measured: {}",
            self.prometheus.log()
        );
    }

    /// What fires, or will if it goes on.
    async fn alarms(&self) -> BTreeSet<String> {
        let alarms = self.prometheus.query("ALERTS").await.unwrap();
        alarms.iter().filter_map(|alarm| alarm["metric"]["alertname"].as_str()).map(str::to_owned).collect()
    }

    async fn is_alarmed_by(&self, names: &[&str]) {
        let all = patience(PATIENCE, async || {
            let alarms = self.alarms().await;
            names.iter().all(|name| alarms.contains(*name)).then_some(())
        });
        assert!(all.await.is_some(), "{names:?} should be among {:?}", self.alarms().await);
    }

    /// It must be a query that Prometheus takes, about metrics that it has.
    async fn check(&self, names: &BTreeSet<String>, query: &str) -> Vec<Value> {
        for name in named(query) {
            assert!(names.contains(&name), "nobody shows {name}: {query}");
        }
        self.prometheus.query(query).await.unwrap_or_else(|error| panic!("{query}: {error}"))
    }
}

#[test]
fn the_configuration_is_one_and_each_scene_of_the_rules_plays_as_written() {
    run("promtool", &["check", "config", text(&prometheus::folder().join("prometheus.yml"))]);
    let files = tests();
    let files = files.iter().map(|file| text(file));
    run("promtool", &["test", "rules"].into_iter().chain(files).collect::<Vec<_>>());
}

#[tokio::test]
async fn rules_can_be_evaluated_on_a_cluster_and_a_healthy_one_alarms_nobody() {
    let watched = Watched::start().await;
    let names: BTreeSet<String> = watched.prometheus.names().await.unwrap().into_iter().collect();
    let scenes: String = tests().iter().map(read).collect();
    let runbooks =
        read(prometheus::folder().join("RUNBOOKS.md")) + &read(prometheus::folder().join("../../docs/operations.md"));
    for name in named(&runbooks) {
        assert!(names.contains(&name) || names.contains(&format!("{name}_count")), "a runbook sends people to {name}");
    }
    let rules = watched.prometheus.rules().await.unwrap();
    assert!(rules.len() > 30, "{}", rules.len());
    for rule in rules {
        let name = rule["name"].as_str().unwrap();
        assert_eq!(rule["health"], "ok", "{rule}");
        watched.check(&names, rule["query"].as_str().unwrap()).await;
        if rule["type"] == "alerting" {
            assert!(matches!(rule["labels"]["severity"].as_str(), Some("critical" | "warning")), "{rule}");
            assert!(
                rule["annotations"]["summary"].is_string() && rule["annotations"]["description"].is_string(),
                "{rule}"
            );
            let place = format!("docs/operations.md#{}", name.to_lowercase());
            assert_eq!(rule["annotations"]["runbook_url"], place.as_str());
            assert!(
                runbooks.lines().any(|line| line.trim_start_matches('#') == format!(" {name}")),
                "{name} has no runbook"
            );
            assert!(scenes.contains(&format!("alertname=\"{name}\"")), "{name} fires in no scene of tests/");
        }
    }
    // What was on its way to an alarm while the cluster was starting is off it now.
    let quiet = patience(PATIENCE, async || watched.alarms().await.is_empty().then_some(()));
    assert!(quiet.await.is_some(), "{:?}", watched.alarms().await);
}

#[tokio::test]
async fn what_breaks_is_on_its_way_to_an_alarm_within_seconds() {
    let mut watched = Watched::start().await;
    watched.cluster.redis.stop();
    watched.is_alarmed_by(&["TertuliaBusDown"]).await;
    watched.cluster.nodes[1].kill();
    watched.is_alarmed_by(&["TertuliaNodeDown", "TertuliaProxyNodeDown", "TertuliaTooFewReady"]).await;
}
