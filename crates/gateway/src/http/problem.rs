//! Refusals over HTTP, in the form of RFC 9457.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use proto::{Code, Refusal};
use serde::Serialize;

/// A refusal: a status, a sentence for people, and headers that help.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    detail: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), headers: Vec::new() }
    }

    /// A refusal in the vocabulary of requests, as a status.
    pub(crate) fn of(refusal: &Refusal) -> Self {
        let status = match refusal.code {
            Code::Unauthorized => StatusCode::UNAUTHORIZED,
            Code::Forbidden => StatusCode::FORBIDDEN,
            Code::NotFound => StatusCode::NOT_FOUND,
            Code::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        };
        let problem = Self::new(status, &refusal.detail);
        match refusal.retry_after_ms {
            Some(wait) => problem.with(header::RETRY_AFTER, HeaderValue::from(wait.div_ceil(1000).max(1))),
            None if status == StatusCode::UNAUTHORIZED => {
                problem.with(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
            }
            None => problem,
        }
    }

    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Body<'a> {
            r#type: &'static str,
            title: &'static str,
            status: u16,
            detail: &'a str,
        }
        let body = serde_json::to_vec(&Body {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("refused"),
            status: self.status.as_u16(),
            detail: &self.detail,
        });
        let mut response = (self.status, body.unwrap_or_default()).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response.headers_mut().extend(self.headers);
        response
    }
}
