//! Guests: a name is enough to talk, where that is allowed.

use axum::http::StatusCode;
use proto::{Code, PersonName};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::{Answer, json};
use super::call::Call;
use super::route::{Part, Route};
use super::schemas::{self, UserShown};

pub(super) fn part() -> Part {
    let enter = Route::post("/guests", enter)
        .says("enterAsGuest", "Become a guest, with a name and nothing else.")
        .more("Names of guests are not unique. Keep the token: who brings it is the same guest again, on any node.")
        .body::<NewGuest>()
        .answers::<NewcomerShown>(StatusCode::CREATED, "A guest whom nobody has met before")
        .refuses(&[Code::InvalidName, Code::NameTaken, Code::Unauthorized]);
    Part { name: "Guests", about: "People without an account.", routes: vec![enter] }
}

/// Who wants to come in.
#[derive(Deserialize, ToSchema)]
struct NewGuest {
    #[schema(schema_with = schemas::name)]
    name: String,
}

/// Somebody new.
#[derive(Serialize, ToSchema)]
#[schema(as = Guest)]
struct NewcomerShown {
    user: UserShown,
    /// For `Authorization: Bearer`, and for `hello` over WebSocket.
    token: String,
}

async fn enter(mut call: Call) -> Answer {
    let wanted: NewGuest = call.body().await?;
    let guest = call.node.people.guest(PersonName::parse(&wanted.name)?).await?;
    let token = call.node.people.guest_token(&guest.user);
    json(StatusCode::CREATED, &NewcomerShown { user: UserShown::from(&guest.user), token })
}
