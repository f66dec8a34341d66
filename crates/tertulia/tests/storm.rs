//! Everybody comes back at once: at a pace, by themselves, and without a store that is asked by each.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use testkit::client::Client;
use testkit::cluster::{Cluster, options};
use testkit::haproxy::HaProxy;
use testkit::node::{Node, NodeOptions};
use testkit::patience;
use testkit::postgres::Postgres;
use testkit::proxy::Proxy;
use testkit::replica::Replica;
use tokio_tungstenite::tungstenite::Error;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tertulia");
/// At the pace of these nodes a few seconds; the rest is for a busy machine.
const BACK_WITHIN: Duration = Duration::from_secs(40);

/// Comes in as soon as it is let, and tells how often it was told to wait.
async fn insist(url: &str) -> (Client, usize) {
    let mut told = 0;
    loop {
        match Client::try_connect(url, &[]).await {
            Ok(client) => return (client, told),
            Err(error) => {
                if let Error::Http(answer) = &*error {
                    assert_eq!(answer.status(), 503);
                    let seconds: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
                    assert!(seconds >= 1, "at once is no answer to a storm");
                    told += 1;
                    tokio::time::sleep(Duration::from_secs(seconds)).await;
                } else {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}

/// Guards against a crowd that comes back at once and takes the node, or the store, down with it.
#[tokio::test]
async fn a_storm_is_let_in_at_a_pace_and_costs_one_read_of_the_room() {
    const PEOPLE: usize = 200;
    let options = NodeOptions::alone(PROGRAM).with("TERTULIA_CONNECT_RATE", 60);
    let mut node = Node::start(options).await;
    let mut ana = node.guest("Ana").await;
    let epoch = ana.join("r").await["epoch"].clone();
    for _ in 0..10 {
        ana.send("r", "said before").await;
    }
    node.kill();
    node.start_again().await;
    let url = &format!("ws://{}/ws", node.address());
    let back = join_all((0..PEOPLE).map(|number| {
        let epoch = epoch.clone();
        async move {
            let (mut client, told) = insist(url).await;
            client.hello(&format!("Guest {number}")).await;
            client.say(json!({"type": "join", "room": "r", "after": 4, "epoch": epoch})).await;
            let joined = client.expect("joined").await;
            let missed: Vec<u64> =
                joined["messages"].as_array().unwrap().iter().filter_map(|m| m["seq"].as_u64()).collect();
            assert_eq!((missed, &joined["reset"]), ((5..=10).collect(), &json!(false)));
            told
        }
    }))
    .await;
    assert!(back.iter().sum::<usize>() > 0, "nobody was told to wait");
    let refused = node.metric("tertulia_admission_refused_total{reason=\"rate\"}").await as usize;
    assert_eq!(refused, back.iter().sum::<usize>());
    let reads = node.metric("tertulia_joins_total{source=\"store\"}").await;
    assert!(reads <= 1.0, "{reads} of {PEOPLE} were answered by the store");
}

/// Somebody with a position in the room, who comes back whenever the line is gone.
struct Visitor {
    url: String,
    name: String,
    token: Option<Value>,
    client: Client,
    /// Which node it is on.
    node: String,
    held: Replica,
    returns: usize,
    told_to_wait: usize,
}

impl Visitor {
    async fn first_time(url: &str, number: usize) -> Self {
        let (client, told_to_wait) = insist(url).await;
        let (url, name) = (url.to_owned(), format!("Guest {number}"));
        let (node, held, token) = (String::new(), Replica::default(), None);
        let mut visitor = Self { url, name, token, client, node, held, returns: 0, told_to_wait };
        visitor.enter().await;
        visitor
    }

    async fn enter(&mut self) {
        let hello = match &self.token {
            Some(token) => json!({"type": "hello", "token": token}),
            None => json!({"type": "hello", "name": self.name}),
        };
        self.client.say(hello).await;
        let welcome = self.client.expect("welcome").await;
        self.node = welcome["node"].as_str().unwrap().to_owned();
        self.token.get_or_insert(welcome["token"].clone());
        self.client.say(self.held.join("r")).await;
        let joined = self.client.expect("joined").await;
        assert_eq!(joined["reset"], false, "{joined}");
        assert!(!self.held.joined(&joined), "so few fit in one answer");
    }

    /// Takes what comes, and comes back if it must, until it holds everything up to a number.
    async fn until(&mut self, head: u64) {
        while self.held.head < head {
            match self.client.next_frame().await {
                Some(frame) if frame["type"] == "message" => self.held.message(&frame),
                Some(_) => {}
                None => {
                    let (client, told) = insist(&self.url).await;
                    self.client = client;
                    self.returns += 1;
                    self.told_to_wait += told;
                    self.enter().await;
                }
            }
        }
    }
}

/// Waits until all of them hold everything; how long that took.
async fn all_until(visitors: &mut [Visitor], head: u64) -> Duration {
    let began = Instant::now();
    let all = join_all(visitors.iter_mut().map(|visitor| visitor.until(head)));
    assert!(tokio::time::timeout(BACK_WITHIN, all).await.is_ok(), "not everybody is back");
    began.elapsed()
}

/// One node dies, and then every line breaks: guards against clients that need help to come back, a second storm on the nodes that
/// live, and a store that pays for it.
#[tokio::test]
async fn a_storm_on_a_cluster_comes_back_by_itself_and_spares_the_store() {
    const PEOPLE: usize = 90;
    let database = Postgres::shared().database();
    let mut cluster =
        Cluster::with(3, |number| options(PROGRAM, number, &database).with("TERTULIA_CONNECT_RATE", 15)).await;
    let door = HaProxy::before(&cluster.addresses()).await;
    let street = Proxy::to(door.address()).await;
    let url = format!("ws://{}/ws", street.address());
    let mut ana = cluster.nodes[0].guest("Ana").await;
    ana.join("r").await;
    let mut visitors = join_all((0..PEOPLE).map(|number| Visitor::first_time(&url, number))).await;
    let mut said = 0;
    let mut say_ten = async || {
        for _ in 0..10 {
            said += 1;
            assert_eq!(ana.send("r", &format!("number {said}")).await["seq"], said);
        }
        said
    };
    let head = say_ten().await;
    all_until(&mut visitors, head).await;
    let on_the_third = visitors.iter().filter(|visitor| visitor.node == "n3").count();
    assert!(on_the_third > 0, "the door spreads people");

    cluster.nodes[2].kill();
    let head = say_ten().await;
    let took = all_until(&mut visitors, head).await;
    println!("{on_the_third} of a node that died were back, with what they missed, after {took:?}");
    assert_eq!(visitors.iter().map(|visitor| visitor.returns).sum::<usize>(), on_the_third, "nobody else moved");
    assert!(visitors.iter().all(|visitor| visitor.node != "n3"));

    cluster.nodes[2].start_again().await;
    cluster.hear_each_other().await;
    let up = patience(Duration::from_secs(20), async || door.states().await.iter().all(|s| s == "UP").then_some(()));
    assert!(up.await.is_some(), "{}", door.log());
    visitors.iter_mut().for_each(|visitor| (visitor.returns, visitor.told_to_wait) = (0, 0));
    street.cut();
    let head = say_ten().await;
    let took = all_until(&mut visitors, head).await;
    let told: usize = visitors.iter().map(|visitor| visitor.told_to_wait).sum();
    println!("{PEOPLE} were back, with what they missed, after {took:?}; {told} times somebody was told to wait");
    assert!(visitors.iter().all(|visitor| visitor.returns == 1), "once let in, nobody had to come again");
    assert!(told > 0, "nobody was told to wait");

    for visitor in &visitors {
        let texts: Vec<&str> = visitor.held.messages.values().map(|(_, text, _)| text.as_str()).collect();
        assert_eq!(texts, (1..=head).map(|number| format!("number {number}")).collect::<Vec<_>>());
    }
    for node in &cluster.nodes {
        let joins: BTreeMap<String, u64> = node.counted("tertulia_joins_total").await;
        println!("joins were answered by {joins:?}");
        assert!(joins.get("store").is_none_or(|reads| *reads <= 1), "the room was read more than once: {joins:?}");
    }
}
