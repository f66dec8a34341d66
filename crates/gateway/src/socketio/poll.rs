//! A poll: waits until there is something to say, and shows that somebody is there.
//!
//! The engine would hold it until its next ping. Here it also ends with its session, for a client that goes over to a WebSocket, and
//! soon for those who are counted: who is still there asks again.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::{Body, HttpBody, to_bytes};
use axum::http::{HeaderValue, Request, Response, header};
use engineioxide::ProtocolVersion;
use tower::ServiceExt;

use super::packet::MESSAGE;
use super::session::Session;
use crate::node::Node;

/// How long a poll of somebody who is counted waits for something to say.
const COUNTED: Duration = Duration::from_secs(4);
/// How long one waits while its client goes over: no longer than it needs, or the client waits; not no time at all, or one that does not
/// wait for its answer would ask without end.
const GOING_OVER: Duration = Duration::from_millis(100);
/// Bytes a second that an answer may come in at least, and the most seconds that this gives it.
const SLOWLY: u64 = 16 * 1024;
const PATIENCE: u64 = 60;
/// The engine's word for nothing and for closing, as older clients have them in a poll, and newer ones.
const NOTHING: [&str; 2] = ["1:6", "6"];
const CLOSE: [&[u8]; 3] = [b"1:1", b"1", b""];
/// What stands between two packets.
const BETWEEN: u8 = 0x1e;

/// A poll that waits. Dropped while it does, the client has hung up and will not know what it missed: the session is lost.
struct Waiting<'a> {
    session: &'a Session,
    hung_up: bool,
    /// Seconds that the answer may take on its way.
    under_way: u32,
}

impl<'a> Waiting<'a> {
    fn begin(session: &'a Session) -> Self {
        session.pulse.poll_begins(session.node.connections.now());
        Self { session, hung_up: true, under_way: 0 }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.session.pulse.poll_ends(self.session.node.connections.now() + self.under_way);
        if self.hung_up {
            self.session.end("lost");
        }
    }
}

/// The answer to a poll; `None` once the session is over. The engine's word for closing is never said: it tells python-socketio not to
/// come back.
pub(super) async fn answer(session: &Session, request: Request<Body>) -> Option<Response<Body>> {
    let mut waiting = Waiting::begin(session);
    let answer = tokio::select! {
        biased;
        () = session.until(|| session.is_over()) => None,
        answer = ask(&session.node, request) => unless_closed(session, answer).await,
        () = long_enough(session) => Some(nothing(session)),
    };
    waiting.hung_up = false;
    let bytes = answer.as_ref().and_then(|answer| answer.body().size_hint().exact()).unwrap_or(0);
    waiting.under_way = (bytes / SLOWLY).min(PATIENCE) as u32;
    answer
}

/// Asks the engine.
pub(super) async fn ask(node: &Node, request: Request<Body>) -> Response<Body> {
    match node.engine.clone().oneshot(request).await {
        Ok(response) => response.map(Body::new),
        Err(never) => match never {},
    }
}

/// Returns when a poll has waited long enough.
async fn long_enough(session: &Session) {
    let going_over = async {
        session.until(|| session.pulse.is_going_over() || session.has_stream()).await;
        let _ = tokio::time::timeout(GOING_OVER, session.until(|| session.has_stream())).await;
    };
    if session.is_counted.load(Ordering::Relaxed) {
        let _ = tokio::time::timeout(COUNTED, going_over).await;
    } else {
        going_over.await;
    }
}

/// What the engine answers, unless it closes somebody who has not asked for it.
async fn unless_closed(session: &Session, answer: Response<Body>) -> Option<Response<Body>> {
    let (head, body) = answer.into_parts();
    // It is in memory already, whatever its size.
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let is_newer = session.version() == ProtocolVersion::V4;
    let packets = body.split(|byte| *byte == BETWEEN).filter(|packet| packet.first() == Some(&MESSAGE)).count();
    // Between two packets stands one byte more, so one is missing. How older clients are told makes them hard to count, and no matter.
    session.polled(body.len() + 1, is_newer.then_some(packets));
    let is_closed = CLOSE.contains(&body.as_ref()) && session.ending() != Some("client");
    (!is_closed).then(|| Response::from_parts(head, body.into()))
}

fn nothing(session: &Session) -> Response<Body> {
    let is_newer = session.version() == ProtocolVersion::V4;
    let mut response = Response::new(Body::from(NOTHING[usize::from(is_newer)]));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=UTF-8"));
    response
}
