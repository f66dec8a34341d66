//! One request of the API: what it asks, read piece by piece. Whatever is wrong is refused by code.

use std::sync::Arc;

use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{FromRequest, FromRequestParts, Query, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use people::{Caller, Identity, Standing};
use proto::{Code, FRAME_BYTES_MAX, Refusal, RoomName};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::who::Who;
use crate::address;
use crate::http::problem::Problem;
use crate::http::server::Peer;
use crate::node::Node;

/// Most bytes in the body of a request: those of a frame.
pub(crate) const BODY_BYTES_MAX: usize = FRAME_BYTES_MAX;

/// A request that was let in.
pub(crate) struct Call {
    pub(super) node: Arc<Node>,
    pub(super) who: Who,
    pub(super) peer: Peer,
    pub(super) parts: Parts,
    params: Vec<(String, String)>,
    body: Body,
}

impl FromRequest<Arc<Node>> for Call {
    type Rejection = Problem;

    async fn from_request(request: Request, node: &Arc<Node>) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let params = RawPathParams::from_request_parts(&mut parts, node).await.map_err(|error| match error {
            RawPathParamsRejection::InvalidUtf8InPathParam(_) => {
                Problem::of(&Refusal::new(Code::InvalidField, "what stands in the address must be UTF-8"))
            }
            _ => Problem::new(StatusCode::NOT_FOUND, "there is nothing at this address"),
        })?;
        let params = params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let lost = || Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the request did not come by the door");
        let who = parts.extensions.remove::<Who>().ok_or_else(lost)?;
        let peer = parts.extensions.get::<Peer>().cloned().ok_or_else(lost)?;
        Ok(Self { node: node.clone(), who, peer, parts, params, body })
    }
}

impl Call {
    /// Somebody, whoever it is.
    pub(super) fn somebody(&self) -> Result<&Identity, Refusal> {
        self.who
            .identity()?
            .ok_or_else(|| Refusal::new(Code::Unauthorized, "say who you are: by a bearer token or a cookie"))
    }

    /// Somebody with an account.
    pub(super) fn account(&self) -> Result<&Identity, Refusal> {
        let identity = self.somebody()?;
        match identity.standing {
            Standing::Account { .. } => Ok(identity),
            _ => Err(Refusal::new(Code::Forbidden, "only for those who have an account")),
        }
    }

    /// Somebody who looks after the chat.
    pub(super) fn admin(&self) -> Result<&Identity, Refusal> {
        let identity = self.somebody()?;
        match identity.standing {
            Standing::Account { admin: true, .. } => Ok(identity),
            _ => Err(Refusal::new(Code::Forbidden, "only for those who look after the chat")),
        }
    }

    /// Who is at the door, as far as that can be seen.
    pub(super) fn caller(&self) -> Caller {
        let headers = &self.parts.headers;
        let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).map(str::to_owned);
        let address = address::of_client(self.peer.address, headers, &self.node.config.trusted_proxies);
        Caller { agent, address }
    }

    /// What stands in the address.
    pub(super) fn param(&self, name: &str) -> &str {
        self.params.iter().find(|(one, _)| one == name).map_or("", |(_, value)| value)
    }

    /// The room that the address names.
    pub(super) fn room(&self) -> Result<RoomName, Refusal> {
        RoomName::parse(self.param("room"))
    }

    /// A number in the address.
    pub(super) fn number(&self, name: &str) -> Result<u64, Refusal> {
        number(name, self.param(name), 1)
    }

    /// A UUID in the address.
    pub(super) fn uuid(&self, name: &str) -> Result<Uuid, Refusal> {
        uuid(name, self.param(name))
    }

    /// What stands behind the question mark. All fields of `T` are optional texts: what they must be is for the caller to say.
    pub(super) fn query<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        let Query(query) = Query::try_from_uri(&self.parts.uri)
            .map_err(|_| Refusal::new(Code::InvalidField, "the query must name each thing once"))?;
        Ok(query)
    }

    /// The body: one JSON object.
    pub(super) async fn body<T: DeserializeOwned>(&mut self) -> Result<T, Problem> {
        let kind = self.parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.map(|kind| kind.split(';').next().unwrap_or_default().trim());
        if !kind.is_some_and(|kind| kind.eq_ignore_ascii_case("application/json")) {
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "a body must be application/json"));
        }
        let too_large = || {
            let detail = format!("a body is at most {BODY_BYTES_MAX} bytes");
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
        };
        let body = std::mem::take(&mut self.body);
        if body.size_hint().lower() > BODY_BYTES_MAX as u64 {
            return Err(too_large());
        }
        let bytes = to_bytes(body, BODY_BYTES_MAX).await.map_err(|_| too_large())?;
        Ok(object(&bytes)?)
    }
}

