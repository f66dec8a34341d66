//! Tasks, written on the one writer's connection. Each call is one statement, and so a transaction of its own.

use std::time::Duration;

use async_trait::async_trait;
use proto::{TaskId, Timestamp};
use sqlx::query::{Query, QueryAs};
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteRow};
use sqlx::{FromRow, QueryBuilder};
use uuid::Uuid;

use super::{SqliteStore, faults};
use crate::row::column;
use crate::task_row::{CountRow, DueRow, TaskRow};
use crate::tasks::{excerpt, ms, schedule_key, seconds};
use crate::{Added, Claim, Due, KindCount, NewTask, Place, StoreError, Task, Tasks, Which};

type SqliteQuery = Query<'static, Sqlite, SqliteArguments>;

macro_rules! columns {
    () => {
        "id, kind, key, payload, created_at, due_at, attempts, max_attempts, leased_until, worker, last_error, dead_at, done_at"
    };
}

macro_rules! undone {
    () => {
        "done_at IS NULL AND dead_at IS NULL"
    };
}

/// The claim in $1 to $3 still holds.
macro_rules! held {
    () => {
        concat!("id = $1 AND worker = $2 AND attempts = $3 AND leased_until IS NOT NULL AND ", undone!())
    };
}

const ADD: &str = "
    INSERT INTO tasks (id, kind, key, payload, created_at, due_at, max_attempts, kept_for)
    VALUES ($1, $2, $3, $4, $8, $8 + $5, $6, $7) ON CONFLICT DO NOTHING";
const KNOWN: &str = concat!(
    "SELECT id FROM tasks WHERE id = $1 UNION ALL SELECT id FROM tasks WHERE key IS NOT NULL AND key = $2 AND ",
    undone!(),
    " LIMIT 1"
);
const SLOT: &str = "
    INSERT INTO schedules (name, every, last_slot) VALUES ($1, $2, $3)
    ON CONFLICT (name) DO UPDATE SET every = excluded.every, last_slot = excluded.last_slot
        WHERE last_slot < excluded.last_slot";
const LAST_SLOT: &str = "SELECT last_slot FROM schedules WHERE name = $1";
const DUE: &str = concat!(
    "SELECT id, due_at FROM tasks WHERE ",
    undone!(),
    " AND due_at <= $1 AND kind IN (SELECT value FROM json_each($3)) ORDER BY due_at, id LIMIT $2"
);
const DONE: &str = concat!("DELETE FROM tasks WHERE kept_for = 0 AND ", held!());
const DONE_AND_KEPT: &str =
    concat!("UPDATE tasks SET done_at = $4, leased_until = NULL WHERE kept_for > 0 AND ", held!());
const FAILED: &str = concat!("UPDATE tasks SET last_error = $4, leased_until = NULL, due_at = $5 WHERE ", held!());
const BURY: &str = concat!("UPDATE tasks SET last_error = $4, leased_until = NULL, dead_at = $5 WHERE ", held!());
const GIVE_BACK: &str =
    concat!("UPDATE tasks SET attempts = attempts - 1, leased_until = NULL, due_at = $4 WHERE ", held!());
const EXTEND: &str = concat!("UPDATE tasks SET leased_until = $4, due_at = $4 WHERE ", held!());
const ONE: &str = concat!("SELECT ", columns!(), " FROM tasks WHERE id = $1");
const REQUEUE: &str = "
    UPDATE tasks SET dead_at = NULL, attempts = 0, leased_until = NULL, due_at = $2
    WHERE id = $1 AND done_at IS NULL AND (leased_until IS NULL OR leased_until <= $2) AND NOT EXISTS (
        SELECT 1 FROM tasks o WHERE o.key = tasks.key AND o.id <> tasks.id AND o.done_at IS NULL AND o.dead_at IS NULL)";
const REMOVE: &str = "DELETE FROM tasks WHERE id = $1";
const COUNT: &str = concat!(
    "SELECT kind, count(*) FILTER (WHERE NOT dead AND NOT running) AS waiting, count(*) FILTER (WHERE running) AS running, \
     count(*) FILTER (WHERE dead) AS dead, coalesce(max($1 - due_at) FILTER (WHERE NOT dead AND due_at <= $1), 0) AS due_for_ms \
     FROM (SELECT * FROM (SELECT kind, due_at, 0 AS dead, coalesce(leased_until > $1, 0) AS running FROM tasks WHERE ",
    undone!(),
    " ORDER BY due_at LIMIT $2) UNION ALL SELECT * FROM (SELECT kind, due_at, 1, 0 FROM tasks \
     WHERE dead_at IS NOT NULL ORDER BY dead_at LIMIT $2)) GROUP BY kind ORDER BY kind"
);
const SWEEP: &str = "
    DELETE FROM tasks WHERE id IN (
        SELECT id FROM (SELECT id FROM tasks WHERE done_at IS NOT NULL AND done_at + kept_for * 1000 <= $1
            ORDER BY done_at LIMIT $3)
        UNION ALL
        SELECT id FROM (SELECT id FROM tasks WHERE dead_at IS NOT NULL AND dead_at + $2 <= $1 ORDER BY dead_at LIMIT $3))";

