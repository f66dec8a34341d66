//! One message's way across real nodes, as a collector is told of it.

// A test fails by a panic, and nothing of it is reachable from outside.
#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub)]

mod collector;

use std::collections::BTreeSet;
use std::time::Duration;

use collector::{Collector, Told};
use serde_json::{Value, json};
use testkit::cluster::{Cluster, options};
use testkit::node::{Node, NodeOptions};
use testkit::postgres::Postgres;
use testkit::process::free_port;
use tokio::net::TcpListener;
use uuid::Uuid;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tertulia");
const DROPPED: &str = "tertulia_trace_spans_dropped_total";
const EXPORTED: &str = "tertulia_trace_spans_exported_total";

fn traced(options: NodeOptions, collector: impl std::fmt::Display) -> NodeOptions {
    options.with("OTEL_EXPORTER_OTLP_ENDPOINT", collector).with("TERTULIA_TRACE_RATIO", 1)
}

/// The one span of this name that a node told.
fn one<'a>(told: &'a [Told], node: &str, name: &str) -> &'a Told {
    let found: Vec<_> = told.iter().filter(|told| told.node == node && told.span.name == name).collect();
    assert_eq!(found.len(), 1, "{name} of {node} in {told:#?}");
    found[0]
}

fn is_part_of(part: &Told, whole: &Told) {
    assert_eq!(part.span.parent_span_id, whole.span.span_id, "{part:?} is not a part of {whole:?}");
}

#[tokio::test]
async fn one_message_is_one_trace_on_all_nodes_that_have_somebody_there() {
    let collector = Collector::open().await;
    let database = Postgres::shared().database();
    // The third is told of no collector.
    let cluster = Cluster::with(3, |number| {
        let options = options(PROGRAM, number, &database);
        if number < 3 { traced(options, collector.url()) } else { options }
    })
    .await;
    let [a, b, c] = &cluster.nodes[..] else { unreachable!() };
    let (mut ana, mut ben, mut cleo) = (a.guest("Ana").await, b.guest("Ben").await, c.guest("Cleo").await);
    for client in [&mut ana, &mut ben, &mut cleo] {
        client.join("r").await;
    }
    let ack = ana.send("r", "nobody's business").await;
    for client in [&mut ana, &mut ben, &mut cleo] {
        client.heard("r", &["nobody's business"]).await;
    }

    let told = collector.until(9).await;
    assert_eq!(told.len(), 9, "{told:#?}");
    assert_eq!(told.iter().map(|told| &told.span.trace_id).collect::<BTreeSet<_>>().len(), 1);
    assert_eq!(told.iter().map(|told| &told.span.span_id).collect::<BTreeSet<_>>().len(), 9);
    let of_a = |name| one(&told, "n1", name);
    let send = of_a("send");
    assert_eq!(send.span.parent_span_id, [] as [u8; 0]);
    for part in ["wait", "commit", "publish", "ack"] {
        is_part_of(of_a(part), send);
    }
    for node in ["n1", "n2"] {
        is_part_of(one(&told, node, "receive"), of_a("publish"));
        is_part_of(one(&told, node, "deliver"), one(&told, node, "receive"));
        assert_eq!(one(&told, node, "deliver").fact("tertulia.members").as_deref(), Some("1"));
    }
    assert!(told.iter().all(|told| told.span.start_time_unix_nano <= told.span.end_time_unix_nano));
    assert!(of_a("commit").span.end_time_unix_nano <= of_a("publish").span.start_time_unix_nano);

    assert_eq!(send.fact("tertulia.room").as_deref(), Some("r"));
    assert_eq!(send.fact("tertulia.message.id").as_deref(), ack["id"].as_str());
    assert_eq!(send.fact("tertulia.seq").as_deref(), Some("1"));
    assert_eq!(of_a("commit").fact("tertulia.batch.jobs").as_deref(), Some("1"));
    assert_eq!(of_a("commit").fact("tertulia.store.retries").as_deref(), Some("0"));
    assert!(collector.services().await.iter().all(|name| name == "tertulia"));
    assert!(!collector.has_seen("business").await && !collector.has_seen("Ana").await);

    // A node that is told of no collector takes what is traced like everything else.
    assert_eq!(c.metric("tertulia_gaps_total{cause=\"version\"}").await, 0.0);
    assert_eq!(a.metric(DROPPED).await + b.metric(DROPPED).await, 0.0);
}

#[tokio::test]
async fn changes_and_refusals_are_traced_too_and_a_node_that_leaves_tells_the_last_of_it() {
    let collector = Collector::open().await;
    let options = traced(NodeOptions::alone(PROGRAM), collector.url()).with("OTEL_SERVICE_NAME", "plaza");
    let mut node = Node::start(options).await;
    let mut ana = node.guest("Ana").await;
    let id = Uuid::new_v4().to_string();
    let send = |text| json!({"type": "send", "room": "r", "id": id, "text": text});
    ana.say(send("frist")).await;
    ana.say(json!({"type": "edit", "room": "r", "seq": 1, "text": "first"})).await;
    ana.say(json!({"type": "delete", "room": "r", "seq": 1})).await;
    ana.say(send("another")).await;
    ana.expect("error").await;
    node.signal("INT");
    assert_eq!(node.ended(Duration::from_secs(15)).await, Some(0));

    let told = collector.told().await;
    let whole: Vec<_> = told.iter().filter(|told| told.span.parent_span_id.is_empty()).collect();
    let mut names: Vec<_> = whole.iter().map(|told| told.span.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["delete", "edit", "send", "send"]);
    assert_eq!(whole.iter().map(|told| &told.span.trace_id).collect::<BTreeSet<_>>().len(), 4);
    let refused: Vec<_> = whole.iter().filter_map(|told| told.fact("error.type")).collect();
    assert_eq!(refused, ["id_taken"]);
    assert!(collector.services().await.iter().all(|name| name == "plaza"));
}

#[tokio::test]
async fn nothing_is_told_of_what_is_not_traced() {
    let collector = Collector::open().await;
    let node = Node::start(traced(NodeOptions::alone(PROGRAM), collector.url()).flag("--trace-ratio=0")).await;
    let mut ana = node.guest("Ana").await;
    ana.join("r").await;
    ana.send("r", "hola").await;
    ana.heard("r", &["hola"]).await;
    assert_eq!(node.metric(EXPORTED).await + node.metric(DROPPED).await, 0.0);
    assert!(collector.told().await.is_empty());
}

/// Guards people from a collector that is not there, or that takes the connection and says nothing.
#[tokio::test]
async fn a_collector_that_is_away_costs_spans_and_nobody_notices() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for collector in [format!("127.0.0.1:{}", free_port()), silent.local_addr().unwrap().to_string()] {
        let mut node = Node::start(traced(NodeOptions::alone(PROGRAM), format!("http://{collector}"))).await;
        let mut ana = node.guest("Ana").await;
        ana.join("r").await;
        for number in 1..=20 {
            let ack: Value = ana.send("r", &number.to_string()).await;
            assert_eq!(ack["seq"], number);
        }
        node.until(DROPPED, |dropped| dropped > 0.0).await;
        ana.send("r", "on it goes").await;
        assert_eq!(node.log().matches("the collector does not take traces").count(), 1, "{}", node.log());
        node.signal("INT");
        assert_eq!(node.ended(Duration::from_secs(15)).await, Some(0), "{}", node.log());
    }
}