fn object<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    // A struct would also be read from an array, in order.
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Err(Refusal::new(Code::InvalidFrame, "a body is one JSON object"));
    }
    serde_json::from_slice(bytes).map_err(|error| match error.is_data() {
        true => Refusal::new(Code::InvalidField, format!("the body: {error}")),
        false => Refusal::new(Code::InvalidFrame, format!("not JSON: {error}")),
    })
}

/// A whole number that a signed 64-bit column can hold, written in digits only.
pub(super) fn number(name: &str, text: &str, least: u64) -> Result<u64, Refusal> {
    Some(text)
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .filter(|number| (least..=i64::MAX as u64).contains(number))
        .ok_or_else(|| Refusal::field(name, &format!("a whole number from {least}")))
}

/// A UUID in its usual spelling.
pub(super) fn uuid(name: &str, text: &str) -> Result<Uuid, Refusal> {
    Some(text)
        .filter(|text| text.len() == 36)
        .and_then(|text| Uuid::try_parse(text).ok())
        .ok_or_else(|| Refusal::field(name, "a UUID"))
}

/// How many a page may have.
pub(super) fn limit(text: Option<&str>) -> Result<usize, Refusal> {
    let Some(text) = text else { return Ok(proto::TAIL_DEFAULT) };
    Ok(usize::try_from(number("limit", text, 1)?).unwrap_or(proto::TAIL_MAX).min(proto::TAIL_MAX))
}

/// A name as it stands in an address.
pub(super) fn escaped(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => escaped.push(byte.into()),
            byte => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Said {
        text: String,
    }

    #[test]
    fn a_body_is_one_object_and_what_is_wrong_has_its_code() {
        let read = |text: &str| object::<Said>(text.as_bytes()).map_err(|refusal| refusal.code);
        assert_eq!(read(r#" {"text":"a","more":[1]} "#), Ok(Said { text: "a".into() }));
        for (bad, code) in [
            ("", Code::InvalidFrame),
            ("null", Code::InvalidFrame),
            (r#"["a"]"#, Code::InvalidFrame),
            (r#"{"text":"a""#, Code::InvalidFrame),
            (r#"{"text":"a"} x"#, Code::InvalidFrame),
            (r#"{"text":"\ud800"}"#, Code::InvalidFrame),
            ("{}", Code::InvalidField),
            (r#"{"text":7}"#, Code::InvalidField),
            (r#"{"text":"a","text":"b"}"#, Code::InvalidField),
        ] {
            assert_eq!(read(bad), Err(code), "{bad}");
        }
    }

    #[test]
    fn numbers_are_digits_and_fit_a_column() {
        assert_eq!(number("n", "9223372036854775807", 0), Ok(i64::MAX as u64));
        for bad in ["", "-1", "+1", " 1", "1.0", "0x1", "9223372036854775808", "99999999999999999999", "١"] {
            assert!(number("n", bad, 0).is_err(), "{bad}");
        }
        assert!(number("n", "0", 1).is_err());
        assert_eq!(limit(Some("100000")), Ok(proto::TAIL_MAX));
    }
}
