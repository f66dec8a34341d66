//! Tasks, on the readers' connections: the lanes are for messages alone.
//!
//! Times are whole milliseconds, so that a place in a list can be told and come back. `now()` is the beginning of the
//! statement, each being a transaction of its own; `clock_timestamp()` could not be looked up in an index.

use std::time::Duration;

use async_trait::async_trait;
use proto::TaskId;
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::{PgQuery, PostgresStore, rows_of};
use crate::moment::Moment;
use crate::row::column;
use crate::task_row::{CountRow, DueRow, TaskRow};
use crate::tasks::{excerpt, ms, schedule_key, seconds};
use crate::{Added, Claim, Due, KindCount, NewTask, Place, StoreError, Task, Tasks, Which};

macro_rules! columns {
    () => {
        "t.id, t.kind, t.key, t.payload, t.created_at, t.due_at, t.attempts, t.max_attempts, t.leased_until, t.worker, \
         t.last_error, t.dead_at, t.done_at"
    };
}

macro_rules! undone {
    () => {
        "t.done_at IS NULL AND t.dead_at IS NULL"
    };
}

/// The claim in $1 to $3 still holds.
macro_rules! held {
    () => {
        concat!("t.id = $1 AND t.worker = $2 AND t.attempts = $3 AND t.leased_until IS NOT NULL AND ", undone!())
    };
}

/// Takes what `mine` found.
macro_rules! claim {
    ($mine:expr, $worker:literal, $lease:literal) => {
        concat!(
            "WITH mine AS MATERIALIZED (SELECT t.id FROM tasks t WHERE ",
            undone!(),
            " AND t.due_at <= now() AND ",
            $mine,
            " FOR UPDATE SKIP LOCKED), lease AS (SELECT date_trunc('milliseconds', now()) + ",
            $lease,
            "::bigint * interval '1 millisecond' AS until) \
             UPDATE tasks t SET attempts = t.attempts + 1, worker = ",
            $worker,
            ", leased_until = lease.until, due_at = lease.until \
             FROM mine, lease WHERE t.id = mine.id RETURNING ",
            columns!()
        )
    };
}

const ADD: &str = "
    INSERT INTO tasks (id, kind, key, payload, created_at, due_at, max_attempts, kept_for)
    SELECT $1, $2, $3, $4, n.now, n.now + $5::bigint * interval '1 millisecond', $6, $7
    FROM (SELECT date_trunc('milliseconds', now()) AS now) n
    ON CONFLICT DO NOTHING RETURNING id";
const KNOWN: &str = concat!(
    "(SELECT t.id FROM tasks t WHERE t.id = $1) UNION ALL (SELECT t.id FROM tasks t WHERE t.key = $2 AND ",
    undone!(),
    ") LIMIT 1"
);
/// Most times a look suffices; whoever finds the slot new waits for rivals at its row, and one of them moves it.
const SCHEDULE: &str = "
    WITH present AS (
        SELECT floor(extract(epoch FROM now()) / $2::bigint)::bigint * $2::bigint AS slot
    ), slot AS (
        INSERT INTO schedules AS s (name, every, last_slot)
        SELECT $1, $2::bigint, p.slot FROM present p
        WHERE NOT EXISTS (SELECT FROM schedules o WHERE o.name = $1 AND o.last_slot >= p.slot)
        ON CONFLICT (name) DO UPDATE SET every = excluded.every, last_slot = excluded.last_slot
            WHERE s.last_slot < excluded.last_slot
        RETURNING s.name
    )
    INSERT INTO tasks (id, kind, key, payload, created_at, due_at, max_attempts, kept_for)
    SELECT $3, $4, $5, $6, date_trunc('milliseconds', now()), date_trunc('milliseconds', now()), $7, $8 FROM slot
    ON CONFLICT DO NOTHING RETURNING id";
