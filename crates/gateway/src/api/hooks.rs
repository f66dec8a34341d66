//! Incoming webhooks: a URL that posts. Who has it needs nothing else, so its end is a secret and stands in no log.

use axum::http::{HeaderMap, StatusCode};
use proto::{Code, MessageId, PersonName, Refusal, Text, User, WebhookId};
use roomlog::Job;
use serde::Deserialize;
use store::Post;
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer::{Answer, json};
use super::call::Call;
use super::messages::write;
use super::route::{Part, Route};
use super::schemas::{self, Kept};
use crate::writing::Kind;

/// A header by which a request that comes twice is the same request.
const KEY: &str = "idempotency-key";
/// Most bytes of it.
const KEY_BYTES_MAX: usize = 255;

pub(super) fn part() -> Part {
    let speak = Route::post("/hooks/{hook}/{secret}", speak)
        .says("speakByHook", "Say something in the room of an incoming webhook.")
        .more(
            "The URL is all that is needed: keep it as you keep a password. Say the same `id`, or the same header `Idempotency-Key`, \
             when you try again: the message is kept once either way. Without either each request is another message.",
        )
        .segment("hook", schemas::uuid(), "The webhook's id")
        .segment("secret", schemas::text(1, 255).build(), "Its secret, which was shown when it was made")
        .body::<Spoken>()
        .answers::<Kept>(StatusCode::CREATED, "It is kept, and durable")
        .answers::<Kept>(StatusCode::OK, "It had been kept before")
        .refuses(&[
            Code::NotFound,
            Code::TextEmpty,
            Code::TextTooLong,
            Code::InvalidName,
            Code::NameTaken,
            Code::IdTaken,
        ]);
    Part { name: "Incoming webhooks", about: "URLs that post.", routes: vec![speak] }
}

/// What is to be said.
#[derive(Deserialize, ToSchema)]
struct Spoken {
    #[schema(schema_with = schemas::says)]
    text: String,
    /// The name to say it under; without it, the webhook's. No account's.
    #[schema(nullable = false, min_length = 1, max_length = 64)]
    username: Option<String>,
    /// The message's id, made by you.
    #[schema(nullable = false)]
    id: Option<Uuid>,
}

async fn speak(mut call: Call) -> Answer {
    let hook = WebhookId(call.uuid("hook")?);
    let speaker = call.node.hooks.speaker(hook, call.param("secret")).await?;
    let Spoken { text, username, id } = call.body().await?;
    let text = Text::parse(&text)?;
    let name = match username {
        Some(name) => {
            let name = PersonName::parse(&name)?;
            call.node.people.must_be_free(&name).await?;
            name
        }
        None => speaker.user.name,
    };
    let id = id_of(hook, id, &call.parts.headers)?;
    let (room, from) = (speaker.room, User { id: speaker.user.id, name });
    let by = from.id;
    let post = Post { room: room.clone(), id, from, text, reply_to: None };
    let kept = write(&call.node, by, &room, Kind::Send, Job::Post(post)).await?;
    json(if kept.known { StatusCode::OK } else { StatusCode::CREATED }, &Kept::from(kept))
}

/// The same for the same request, if it says that it is the same.
fn id_of(hook: WebhookId, id: Option<Uuid>, headers: &HeaderMap) -> Result<MessageId, Refusal> {
    let key = headers.get(KEY).map(|key| key.to_str().unwrap_or_default());
    match (id, key) {
        (Some(id), _) => Ok(MessageId(id)),
        (None, Some(key)) if (1..=KEY_BYTES_MAX).contains(&key.len()) => {
            Ok(MessageId(people::derived(&["hook", &hook.to_string(), key])))
        }
        (None, Some(_)) => Err(Refusal::field(KEY, "1 to 255 visible characters")),
        (None, None) => Ok(MessageId(Uuid::new_v4())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_key_is_the_same_message_of_the_same_webhook() {
        let (one, two) = (WebhookId(Uuid::from_u128(1)), WebhookId(Uuid::from_u128(2)));
        let keyed = |key: &str| HeaderMap::from_iter([(KEY.parse().unwrap(), key.parse().unwrap())]);
        let id = |hook, key: &str| id_of(hook, None, &keyed(key)).unwrap();
        assert_eq!(id(one, "a"), id(one, "a"));
        assert_ne!(id(one, "a"), id(one, "b"));
        assert_ne!(id(one, "a"), id(two, "a"));
        assert_eq!(id_of(one, Some(Uuid::from_u128(7)), &keyed("a")), Ok(MessageId(Uuid::from_u128(7))));
        let none = HeaderMap::new();
        assert_ne!(id_of(one, None, &none), id_of(one, None, &none));
        for bad in [String::new(), "a".repeat(256)] {
            assert!(id_of(one, None, &keyed(&bad)).is_err());
        }
    }
}
