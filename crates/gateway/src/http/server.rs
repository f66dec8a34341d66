//! Accepting connections and giving them to the router.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::{any, get};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;

use super::{health, page};
use crate::config::GatewayConfig;
use crate::node::Node;
use crate::ws::handshake;

/// Most bytes of a request's head.
const HEAD_BYTES: usize = 16 * 1024;
/// How long the last answer of a connection may take.
const FINISH: Duration = Duration::from_secs(5);
/// How long nothing is accepted after the system refused: out of files, mostly.
const PAUSE: Duration = Duration::from_millis(50);

/// Who is at the other end of a request's connection.
#[derive(Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// The node's addresses.
pub(crate) fn router(node: Arc<Node>) -> Router {
    let mut router = Router::new();
    for path in page::paths() {
        router = router.route(path, get(page::file));
    }
    router
        .route("/ws", any(handshake::upgrade))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .fallback(page::nothing_here)
        .with_state(node)
}

/// Accepts until the node stops.
pub(crate) async fn serve(node: Arc<Node>, listener: TcpListener) {
    let router = router(node.clone());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = node.stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection = connection(router.clone(), stream, peer.ip(), Bounds::of(&node.config));
                node.tasks.spawn(node.stop.clone().run_until_cancelled_owned(Box::pin(connection)));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                node.metrics.accept_errors.inc();
                tokio::time::sleep(PAUSE).await;
            }
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

async fn connection(router: Router, stream: TcpStream, peer: IpAddr, bounds: Bounds) {
    // Small frames must not wait for larger ones.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        router.clone().oneshot(request.map(Body::new))
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
            let Ok(served) = tokio::time::timeout(FINISH, serving).await else { return };
            served
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "an HTTP connection ended badly");
    }
}
