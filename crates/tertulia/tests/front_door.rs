//! The front door by the project's own configuration, on a real HAProxy: whom it sends where, and whom it turns away.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;
use testkit::client::Client;
use testkit::cluster::Cluster;
use testkit::errand::SECRET;
use testkit::haproxy::HaProxy;
use testkit::node::{Node, NodeOptions, raw_http};
use testkit::patience;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::Error;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tertulia");
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks for the page, with a cookie or without; the status, and the cookie that is set.
async fn page(door: SocketAddr, cookie: &str) -> (u16, Option<String>) {
    let request = format!("GET / HTTP/1.1\r\nHost: chat\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n");
    let (status, head, _) = raw_http(door, request.as_bytes()).await.expect("an answer");
    let set = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")?.split(';').next().map(str::to_owned));
    (status, set)
}

/// Comes in by the door; the node it is on.
async fn come_in(door: SocketAddr, cookie: &str) -> (Client, String) {
    let headers: &[(&'static str, &str)] = if cookie.is_empty() { &[] } else { &[("cookie", cookie)] };
    let mut client = Client::try_connect(&format!("ws://{door}/ws"), headers).await.expect("the door lets it in");
    let node = client.hello("Ana").await["node"].as_str().unwrap().to_owned();
    (client, node)
}

/// Guards stickiness for whoever brings the cookie, sockets included, and the spread of all others.
#[tokio::test]
async fn whoever_brings_the_cookie_goes_where_it_was_and_others_are_spread() {
    let cluster = Cluster::of(PROGRAM, 3).await;
    let proxy = HaProxy::before(&cluster.addresses()).await;
    let (_, cookie) = page(proxy.address(), "").await;
    let cookie = cookie.expect("a cookie for a newcomer");
    let (mut inside, mut holders, mut newcomers) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for _ in 0..6 {
        let (client, node) = come_in(proxy.address(), &cookie).await;
        inside.push(client);
        holders.insert(node);
    }
    assert_eq!(holders.len(), 1, "{holders:?}");
    assert_eq!(page(proxy.address(), &cookie).await, (200, None), "no new cookie for whoever has the right one");
    // Two nodes are empty, so they fill first.
    for _ in 0..6 {
        let (client, node) = come_in(proxy.address(), "").await;
        inside.push(client);
        newcomers.insert(node);
    }
    assert_eq!(newcomers.len(), 2, "{newcomers:?}");
    assert!(newcomers.is_disjoint(&holders));
}

/// Guards cookie holders from being sent to a node that leaves, and open sockets from being cut at the door.
#[tokio::test]
async fn a_node_that_drains_loses_its_cookie_holders_to_others() {
    let mut cluster = Cluster::of(PROGRAM, 2).await;
    let proxy = HaProxy::before(&cluster.addresses()).await;
    let (_, cookie) = page(proxy.address(), "").await;
    let cookie = cookie.expect("a cookie for a newcomer");
    let (mut client, first) = come_in(proxy.address(), &cookie).await;
    let leaving = if first == "n1" { 0 } else { 1 };
    cluster.nodes[leaving].signal("TERM");
    // It says so itself, after the door has noticed.
    let bye = client.expect("bye").await;
    assert_eq!(bye["reason"], "drain");
    let (_, second) = come_in(proxy.address(), &cookie).await;
    assert_ne!(second, first);
    let (status, renewed) = page(proxy.address(), &cookie).await;
    assert_eq!(status, 200);
    assert!(renewed.is_some_and(|renewed| renewed != cookie), "it gets a cookie of the other node");
    assert_eq!(cluster.nodes[leaving].ended(PATIENCE).await, Some(0));
}

/// Guards people from the second in which a node is dead and no check has noticed.
#[tokio::test]
async fn a_dead_node_is_passed_by_at_once_cookie_or_not() {
    let mut cluster = Cluster::of(PROGRAM, 2).await;
    let proxy = HaProxy::before(&cluster.addresses()).await;
    let mut cookies = BTreeSet::new();
    while cookies.len() < 2 {
        cookies.extend(page(proxy.address(), "").await.1);
    }
    cluster.nodes[0].kill();
    for cookie in &cookies {
        for _ in 0..5 {
            assert_eq!(page(proxy.address(), cookie).await.0, 200);
            assert_eq!(come_in(proxy.address(), cookie).await.1, "n2");
        }
    }
}

/// A connection to the door from an address of the loopback network.
async fn from(address: [u8; 4], door: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((address, 0))).unwrap();
    socket.connect(door).await.expect("the door is open")
}

/// Guards the count of an address's connections from whoever writes an address of its own choice into a header.
#[tokio::test]
async fn nobody_chooses_the_address_that_nodes_believe() {
    let options = NodeOptions::alone(PROGRAM)
        .with("TERTULIA_CONNECTIONS_PER_ADDRESS", 1)
        .with("TERTULIA_TRUSTED_PROXIES", "127.0.0.1");
    let node = Node::start(options).await;
    let proxy = HaProxy::before(&[node.address()]).await;
    let url = format!("ws://{}/ws", proxy.address());
    let _first = Client::try_connect(&url, &[("x-forwarded-for", "192.0.2.1")]).await.expect("one is welcome");
    for header in ["x-forwarded-for", "forwarded", "x-real-ip", "x_forwarded_for"] {
        match Client::try_connect(&url, &[(header, "192.0.2.2")]).await {
            Err(error) => assert!(matches!(&*error, Error::Http(answer) if answer.status() == 429), "{error}"),
            Ok(_) => panic!("{header} is believed"),
        }
    }
    // Somebody else really is somebody else.
    Client::over(from([127, 0, 0, 9], proxy.address()).await).await.hello("Ben").await;
}

/// Guards the door's sockets from heads that drip.
#[tokio::test]
async fn a_head_that_drips_is_cut_off() {
    let node = Node::start(NodeOptions::alone(PROGRAM)).await;
    let proxy = HaProxy::before(&[node.address()]).await;
    let mut dripping = TcpStream::connect(proxy.address()).await.unwrap();
    let mut answer = Vec::new();
    let over = tokio::time::timeout(PATIENCE, async {
        let (mut reads, mut writes) = dripping.split();
        let drip = async {
            for byte in b"GET / HTTP/1.1\r\nHost: chat\r\nX: ".iter().chain(std::iter::repeat(&b'x')) {
                if writes.write_all(&[*byte]).await.is_err() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        tokio::select! {
            _ = reads.read_to_end(&mut answer) => {}
            () = drip => {}
        }
    });
    assert!(over.await.is_ok(), "it may drip for ever");
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 408"), "{:?}", String::from_utf8_lossy(&answer));
}

/// Guards everybody else from one address that floods, with requests or with connections.
#[tokio::test]
async fn an_address_that_floods_is_turned_away_and_others_are_not() {
    let node = Node::start(NodeOptions::alone(PROGRAM)).await;
    let limits = [("PROXY_REQUESTS_PER_ADDRESS", "20"), ("PROXY_CONNECTS_PER_ADDRESS", "60")];
    let proxy = HaProxy::with(&[node.address()], &limits).await;
    let request = b"GET / HTTP/1.1\r\nHost: chat\r\nConnection: close\r\n\r\n";
    let told = patience(PATIENCE, async || {
        let (status, head, body) = raw_http(proxy.address(), request).await?;
        (status == 429).then_some((head, body))
    });
    let (head, body) = told.await.expect("it is told at last");
    assert!(head.contains("retry-after: 10") && body.contains("Too Many Requests"), "{head}\n{body}");
    let cut = patience(PATIENCE, async || raw_http(proxy.address(), request).await.is_none().then_some(()));
    assert!(cut.await.is_some(), "it may connect as often as it likes");
    let mut other = from([127, 0, 0, 9], proxy.address()).await;
    other.write_all(request).await.unwrap();
    let mut answer = String::new();
    other.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// Guards sockets that are idle and alive (an hour of it, made short), and the door from those that are dead.
#[tokio::test]
async fn a_socket_that_is_asked_now_and_then_stays_and_a_silent_one_goes() {
    let node = Node::start(NodeOptions::alone(PROGRAM)).await;
    let proxy = HaProxy::with(&[node.address()], &[("PROXY_TUNNEL_TIMEOUT", "2s")]).await;
    let (mut alive, _) = come_in(proxy.address(), "").await;
    let (mut silent, _) = come_in(proxy.address(), "").await;
    let gone = tokio::spawn(async move { silent.next_frame().await });
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(700)).await;
        alive.say(json!({"type": "ping"})).await;
        alive.expect("pong").await;
    }
    let gone = tokio::time::timeout(PATIENCE, gone).await.expect("the silent one goes");
    assert_eq!(gone.unwrap(), None);
}

#[tokio::test]
async fn the_end_of_an_incoming_webhooks_address_is_not_logged() {
    let mut cluster = Cluster::of(PROGRAM, 1).await;
    let proxy = HaProxy::before(&cluster.addresses()).await;
    cluster.nodes[0].kill();
    let path = format!("/api/v1/hooks/17/{SECRET}?token={SECRET}");
    let request = format!("POST {path} HTTP/1.1\r\nHost: chat\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    // What goes wrong is logged: here that there is no node.
    let logged = patience(PATIENCE, async || {
        raw_http(proxy.address(), request.as_bytes()).await;
        proxy.log().contains("POST /api/v1/hooks/17/***").then_some(())
    });
    assert!(logged.await.is_some() && !proxy.log().contains(SECRET), "{}", proxy.log());
}
