//! API keys: one's own, and those of bots for whoever looks after the chat.

use axum::http::StatusCode;
use people::{AccountKind, Grant, GrantId};
use proto::{Code, Refusal, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer::{Answer, json, nothing};
use super::call::Call;
use super::route::{Part, Route};
use super::schemas;

const MINE: &str = "/keys";
const BOTS: &str = "/accounts/{account}/keys";

pub(super) fn part() -> Part {
    let about_token = "The token is told here and never again; only its hash is kept.";
    let of_bot = |route: Route| {
        let route = route.known().segment("account", schemas::uuid(), "The bot's id");
        route.refuses(&[Code::NotFound])
    };
    let key = |route: Route| route.segment("key", schemas::uuid(), "The key's id").refuses(&[Code::NotFound]);
    let routes = vec![
        Route::get(MINE, list)
            .says("listKeys", "Your API keys.")
            .known()
            .answers::<KeyList>(StatusCode::OK, "Your keys"),
        Route::post(MINE, make)
            .says("makeKey", "Make an API key: whoever brings its token is you.")
            .more(about_token)
            .known()
            .body::<NewKey>()
            .answers::<MadeKey>(StatusCode::CREATED, "The key, and its token")
            .refuses(&[Code::NotFound]),
        key(Route::delete("/keys/{key}", end))
            .says("endKey", "End one of your API keys, and whatever is connected by it.")
            .known()
            .done("It has ended"),
        of_bot(Route::get(BOTS, list_of_bot))
            .says("listKeysOfBot", "A bot's API keys. For admins.")
            .answers::<KeyList>(StatusCode::OK, "Its keys"),
        of_bot(Route::post(BOTS, make_for_bot))
            .says("makeKeyForBot", "Make an API key for a bot. For admins.")
            .more(about_token)
            .body::<NewKey>()
            .answers::<MadeKey>(StatusCode::CREATED, "The key, and its token"),
        key(of_bot(Route::delete("/accounts/{account}/keys/{key}", end_of_bot)))
            .says("endKeyOfBot", "End one of a bot's API keys. For admins.")
            .done("It has ended"),
    ];
    Part {
        name: "API keys",
        about: "Tokens for programs. They do not expire; end those that are no longer needed.",
        routes,
    }
}

/// A key to be made.
#[derive(Deserialize, ToSchema)]
struct NewKey {
    /// What it is for, in your words: 1 to 64 characters on one line.
    #[schema(min_length = 1, max_length = 64)]
    label: String,
}

/// An API key; not its token.
#[derive(Serialize, ToSchema)]
#[schema(as = Key)]
struct KeyShown {
    id: Uuid,
    /// What it is for.
    label: String,
    #[schema(schema_with = schemas::moment)]
    created_at: String,
    /// When it was last used, roughly.
    #[schema(schema_with = schemas::moment)]
    used_at: String,
}

impl From<Grant> for KeyShown {
    fn from(grant: Grant) -> Self {
        Self {
            id: grant.id,
            label: grant.label.unwrap_or_default(),
            created_at: grant.created_at.to_string(),
            used_at: grant.used_at.to_string(),
        }
    }
}

/// All keys of an account.
#[derive(Serialize, ToSchema)]
struct KeyList {
    keys: Vec<KeyShown>,
}

/// A key that was just made.
#[derive(Serialize, ToSchema)]
struct MadeKey {
    key: KeyShown,
    /// For `Authorization: Bearer`, and for `hello` over WebSocket.
    token: String,
}

async fn list(call: Call) -> Answer {
    let account = call.account()?.user.id;
    listed(&call.node.people, account).await
}

async fn make(mut call: Call) -> Answer {
    let account = call.account()?.user.id;
    let NewKey { label } = call.body().await?;
    made(&call.node.people, account, &label).await
}

async fn end(call: Call) -> Answer {
    let account = call.account()?.user.id;
    call.node.people.revoke(account, GrantId(call.uuid("key")?)).await?;
    nothing()
}

async fn list_of_bot(call: Call) -> Answer {
    call.admin()?;
    let bot = bot(&call.node.people, UserId(call.uuid("account")?)).await?;
    listed(&call.node.people, bot).await
}

async fn make_for_bot(mut call: Call) -> Answer {
    call.admin()?;
    let account = UserId(call.uuid("account")?);
    let NewKey { label } = call.body().await?;
    let bot = bot(&call.node.people, account).await?;
    made(&call.node.people, bot, &label).await
}

async fn end_of_bot(call: Call) -> Answer {
    call.admin()?;
    let key = GrantId(call.uuid("key")?);
    let bot = bot(&call.node.people, UserId(call.uuid("account")?)).await?;
    call.node.people.revoke(bot, key).await?;
    nothing()
}

/// A person's keys are nobody else's business: with one, an admin could speak as that person.
async fn bot(people: &people::People, account: UserId) -> Result<UserId, Refusal> {
    match people.account(account).await?.kind {
        AccountKind::Bot => Ok(account),
        AccountKind::Person => Err(Refusal::new(Code::Forbidden, "people make their own keys")),
    }
}

async fn listed(people: &people::People, account: UserId) -> Answer {
    let keys = people.keys(account).await?.into_iter().map(KeyShown::from).collect();
    json(StatusCode::OK, &KeyList { keys })
}

async fn made(people: &people::People, account: UserId, label: &str) -> Answer {
    let (grant, token) = people.create_key(account, label).await?;
    json(StatusCode::CREATED, &MadeKey { key: KeyShown::from(grant), token })
}
