//! REST: what may be asked over HTTP, a file for each kind of thing, under `/api/v1`.
//!
//! Start at [`router`]. Each request passes [`who::guard`], becomes a [`call::Call`], and is answered in JSON or with a problem. What
//! is written goes the way of every door, through `writing.rs`, and is answered once it is durable. A route is declared once
//! ([`route::Route`]); the document at `/api/openapi.json` and the page at `/api/` are made from that.

mod accounts;
mod answer;
mod call;
mod document;
mod guests;
mod hooks;
mod keeping;
mod keys;
mod messages;
mod page;
mod rooms;
mod route;
mod schemas;
mod sessions;
mod tasks;
mod webhooks;
mod who;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::http::page as chat;
use crate::node::Node;
use route::Part;

/// Where everything of this version is.
pub(crate) const ROOT: &str = "/api/v1";

fn parts() -> Vec<Part> {
    vec![
        rooms::part(),
        messages::part(),
        guests::part(),
        accounts::part(),
        sessions::part(),
        keys::part(),
        webhooks::part(),
        hooks::part(),
        tasks::part(),
        keeping::part(),
    ]
}

/// The API, its document, and the page that shows it.
pub(crate) fn router(node: &Arc<Node>) -> Router<Arc<Node>> {
    let mut parts = parts();
    let document = document::of(&mut parts);
    let page = page::of(&document);
    let document = Bytes::from(serde_json::to_vec(&document).unwrap_or_default());
    let mut api = Router::new();
    for route in parts.into_iter().flat_map(|part| part.routes) {
        api = api.route(route.path, route.handler);
    }
    let api = api
        .fallback(chat::nothing_here)
        .method_not_allowed_fallback(chat::not_by_this_method)
        .layer(middleware::from_fn_with_state(node.clone(), who::guard));
    let shown = move |request: Request| std::future::ready(chat::answer(&request, &page));
    Router::new()
        .nest(ROOT, api)
        .route("/api/openapi.json", get(move || std::future::ready(shown_document(document.clone()))))
        .route("/api", get(shown.clone()))
        .route("/api/", get(shown))
}

/// Pages of any origin may read it: it is the same for everybody.
fn shown_document(document: Bytes) -> Response {
    let mut response = document.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
