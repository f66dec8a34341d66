//! The way in: `/socket.io/`, however the address is spelled, by polling or WebSocket.
//!
//! Everything is checked here, as at the native door and by the same limits, before the engine sees it: who it does not know is not
//! let through. The engine finds its session in the request.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use engineioxide::socket::Sid;
use hyper::upgrade::{OnUpgrade, Parts};
use hyper_util::rt::TokioIo;
use proto::FRAME_BYTES_MAX;
use tokio::net::TcpStream;
use tower::Service;

use super::handshake::Values;
use super::session::Session;
use super::stream::Stream;
use super::{over, poll};
use crate::credentials::Doing;
use crate::http::cors::Cors;
use crate::http::page;
use crate::http::problem::Problem;
use crate::http::server::Peer;
use crate::node::Node;
use crate::recognized::recognize;
use crate::stays::Going;
use crate::ws::handshake;

/// The path that the engine answers to.
pub(super) const PATH: &str = "/socket.io";

/// Why the engine's protocol has no answer, in its own words: clients know the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Complaint {
    Transport = 0,
    Session = 1,
    Method = 2,
    Request = 3,
    Version = 5,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Polling,
    WebSocket,
}

/// What a request's query says to the engine.
#[derive(Debug, PartialEq, Eq)]
struct Terms {
    transport: Transport,
    sid: Option<Sid>,
}

/// `/socket.io/`, and wherever else a client's idea of the address leads.
pub(crate) async fn enter(
    State(node): State<Arc<Node>>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Response {
    let cors = match Cors::check(&node, request.headers()) {
        Ok(cors) => cors,
        Err(problem) => return problem.into_response(),
    };
    let mut response = if request.method() == Method::OPTIONS {
        let mut response = StatusCode::NO_CONTENT.into_response();
        Cors::preflight("GET, POST", request.headers(), &mut response);
        response
    } else {
        pass(&node, &peer, request).await.unwrap_or_else(IntoResponse::into_response)
    };
    cors.apply(&mut response);
    response
}

/// `/ws`: the native protocol, unless the query is the engine's.
pub(crate) async fn either(state: State<Arc<Node>>, peer: Extension<Peer>, request: Request) -> Response {
    if is_engines(request.uri()) {
        return enter(state, peer, request).await;
    }
    handshake::upgrade(state, peer, request).await.into_response()
}

/// `/ws/`: nothing, unless the query is the engine's.
pub(crate) async fn only_engines(state: State<Arc<Node>>, peer: Extension<Peer>, request: Request) -> Response {
    if is_engines(request.uri()) {
        return enter(state, peer, request).await;
    }
    page::nothing_here().await.into_response()
}

/// Refusals of two kinds: ours, and those that the engine's clients know.
enum No {
    Problem(Problem),
    Complaint(Complaint),
}

async fn pass(node: &Arc<Node>, peer: &Peer, request: Request) -> Result<Response, No> {
    let terms = Terms::of(request.uri()).map_err(No::Complaint)?;
    let session = match terms.sid {
        Some(sid) => Some(node.sessions.get(&sid).ok_or_else(|| {
            node.metrics.foreign_sids.inc();
            No::Complaint(Complaint::Session)
        })?),
        None => None,
    };
    match (terms.transport, request.method().clone(), session) {
        (Transport::WebSocket, Method::GET, session) => {
            websocket(node, peer, session, request).await.map_err(No::Problem)
        }
        (Transport::Polling, Method::GET, None) => open(node, peer, request).await.map_err(No::Problem),
        (Transport::Polling, Method::GET, Some(session)) => poll(peer, &session, request).await.map_err(No::Complaint),
        (Transport::Polling, Method::POST, Some(session)) => post(node, &session, request).await.map_err(No::Problem),
        (_, _, None) => Err(No::Complaint(Complaint::Method)),
        (_, _, Some(_)) => Err(No::Complaint(Complaint::Request)),
    }
}

/// A WebSocket: a new session, or another transport for one that polls.
async fn websocket(
    node: &Arc<Node>,
    peer: &Peer,
    session: Option<Arc<Session>>,
    mut request: Request,
) -> Result<Response, Problem> {
    let response = handshake::switching(&request)?;
    let polls = session.is_some();
    let session = match session {
        Some(session) => {
            handshake::keep_place(node, peer)?;
            session
        }
        None => {
            handshake::let_in(node)?;
            let slot = handshake::address_slot(node, peer, request.headers())?;
            let bearer = recognize(node, request.headers(), Doing::Upgrading).await?;
            handshake::keep_place(node, peer)?;
            Session::new(node, Values::of_query(request.uri()), bearer, slot)
        }
    };
    let mut bare = axum::http::Request::new(());
    *bare.uri_mut() = engines(request.uri());
    bare.extensions_mut().insert(session.clone());
    let (on_upgrade, place) = (hyper::upgrade::on(&mut request), peer.place.clone());
    let begin = begin(node.clone(), on_upgrade, session, place, bare, polls);
    node.spawn(begin);
    Ok(response)
}

async fn begin(
    node: Arc<Node>,
    on_upgrade: OnUpgrade,
    session: Arc<Session>,
    place: Arc<crate::places::Place>,
    request: axum::http::Request<()>,
    polls: bool,
) {
    let Ok(upgraded) = on_upgrade.await else { return };
    let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>() else {
        tracing::error!("an upgraded connection is not the stream that was accepted");
        return;
    };
    let Parts { io, read_buf, .. } = parts;
    let (tcp, early) = (io.into_inner(), read_buf.to_vec());
    drop(read_buf);
    // The engine goes on by itself, as long as the stream lasts.
    let mut engine = node.engine.clone();
    let go_on = move |stream| drop(Service::call(&mut engine, (stream, request)));
    if polls {
        let of = session.clone();
        over::walk(tcp, early, session, move |tcp, read| go_on(Stream::over(tcp, read, of, place))).await;
    } else {
        go_on(Stream::new(tcp, early, session, place));
    }
}

/// The first poll of a new session. It only reads, as far as another page could gain by it: nobody else learns the session's number.
async fn open(node: &Arc<Node>, peer: &Peer, request: Request) -> Result<Response, Problem> {
    handshake::let_in(node)?;
    let slot = handshake::address_slot(node, peer, request.headers())?;
    let bearer = recognize(node, request.headers(), Doing::Reading).await?;
    let session = Session::new(node, Values::of_query(request.uri()), bearer, slot);
    // Without its headers: the engine keeps the request for as long as the session lives.
    let mut bare = Request::new(Body::empty());
    *bare.uri_mut() = engines(request.uri());
    bare.extensions_mut().insert(session);
    Ok(poll::ask(node, bare).await)
}

/// A poll: waits for something to say.
async fn poll(peer: &Peer, session: &Session, mut request: Request) -> Result<Response, Complaint> {
    peer.polls.store(true, Ordering::Relaxed);
    *request.uri_mut() = engines(request.uri());
    let response = poll::answer(session, request).await;
    peer.polls.store(false, Ordering::Relaxed);
    response.ok_or(Complaint::Session)
}

/// What a client has to say, once what it said before is done.
async fn post(node: &Arc<Node>, session: &Session, mut request: Request) -> Result<Response, Problem> {
    session.heard();
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: u64| length > FRAME_BYTES_MAX as u64) {
        let refused = Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "a request may bring 65536 bytes");
        return Err(refused.with(header::CONNECTION, HeaderValue::from_static("close")));
    }
    session.until(|| session.may_read() || session.going() != Going::No || session.ending().is_some()).await;
    if !session.may_read() {
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the session has ended")
            .with(header::RETRY_AFTER, HeaderValue::from_static("1")));
    }
    *request.uri_mut() = engines(request.uri());
    Ok(poll::ask(node, request).await)
}

