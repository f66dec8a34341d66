//! `/healthz`, `/readyz` and `/metrics`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus::{Encoder, Registry, TextEncoder};
use serde::Serialize;

use super::problem::Problem;
use crate::node::{Node, Phase};

/// Alive: always 200. The body says whether the node is degraded: a backing service is away, and what that means.
pub(crate) async fn healthz(State(node): State<Arc<Node>>) -> Response {
    #[derive(Serialize)]
    struct Health<'a> {
        status: &'static str,
        node: &'a str,
        version: &'static str,
        store: &'static str,
        bus: &'static str,
        draining: bool,
    }
    let (store, bus) = (node.hub.store_is_up(), node.hub.bus_is_up());
    let word = |up| if up { "up" } else { "away" };
    Json(Health {
        status: if store && bus { "ok" } else { "degraded" },
        node: &node.config.node_name,
        version: env!("CARGO_PKG_VERSION"),
        store: word(store),
        bus: word(bus),
        draining: node.phase() != Phase::Ready,
    })
    .into_response()
}

/// Ready to take new connections: 200; at the beginning of a drain 404, so that newcomers go elsewhere; then 503, so that nobody
/// comes. A store or bus that is away does not make a node unready: it would take all nodes out at once.
pub(crate) async fn readyz(State(node): State<Arc<Node>>) -> Response {
    match node.phase() {
        Phase::Ready => (StatusCode::OK, "ready\n").into_response(),
        Phase::Leaving => Problem::new(StatusCode::NOT_FOUND, "leaving: no new clients").into_response(),
        Phase::Gone => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "leaving: nobody").into_response(),
    }
}

/// All metrics, in Prometheus's text form.
pub(crate) async fn metrics(State(node): State<Arc<Node>>) -> Result<Response, Problem> {
    node.hub.observe();
    exposition(&node.registry)
}

/// A registry, in Prometheus's text form.
pub(crate) fn exposition(registry: &Registry) -> Result<Response, Problem> {
    let mut body = Vec::new();
    TextEncoder::new()
        .encode(&registry.gather(), &mut body)
        .map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static(prometheus::TEXT_FORMAT))], body).into_response())
}