const DUE: &str = concat!(
    "SELECT t.id, t.due_at FROM tasks t WHERE ",
    undone!(),
    " AND t.due_at <= now() AND t.kind = ANY ($2) ORDER BY t.due_at, t.id LIMIT $1"
);
const CLAIM: &str = claim!("t.id = ANY ($1) AND t.kind = ANY ($2)", "$3", "$4");
const CLAIM_DUE: &str = claim!("t.kind = ANY ($2) ORDER BY t.due_at, t.id LIMIT $1", "$3", "$4");
const EXTEND: &str = concat!(
    "UPDATE tasks t SET leased_until = l.until, due_at = l.until \
     FROM unnest($1::uuid[], $2::text[], $3::integer[]) c (id, worker, attempt), \
     (SELECT date_trunc('milliseconds', now()) + $4::bigint * interval '1 millisecond' AS until) l \
     WHERE t.id = c.id AND t.worker = c.worker AND t.attempts = c.attempt AND t.leased_until IS NOT NULL AND ",
    undone!(),
    " RETURNING t.id"
);
const DONE: &str = concat!(
    "WITH gone AS (DELETE FROM tasks t WHERE t.kept_for = 0 AND ",
    held!(),
    " RETURNING t.id), kept AS (UPDATE tasks t SET done_at = date_trunc('milliseconds', now()), leased_until = NULL \
     WHERE t.kept_for > 0 AND ",
    held!(),
    " RETURNING t.id) SELECT id FROM gone UNION ALL SELECT id FROM kept"
);
const FAILED: &str = concat!(
    "UPDATE tasks t SET last_error = $4, leased_until = NULL, \
     due_at = date_trunc('milliseconds', now()) + $5::bigint * interval '1 millisecond' WHERE ",
    held!(),
    " RETURNING t.id"
);
const BURY: &str = concat!(
    "UPDATE tasks t SET last_error = $4, leased_until = NULL, dead_at = date_trunc('milliseconds', now()) WHERE ",
    held!(),
    " RETURNING t.id"
);
const GIVE_BACK: &str = concat!(
    "UPDATE tasks t SET attempts = t.attempts - 1, leased_until = NULL, due_at = date_trunc('milliseconds', now()) WHERE ",
    held!(),
    " RETURNING t.id"
);
const ONE: &str = concat!("SELECT ", columns!(), " FROM tasks t WHERE t.id = $1");
const REQUEUE: &str = "
    UPDATE tasks t SET dead_at = NULL, attempts = 0, leased_until = NULL, due_at = date_trunc('milliseconds', now())
    WHERE t.id = $1 AND t.done_at IS NULL AND (t.leased_until IS NULL OR t.leased_until <= now()) AND NOT EXISTS (
        SELECT FROM tasks o WHERE o.key = t.key AND o.id <> t.id AND o.done_at IS NULL AND o.dead_at IS NULL)
    RETURNING t.id";
const REMOVE: &str = "DELETE FROM tasks t WHERE t.id = $1 RETURNING t.id";
const COUNT: &str = concat!(
    "SELECT k.kind, count(*) FILTER (WHERE NOT k.dead AND NOT k.running) AS waiting, count(*) FILTER (WHERE k.running) AS running, \
     count(*) FILTER (WHERE k.dead) AS dead, \
     coalesce(max(extract(epoch FROM now() - k.due_at) * 1000) FILTER (WHERE NOT k.dead AND k.due_at <= now()), 0)::bigint \
     AS due_for_ms FROM (\
     (SELECT t.kind, t.due_at, false AS dead, coalesce(t.leased_until > now(), false) AS running FROM tasks t WHERE ",
    undone!(),
    " ORDER BY t.due_at LIMIT $1) UNION ALL \
     (SELECT t.kind, t.due_at, true, false FROM tasks t WHERE t.dead_at IS NOT NULL ORDER BY t.dead_at LIMIT $1)) k \
     GROUP BY k.kind ORDER BY k.kind"
);
const SWEEP: &str = "
    WITH old AS MATERIALIZED (
        (SELECT t.id FROM tasks t WHERE t.done_at IS NOT NULL AND t.done_at <= now() - t.kept_for * interval '1 second'
            ORDER BY t.done_at LIMIT $2)
        UNION ALL
        (SELECT t.id FROM tasks t WHERE t.dead_at IS NOT NULL AND t.dead_at <= now() - $1::bigint * interval '1 millisecond'
            ORDER BY t.dead_at LIMIT $2)
    )
    DELETE FROM tasks t USING old WHERE t.id = old.id RETURNING t.id";

