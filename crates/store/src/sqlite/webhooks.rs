//! Webhooks: kept, and asked for the tasks that a batch of messages causes.

use async_trait::async_trait;
use proto::{RoomName, Timestamp, WebhookId};
use sqlx::QueryBuilder;
use sqlx::sqlite::{Sqlite, SqliteConnection};
use uuid::Uuid;

use super::SqliteStore;
use crate::row::column;
use crate::task_row::WebhookRow;
use crate::{Events, StoreError, WEBHOOK_TASK, Webhook, Webhooks};

const ADD: &str = "
    INSERT INTO webhooks (room, id, direction, name, url, secret, events, created_by, created_at, disabled_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, CASE WHEN $10 THEN $9 END) ON CONFLICT DO NOTHING";
const ONE: &str = "SELECT * FROM webhooks WHERE id = $1 LIMIT 1";
const LIST: &str = "
    SELECT * FROM webhooks WHERE ($1 = '' OR room = $1) AND (room, id) > ($2, $3) ORDER BY room, id LIMIT $4";
const CHANGE: &str = "
    UPDATE webhooks SET name = $3, url = $4, secret = $5, events = $6,
        disabled_at = CASE WHEN $7 THEN coalesce(disabled_at, $8) END
    WHERE room = $1 AND id = $2";
const REMOVE: &str = "DELETE FROM webhooks WHERE id = $1";

/// Tasks in one statement: each has four values, and SQLite takes 32,766.
const ROWS_MAX: usize = 1_000;

/// What happened to a message, and so whom to tell.
pub(super) struct Happened<'a> {
    pub(super) room: &'a str,
    pub(super) seq: u64,
    pub(super) rev: u64,
    pub(super) event: Events,
}

/// The webhooks of some rooms that are told of what happens there.
#[derive(Default)]
pub(super) struct Hooks(Vec<(String, Uuid, Events)>);

impl Hooks {
    pub(super) fn add(&mut self, room: &str, id: Uuid, events: i32) {
        self.0.push((room.to_owned(), id, Events::from_bits(events)));
    }

    /// One task for each webhook that wants to hear of it, in the transaction of what happened.
    pub(super) async fn tell(
        &self,
        connection: &mut SqliteConnection,
        happened: &[Happened<'_>],
        at: Timestamp,
    ) -> Result<(), sqlx::Error> {
        if self.0.is_empty() {
            return Ok(());
        }
        let wants = |what: &Happened<'_>, room: &str, events: Events| room == what.room && events.has(what.event);
        let tasks: Vec<String> = happened
            .iter()
            .flat_map(|what| {
                let hooks = self.0.iter().filter(|(room, _, events)| wants(what, room, *events));
                hooks.map(|(_, id, _)| payload(*id, what))
            })
            .collect();
        for tasks in tasks.chunks(ROWS_MAX) {
            let mut query = QueryBuilder::<Sqlite>::new("INSERT INTO tasks (id, kind, payload, created_at, due_at) ");
            query.push_values(tasks, |mut values, payload| {
                values.push_bind(Uuid::now_v7()).push_bind(WEBHOOK_TASK).push_bind(payload.as_str());
                values.push_bind(at.0).push_bind(at.0);
            });
            query.build().persistent(tasks.len() == 1).execute(&mut *connection).await?;
        }
        Ok(())
    }
}

/// Nothing in a room's alphabet needs escaping in JSON.
fn payload(webhook: Uuid, Happened { room, seq, rev, event }: &Happened<'_>) -> String {
    let event = event.names().first().copied().unwrap_or_default();
    format!(r#"{{"webhook":"{webhook}","room":"{room}","seq":{seq},"rev":{rev},"event":"{event}"}}"#)
}

#[async_trait]
impl Webhooks for SqliteStore {
    async fn add_webhook(&self, webhook: &Webhook) -> Result<bool, StoreError> {
        let add = sqlx::query(ADD)
            .bind(webhook.room.as_str().to_owned())
            .bind(webhook.id.0)
            .bind(webhook.direction.as_str())
            .bind(webhook.name.clone())
            .bind(webhook.url.clone())
            .bind(webhook.secret.clone())
            .bind(webhook.events.bits())
            .bind(webhook.created_by.0)
            .bind(Timestamp::now().0)
            .bind(webhook.disabled_at.is_some());
        Ok(self.change(add).await? > 0)
    }

    async fn webhook(&self, id: WebhookId) -> Result<Option<Webhook>, StoreError> {
        let rows: Vec<WebhookRow> = self.look(sqlx::query_as(ONE).bind(id.0)).await?;
        rows.into_iter().next().map(WebhookRow::webhook).transpose()
    }

    async fn list_webhooks(
        &self,
        room: Option<&RoomName>,
        after: Option<(&RoomName, WebhookId)>,
        limit: usize,
    ) -> Result<Vec<Webhook>, StoreError> {
        let (last_room, last) = after.unzip();
        let query = sqlx::query_as(LIST)
            .bind(room.map_or("", RoomName::as_str).to_owned())
            .bind(last_room.map_or("", RoomName::as_str).to_owned())
            .bind(last.map_or(Uuid::nil(), |id| id.0))
            .bind(column(limit as u64));
        let rows: Vec<WebhookRow> = self.look(query).await?;
        rows.into_iter().map(WebhookRow::webhook).collect()
    }

    async fn change_webhook(&self, webhook: &Webhook) -> Result<bool, StoreError> {
        let change = sqlx::query(CHANGE)
            .bind(webhook.room.as_str().to_owned())
            .bind(webhook.id.0)
            .bind(webhook.name.clone())
            .bind(webhook.url.clone())
            .bind(webhook.secret.clone())
            .bind(webhook.events.bits())
            .bind(webhook.disabled_at.is_some())
            .bind(Timestamp::now().0);
        Ok(self.change(change).await? > 0)
    }

    async fn remove_webhook(&self, id: WebhookId) -> Result<bool, StoreError> {
        Ok(self.change(sqlx::query(REMOVE).bind(id.0)).await? > 0)
    }
}
