//! Who asks, and what every request of the API passes: origins, rates, and the headers that all answers have.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use people::Identity;
use proto::{Code, Refusal};

use crate::address;
use crate::credentials::{self, Credential, Doing};
use crate::http::cors::Cors;
use crate::http::problem::Problem;
use crate::http::server::Peer;
use crate::limits::{Allowance, Asker};
use crate::node::{Node, Phase};

/// What pages of other origins may ask by.
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";
/// What they may read of an answer besides its body.
const EXPOSED: &str = "location, retry-after, ratelimit-limit, ratelimit-remaining, ratelimit-reset";

const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// Who asks. Whoever brings something that does not hold is refused only where it matters: a browser that has the cookie of a
/// session that is over must be able to sign in.
#[derive(Clone, Debug)]
pub(crate) struct Who(Result<Option<Identity>, Refusal>);

impl Who {
    async fn of(node: &Node, method: &Method, headers: &HeaderMap) -> Self {
        let brings = credentials::of(headers, &node.config, Doing::by(method));
        Self(match brings.map(|brings| brings.map(Credential::token)) {
            Ok(Some(token)) => node.people.recognize(token).await.map(Some),
            Ok(None) => Ok(None),
            Err(refusal) => Err(refusal),
        })
    }

    /// Somebody, or nobody yet.
    ///
    /// # Errors
    /// Why what the request brings does not count.
    pub(crate) fn identity(&self) -> Result<Option<&Identity>, Refusal> {
        self.0.as_ref().map(Option::as_ref).map_err(Clone::clone)
    }
}

/// What every request passes on its way in, and every answer on its way out.
pub(crate) async fn guard(State(node): State<Arc<Node>>, request: Request, next: Next) -> Response {
    let cors = match Cors::check(&node, request.headers()) {
        Ok(cors) => cors,
        Err(problem) => return finished(&node, problem.into_response()),
    };
    let mut response = if is_preflight(&request) {
        let mut response = StatusCode::NO_CONTENT.into_response();
        Cors::preflight(METHODS, request.headers(), &mut response);
        response
    } else {
        let (mut response, allowance) = answer(&node, request, next).await;
        if let Some(allowance) = allowance {
            tell(&allowance, response.headers_mut());
        }
        finished(&node, response)
    };
    cors.apply(&mut response);
    response.headers_mut().insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    response
}

async fn answer(node: &Arc<Node>, mut request: Request, next: Next) -> (Response, Option<Allowance>) {
    let Some(peer) = request.extensions().get::<Peer>() else {
        let lost = Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the request did not come by the door");
        return (lost.into_response(), None);
    };
    let address = address::of_client(peer.address, request.headers(), &node.config.trusted_proxies);
    let who = Who::of(node, request.method(), request.headers()).await;
    let asker = match &who.0 {
        Ok(Some(identity)) => Asker::User(identity.user.id),
        _ => Asker::Address(address::counted(address)),
    };
    let (mut passed, mut allowance) = node.request_rate.spend(asker);
    // Here first, which costs nothing, and then together with all other nodes.
    if let (Ok(()), Some(pace)) = (&passed, node.request_rate.pace()) {
        passed = node.people.pace(&asker.to_string(), pace).await;
    }
    if let Err(refusal) = passed {
        allowance = allowance.map(|allowance| Allowance { remaining: 0, ..allowance });
        return (Problem::of(&refusal).into_response(), allowance);
    }
    request.extensions_mut().insert(who);
    (next.run(request).await, allowance)
}

/// A browser's question before the request itself.
fn is_preflight(request: &Request) -> bool {
    let headers = request.headers();
    request.method() == Method::OPTIONS
        && headers.contains_key(header::ORIGIN)
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

fn tell(Allowance { limit, remaining, reset }: &Allowance, headers: &mut HeaderMap) {
    for (name, value) in [(LIMIT, limit), (REMAINING, remaining), (RESET, reset)] {
        headers.insert(name, HeaderValue::from(*value));
    }
}

/// Counts an answer, and gives it what all have.
fn finished(node: &Node, mut response: Response) -> Response {
    let class = match response.status().as_u16() {
        ..400 => "ok",
        400..500 => "rejected",
        _ => "unavailable",
    };
    node.metrics.requests.with_label_values(&[class]).inc();
    if let Some(code) = response.extensions().get::<Code>() {
        node.metrics.refusals.with_label_values(&[code.as_str()]).inc();
    }
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if node.phase() != Phase::Ready {
        // The next request is better asked elsewhere.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
