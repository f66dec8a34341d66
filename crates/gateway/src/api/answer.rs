//! Answers in JSON.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::http::problem::Problem;

/// What a handler comes to.
pub(super) type Answer = Result<Response, Problem>;

/// An answer in JSON.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Answer {
    let bytes = serde_json::to_vec(body)
        .map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the answer could not be written"))?;
    Ok(written(status, bytes))
}

/// An answer that is JSON already.
pub(super) fn written(status: StatusCode, json: Vec<u8>) -> Response {
    let mut response = (status, json).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Done, and nothing to say.
pub(super) fn nothing() -> Answer {
    Ok(StatusCode::NO_CONTENT.into_response())
}
