//! Telling an outgoing webhook what happened in its room.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use outgoing::{
    Answer, Call, Client, Destination, HeaderMap, HeaderName, HeaderValue, Method, OutgoingError, StatusCode,
};
use proto::{Message, RoomName, Timestamp, WebhookId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use store::{Direction, Keeper, Store, WEBHOOK_TASK, Webhook, Webhooks};
use tasks::{Failure, Kind, Manner, Task};
use uuid::Uuid;

use crate::signature::{DELIVERY, EVENT, SIGNATURE, signature};

/// The longest pause that a receiver may ask for.
const ASKED_PAUSE_MAX: Duration = Duration::from_secs(3_600);

/// The kind `webhook`. What a message says is read when it is told, and a webhook that is gone or disabled is not told any more.
pub struct Deliver {
    store: Arc<dyn Keeper>,
    client: Client,
}

/// What the store wrote beside the message.
#[derive(Deserialize)]
struct Happened {
    webhook: Uuid,
    room: RoomName,
    seq: u64,
    event: String,
}

/// What is told.
#[derive(Serialize)]
struct Told<'a> {
    event: &'a str,
    webhook: WebhookId,
    delivery: Uuid,
    message: &'a RawValue,
}

impl Deliver {
    /// Of this store, by this client.
    pub fn new(store: Arc<dyn Keeper>, client: Client) -> Self {
        Self { store, client }
    }

    async fn message(&self, room: &RoomName, seq: u64) -> Result<Option<Message>, Failure> {
        let found = Store::before(&*self.store, room, seq.saturating_add(1), 1).await?;
        Ok(found.messages.into_iter().find(|message| message.seq == seq))
    }

    async fn tell(&self, webhook: &Webhook, call: Call) -> Result<(), Failure> {
        let answer = self.client.call(call).await.map_err(of_call)?;
        if answer.status.is_success() {
            return Ok(());
        }
        if answer.status == StatusCode::GONE {
            // It was asked for not to be told again; whoever made it may enable it.
            let disabled = Webhook { disabled_at: Some(Timestamp(0)), ..webhook.clone() };
            Webhooks::change_webhook(&*self.store, &disabled).await?;
            tracing::info!(webhook = %webhook.id, room = %webhook.room, "a webhook answered 410 and is disabled");
            return Ok(());
        }
        Err(Failure::retry_after(format!("the receiver answered {}", answer.status), asked_pause(&answer)))
    }
}

impl Kind for Deliver {
    const NAME: &'static str = WEBHOOK_TASK;

    /// Some hours in all: receivers are deployed, and forgotten over lunch.
    fn manner(&self) -> Manner {
        Manner {
            time_limit: Duration::from_secs(20),
            attempts_max: 16,
            first_pause: Duration::from_secs(2),
            longest_pause: ASKED_PAUSE_MAX,
            ..Manner::default()
        }
    }

    async fn run(&self, task: &Task) -> Result<(), Failure> {
        let happened: Happened = serde_json::from_str(&task.payload).map_err(Failure::give_up)?;
        let Some(webhook) = Webhooks::webhook(&*self.store, WebhookId(happened.webhook)).await? else { return Ok(()) };
        let (Direction::Out, None, Some(url)) = (webhook.direction, webhook.disabled_at, &webhook.url) else {
            return Ok(());
        };
        let to = Destination::parse(url).map_err(of_call)?;
        // What is no longer kept cannot be told.
        let Some(message) = self.message(&happened.room, happened.seq).await? else { return Ok(()) };
        let frame = message.frame();
        let message = serde_json::from_slice(frame.payload()).map_err(Failure::give_up)?;
        let told = Told { event: &happened.event, webhook: webhook.id, delivery: task.id.0, message };
        let body = Bytes::from(serde_json::to_vec(&told).map_err(Failure::give_up)?);
        let headers =
            headers(&webhook.secret, &told, &body).ok_or_else(|| Failure::give_up("its headers are no headers"))?;
        let call = Call { to, method: Method::POST, headers, body, https: true, body_max: None };
        self.tell(&webhook, call).await
    }
}

fn headers(secret: &str, told: &Told<'_>, body: &[u8]) -> Option<HeaderMap> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let pairs = [
        ("content-type", "application/json".to_owned()),
        (SIGNATURE, signature(secret, now, body)),
        (DELIVERY, told.delivery.to_string()),
        (EVENT, told.event.to_owned()),
    ];
    pairs
        .into_iter()
        .map(|(name, value)| Some((HeaderName::from_static(name), HeaderValue::try_from(value).ok()?)))
        .collect()
}

fn of_call(error: OutgoingError) -> Failure {
    if error.is_passing() { Failure::retry(error) } else { Failure::give_up(error) }
}

/// In seconds; a date is not understood, and the ordinary pause does.
fn asked_pause(answer: &Answer) -> Duration {
    let asked = answer.headers.get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
    asked.map_or(Duration::ZERO, Duration::from_secs).min(ASKED_PAUSE_MAX)
}
