//! `/healthz` and `/metrics` of a process that has no other door: a worker.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus::Registry;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::health::exposition;
use super::problem::Problem;

/// Who looks at once; the next waits.
const VISITORS: usize = 32;
/// How long one may stay.
const STAY: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(50);

/// What such a process shows of itself.
pub struct Watched {
    /// What `/metrics` shows.
    pub registry: Registry,
    /// What `/healthz` says, as JSON. It is always 200: who answers is alive.
    pub health: Box<dyn Fn() -> String + Send + Sync>,
}

impl Watched {
    /// Answers until it is told to stop.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let router = Router::new()
            .route("/healthz", get(healthz))
            .route("/metrics", get(metrics))
            .fallback(async || {
                Problem::new(StatusCode::NOT_FOUND, "a worker shows /healthz and /metrics").into_response()
            })
            .with_state(Arc::new(self));
        let (tasks, places) = (TaskTracker::new(), Arc::new(Semaphore::new(VISITORS)));
        let accept = async {
            loop {
                let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
                let Ok((stream, _)) = listener.accept().await else {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                };
                let visit = visit(router.clone(), stream);
                tasks.spawn(stop.clone().run_until_cancelled_owned(async move {
                    _ = tokio::time::timeout(STAY, visit).await;
                    drop(place);
                }));
            }
        };
        _ = stop.run_until_cancelled(accept).await;
        tasks.close();
        tasks.wait().await;
    }
}

async fn visit(router: Router, stream: TcpStream) {
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let router = router.clone();
        async move { router.oneshot(request.map(Body::new)).await }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(STAY)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a visit ended badly");
    }
}

async fn healthz(State(watched): State<Arc<Watched>>) -> Response {
    ([("content-type", "application/json")], (watched.health)()).into_response()
}

async fn metrics(State(watched): State<Arc<Watched>>) -> Result<Response, Problem> {
    exposition(&watched.registry)
}
