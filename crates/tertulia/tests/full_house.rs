//! More sockets than there are places: who is let go, who is told no, and that people and the operator notice nothing.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io;
use std::time::Duration;

use testkit::node::{Node, NodeOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

const PATIENCE: Duration = Duration::from_secs(30);
/// With so many open files there are 80 sockets, of which 64 may be WebSockets.
const FILES: u32 = 256;
const SOCKETS: usize = 80;
const PEOPLE: usize = 64;

fn options() -> NodeOptions {
    NodeOptions::alone(env!("CARGO_BIN_EXE_tertulia"))
}

async fn small_house() -> Node {
    Node::start(NodeOptions { open_files: Some(FILES), ..options() }).await
}

async fn connect(node: &Node) -> TcpStream {
    TcpStream::connect(node.address()).await.unwrap()
}

/// Connects from another address of this machine than everybody else. An error: the node has closed already.
async fn try_from_elsewhere(node: &Node) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind("127.0.0.2:0".parse().unwrap())?;
    socket.connect(node.address()).await
}

async fn connect_from_elsewhere(node: &Node) -> TcpStream {
    try_from_elsewhere(node).await.unwrap()
}

/// The head of the next answer; nothing if the node closes without one.
async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let read = async {
        while !head.ends_with(b"\r\n\r\n") {
            let Ok(byte) = stream.read_u8().await else { break };
            head.push(byte);
        }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("an answer, or the end");
    String::from_utf8(head).unwrap()
}

/// Asks to become a WebSocket, with these headers besides; the head of the answer.
async fn upgrade(stream: &mut TcpStream, headers: &str) -> String {
    let request = format!(
        "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    );
    let _ = stream.write_all(request.as_bytes()).await;
    head(stream).await
}

async fn is_alive(stream: &mut TcpStream) -> bool {
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.is_ok()
        && head(stream).await.starts_with("HTTP/1.1 200")
}

async fn turned_away(node: &Node, reason: &str) -> f64 {
    node.metric(&format!("tertulia_admission_refused_total{{reason=\"{reason}\"}}")).await
}

/// Guards against a node without files, which can neither be asked how it is nor reach its store: sockets that say nothing take
/// every place again and again.
#[tokio::test]
async fn idle_sockets_keep_nobody_out() {
    let node = small_house().await;
    let (mut ana, mut ben) = (node.guest("Ana").await, node.guest("Ben").await);
    ana.join("r").await;
    ben.join("r").await;
    let mut idle = Vec::new();
    for turn in 1..=4 {
        for _ in 0..SOCKETS {
            idle.push(connect_from_elsewhere(&node).await);
        }
        let text = format!("turn {turn}");
        ana.send("r", &text).await;
        ben.heard("r", &[&text]).await;
        assert_eq!(node.get("/healthz").await.map(|(status, _)| status), Some(200));
        assert_eq!(node.get("/readyz").await.map(|(status, _)| status), Some(200));
    }
    assert!(node.metric("process_open_fds").await < f64::from(FILES));
    assert!(turned_away(&node, "displaced").await >= (3 * SOCKETS) as f64);
    // The oldest went, and the latest are still here.
    assert_eq!(head(&mut idle[0]).await, "");
    assert!(is_alive(idle.last_mut().unwrap()).await);
    node.guest("Cleo").await;
}

/// Guards against people who fill a node so far that it cannot even say no.
#[tokio::test]
async fn a_house_full_of_people_says_so_and_is_still_well() {
    let node = small_house().await;
    let mut people = Vec::new();
    for _ in 0..PEOPLE {
        let mut stream = connect(&node).await;
        assert!(upgrade(&mut stream, "").await.starts_with("HTTP/1.1 101"));
        people.push(stream);
    }
    for _ in 0..2 * SOCKETS {
        let mut stream = connect(&node).await;
        let answer = upgrade(&mut stream, "").await.to_ascii_lowercase();
        assert!(answer.starts_with("http/1.1 503"), "{answer}");
        assert!(answer.contains("retry-after: ") && answer.contains("application/problem+json"), "{answer}");
    }
    assert_eq!(turned_away(&node, "full").await, (2 * SOCKETS) as f64);
    assert_eq!(node.metric("tertulia_connections{transport=\"websocket\"}").await, PEOPLE as f64);
    // A place that is given back is somebody else's.
    drop(people.pop());
    let entered = testkit::patience(PATIENCE, async || {
        let mut stream = connect(&node).await;
        upgrade(&mut stream, "").await.starts_with("HTTP/1.1 101").then_some(())
    });
    assert!(entered.await.is_some());
}

/// Guards against one address that takes what is everybody's; before that it is told that it has too many.
#[tokio::test]
async fn an_address_has_its_bound_before_anything_is_read() {
    let node = Node::start(options().with("TERTULIA_CONNECTIONS_PER_ADDRESS", 2)).await;
    let mut from_there = Vec::new();
    for turn in 0..3 {
        let mut stream = connect_from_elsewhere(&node).await;
        let answer = upgrade(&mut stream, "").await;
        assert!(answer.starts_with(if turn < 2 { "HTTP/1.1 101" } else { "HTTP/1.1 429" }), "{answer}");
        from_there.push(stream);
    }
    // Twice two, and sixteen.
    for _ in 3..20 {
        let mut stream = connect_from_elsewhere(&node).await;
        assert!(is_alive(&mut stream).await);
        from_there.push(stream);
    }
    for _ in 0..5 {
        if let Ok(mut stream) = try_from_elsewhere(&node).await {
            assert_eq!(head(&mut stream).await, "");
        }
    }
    assert_eq!(turned_away(&node, "address").await, 6.0);
    assert!(is_alive(&mut connect(&node).await).await, "another address has nothing to do with it");
    drop(from_there);
    let again =
        testkit::patience(PATIENCE, async || is_alive(&mut try_from_elsewhere(&node).await.ok()?).await.then_some(()));
    assert!(again.await.is_some());
}

/// Guards against a front door that is taken for one client; and against clients who have a whole network to come from.
#[tokio::test]
async fn a_trusted_proxy_brings_as_many_as_it_likes_and_each_client_is_counted() {
    let node = Node::start(
        options().with("TERTULIA_CONNECTIONS_PER_ADDRESS", 1).with("TERTULIA_TRUSTED_PROXIES", "::ffff:127.0.0.1"),
    )
    .await;
    let mut idle = Vec::new();
    for _ in 0..100 {
        let mut stream = connect(&node).await;
        assert!(is_alive(&mut stream).await);
        idle.push(stream);
    }
    let mut sockets = Vec::new();
    for (client, status) in [
        ("2001:db8:1:2::1", 101),
        ("2001:db8:1:2:3:4:5:6", 429),
        ("2001:db8:1:3::1", 101),
        ("9.9.9.9", 101),
        ("::ffff:9.9.9.9", 429),
        ("1.2.3.4, 9.9.9.9", 429),
        ("9.9.9.9, 1.2.3.4", 101),
    ] {
        let mut stream = connect(&node).await;
        let answer = upgrade(&mut stream, &format!("X-Forwarded-For: {client}\r\n")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{client}: {answer}");
        sockets.push(stream);
    }
}
