//! One request and its answer over a connection of their own.

use std::pin::pin;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use crate::line::Line;
use crate::{Answer, OutgoingError};

/// Most bytes of an answer's head.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Most lines of it.
const HEADERS_MAX: usize = 100;

/// Sends the request, and takes the answer: its head, and its body where one of at most so many bytes is wanted.
pub(crate) async fn exchange(
    line: Box<dyn Line>,
    request: Request<Full<Bytes>>,
    body_max: Option<usize>,
) -> Result<Answer, OutgoingError> {
    let mut http = http1::Builder::new();
    http.max_buf_size(HEAD_BYTES_MAX).max_headers(HEADERS_MAX);
    let (mut sender, connection) = http.handshake(TokioIo::new(line)).await?;
    let mut answer = pin!(async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = match body_max {
            Some(most) => whole(Limited::new(body, most)).await?,
            None => Bytes::new(),
        };
        Ok(Answer { status: head.status, headers: head.headers, body })
    });
    // Both in one task, so that nothing is left behind when the time is over.
    tokio::select! {
        answer = &mut answer => answer,
        _ = connection => answer.await, // it tells the answer how it ended
    }
}

async fn whole(body: Limited<hyper::body::Incoming>) -> Result<Bytes, OutgoingError> {
    match body.collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(OutgoingError::TooLarge),
        Err(error) => Err(error.downcast::<hyper::Error>().map_or(OutgoingError::Cut, |error| (*error).into())),
    }
}
