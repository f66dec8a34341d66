//! Some do not read what they are sent: it costs them their connection, and nobody else anything.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use testkit::client::Client;
use testkit::node::{Node, NodeOptions};
use testkit::patience;
use testkit::replica::Replica;
use tokio::net::TcpSocket;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tertulia");
const BACKLOG: usize = 50_000;
/// Nobody who reads waits for those who do not: a bound for the worst on a busy machine, not for what is usual.
const DELIVERED_WITHIN: Duration = Duration::from_secs(2);
const LET_GO: &str = "tertulia_slow_closes_total";
const GONE: &str = "tertulia_disconnects_total{reason=\"slow\"}";

/// A client with next to no room for what it is sent, which stops reading once it has joined.
struct Sleeper {
    client: Client,
    held: Replica,
}

impl Sleeper {
    async fn in_room(node: &Node) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        let mut client = Client::over(socket.connect(node.address()).await.unwrap()).await;
        client.hello("Zoe").await;
        client.say(json!({"type": "join", "room": "r", "limit": 1})).await;
        let mut held = Replica::default();
        held.joined(&client.expect("joined").await);
        Self { client, held }
    }

    /// Reads to the end of the line: the `bye` and the close frame, if there are any. What came before is whole and in order.
    async fn wake(&mut self) -> (Option<Value>, Option<CloseFrame>) {
        let close = self.client.closed().await;
        for message in self.client.take_heard("message") {
            self.held.message(&message);
        }
        assert!(self.held.messages.keys().copied().eq(1..=self.held.head), "no holes");
        (self.client.take_heard("bye").pop(), close)
    }
}

async fn crowd(node: &Node, count: usize) -> Vec<Sleeper> {
    let mut sleepers = Vec::new();
    for _ in 0..count {
        sleepers.push(Sleeper::in_room(node).await);
    }
    sleepers
}

/// Two people who read what is said, in the room of those who do not.
struct Talk {
    ana: Client,
    ben: Client,
    text: String,
}

impl Talk {
    async fn on(node: &Node) -> Self {
        let (mut ana, mut ben) = (node.guest("Ana").await, node.guest("Ben").await);
        ana.join("r").await;
        ben.join("r").await;
        Self { ana, ben, text: "x".repeat(16_000) }
    }

    /// Ana says something long; the time until Ben has it.
    async fn say(&mut self) -> Duration {
        let (Self { ana, ben, text }, began) = (self, Instant::now());
        let hears = async {
            ben.heard("r", &[text]).await;
            began.elapsed()
        };
        let (_, took) = tokio::join!(ana.send("r", text), hears);
        ana.expect("message").await;
        took
    }

    async fn figures_of(&mut self, count: usize) -> Figures {
        let mut times = Vec::new();
        for _ in 0..count {
            times.push(self.say().await);
        }
        Figures::of(times)
    }
}

/// The usual and the worst of some times.
#[derive(Debug)]
#[expect(dead_code, reason = "most of them are only shown")]
struct Figures {
    count: usize,
    median: Duration,
    of_95_percent: Duration,
    worst: Duration,
}

impl Figures {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |percent| times[(times.len() - 1) * percent / 100];
        Self { count: times.len(), median: at(50), of_95_percent: at(95), worst: at(100) }
    }
}

/// What a process holds in memory, in bytes.
fn resident(node: &Node) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid().unwrap())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// Guards against a crowd of slow readers that costs the node its memory, or others their messages or their time.
#[tokio::test]
async fn a_thousand_who_do_not_read_are_let_go_at_their_bound() {
    const SLEEPERS: usize = 1_000;
    let node = Node::start(NodeOptions::alone(PROGRAM).with("TERTULIA_BACKLOG_BYTES", BACKLOG)).await;
    let mut talk = Talk::on(&node).await;
    let alone = talk.figures_of(50).await;
    // As many who read: what a crowd costs by being one.
    let mut readers = JoinSet::new();
    for Sleeper { mut client, .. } in crowd(&node, SLEEPERS).await {
        readers.spawn(async move { tokio::io::copy(client.stream(), &mut tokio::io::sink()).await });
    }
    let among_readers = talk.figures_of(50).await;
    readers.shutdown().await;
    node.until("tertulia_connections{transport=\"websocket\"}", |connections| connections == 2.0).await;

    let sleepers = crowd(&node, SLEEPERS).await;
    let (before, mut most) = (resident(&node), 0);
    let mut among_sleepers = Vec::new();
    let slow = async || node.metric(LET_GO).await as usize;
    while slow().await < SLEEPERS {
        among_sleepers.push(talk.say().await);
        most = most.max(resident(&node));
        assert!(among_sleepers.len() < 2_000, "{} of {SLEEPERS} were let go", slow().await);
    }
    let gone = patience(Duration::from_secs(60), async || (node.metric(GONE).await as usize == SLEEPERS).then_some(()));
    assert!(gone.await.is_some());
    let among_sleepers = Figures::of(among_sleepers);
    println!(
        "who reads has a message after\n{alone:?} alone\n{among_readers:?} among {SLEEPERS} who read\n{among_sleepers:?} among {SLEEPERS} who do not"
    );
    for figures in [alone, among_readers, among_sleepers] {
        assert!(figures.worst < DELIVERED_WITHIN);
    }
    // Each one's backlog and the frame that went over it; the ring and what else a node makes room for.
    let bound = SLEEPERS * (BACKLOG + 20_000) + 64 * 1024 * 1024;
    assert!(most.saturating_sub(before) < bound, "{before} bytes grew to {most}");
    talk.say().await;
    assert_eq!(node.metric("tertulia_backlog_bytes").await, 0.0);
    drop(sleepers);
}

/// Whoever reads again within five seconds is told why the line ends, and when to come back. Whoever sleeps on finds its end, possibly
/// inside a frame: there was no room on the wire for a goodbye. Both miss nothing when they return.
#[tokio::test]
async fn who_was_too_slow_is_told_so_if_it_reads_on_in_time_and_comes_back_to_the_rest() {
    let node = Node::start(NodeOptions::alone(PROGRAM).with("TERTULIA_BACKLOG_BYTES", BACKLOG)).await;
    let mut talk = Talk::on(&node).await;
    let (mut drowsy, mut asleep) = (crowd(&node, 10).await, crowd(&node, 1).await);
    let mut said = 0;
    while (node.metric(LET_GO).await as usize) < drowsy.len() + asleep.len() {
        talk.say().await;
        said += 1;
        assert!(said < 2_000, "nobody is let go");
    }
    for (bye, close) in join_all(drowsy.iter_mut().map(Sleeper::wake)).await {
        let bye = bye.expect("a goodbye");
        assert_eq!((&bye["reason"], bye["retry_after_ms"].is_u64()), (&json!("slow"), true), "{bye}");
        assert_eq!(close.map(|close| u16::from(close.code)), Some(1013));
    }
    node.until(GONE, |gone| gone as usize == drowsy.len() + asleep.len()).await;
    assert_eq!(asleep[0].wake().await, (None, None), "there was no room for a goodbye");

    for mut sleeper in drowsy.into_iter().chain(asleep) {
        assert!(sleeper.held.head < said, "what waited was let go");
        let mut again = node.guest("Zoe").await;
        loop {
            again.say(sleeper.held.join("r")).await;
            let joined = again.expect("joined").await;
            assert_eq!(joined["reset"], false);
            if !sleeper.held.joined(&joined) {
                break;
            }
        }
        assert_eq!(sleeper.held.messages.keys().copied().collect::<Vec<_>>(), (1..=said).collect::<Vec<_>>());
    }
}
