//! Webhooks of rooms, for whoever looks after the chat.

use axum::http::StatusCode;
use proto::{Code, PersonName, Refusal, Timestamp, WebhookId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
use webhooks::{Direction, Events, HOOKS_MAX, NewHook, Webhook};

use super::answer::{Answer, json, nothing};
use super::call::Call;
use super::route::{Part, Route};
use super::schemas;

const OF_ROOM: &str = "/rooms/{room}/webhooks";
const ONE: &str = "/webhooks/{webhook}";

pub(super) fn part() -> Part {
    let in_room =
        |route: Route| route.known().segment("room", schemas::room(), "The room's name").refuses(&[Code::InvalidRoom]);
    let one =
        |route: Route| route.known().segment("webhook", schemas::uuid(), "The webhook's id").refuses(&[Code::NotFound]);
    let routes = vec![
        in_room(Route::get(OF_ROOM, list))
            .says("listWebhooks", "The webhooks of a room. For admins.")
            .answers::<HookList>(StatusCode::OK, "All of them"),
        in_room(Route::post(OF_ROOM, make))
            .says("makeWebhook", "Have a URL told of a room, or get one that posts to it. For admins.")
            .more("The secret is told here and never again. Deliveries of an outgoing one are signed with it; of an incoming one it is the end of `path`.")
            .body::<NewWebhook>()
            .answers::<MadeHook>(StatusCode::CREATED, "The webhook, and its secret")
            .refuses(&[Code::InvalidName]),
        one(Route::get(ONE, look))
            .says("getWebhook", "One webhook. For admins.")
            .answers::<HookShown>(StatusCode::OK, "The webhook"),
        one(Route::patch(ONE, change))
            .says("changeWebhook", "Give a webhook another name or address or other events, or disable or enable it. For admins.")
            .body::<Changes>()
            .answers::<HookShown>(StatusCode::OK, "The webhook as it is now")
            .refuses(&[Code::InvalidName]),
        one(Route::delete(ONE, remove)).says("removeWebhook", "Forget a webhook. For admins.").done("It is gone"),
    ];
    let about = "Who outside is told of a room, by signed requests, and who outside may speak in it.";
    Part { name: "Webhooks", about, routes }
}

/// A webhook to be made.
#[derive(Deserialize, ToSchema)]
struct NewWebhook {
    #[schema(schema_with = direction)]
    direction: String,
    /// What people call it; an incoming one speaks under this name.
    #[schema(schema_with = schemas::name)]
    name: String,
    /// Of an outgoing one, where it is told, by HTTPS.
    #[schema(nullable = false, max_length = 2048)]
    url: Option<String>,
    /// Of an outgoing one, what it hears of: `message`, `edit`, `delete`. Without it, all of them.
    #[schema(nullable = false, max_items = 3)]
    events: Option<Vec<String>>,
}

/// What is to be another way. What is not named stays.
#[derive(Deserialize, ToSchema)]
struct Changes {
    #[schema(nullable = false, min_length = 1, max_length = 64)]
    name: Option<String>,
    #[schema(nullable = false, max_length = 2048)]
    url: Option<String>,
    #[schema(nullable = false, max_items = 3)]
    events: Option<Vec<String>>,
    #[schema(nullable = false)]
    disabled: Option<bool>,
}

fn direction() -> utoipa::openapi::Object {
    schemas::words(&["in", "out"])
}

/// A webhook; not its secret.
#[derive(Serialize, ToSchema)]
#[schema(as = Webhook)]
struct HookShown {
    id: Uuid,
    #[schema(schema_with = schemas::room)]
    room: String,
    #[schema(schema_with = direction)]
    direction: &'static str,
    name: String,
    /// Of an outgoing one.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    events: Vec<&'static str>,
    /// The account that made it.
    created_by: Uuid,
    #[schema(schema_with = schemas::moment)]
    created_at: String,
    /// Whether it is not told any more, and may not speak: an outgoing one that answers 410 is disabled.
    disabled: bool,
}

impl From<Webhook> for HookShown {
    fn from(webhook: Webhook) -> Self {
        Self {
            id: webhook.id.0,
            room: webhook.room.to_string(),
            direction: webhook.direction.as_str(),
            name: webhook.name,
            url: webhook.url,
            events: webhook.events.names(),
            created_by: webhook.created_by.0,
            created_at: webhook.created_at.to_string(),
            disabled: webhook.disabled_at.is_some(),
        }
    }
}

/// All webhooks of a room.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookList)]
struct HookList {
    webhooks: Vec<HookShown>,
}

/// A webhook that was just made.
#[derive(Serialize, ToSchema)]
#[schema(as = MadeWebhook)]
struct MadeHook {
    webhook: HookShown,
    /// What deliveries are signed with, or what callers must know.
    secret: String,
    /// Of an incoming one: where to post, on any node.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
}

async fn list(call: Call) -> Answer {
    call.admin()?;
    let room = call.room()?;
    let webhooks = call.node.hooks.list(Some(&room), None, HOOKS_MAX).await?;
    json(StatusCode::OK, &HookList { webhooks: webhooks.into_iter().map(HookShown::from).collect() })
}

async fn make(mut call: Call) -> Answer {
    let created_by = call.admin()?.user.id;
    let room = call.room()?;
    let NewWebhook { direction, name, url, events } = call.body().await?;
    let direction = match direction.as_str() {
        "in" => Direction::In,
        "out" => Direction::Out,
        _ => return Err(Refusal::field("direction", "`in` or `out`").into()),
    };
    let events = named(events)?.unwrap_or(Events::ALL);
    let new = NewHook { room, direction, name: PersonName::parse(&name)?, url, events, created_by };
    let (webhook, secret) = call.node.hooks.add(new).await?;
    let path = (direction == Direction::In).then(|| format!("{}/hooks/{}/{}", super::ROOT, webhook.id, secret.0));
    json(StatusCode::CREATED, &MadeHook { webhook: webhook.into(), secret: secret.0, path })
}

async fn look(call: Call) -> Answer {
    call.admin()?;
    let webhook = call.node.hooks.look(WebhookId(call.uuid("webhook")?)).await?;
    json(StatusCode::OK, &HookShown::from(webhook))
}

async fn change(mut call: Call) -> Answer {
    call.admin()?;
    let id = WebhookId(call.uuid("webhook")?);
    let Changes { name, url, events, disabled } = call.body().await?;
    let webhook = call.node.hooks.look(id).await?;
    let changed = Webhook {
        name: name.map_or(Ok(webhook.name.clone()), |name| PersonName::parse(&name).map(|name| name.to_string()))?,
        url: url.or(webhook.url.clone()),
        events: named(events)?.filter(|_| webhook.direction == Direction::Out).unwrap_or(webhook.events),
        disabled_at: match disabled {
            Some(true) => webhook.disabled_at.or(Some(Timestamp(0))), // the store has the clock
            Some(false) => None,
            None => webhook.disabled_at,
        },
        ..webhook
    };
    json(StatusCode::OK, &HookShown::from(call.node.hooks.change(changed).await?))
}

async fn remove(call: Call) -> Answer {
    call.admin()?;
    call.node.hooks.remove(WebhookId(call.uuid("webhook")?)).await?;
    nothing()
}

fn named(events: Option<Vec<String>>) -> Result<Option<Events>, Refusal> {
    let Some(names) = events else { return Ok(None) };
    let events = Events::named(names.iter().map(String::as_str)).filter(|events| !events.names().is_empty());
    events.map(Some).ok_or_else(|| Refusal::field("events", "some of `message`, `edit` and `delete`"))
}
