//! From an HTTP request to a WebSocket.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::upgrade::{OnUpgrade, Parts};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tungstenite::handshake::derive_accept_key;

use super::out::Conn;
use super::session;
use crate::address;
use crate::credentials::{self, Doing};
use crate::http::problem::Problem;
use crate::http::server::Peer;
use crate::limits::AddressSlot;
use crate::node::{Node, Phase};
use crate::places::Held;
use crate::recognized::{Recognized, recognize, unrecognized};

/// `GET /ws`: answers 101 and lives the connection, or says why not. Whatever is refused is refused before the upgrade; only that a
/// cookie is worth nothing any more is said after it, since a page is not shown why an upgrade failed.
pub(crate) async fn upgrade(
    State(node): State<Arc<Node>>,
    Extension(peer): Extension<Peer>,
    mut request: Request,
) -> Result<Response, Problem> {
    let mut response = switching(&request)?;
    if wants_subprotocol(request.headers()) {
        let name = HeaderValue::from_static(proto::SUBPROTOCOL);
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, name);
    }
    credentials::check_origin(&node, request.headers())?;
    let_in(&node)?;
    let slot = address_slot(&node, &peer, request.headers())?;
    let known = recognize(&node, request.headers(), Doing::Upgrading).await?;
    if let Some(Err(refusal)) = known.as_deref()
        && request.headers().contains_key(header::AUTHORIZATION)
    {
        return Err(unrecognized(&node, refusal));
    }
    keep_place(&node, &peer)?;
    let held = Held::new(peer.place.clone(), slot);
    let on_upgrade = hyper::upgrade::on(&mut request);
    node.tasks.spawn(begin(node.clone(), on_upgrade, held, known));
    Ok(response)
}

/// The answer to a request that may become a WebSocket.
pub(crate) fn switching(request: &Request) -> Result<Response, Problem> {
    let accept = derive_accept_key(websocket_key(request)?.as_bytes());
    let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
    *response.body_mut() = Body::empty();
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, HeaderValue::from_str(&accept).map_err(|_| bad_key())?);
    Ok(response)
}

async fn begin(node: Arc<Node>, on_upgrade: OnUpgrade, held: Held, known: Option<Box<Recognized>>) {
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
    session::run(node, conn, early, held, known).await;
}

/// The key of a request that is what RFC 6455 asks for: a `GET` of HTTP/1.1, version 13, one key of 16 bytes.
fn websocket_key(request: &Request) -> Result<&HeaderValue, Problem> {
    if request.method() != Method::GET {
        return Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, "a WebSocket begins with GET")
            .with(header::ALLOW, HeaderValue::from_static("GET")));
    }
    let headers = request.headers();
    let is_websocket = request.version() == Version::HTTP_11
        && has_token(headers, &header::CONNECTION, "upgrade")
        && has_token(headers, &header::UPGRADE, "websocket")
        && only(headers, &header::SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13");
    if !is_websocket {
        return Err(Problem::new(StatusCode::UPGRADE_REQUIRED, "this address speaks WebSocket, version 13")
            .with(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))
            .with(header::CONNECTION, HeaderValue::from_static("upgrade"))
            .with(header::UPGRADE, HeaderValue::from_static("websocket")));
    }
    only(headers, &header::SEC_WEBSOCKET_KEY).filter(|key| is_key(key.as_bytes())).ok_or_else(bad_key)
}

/// A header's value, if it is there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Whether these are 16 bytes in base64.
fn is_key(key: &[u8]) -> bool {
    // Room for the 18 bytes that 24 characters could have been.
    key.len() == 24 && STANDARD.decode_slice(key, &mut [0; 18]) == Ok(16)
}

fn bad_key() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "there must be one Sec-WebSocket-Key, of 16 bytes in base64")
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

/// Lets a newcomer in, if the node is not leaving and not too many come at once.
pub(crate) fn let_in(node: &Node) -> Result<(), Problem> {
    if node.phase() == Phase::Gone {
        return Err(turn_away(node, "draining", StatusCode::SERVICE_UNAVAILABLE, "this node is leaving", 1));
    }
    node.admission.admit().map_err(|wait| {
        let seconds = (wait + Duration::from_millis(999)).as_secs();
        turn_away(node, "rate", StatusCode::SERVICE_UNAVAILABLE, "too many come at once", seconds)
    })
}

/// A place among the connections of the client's address.
pub(crate) fn address_slot(node: &Node, peer: &Peer, headers: &HeaderMap) -> Result<AddressSlot, Problem> {
    let address = address::counted(address::of_client(peer.address, headers, &node.config.trusted_proxies));
    node.addresses
        .enter(address, node.config.connections_per_address)
        .ok_or_else(|| turn_away(node, "address", StatusCode::TOO_MANY_REQUESTS, "too many connections from here", 5))
}

/// The socket becomes a WebSocket's for good.
pub(crate) fn keep_place(node: &Node, peer: &Peer) -> Result<(), Problem> {
    peer.place.keep().map_err(|_| turn_away(node, "full", StatusCode::SERVICE_UNAVAILABLE, "this node is full", 5))
}

fn turn_away(node: &Node, reason: &'static str, status: StatusCode, detail: &str, seconds: u64) -> Problem {
    node.metrics.turned_away.with_label_values(&[reason]).inc();
    Problem::new(status, detail).with(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_sixteen_bytes_in_base64() {
        assert!(is_key(b"dGhlIHNhbXBsZSBub25jZQ=="));
        for bad in ["", "eA==", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZSEh", "dGhlIHNhbXBsZSBub25j*Q=="] {
            assert!(!is_key(bad.as_bytes()), "{bad}");
        }
    }
}
