//! HTTP clients that take their time: each is let go in the end, and nobody else notices.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use testkit::node::{Node, NodeOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const PATIENCE: Duration = Duration::from_secs(30);

async fn node() -> Node {
    Node::start(NodeOptions::alone(env!("CARGO_BIN_EXE_tertulia")).with("TERTULIA_HTTP_SECONDS", 2)).await
}

/// Reads until the node closes.
async fn closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut heard = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut heard)).await;
    assert!(read.is_ok(), "the node does not close");
    heard
}

/// Guards against slowloris: heads that drip hold connections for as long as they please.
#[tokio::test]
async fn heads_that_drip_are_let_go_and_people_talk_on() {
    let node = node().await;
    let mut dripping = JoinSet::new();
    for _ in 0..300 {
        let address = node.address();
        dripping.spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
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
