//! Accepting connections and giving them to the router.

use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use axum::routing::{any, get};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;

use super::{health, page, strict};
use crate::config::GatewayConfig;
use crate::node::Node;
use crate::places::{NoPlace, Place};
use crate::socketio;
use crate::{address, api};

/// Most bytes of a request's head.
const HEAD_BYTES: usize = 16 * 1024;
/// How long the last answer of a connection may take.
const FINISH: Duration = Duration::from_secs(5);
/// The same where that is a poll: it is answered by the engine's ping at the latest.
const POLL: Duration = Duration::from_secs(5).saturating_add(socketio::PING_INTERVAL);
/// How long nothing is accepted after the system refused: out of files, mostly.
const PAUSE: Duration = Duration::from_millis(50);

/// Who is at the other end of a request's connection.
#[derive(Clone)]
pub(crate) struct Peer {
    /// In its canonical form.
    pub(crate) address: IpAddr,
    pub(crate) place: Arc<Place>,
    /// Whether a poll waits for something to say.
    pub(crate) polls: Arc<AtomicBool>,
}

/// The node's addresses.
pub(crate) fn router(node: Arc<Node>) -> Router {
    let mut router = Router::new();
    for path in page::paths() {
        router = router.route(path, get(page::file));
    }
    router
        .route("/ws", any(socketio::door::either))
        .route("/ws/", any(socketio::door::only_engines))
        .route("/socket.io", any(socketio::door::enter))
        .route("/socket.io/", any(socketio::door::enter))
        .route("/ws/socket.io/", any(socketio::door::enter))
        .route("/socket.io/socket.io.js", get(socketio::script::script))
        .route("/socket.io/socket.io.min.js", get(socketio::script::script))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .merge(api::router(&node))
        .method_not_allowed_fallback(page::not_by_this_method)
        .fallback(page::nothing_here)
        .with_state(node)
}

/// Accepts for as long as it is let.
pub(crate) async fn serve(node: Arc<Node>, listener: TcpListener) {
    let router = router(node.clone());
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => admit(&node, &router, stream, peer.ip().to_canonical()).await,
            // It was gone before we looked.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                node.metrics.accept_errors.inc();
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Serves a socket if there is a place for it.
async fn admit(node: &Arc<Node>, router: &Router, stream: TcpStream, address: IpAddr) {
    let is_ours = node.config.trusted_proxies.contains(&address);
    let counted = (!is_ours).then(|| address::counted(address));
    let turned_away = |reason| node.metrics.turned_away.with_label_values(&[reason]).inc();
    match node.places.enter(counted, &node.stop, || turned_away("displaced")).await {
        Ok((place, gone)) => {
            let bounds = Bounds::of(&node.config);
            let peer = Peer { address, place: Arc::new(place), polls: Arc::default() };
            let connection = connection(router.clone(), stream, peer, bounds);
            node.tasks.spawn(gone.run_until_cancelled_owned(Box::pin(connection)));
        }
        Err(why) => {
            turned_away(if why == NoPlace::Address { "address" } else { "full" });
            // A reset: a flood must leave nothing behind, not even a port that waits.
            let _ = stream.set_zero_linger();
        }
    }
}

/// How long a client may take.
#[derive(Clone, Copy)]
struct Bounds {
    /// For the head of a request.
    head: Duration,
    /// For everything, unless it becomes a WebSocket.
    life: Duration,
}

impl Bounds {
    fn of(config: &GatewayConfig) -> Self {
        Self { head: config.hello_wait.min(config.http_life), life: config.http_life }
    }
}

async fn connection(router: Router, stream: TcpStream, peer: Peer, bounds: Bounds) {
    // Small frames must not wait for larger ones.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    // Answers do not pile up for who asks and does not read: the next request is looked at once the answer before it is written,
    // as long as hyper's `pipeline_flush` is left alone.
    let polls = peer.polls.clone();
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        let checked = strict::check(&request);
        request.extensions_mut().insert(peer.clone());
        let router = router.clone();
        async move {
            match checked {
                Ok(()) => router.oneshot(request.map(Body::new)).await,
                Err(problem) => Ok(problem.into_response()),
            }
        }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut serving = pin!(serving);
    let served = tokio::select! {
        served = &mut serving => served,
        () = tokio::time::sleep(bounds.life) => {
            // An answer under way is finished, if it is taken.
            serving.as_mut().graceful_shutdown();
            let finish = if polls.load(Ordering::Relaxed) { POLL } else { FINISH };
            let Ok(served) = tokio::time::timeout(finish, serving).await else { return };
            served
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "an HTTP connection ended badly");
    }
}
