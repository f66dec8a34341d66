//! Making webhooks, and letting in who comes by an incoming one.

use std::fmt;
use std::sync::Arc;

use outgoing::{Client, Destination};
use proto::{Code, PersonName, Refusal, RoomName, Timestamp, User, UserId, WebhookId};
use store::{Direction, Events, StoreError, Webhook, Webhooks};
use uuid::Uuid;

use crate::secret;

/// Most webhooks of a room: each message is a task for each of them.
pub const HOOKS_MAX: usize = 20;

const SOON_MS: u64 = 1_000;

/// Webhooks of all rooms. Cheap to clone.
#[derive(Clone)]
pub struct Hooks {
    store: Arc<dyn Webhooks>,
    client: Client,
}

/// A webhook that is to be.
#[derive(Clone, Debug)]
pub struct NewHook {
    /// Its room.
    pub room: RoomName,
    /// Which way it goes.
    pub direction: Direction,
    /// What people call it; an incoming one speaks under this name.
    pub name: PersonName,
    /// Where an outgoing one is told; an incoming one has none.
    pub url: Option<String>,
    /// What an outgoing one hears of; for an incoming one it does not count.
    pub events: Events,
    /// Who makes it.
    pub created_by: UserId,
}

/// A secret that is shown once, to who made the webhook; never in a log.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretOnce(pub String);

impl fmt::Debug for SecretOnce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Who speaks by an incoming webhook, and where.
#[derive(Clone, Debug)]
pub struct Speaker {
    /// The webhook's own person, the same for everything that comes by it.
    pub user: User,
    /// Its room.
    pub room: RoomName,
}

impl Hooks {
    /// Of this store, called by this client.
    pub fn new(store: Arc<dyn Webhooks>, client: Client) -> Self {
        Self { store, client }
    }

    /// Makes one. The secret is known to nobody afterwards but to who asked: deliveries are signed with it, or it is the end of the URL
    /// that posts.
    ///
    /// # Errors
    /// `invalid_field` for an address that will not be called, `forbidden` past [`HOOKS_MAX`], `unavailable`.
    pub async fn add(&self, new: NewHook) -> Result<(Webhook, SecretOnce), Refusal> {
        let url = self.may_have(new.direction, new.url.as_deref())?;
        let others = self.store.list_webhooks(Some(&new.room), None, HOOKS_MAX).await.map_err(away)?;
        if others.len() >= HOOKS_MAX {
            return Err(Refusal::new(Code::Forbidden, format!("a room has at most {HOOKS_MAX} webhooks")));
        }
        let secret = secret::fresh();
        let webhook = Webhook {
            room: new.room,
            id: WebhookId(Uuid::new_v4()),
            direction: new.direction,
            name: new.name.to_string(),
            url,
            secret: if new.direction == Direction::In { secret::hash(&secret) } else { secret.clone() },
            events: if new.direction == Direction::In { Events::NONE } else { new.events },
            created_by: new.created_by,
            created_at: Timestamp(0),
            disabled_at: None,
        };
        self.store.add_webhook(&webhook).await.map_err(away)?;
        Ok((self.look(webhook.id).await?, SecretOnce(secret)))
    }

    /// The address as it will be called.
    fn may_have(&self, direction: Direction, url: Option<&str>) -> Result<Option<String>, Refusal> {
        let wrong = |why: String| Refusal::new(Code::InvalidField, format!("`url`: {why}"));
        match (direction, url) {
            (Direction::In, None) => Ok(None),
            (Direction::In, Some(_)) => Err(wrong("an incoming webhook has none; it gets one of ours".into())),
            (Direction::Out, None) => Err(Refusal::field("url", "the address to tell")),
            (Direction::Out, Some(url)) => {
                let to = Destination::parse(url).map_err(|error| wrong(error.to_string()))?;
                self.client.check(&to).map_err(|error| wrong(error.to_string()))?;
                Ok(Some(to.as_str().to_owned()))
            }
        }
    }

    /// One of them.
    ///
    /// # Errors
    /// `not_found`, `unavailable`.
    pub async fn look(&self, id: WebhookId) -> Result<Webhook, Refusal> {
        self.store.webhook(id).await.map_err(away)?.ok_or_else(not_there)
    }

    /// Those of a room, or all; those behind `after`, at most `limit`.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn list(
        &self,
        room: Option<&RoomName>,
        after: Option<(&RoomName, WebhookId)>,
        limit: usize,
    ) -> Result<Vec<Webhook>, Refusal> {
        self.store.list_webhooks(room, after, limit).await.map_err(away)
    }

    /// Gives one another name, address and other events, or disables or enables it. Its secret and its direction stay.
    ///
    /// # Errors
    /// As [`add`](Self::add), and `not_found`.
    pub async fn change(&self, changed: Webhook) -> Result<Webhook, Refusal> {
        let url = self.may_have(changed.direction, changed.url.as_deref())?;
        let (id, changed) = (changed.id, Webhook { url, ..changed });
        if !self.store.change_webhook(&changed).await.map_err(away)? {
            return Err(not_there());
        }
        self.look(id).await
    }

    /// Forgets one.
    ///
    /// # Errors
    /// `not_found`, `unavailable`.
    pub async fn remove(&self, id: WebhookId) -> Result<(), Refusal> {
        if self.store.remove_webhook(id).await.map_err(away)? { Ok(()) } else { Err(not_there()) }
    }

    /// Who comes by an incoming webhook with its secret. Whether there is none, it is disabled, or the secret is another, the answer is
    /// the same.
    ///
    /// # Errors
    /// `not_found`, `unavailable`.
    pub async fn speaker(&self, id: WebhookId, secret: &str) -> Result<Speaker, Refusal> {
        let Some(webhook) = self.store.webhook(id).await.map_err(away)? else { return Err(not_there()) };
        // Of a secret that is wrong the time tells something of its hash only, which leads nowhere.
        let is_good = webhook.direction == Direction::In
            && webhook.disabled_at.is_none()
            && webhook.secret == secret::hash(secret);
        if !is_good {
            return Err(not_there());
        }
        let name = PersonName::parse(&webhook.name)?;
        Ok(Speaker { user: User { id: UserId(webhook.id.0), name }, room: webhook.room })
    }
}

fn away(error: StoreError) -> Refusal {
    tracing::debug!(%error, "the store did not answer about webhooks");
    Refusal::for_now(Code::Unavailable, "webhooks cannot be read or written right now", SOON_MS)
}

fn not_there() -> Refusal {
    Refusal::new(Code::NotFound, "there is no such webhook")
}
