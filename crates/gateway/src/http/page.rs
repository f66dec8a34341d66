//! The chat page, embedded in the binary: plain files, as they are in `web/`.

use std::sync::LazyLock;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use super::problem::Problem;

/// Nothing from anywhere else, nothing inline, in nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

struct File {
    path: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

/// A file that browsers keep, and ask whether it is still the same.
#[derive(Clone)]
pub(crate) struct Kept {
    kind: &'static str,
    bytes: Bytes,
    tag: HeaderValue,
}

impl Kept {
    pub(crate) fn new(kind: &'static str, bytes: Bytes) -> Self {
        let digest = Sha256::digest(&bytes);
        let hex: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let tag = HeaderValue::from_str(&format!("\"{hex}\"")).unwrap_or(HeaderValue::from_static("\"\""));
        Self { kind, bytes, tag }
    }
}

macro_rules! files {
    ($($path:literal $file:literal $kind:literal),* $(,)?) => {
        &[$(File {
            path: $path,
            kind: $kind,
            bytes: include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../web/", $file)),
        }),*]
    };
}

const FILES: &[File] = files! {
    "/" "index.html" "text/html; charset=utf-8",
    "/style.css" "style.css" "text/css; charset=utf-8",
    "/app.js" "app.js" "text/javascript; charset=utf-8",
    "/view.js" "view.js" "text/javascript; charset=utf-8",
    "/store.js" "store.js" "text/javascript; charset=utf-8",
    "/strings.js" "strings.js" "text/javascript; charset=utf-8",
    "/tertulia.js" "tertulia.js" "text/javascript; charset=utf-8",
    "/icon.svg" "icon.svg" "image/svg+xml",
    "/account/" "account/index.html" "text/html; charset=utf-8",
    "/account/account.css" "account/account.css" "text/css; charset=utf-8",
    "/account/account.js" "account/account.js" "text/javascript; charset=utf-8",
    "/account/strings.js" "account/strings.js" "text/javascript; charset=utf-8",
    "/api/page.css" "api/page.css" "text/css; charset=utf-8",
};

/// Each with a tag, so that a browser that has it need not load it again, and never keeps an old one.
static KEPT: LazyLock<Vec<Kept>> =
    LazyLock::new(|| FILES.iter().map(|file| Kept::new(file.kind, Bytes::from_static(file.bytes))).collect());

/// The paths of all files.
pub(crate) fn paths() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|file| file.path)
}

/// Answers with the file of this path.
pub(crate) async fn file(request: Request) -> Response {
    let Some(index) = FILES.iter().position(|file| file.path == request.uri().path()) else {
        return nothing_here().await.into_response();
    };
    answer(&request, &KEPT[index])
}

/// Answers with a file, or that it is still the same.
pub(crate) fn answer(request: &Request, file: &Kept) -> Response {
    let known = request.headers().get(header::IF_NONE_MATCH) == Some(&file.tag);
    let mut response =
        if known { StatusCode::NOT_MODIFIED.into_response() } else { Body::from(file.bytes.clone()).into_response() };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.kind));
    headers.insert(header::ETAG, file.tag.clone());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// Answers for every path that is not ours.
pub(crate) async fn nothing_here() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "there is nothing at this address")
}

/// Answers for every other method of a path that is ours; the router says in `Allow` which there are.
pub(crate) async fn not_by_this_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this address does not take this method")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chat_page_weighs_less_than_sixty_kibibytes() {
        let of_chat = FILES.iter().filter(|file| file.path.matches('/').count() == 1);
        assert!(of_chat.map(|file| file.bytes.len()).sum::<usize>() < 60 * 1024);
    }
}
