//! Refusals over HTTP, in the form of RFC 9457.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use proto::{Code, Refusal};
use serde::Serialize;

/// A refusal: a status, a code for programs, a sentence for people, and headers that help.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    code: Code,
    detail: String,
    retry_after_ms: Option<u64>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// One that HTTP itself has a word for.
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let code = match status {
            StatusCode::UNAUTHORIZED => Code::Unauthorized,
            StatusCode::FORBIDDEN => Code::Forbidden,
            StatusCode::NOT_FOUND => Code::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => Code::UnknownType,
            StatusCode::TOO_MANY_REQUESTS => Code::RateLimited,
            status if status.is_server_error() => Code::Unavailable,
            _ => Code::InvalidFrame,
        };
        Self { status, code, detail: detail.into(), retry_after_ms: None, headers: Vec::new() }
    }

    /// A refusal in the vocabulary of requests, as a status.
    pub(crate) fn of(refusal: &Refusal) -> Self {
        let mut problem = Self::new(status(refusal.code), &refusal.detail);
        problem.code = refusal.code;
        problem.retry_after_ms = refusal.retry_after_ms;
        match refusal.retry_after_ms {
            Some(wait) => problem.with(header::RETRY_AFTER, HeaderValue::from(wait.div_ceil(1000).max(1))),
            None if refusal.code == Code::Unauthorized => {
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

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::of(&refusal)
    }
}

/// The status of a refusal.
pub(crate) fn status(code: Code) -> StatusCode {
    match code {
        Code::InvalidFrame | Code::UnknownType => StatusCode::BAD_REQUEST,
        Code::InvalidField | Code::InvalidName | Code::InvalidRoom | Code::TextEmpty | Code::TextTooLong => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        Code::HelloRequired | Code::Unauthorized => StatusCode::UNAUTHORIZED,
        Code::Forbidden => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyWelcome | Code::NotJoined | Code::TooManyRooms | Code::IdTaken | Code::NameTaken => {
            StatusCode::CONFLICT
        }
        Code::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Body<'a> {
            r#type: &'static str,
            title: &'static str,
            status: u16,
            code: Code,
            detail: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            retry_after_ms: Option<u64>,
        }
        let body = serde_json::to_vec(&Body {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("refused"),
            status: self.status.as_u16(),
            code: self.code,
            detail: &self.detail,
            retry_after_ms: self.retry_after_ms,
        });
        let mut response = (self.status, body.unwrap_or_default()).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response.headers_mut().extend(self.headers);
        // For whoever counts refusals.
        response.extensions_mut().insert(self.code);
        response
    }
}