/// A page: those behind a place ($1, $2), or from the beginning.
macro_rules! page {
    ($which:expr, $moment:literal, $behind:literal, $order:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM tasks WHERE ",
            $which,
            " AND ($1 IS NULL OR (",
            $moment,
            ", id) ",
            $behind,
            " ($1, $2)) ORDER BY ",
            $moment,
            " ",
            $order,
            ", id ",
            $order,
            " LIMIT $3"
        )
    };
}

fn page(which: Which) -> &'static str {
    match which {
        Which::Undone => page!(undone!(), "due_at", ">", "ASC"),
        Which::Dead => page!("dead_at IS NOT NULL", "dead_at", "<", "DESC"),
        Which::Done => page!("done_at IS NOT NULL", "done_at", "<", "DESC"),
    }
}

fn now() -> i64 {
    Timestamp::now().0
}

fn of_claim(sql: &'static str, claim: &Claim) -> SqliteQuery {
    sqlx::query(sql).bind(claim.id.0).bind(claim.worker.clone()).bind(claim.attempt.cast_signed())
}

impl SqliteStore {
    /// How many rows a statement touched.
    pub(super) async fn change(&self, query: SqliteQuery) -> Result<u64, StoreError> {
        self.metrics
            .watch(&self.metrics.tasks, async {
                let mut seat = self.writer.take().await?;
                let done = query.execute(&mut seat.connection).await.map_err(|error| faults::judge(&error))?;
                seat.give_back();
                Ok(done.rows_affected())
            })
            .await
    }

    /// Rows, read beside the writer.
    pub(super) async fn look<T>(
        &self,
        query: QueryAs<'static, Sqlite, T, SqliteArguments>,
    ) -> Result<Vec<T>, StoreError>
    where
        T: for<'r> FromRow<'r, SqliteRow> + Send + Unpin + 'static,
    {
        self.metrics
            .watch(&self.metrics.tasks, async {
                let mut seat = self.readers.take().await?;
                let rows = query.fetch_all(&mut seat.connection).await.map_err(|error| faults::judge(&error))?;
                seat.give_back();
                Ok(rows)
            })
            .await
    }

    /// Takes what a condition finds; `such` adds it, with what it binds.
    async fn claim_such(
        &self,
        kinds: &[&str],
        worker: &str,
        lease: Duration,
        such: impl FnOnce(&mut QueryBuilder<Sqlite>),
    ) -> Result<Vec<Task>, StoreError> {
        let (now, until) = (now(), now().saturating_add(ms(lease)));
        let mut query = QueryBuilder::<Sqlite>::new("UPDATE tasks SET attempts = attempts + 1, worker = ");
        query.push_bind(worker.to_owned()).push(", leased_until = ").push_bind(until);
        query.push(", due_at = ").push_bind(until);
        query.push(concat!(" WHERE id IN (SELECT id FROM tasks WHERE ", undone!(), " AND due_at <= ")).push_bind(now);
        query.push(" AND kind IN (");
        let mut list = query.separated(", ");
        for kind in kinds {
            list.push_bind((*kind).to_owned());
        }
        query.push(")");
        such(&mut query);
        query.push(concat!(") RETURNING ", columns!()));
        self.metrics
            .watch(&self.metrics.tasks, async {
                let mut seat = self.writer.take().await?;
                let rows: Vec<TaskRow> = query
                    .build_query_as()
                    .persistent(false)
                    .fetch_all(&mut seat.connection)
                    .await
                    .map_err(|error| faults::judge(&error))?;
                seat.give_back();
                Ok(rows.into_iter().map(Task::from).collect())
            })
            .await
    }
}

#[async_trait]
impl Tasks for SqliteStore {
    async fn add_task(&self, task: &NewTask) -> Result<Added, StoreError> {
        for _ in 0..3 {
            let add = sqlx::query(ADD)
                .bind(task.id.0)
                .bind(task.kind.clone())
                .bind(task.key.clone())
                .bind(task.payload.clone())
                .bind(ms(task.after))
                .bind(task.max_attempts.map(u32::cast_signed))
                .bind(seconds(task.kept_for))
                .bind(now());
            if self.change(add).await? > 0 {
                return Ok(Added::New(task.id));
            }
            let known: Vec<(Uuid,)> = self.look(sqlx::query_as(KNOWN).bind(task.id.0).bind(task.key.clone())).await?;
            if let Some((id,)) = known.first() {
                return Ok(Added::Known(TaskId(*id)));
            }
        }
        Err(StoreError::Conflict("the task's key comes and goes".into()))
    }

    async fn add_scheduled(&self, name: &str, every: Duration, task: &NewTask) -> Result<Option<TaskId>, StoreError> {
        let every = i64::from(seconds(every).max(1));
        let slot = now().div_euclid(1000).div_euclid(every) * every;
        // Asked each second: a look costs no commit. There is nobody else who could move it meanwhile.
        let last: Vec<(i64,)> = self.look(sqlx::query_as(LAST_SLOT).bind(name.to_owned())).await?;
        if last.first().is_some_and(|(last,)| *last >= slot) {
            return Ok(None);
        }
        // The task before its slot: if we die in between, its key keeps the next attempt from making two.
        let keyed = NewTask { key: Some(schedule_key(name)), ..task.clone() };
        let added = self.add_task(&keyed).await?;
        self.change(sqlx::query(SLOT).bind(name.to_owned()).bind(every).bind(slot)).await?;
        Ok(match added {
            Added::New(id) => Some(id),
            Added::Known(_) => None,
        })
    }

