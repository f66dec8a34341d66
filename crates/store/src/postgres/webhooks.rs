//! Webhooks, on the readers' connections.

use async_trait::async_trait;
use proto::{RoomName, WebhookId};
use uuid::Uuid;

use super::{PostgresStore, rows_of};
use crate::row::column;
use crate::task_row::WebhookRow;
use crate::{StoreError, Webhook, Webhooks};

const ADD: &str = "
    INSERT INTO webhooks (room, id, direction, name, url, secret, events, created_by, created_at, disabled_at)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, n.now, CASE WHEN $9 THEN n.now END
    FROM (SELECT date_trunc('milliseconds', now()) AS now) n
    ON CONFLICT DO NOTHING RETURNING id";
const ONE: &str = "SELECT w.* FROM webhooks w WHERE w.id BETWEEN $1 AND $1 ORDER BY w.id LIMIT 1";
const OF_ROOM: &str =
    "SELECT w.* FROM webhooks w WHERE w.room = $1 AND w.id > $3 AND $2 <= w.room ORDER BY w.room, w.id LIMIT $4";
const OF_ALL: &str =
    "SELECT w.* FROM webhooks w WHERE $1 = '' AND (w.room, w.id) > ($2, $3) ORDER BY w.room, w.id LIMIT $4";
const CHANGE: &str = "
    UPDATE webhooks w SET name = $3, url = $4, secret = $5, events = $6,
        disabled_at = CASE WHEN $7 THEN coalesce(w.disabled_at, date_trunc('milliseconds', now())) END
    WHERE w.room = $1 AND w.id = $2 RETURNING w.id";
const REMOVE: &str = "DELETE FROM webhooks w WHERE w.id = $1 RETURNING w.id";

#[async_trait]
impl Webhooks for PostgresStore {
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
            .bind(webhook.disabled_at.is_some());
        Ok(!self.ask_of_tasks(add).await?.is_empty())
    }

    async fn webhook(&self, id: WebhookId) -> Result<Option<Webhook>, StoreError> {
        let rows = self.look_at_tasks(|| sqlx::query(ONE).bind(id.0)).await?;
        rows_of::<WebhookRow>(&rows)?.pop().map(WebhookRow::webhook).transpose()
    }

    async fn list_webhooks(
        &self,
        room: Option<&RoomName>,
        after: Option<(&RoomName, WebhookId)>,
        limit: usize,
    ) -> Result<Vec<Webhook>, StoreError> {
        let sql = if room.is_some() { OF_ROOM } else { OF_ALL };
        let (last_room, last) = after.unzip();
        let ask = || {
            sqlx::query(sql)
                .bind(room.map_or("", RoomName::as_str).to_owned())
                .bind(last_room.map_or("", RoomName::as_str).to_owned())
                .bind(last.map_or(Uuid::nil(), |id| id.0))
                .bind(column(limit as u64))
        };
        let rows = self.look_at_tasks(ask).await?;
        rows_of::<WebhookRow>(&rows)?.into_iter().map(WebhookRow::webhook).collect()
    }

    async fn change_webhook(&self, webhook: &Webhook) -> Result<bool, StoreError> {
        let change = sqlx::query(CHANGE)
            .bind(webhook.room.as_str().to_owned())
            .bind(webhook.id.0)
            .bind(webhook.name.clone())
            .bind(webhook.url.clone())
            .bind(webhook.secret.clone())
            .bind(webhook.events.bits())
            .bind(webhook.disabled_at.is_some());
        Ok(!self.ask_of_tasks(change).await?.is_empty())
    }

    async fn remove_webhook(&self, id: WebhookId) -> Result<bool, StoreError> {
        Ok(!self.ask_of_tasks(sqlx::query(REMOVE).bind(id.0)).await?.is_empty())
    }
}