/// A page: those behind a place ($1, $2), or from the beginning.
macro_rules! page {
    ($which:expr, $moment:literal, $behind:literal, $order:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM tasks t WHERE ",
            $which,
            " AND ($1::timestamptz IS NULL OR (",
            $moment,
            ", t.id) ",
            $behind,
            " ($1, $2)) ORDER BY ",
            $moment,
            " ",
            $order,
            ", t.id ",
            $order,
            " LIMIT $3"
        )
    };
}

fn page(which: Which) -> &'static str {
    match which {
        Which::Undone => page!(undone!(), "t.due_at", ">", "ASC"),
        Which::Dead => page!("t.dead_at IS NOT NULL", "t.dead_at", "<", "DESC"),
        Which::Done => page!("t.done_at IS NOT NULL", "t.done_at", "<", "DESC"),
    }
}

impl PostgresStore {
    /// Anything about tasks and webhooks that may change something, and so is asked once.
    pub(super) async fn ask_of_tasks(&self, query: PgQuery) -> Result<Vec<PgRow>, StoreError> {
        self.metrics.watch(&self.metrics.tasks, async { Ok(self.ask(&self.readers, query).await?) }).await
    }

    /// A question, which may be asked a second time on another connection.
    pub(super) async fn look_at_tasks(&self, query: impl Fn() -> PgQuery) -> Result<Vec<PgRow>, StoreError> {
        self.metrics.watch(&self.metrics.tasks, self.ask_twice(query)).await
    }

    /// Whether a statement that returns the row it touched touched one.
    async fn touched(&self, query: PgQuery) -> Result<bool, StoreError> {
        Ok(!self.ask_of_tasks(query).await?.is_empty())
    }
}

fn of_claim(sql: &'static str, claim: &Claim) -> PgQuery {
    sqlx::query(sql).bind(claim.id.0).bind(claim.worker.clone()).bind(claim.attempt.cast_signed())
}

fn ids_of(rows: &[PgRow]) -> Result<Vec<TaskId>, StoreError> {
    let id = |row: &PgRow| row.try_get(0).map(TaskId).map_err(|error| super::faults::judge(&error).error);
    rows.iter().map(id).collect()
}

fn tasks_of(rows: &[PgRow]) -> Result<Vec<Task>, StoreError> {
    Ok(rows_of::<TaskRow>(rows)?.into_iter().map(Task::from).collect())
}

