//! What is refused before any address looks at a request: whatever two parties could read in two ways.
//!
//! Hyper's parser has refused the worst already, with bare answers of its own: what is not HTTP, folded headers, more than
//! 100 headers or `HEAD_BYTES`, lengths that contradict each other, `Transfer-Encoding` in HTTP/1.0. What is refused here closes its
//! connection: where a request ends is in doubt, and so is where the next begins.

use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Version, header};

use super::problem::Problem;

/// Most bytes of a request's target. What RFC 9112 wants everybody to take.
const TARGET_BYTES: usize = 8_000;

/// Lets a request pass, or says what is wrong with it.
pub(crate) fn check<B>(request: &Request<B>) -> Result<(), Problem> {
    let headers = request.headers();
    if request.uri().path_and_query().is_some_and(|target| target.as_str().len() > TARGET_BYTES) {
        return Err(refused(StatusCode::URI_TOO_LONG, "the address of a request may have 8000 bytes"));
    }
    check_host(request.version(), headers)?;
    // Whoever sends both this and a length may be smuggling. Hyper drops the length before we see it: so this alone, which no
    // address needs, is enough to be refused.
    if headers.contains_key(header::TRANSFER_ENCODING) {
        return Err(refused(StatusCode::BAD_REQUEST, "a body must say its length: no Transfer-Encoding is taken"));
    }
    let has_body = headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0");
    if has_body && matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(refused(StatusCode::BAD_REQUEST, "GET and HEAD take no body"));
    }
    Ok(())
}

/// One `Host` and no more; before HTTP/1.1 there need not be any.
fn check_host(version: Version, headers: &HeaderMap) -> Result<(), Problem> {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if is_host(host) => Ok(()),
        (None, None) if version < Version::HTTP_11 => Ok(()),
        (None, None) => Err(refused(StatusCode::BAD_REQUEST, "Host is missing")),
        (_, Some(_)) => Err(refused(StatusCode::BAD_REQUEST, "there may be one Host")),
        _ => Err(refused(StatusCode::BAD_REQUEST, "Host is not a name and a port")),
    }
}

/// A name and perhaps a port; or nothing, for whoever has no name for us.
fn is_host(host: &HeaderValue) -> bool {
    let host = host.as_bytes();
    host.is_empty() || (!host.contains(&b'@') && Authority::try_from(host).is_ok())
}

fn refused(status: StatusCode, detail: &str) -> Problem {
    Problem::new(status, detail).with(header::CONNECTION, HeaderValue::from_static("close"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_and_perhaps_a_port() {
        for good in ["", "chat.example", "chat.example:8080", "127.0.0.1:8080", "[::1]:8080"] {
            assert!(is_host(&HeaderValue::from_static(good)), "{good}");
        }
        for bad in ["a b", "a/b", "user@chat.example", "http://a", "a?b", "a:b:c"] {
            assert!(!is_host(&HeaderValue::from_static(bad)), "{bad}");
        }
    }
}
