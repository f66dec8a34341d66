//! Clients that take their time, and many of them: each is let go in the end, and nobody else notices.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use testkit::node::{Node, NodeOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

const PATIENCE: Duration = Duration::from_secs(30);

fn options() -> NodeOptions {
    NodeOptions::alone(env!("CARGO_BIN_EXE_tertulia"))
}

/// A node that gives HTTP connections little time.
async fn node() -> Node {
    Node::start(options().with("TERTULIA_HTTP_SECONDS", 2)).await
}

/// Connects from another address of this machine than everybody else.
async fn connect_from_elsewhere(node: &Node) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    socket.connect(node.address()).await.unwrap()
}

/// Reads until the node closes.
async fn closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut heard = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut heard)).await;
    assert!(read.is_ok(), "the node does not close");
    heard
}

/// Guards against slowloris: heads that drip hold connections for as long as they please, and keep others out meanwhile.
#[tokio::test]
async fn heads_that_drip_are_let_go_and_people_talk_on() {
    let node = node().await;
    let mut dripping = JoinSet::new();
    for _ in 0..500 {
        let mut stream = connect_from_elsewhere(&node).await;
        dripping.spawn(async move {
            stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ").await.unwrap();
            let (mut reading, mut writing) = stream.split();
            let mut rest = Vec::new();
            let drip = async {
                while writing.write_all(b"a").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            };
            // Whichever shows first that the node has closed.
            let end = async {
                tokio::select! {
                    _ = reading.read_to_end(&mut rest) => {}
                    () = drip => {}
                }
            };
            tokio::time::timeout(PATIENCE, end).await.expect("the node closes");
        });
    }
    let mut ana = node.guest("Ana").await;
    ana.join("r").await;
    for _ in 0..20 {
        ana.send("r", "I am here").await;
    }
    assert_eq!(node.get("/healthz").await.map(|(status, _)| status), Some(200));
    while let Some(ended) = dripping.join_next().await {
        ended.unwrap();
    }
    ana.send("r", "and here").await;
}

#[tokio::test]
async fn who_says_nothing_or_nothing_more_is_let_go() {
    let node = node().await;
    let mut silent = TcpStream::connect(node.address()).await.unwrap();
    let mut idle = TcpStream::connect(node.address()).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert_eq!(closed(&mut silent).await, b"");
    let heard = String::from_utf8(closed(&mut idle).await).unwrap();
    assert!(heard.starts_with("HTTP/1.1 200"), "{heard}");
}

/// A body is never needed here: one that drips must not keep its connection.
#[tokio::test]
async fn a_body_that_drips_is_let_go() {
    let node = node().await;
    let mut stream = TcpStream::connect(node.address()).await.unwrap();
    stream.write_all(b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\na").await.unwrap();
    let heard = String::from_utf8(closed(&mut stream).await).unwrap();
    assert!(heard.starts_with("HTTP/1.1 405"), "{heard}");
}

/// Guards against answers that pile up for somebody who asks and never reads.
#[tokio::test]
async fn who_asks_and_never_reads_is_let_go() {
    let node = node().await;
    let mut stream = TcpStream::connect(node.address()).await.unwrap();
    let asking = async {
        // Writing stands still when nothing is read, and fails once the node has closed.
        while stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.is_ok() {}
    };
    assert!(tokio::time::timeout(PATIENCE, asking).await.is_ok(), "the node does not close");
}

/// Guards against the same with answers that have no body: nothing that waits may grow, however long it lasts.
#[tokio::test]
async fn answers_without_a_body_do_not_pile_up_either() {
    let node = Node::start(options()).await;
    let memory = async || node.metric("process_resident_memory_bytes").await;
    let before = memory().await;
    let mut stream = TcpStream::connect(node.address()).await.unwrap();
    let (asked, mut written) = (b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1000), 0);
    // Until the node takes no more: neither closed, nor read from for a while.
    let standstill = async {
        while let Ok(wrote) = tokio::time::timeout(Duration::from_secs(1), stream.write(&asked)).await {
            written += wrote.expect("the node still holds the connection");
        }
    };
    assert!(tokio::time::timeout(PATIENCE, standstill).await.is_ok(), "the node reads on and on: {written} bytes");
    let grown = memory().await - before;
    assert!(grown < 16e6, "{grown} bytes more for {written} bytes of questions");
}

/// A WebSocket is no HTTP connection any more, and lives on.
#[tokio::test]
async fn a_websocket_outlives_the_bound_of_http() {
    let node = node().await;
    let mut ana = node.guest("Ana").await;
    let mut idle = TcpStream::connect(node.address()).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    closed(&mut idle).await; // it was opened later, and its time is over
    ana.join("r").await;
    ana.send("r", "still here").await;
}