    async fn due_tasks(&self, kinds: &[&str], limit: usize) -> Result<Vec<Due>, StoreError> {
        // Names of kinds are our own words: nothing in them needs escaping in JSON.
        let kinds: Vec<String> = kinds.iter().map(|kind| format!("\"{kind}\"")).collect();
        let query = sqlx::query_as(DUE).bind(now()).bind(column(limit as u64)).bind(format!("[{}]", kinds.join(",")));
        let due: Vec<DueRow> = self.look(query).await?;
        Ok(due.into_iter().map(Due::from).collect())
    }

    async fn claim_tasks(
        &self,
        ids: &[TaskId],
        kinds: &[&str],
        worker: &str,
        lease: Duration,
    ) -> Result<Vec<Task>, StoreError> {
        let such = |query: &mut QueryBuilder<Sqlite>| {
            query.push(" AND id IN (");
            let mut list = query.separated(", ");
            for id in ids {
                list.push_bind(id.0);
            }
            query.push(")");
        };
        self.claim_such(kinds, worker, lease, such).await
    }

    async fn claim_due(
        &self,
        limit: usize,
        kinds: &[&str],
        worker: &str,
        lease: Duration,
    ) -> Result<Vec<Task>, StoreError> {
        let such = |query: &mut QueryBuilder<Sqlite>| {
            query.push(" ORDER BY due_at, id LIMIT ").push_bind(column(limit as u64));
        };
        self.claim_such(kinds, worker, lease, such).await
    }

    async fn extend_tasks(&self, claims: &[Claim], lease: Duration) -> Result<Vec<TaskId>, StoreError> {
        let mut held = Vec::with_capacity(claims.len());
        for claim in claims {
            if self.change(of_claim(EXTEND, claim).bind(now().saturating_add(ms(lease)))).await? > 0 {
                held.push(claim.id);
            }
        }
        Ok(held)
    }

    async fn task_done(&self, claim: &Claim) -> Result<bool, StoreError> {
        if self.change(of_claim(DONE, claim)).await? > 0 {
            return Ok(true);
        }
        Ok(self.change(of_claim(DONE_AND_KEPT, claim).bind(now())).await? > 0)
    }

    async fn task_failed(&self, claim: &Claim, error: &str, after: Duration) -> Result<bool, StoreError> {
        let due_at = now().saturating_add(ms(after));
        Ok(self.change(of_claim(FAILED, claim).bind(excerpt(error).to_owned()).bind(due_at)).await? > 0)
    }

    async fn bury_task(&self, claim: &Claim, error: &str) -> Result<bool, StoreError> {
        Ok(self.change(of_claim(BURY, claim).bind(excerpt(error).to_owned()).bind(now())).await? > 0)
    }

    async fn give_task_back(&self, claim: &Claim) -> Result<bool, StoreError> {
        Ok(self.change(of_claim(GIVE_BACK, claim).bind(now())).await? > 0)
    }

    async fn task(&self, id: TaskId) -> Result<Option<Task>, StoreError> {
        let rows: Vec<TaskRow> = self.look(sqlx::query_as(ONE).bind(id.0)).await?;
        Ok(rows.into_iter().next().map(Task::from))
    }

    async fn list_tasks(&self, which: Which, after: Option<Place>, limit: usize) -> Result<Vec<Task>, StoreError> {
        let (moment, id) = after.unzip();
        let query = sqlx::query_as(page(which))
            .bind(moment.map(|moment: Timestamp| moment.0))
            .bind(id.unwrap_or(TaskId(Uuid::nil())).0)
            .bind(column(limit as u64));
        let rows: Vec<TaskRow> = self.look(query).await?;
        Ok(rows.into_iter().map(Task::from).collect())
    }

    async fn requeue_task(&self, id: TaskId) -> Result<bool, StoreError> {
        Ok(self.change(sqlx::query(REQUEUE).bind(id.0).bind(now())).await? > 0)
    }

    async fn remove_task(&self, id: TaskId) -> Result<bool, StoreError> {
        Ok(self.change(sqlx::query(REMOVE).bind(id.0)).await? > 0)
    }

    async fn count_tasks(&self) -> Result<Vec<KindCount>, StoreError> {
        let rows: Vec<CountRow> = self.look(sqlx::query_as(COUNT).bind(now()).bind(column(crate::COUNTED_MAX))).await?;
        Ok(rows.into_iter().map(KindCount::from).collect())
    }

    async fn sweep_tasks(&self, dead_for: Duration, limit: usize) -> Result<u64, StoreError> {
        self.change(sqlx::query(SWEEP).bind(now()).bind(ms(dead_for)).bind(column(limit as u64))).await
    }
}
