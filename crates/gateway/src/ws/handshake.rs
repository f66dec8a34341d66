//! From an HTTP request to a WebSocket.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::upgrade::{OnUpgrade, Parts};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tungstenite::handshake::derive_accept_key;

use super::out::Conn;
use super::session;
use crate::Networks;
use crate::http::problem::Problem;
use crate::http::server::Peer;
use crate::limits::AddressSlot;
use crate::node::{Node, Phase};

/// `GET /ws`: answers 101 and lives the connection, or says why not. Whatever is refused is refused before the upgrade.
pub(crate) async fn upgrade(State(node): State<Arc<Node>>, mut request: Request) -> Result<Response, Problem> {
    let headers = request.headers();
    let key = websocket_key(headers)?;
    let accept = derive_accept_key(key.as_bytes());
    check_origin(&node, headers)?;
    if node.phase() == Phase::Gone {
        return Err(turn_away(&node, "draining", StatusCode::SERVICE_UNAVAILABLE, "this node is leaving", 1));
    }
    if let Err(wait) = node.admission.admit() {
        let seconds = (wait + Duration::from_millis(999)).as_secs();
        return Err(turn_away(&node, "rate", StatusCode::SERVICE_UNAVAILABLE, "too many come at once", seconds));
    }
    let slot = take_slot(&node, &request)?;
    let subprotocol = wants_subprotocol(request.headers());
    let on_upgrade = hyper::upgrade::on(&mut request);
    node.tasks.spawn(begin(node.clone(), on_upgrade, slot));

    let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
    *response.body_mut() = Body::empty();
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, HeaderValue::from_str(&accept).map_err(|_| bad_key())?);
    if subprotocol {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(proto::SUBPROTOCOL));
    }
    Ok(response)
}

async fn begin(node: Arc<Node>, on_upgrade: OnUpgrade, slot: Option<AddressSlot>) {
    let Ok(upgraded) = on_upgrade.await else { return };
    // The bare stream: its frames are written by ourselves.
    let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>() else {
        tracing::error!("an upgraded connection is not the stream that was accepted");
        return;
    };
    let Parts { io, read_buf, .. } = parts;
    // A copy: even empty, hyper's slice would keep its whole buffer for as long as the connection lives.
    let early = read_buf.to_vec();
    drop(read_buf);
    let now = node.connections.now();
    let conn = Arc::new(Conn::new(io.into_inner(), now, node.config.backlog_bytes, node.metrics.clone()));
    session::run(node, conn, early, slot).await;
}

fn websocket_key(headers: &HeaderMap) -> Result<&HeaderValue, Problem> {
    let is_websocket = has_token(headers, &header::CONNECTION, "upgrade")
        && has_token(headers, &header::UPGRADE, "websocket")
        && headers.get(header::SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13");
    if !is_websocket {
        return Err(Problem::new(StatusCode::UPGRADE_REQUIRED, "this address speaks WebSocket, version 13")
            .with(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))
            .with(header::UPGRADE, HeaderValue::from_static("websocket")));
    }
    headers.get(header::SEC_WEBSOCKET_KEY).ok_or_else(bad_key)
}

fn bad_key() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "Sec-WebSocket-Key is missing")
}

/// Whether a comma-separated header has a word, in any case.
fn has_token(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|token| token.trim().eq_ignore_ascii_case(word))
}

fn wants_subprotocol(headers: &HeaderMap) -> bool {
    has_token(headers, &header::SEC_WEBSOCKET_PROTOCOL, proto::SUBPROTOCOL)
}

/// Browsers say which page connects. Only our own and those on the list may; whoever is not a browser says nothing.
fn check_origin(node: &Node, headers: &HeaderMap) -> Result<(), Problem> {
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let good = origin.to_str().is_ok_and(|origin| is_allowed(origin, host, &node.config.allowed_origins));
    if good {
        return Ok(());
    }
    node.metrics.turned_away.with_label_values(&["origin"]).inc();
    Err(Problem::new(StatusCode::FORBIDDEN, "pages of this origin may not connect"))
}

fn is_allowed(origin: &str, host: Option<&str>, allowed: &[String]) -> bool {
    let own = origin.split_once("://").is_some_and(|(scheme, authority)| {
        matches!(scheme, "http" | "https") && host.is_some_and(|host| host.eq_ignore_ascii_case(authority))
    });
    own || allowed.iter().any(|one| one == "*" || one.eq_ignore_ascii_case(origin))
}

fn take_slot(node: &Node, request: &Request) -> Result<Option<AddressSlot>, Problem> {
    let Some(Peer(peer)) = request.extensions().get::<Peer>().copied() else { return Ok(None) };
    let address = client_address(peer, request.headers(), &node.config.trusted_proxies);
    match node.addresses.enter(address, node.config.connections_per_address) {
        Some(slot) => Ok(Some(slot)),
        None => Err(turn_away(node, "address", StatusCode::TOO_MANY_REQUESTS, "too many connections from here", 5)),
    }
}

/// The client's address: the last one that a trusted proxy added, or the peer's own.
fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &Networks) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.contains(address);
    if !is_trusted(&peer) {
        return peer;
    }
    let forwarded: Vec<IpAddr> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|address| address.trim().parse().ok())
        .collect();
    forwarded.into_iter().rev().find(|address| !is_trusted(address)).unwrap_or(peer)
}

fn turn_away(node: &Node, reason: &'static str, status: StatusCode, detail: &str, seconds: u64) -> Problem {
    node.metrics.turned_away.with_label_values(&[reason]).inc();
    Problem::new(status, detail).with(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_the_same_host_and_those_on_the_list_may_connect() {
        let list = ["https://app.example".to_owned()];
        for good in ["http://chat.example:8080", "https://chat.example:8080", "https://app.example"] {
            assert!(is_allowed(good, Some("chat.example:8080"), &list), "{good}");
        }
        for bad in [
            "null",
            "",
            "https://chat.example",
            "https://chat.example:8080.evil.example",
            "ftp://chat.example:8080",
            "https://app.example.evil.example",
        ] {
            assert!(!is_allowed(bad, Some("chat.example:8080"), &list), "{bad}");
        }
        assert!(is_allowed("null", None, &["*".to_owned()]));
    }

    #[test]
    fn a_forwarded_address_is_believed_only_from_a_proxy_of_ours() {
        let (client, proxy) = (IpAddr::from([9, 9, 9, 9]), IpAddr::from([127, 0, 0, 1]));
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_static("1.2.3.4, 9.9.9.9"));
        for ours in ["127.0.0.1", "127.0.0.0/8"] {
            let ours = ours.parse().unwrap();
            assert_eq!(client_address(proxy, &headers, &ours), client);
            assert_eq!(client_address(client, &headers, &ours), client);
        }
        assert_eq!(client_address(proxy, &headers, &Networks::default()), proxy);
    }
}