/// The same query at the path that the engine answers to.
fn engines(uri: &Uri) -> Uri {
    let target = format!("{PATH}/?{}", uri.query().unwrap_or_default());
    target.parse().unwrap_or_else(|_| Uri::from_static(PATH))
}

fn is_engines(uri: &Uri) -> bool {
    value(uri, "EIO").is_some()
}

/// The first value of a name in a query, as it stands there.
fn value<'a>(uri: &'a Uri, name: &str) -> Option<&'a str> {
    uri.query()?.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

impl Terms {
    fn of(uri: &Uri) -> Result<Self, Complaint> {
        let transport = match value(uri, "transport") {
            Some("polling") => Transport::Polling,
            Some("websocket") => Transport::WebSocket,
            _ => return Err(Complaint::Transport),
        };
        if !matches!(value(uri, "EIO"), Some("3" | "4")) {
            return Err(Complaint::Version);
        }
        let sid = value(uri, "sid").map(|sid| sid.parse().map_err(|_| Complaint::Session)).transpose()?;
        Ok(Self { transport, sid })
    }
}

impl IntoResponse for No {
    fn into_response(self) -> Response {
        let complaint = match self {
            Self::Problem(problem) => return problem.into_response(),
            Self::Complaint(complaint) => complaint,
        };
        let message = match complaint {
            Complaint::Transport => "Transport unknown",
            Complaint::Session => "Session ID unknown",
            Complaint::Method => "Bad handshake method",
            Complaint::Request => "Bad request",
            Complaint::Version => "Unsupported protocol version",
        };
        let body = serde_json::json!({"code": complaint as u8, "message": message}).to_string();
        let mut response = (StatusCode::BAD_REQUEST, body).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_engine_does_not_know_is_refused_in_its_words() {
        for (query, wanted) in [
            ("EIO=4&transport=grpc", Complaint::Transport),
            ("EIO=4", Complaint::Transport),
            ("EIO=2&transport=polling", Complaint::Version),
            ("transport=websocket", Complaint::Version),
            ("EIO=4&transport=polling&sid=x", Complaint::Session),
        ] {
            assert_eq!(Terms::of(&format!("/socket.io/?{query}").parse().unwrap()), Err(wanted), "{query}");
        }
        let terms = Terms::of(&Uri::from_static("/socket.io/?EIO=3&transport=websocket&t=1")).unwrap();
        assert_eq!(terms, Terms { transport: Transport::WebSocket, sid: None });
    }
}
