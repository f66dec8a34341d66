//! A task and a webhook as rows, the same in both databases.

use std::time::Duration;

use proto::{RoomName, TaskId, Timestamp, UserId, WebhookId};
use sqlx::FromRow;
use uuid::Uuid;

use crate::moment::Moment;
use crate::webhooks::{Direction, Events, Webhook};
use crate::{Due, KindCount, StoreError, Task};

#[derive(FromRow)]
pub(crate) struct TaskRow {
    id: Uuid,
    kind: String,
    key: Option<String>,
    payload: String,
    created_at: Moment,
    due_at: Moment,
    attempts: i32,
    max_attempts: Option<i32>,
    leased_until: Option<Moment>,
    worker: Option<String>,
    last_error: Option<String>,
    dead_at: Option<Moment>,
    done_at: Option<Moment>,
}

fn count(column: i32) -> u32 {
    u32::try_from(column).unwrap_or(0)
}

fn moment(column: Option<Moment>) -> Option<Timestamp> {
    column.map(|moment| moment.0)
}

impl From<TaskRow> for Task {
    fn from(row: TaskRow) -> Self {
        Self {
            id: TaskId(row.id),
            kind: row.kind,
            key: row.key,
            payload: row.payload,
            created_at: row.created_at.0,
            due_at: row.due_at.0,
            attempts: count(row.attempts),
            max_attempts: row.max_attempts.map(count),
            leased_until: moment(row.leased_until),
            worker: row.worker,
            last_error: row.last_error,
            dead_at: moment(row.dead_at),
            done_at: moment(row.done_at),
        }
    }
}

#[derive(FromRow)]
pub(crate) struct DueRow {
    id: Uuid,
    due_at: Moment,
}

impl From<DueRow> for Due {
    fn from(row: DueRow) -> Self {
        Self { id: TaskId(row.id), due_at: row.due_at.0 }
    }
}

#[derive(FromRow)]
pub(crate) struct CountRow {
    kind: String,
    waiting: i64,
    running: i64,
    dead: i64,
    due_for_ms: i64,
}

impl From<CountRow> for KindCount {
    fn from(row: CountRow) -> Self {
        let number = |column: i64| u64::try_from(column).unwrap_or(0);
        Self {
            kind: row.kind,
            waiting: number(row.waiting),
            running: number(row.running),
            dead: number(row.dead),
            due_for: Duration::from_millis(number(row.due_for_ms)),
        }
    }
}

#[derive(FromRow)]
pub(crate) struct WebhookRow {
    room: String,
    id: Uuid,
    direction: String,
    name: String,
    url: Option<String>,
    secret: String,
    events: i32,
    created_by: Uuid,
    created_at: Moment,
    disabled_at: Option<Moment>,
}

impl WebhookRow {
    pub(crate) fn webhook(self) -> Result<Webhook, StoreError> {
        let room = RoomName::parse(&self.room)
            .map_err(|_| StoreError::Refused(format!("its webhook of room {:?} was not written by us", self.room)))?;
        Ok(Webhook {
            room,
            id: WebhookId(self.id),
            direction: Direction::parse(&self.direction)?,
            name: self.name,
            url: self.url,
            secret: self.secret,
            events: Events::from_bits(self.events),
            created_by: UserId(self.created_by),
            created_at: self.created_at.0,
            disabled_at: moment(self.disabled_at),
        })
    }
}
