//! Pages of other origins, as `--allowed-origins` says: browsers ask before they let a page read an answer.

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;

use super::problem::Problem;
use crate::credentials::{self, Page};
use crate::node::Node;

/// What a page may read, if it is one.
pub(crate) struct Cors {
    origin: Option<HeaderValue>,
    /// Whether it may bring cookies: not if it may come from anywhere.
    credentials: bool,
}

impl Cors {
    /// Lets a request pass whose origin may connect.
    pub(crate) fn check(node: &Node, headers: &HeaderMap) -> Result<Self, Problem> {
        credentials::check_origin(node, headers)?;
        let origin = headers.get(header::ORIGIN).cloned();
        Ok(Self { origin, credentials: Page::of(headers, &node.config) == Page::Trusted })
    }

    pub(crate) fn apply(self, response: &mut Response) {
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.append(header::VARY, HeaderValue::from_static("origin"));
        let Some(origin) = self.origin else { return };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if self.credentials {
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
    }

    /// What a page may send, for a browser that asks first.
    pub(crate) fn preflight(methods: &'static str, asked: &HeaderMap, response: &mut Response) {
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        if let Some(names) = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
        }
    }
}
