//! A cluster of two with people on it, HAProxy before it, and Prometheus watching.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::cluster::Cluster;
use testkit::haproxy::HaProxy;
use testkit::patience;
use testkit::prometheus::Prometheus;

pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Watched {
    pub(crate) prometheus: Prometheus,
    pub(crate) cluster: Cluster,
    /// The names of all series that there are.
    pub(crate) names: BTreeSet<String>,
    _haproxy: HaProxy,
}

impl Watched {
    pub(crate) async fn start() -> Self {
        let cluster = Cluster::of(env!("CARGO_BIN_EXE_tertulia"), 2).await;
        let haproxy = HaProxy::before(&cluster.addresses()).await;
        let prometheus = Prometheus::watching(&cluster.addresses(), haproxy.inner()).await;
        people_talk(&cluster, &prometheus).await;
        let names = prometheus.names().await.unwrap().into_iter().collect();
        Self { prometheus, cluster, names, _haproxy: haproxy }
    }

    /// What a query gives. It must be one that Prometheus takes, about metrics that exist.
    pub(crate) async fn ask(&self, query: &str) -> Vec<Value> {
        for name in named(query) {
            assert!(self.names.contains(&name), "nobody shows {name}: {query}");
        }
        self.prometheus.query(query).await.unwrap_or_else(|error| panic!("{query}: {error}"))
    }
}

/// Until each station of a message's way has been measured often enough for a rate.
async fn people_talk(cluster: &Cluster, prometheus: &Prometheus) {
    let (mut ana, mut ben) = (cluster.nodes[0].guest("Ana").await, cluster.nodes[1].guest("Ben").await);
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
        ben.say(json!({"type": "dance"})).await;
        ben.refused("unknown_type").await;
        for station in ["store_queue", "store_commit", "send_ack", "bus_lag", "deliver"] {
            prometheus.number(&format!("tertulia:{station}_seconds:p99")).await?;
        }
        Some(())
    });
    assert!(measured.await.is_some(), "not every station of a message's way is measured: {}", prometheus.log());
}

/// The metrics that a text names. Labels and functions begin otherwise.
pub(crate) fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !(letter.is_ascii_alphanumeric() || "_:".contains(letter)));
    let ours = ["tertulia_", "tertulia:", "process_", "haproxy_"];
    words
        // A prefix alone (`tertulia:*`) is no name.
        .filter(|word| ours.iter().any(|prefix| word.len() > prefix.len() && word.starts_with(prefix)))
        .map(str::to_owned)
        .collect()
}