fn uuids(ids: &[TaskId]) -> Vec<Uuid> {
    ids.iter().map(|id| id.0).collect()
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[async_trait]
impl Tasks for PostgresStore {
    async fn add_task(&self, task: &NewTask) -> Result<Added, StoreError> {
        // Who has the key may be done between the two looks.
        for _ in 0..3 {
            let add = sqlx::query(ADD)
                .bind(task.id.0)
                .bind(task.kind.clone())
                .bind(task.key.clone())
                .bind(task.payload.clone())
                .bind(ms(task.after))
                .bind(task.max_attempts.map(u32::cast_signed))
                .bind(seconds(task.kept_for));
            if self.touched(add).await? {
                return Ok(Added::New(task.id));
            }
            let known = || sqlx::query(KNOWN).bind(task.id.0).bind(task.key.clone());
            if let Some(id) = ids_of(&self.look_at_tasks(known).await?)?.pop() {
                return Ok(Added::Known(id));
            }
        }
        Err(StoreError::Conflict("the task's key comes and goes".into()))
    }

    async fn add_scheduled(&self, name: &str, every: Duration, task: &NewTask) -> Result<Option<TaskId>, StoreError> {
        let query = sqlx::query(SCHEDULE)
            .bind(name.to_owned())
            .bind(i64::from(seconds(every).max(1)))
            .bind(task.id.0)
            .bind(task.kind.clone())
            .bind(schedule_key(name))
            .bind(task.payload.clone())
            .bind(task.max_attempts.map(u32::cast_signed))
            .bind(seconds(task.kept_for));
        Ok(ids_of(&self.ask_of_tasks(query).await?)?.pop())
    }

    async fn due_tasks(&self, kinds: &[&str], limit: usize) -> Result<Vec<Due>, StoreError> {
        let rows = self.look_at_tasks(|| sqlx::query(DUE).bind(column(limit as u64)).bind(texts(kinds))).await?;
        Ok(rows_of::<DueRow>(&rows)?.into_iter().map(Due::from).collect())
    }

    async fn claim_tasks(
        &self,
        ids: &[TaskId],
        kinds: &[&str],
        worker: &str,
        lease: Duration,
    ) -> Result<Vec<Task>, StoreError> {
        let query = sqlx::query(CLAIM).bind(uuids(ids)).bind(texts(kinds)).bind(worker.to_owned()).bind(ms(lease));
        tasks_of(&self.ask_of_tasks(query).await?)
    }

    async fn claim_due(
        &self,
        limit: usize,
        kinds: &[&str],
        worker: &str,
        lease: Duration,
    ) -> Result<Vec<Task>, StoreError> {
        let query = sqlx::query(CLAIM_DUE)
            .bind(column(limit as u64))
            .bind(texts(kinds))
            .bind(worker.to_owned())
            .bind(ms(lease));
        tasks_of(&self.ask_of_tasks(query).await?)
    }

    async fn extend_tasks(&self, claims: &[Claim], lease: Duration) -> Result<Vec<TaskId>, StoreError> {
        let query = sqlx::query(EXTEND)
            .bind(claims.iter().map(|claim| claim.id.0).collect::<Vec<Uuid>>())
            .bind(claims.iter().map(|claim| claim.worker.clone()).collect::<Vec<String>>())
            .bind(claims.iter().map(|claim| claim.attempt.cast_signed()).collect::<Vec<i32>>())
            .bind(ms(lease));
        ids_of(&self.ask_of_tasks(query).await?)
    }

    async fn task_done(&self, claim: &Claim) -> Result<bool, StoreError> {
        self.touched(of_claim(DONE, claim)).await
    }

    async fn task_failed(&self, claim: &Claim, error: &str, after: Duration) -> Result<bool, StoreError> {
        self.touched(of_claim(FAILED, claim).bind(excerpt(error).to_owned()).bind(ms(after))).await
    }

    async fn bury_task(&self, claim: &Claim, error: &str) -> Result<bool, StoreError> {
        self.touched(of_claim(BURY, claim).bind(excerpt(error).to_owned())).await
    }

    async fn give_task_back(&self, claim: &Claim) -> Result<bool, StoreError> {
        self.touched(of_claim(GIVE_BACK, claim)).await
    }

    async fn task(&self, id: TaskId) -> Result<Option<Task>, StoreError> {
        Ok(tasks_of(&self.look_at_tasks(|| sqlx::query(ONE).bind(id.0)).await?)?.pop())
    }

    async fn list_tasks(&self, which: Which, after: Option<Place>, limit: usize) -> Result<Vec<Task>, StoreError> {
        let ask = || {
            let (moment, id) = after.unzip();
            let id = id.unwrap_or(TaskId(Uuid::nil())).0;
            sqlx::query(page(which)).bind(moment.map(Moment)).bind(id).bind(column(limit as u64))
        };
        tasks_of(&self.look_at_tasks(ask).await?)
    }

    async fn requeue_task(&self, id: TaskId) -> Result<bool, StoreError> {
        self.touched(sqlx::query(REQUEUE).bind(id.0)).await
    }

    async fn remove_task(&self, id: TaskId) -> Result<bool, StoreError> {
        self.touched(sqlx::query(REMOVE).bind(id.0)).await
    }

    async fn count_tasks(&self) -> Result<Vec<KindCount>, StoreError> {
        let rows = self.look_at_tasks(|| sqlx::query(COUNT).bind(column(crate::COUNTED_MAX))).await?;
        Ok(rows_of::<CountRow>(&rows)?.into_iter().map(KindCount::from).collect())
    }

    async fn sweep_tasks(&self, dead_for: Duration, limit: usize) -> Result<u64, StoreError> {
        let swept = self.ask_of_tasks(sqlx::query(SWEEP).bind(ms(dead_for)).bind(column(limit as u64))).await?;
        Ok(swept.len() as u64)
    }
}
