//! Sessions: signing in, out, and the list of what is signed in.

use axum::http::{StatusCode, header};
use axum::response::Response;
use people::{Grant, GrantId, Identity};
use proto::{Code, PersonName, Refusal};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer::{Answer, json, nothing};
use super::call::Call;
use super::route::{Part, Route};
use super::schemas::{self, UserShown};
use crate::credentials::{self, Page};

const ALL: &str = "/sessions";
/// For as long as browsers keep anything: the session itself ends when it is not used.
const COOKIE_SECONDS: u64 = 400 * 24 * 3_600;

pub(super) fn part() -> Part {
    let sign_in = Route::post(ALL, sign_in)
        .says("signIn", "Sign in to an account, by name and password.")
        .more("How often may be tried is bounded, by name and by address. A session ends when it is not used for a while.")
        .body::<Pair>()
        .answers::<SignedIn>(StatusCode::CREATED, "A session has begun")
        .sets_cookie(StatusCode::CREATED)
        .refuses(&[Code::Unauthorized, Code::InvalidName]);
    let list = Route::get(ALL, list)
        .says("listSessions", "Where you are signed in, the newest first.")
        .known()
        .answers::<SessionList>(StatusCode::OK, "Your sessions");
    let end_all = Route::delete(ALL, end_all)
        .says("endAllSessions", "Sign out everywhere.")
        .more("All your sessions and API keys end, and with them whatever is connected by one, on every node.")
        .known()
        .query("keep", schemas::words(&["current"]), "`current`: all but the one that asks")
        .done("They have ended");
    let end = Route::delete("/sessions/{session}", end)
        .says("endSession", "Sign out one of your sessions, and whatever is connected by it.")
        .known()
        .segment("session", schemas::uuid(), "The session's id")
        .done("It has ended")
        .refuses(&[Code::NotFound]);
    let sign_out = Route::delete("/sessions/current", sign_out)
        .says("signOut", "Sign out. The cookie is taken back.")
        .known()
        .done("The session has ended")
        .sets_cookie(StatusCode::NO_CONTENT);
    let about = "Being signed in: by a token that is good on every node, or a cookie in a browser.";
    Part { name: "Sessions", about, routes: vec![sign_in, list, end_all, end, sign_out] }
}

/// Who somebody says they are.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewSession)]
struct Pair {
    #[schema(schema_with = schemas::name)]
    name: String,
    #[schema(schema_with = schemas::password)]
    password: String,
    /// Whether a browser is to keep the session, as a cookie that no script can read. There is no `token` in the answer then.
    #[serde(default)]
    cookie: bool,
}

/// Somebody who is signed in.
#[derive(Serialize, ToSchema)]
pub(super) struct SignedIn {
    user: UserShown,
    /// For `Authorization: Bearer`, and for `hello` over WebSocket. Told here and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    token: Option<String>,
}

/// A session.
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
struct SessionShown {
    id: Uuid,
    /// Whether it is the one that asks.
    current: bool,
    /// With what program it was begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    agent: Option<String>,
    /// From where it was begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    address: Option<String>,
    #[schema(schema_with = schemas::moment)]
    created_at: String,
    /// When it was last used, roughly.
    #[schema(schema_with = schemas::moment)]
    used_at: String,
    /// When it ends, unless it is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schemas::moment, required = false)]
    expires_at: Option<String>,
}

/// All sessions of an account.
#[derive(Serialize, ToSchema)]
struct SessionList {
    sessions: Vec<SessionShown>,
}

#[derive(Deserialize)]
struct Wanted {
    keep: Option<String>,
}

async fn sign_in(mut call: Call) -> Answer {
    let Pair { name, password, cookie } = call.body().await?;
    may_have_cookie(&call, cookie)?;
    let signed_in = call.node.people.sign_in(&PersonName::parse(&name)?, &password, &call.caller()).await?;
    begun(&call, signed_in, cookie)
}

/// A page that is not ours, let in by `*`, gets no cookie: whoever made it could sign a visitor in as somebody else.
pub(super) fn may_have_cookie(call: &Call, wanted: bool) -> Result<(), Refusal> {
    match Page::of(&call.parts.headers, &call.node.config) {
        Page::Stranger if wanted => Err(Refusal::new(Code::Forbidden, "pages of this origin get no cookie")),
        _ => Ok(()),
    }
}

/// A session has begun: its token goes into the answer, or into a cookie.
pub(super) fn begun(call: &Call, (identity, token): (Identity, String), cookie: bool) -> Answer {
    let user = UserShown::from(&identity.user);
    let shown = SignedIn { user, token: (!cookie).then(|| token.clone()) };
    let mut response = json(StatusCode::CREATED, &shown)?;
    if cookie {
        set_cookie(call, &mut response, &token, COOKIE_SECONDS);
    }
    Ok(response)
}

fn set_cookie(call: &Call, response: &mut Response, token: &str, seconds: u64) {
    let by_tls = credentials::is_by_tls(call.peer.address, &call.parts.headers, &call.node.config);
    if let Some(cookie) = credentials::set_cookie(token, seconds, by_tls) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
}

async fn list(call: Call) -> Answer {
    let identity = call.account()?;
    let grants = call.node.people.sessions(identity.user.id).await?;
    let sessions = grants.into_iter().map(|grant| shown(grant, identity.grant())).collect();
    json(StatusCode::OK, &SessionList { sessions })
}

fn shown(grant: Grant, current: Option<GrantId>) -> SessionShown {
    SessionShown {
        id: grant.id,
        current: current == Some(GrantId(grant.id)),
        agent: grant.agent,
        address: grant.address,
        created_at: grant.created_at.to_string(),
        used_at: grant.used_at.to_string(),
        expires_at: grant.expires_at.map(|at| at.to_string()),
    }
}

async fn end_all(call: Call) -> Answer {
    let identity = call.account()?;
    let keep = match call.query::<Wanted>()?.keep.as_deref() {
        Some("current") => identity.grant(),
        Some(_) => return Err(Refusal::field("keep", "`current`").into()),
        None => None,
    };
    call.node.people.revoke_all(identity.user.id, keep).await?;
    nothing()
}

async fn end(call: Call) -> Answer {
    let account = call.account()?.user.id;
    call.node.people.revoke(account, GrantId(call.uuid("session")?)).await?;
    nothing()
}

async fn sign_out(call: Call) -> Answer {
    let over =
        |refusal: &Refusal| refusal.code == Code::Unauthorized && call.parts.headers.contains_key(header::COOKIE);
    match call.account() {
        Ok(identity) => call.node.people.sign_out(identity).await?,
        // The session is over, and only the browser does not know.
        Err(refusal) if over(&refusal) => {}
        Err(refusal) => return Err(refusal.into()),
    }
    let mut response = nothing()?;
    set_cookie(&call, &mut response, "", 0);
    Ok(response)
}
