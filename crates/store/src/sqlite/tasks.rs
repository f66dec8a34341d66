//! Tasks, written on the one writer's connection. Each call is one statement, and so a transaction of its own.

mod sql;

use std::time::Duration;

use async_trait::async_trait;
use proto::{TaskId, Timestamp};
use sqlx::query::{Query, QueryAs};
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteRow};
use sqlx::{FromRow, QueryBuilder};
use uuid::Uuid;

use super::SqliteStore;
use crate::row::column;
use crate::task_row::{CountRow, DueRow, TaskRow};
use crate::tasks::{excerpt, ms, schedule_key, seconds};
use crate::{Added, Claim, Due, KindCount, NewTask, Place, StoreError, Task, Tasks, Which};

type SqliteQuery = Query<'static, Sqlite, SqliteArguments>;

fn now() -> i64 {
    Timestamp::now().0
}

fn of_claim(sql: &'static str, claim: &Claim) -> SqliteQuery {
    sqlx::query(sql).bind(claim.id.0).bind(claim.worker.clone()).bind(claim.attempt.cast_signed())
}

impl SqliteStore {
    /// How many rows a statement touched.
    pub(super) async fn change(&self, query: SqliteQuery) -> Result<u64, StoreError> {
        self.metrics.watch(&self.metrics.tasks, self.touched(query)).await
    }

    /// Rows, read beside the writer.
    pub(super) async fn look<T>(
        &self,
        query: QueryAs<'static, Sqlite, T, SqliteArguments>,
    ) -> Result<Vec<T>, StoreError>
    where
        T: for<'r> FromRow<'r, SqliteRow> + Send + Unpin + 'static,
    {
        self.metrics.watch(&self.metrics.tasks, self.rows(query)).await
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
        query.push(sql::DUE_IDS).push_bind(now);
        query.push(" AND kind IN (");
        let mut list = query.separated(", ");
        for kind in kinds {
            list.push_bind((*kind).to_owned());
        }
        query.push(")");
        such(&mut query);
        query.push(sql::RETURNING);
        let claim = self.written::<TaskRow>(query.build_query_as().persistent(false));
        let rows = self.metrics.watch(&self.metrics.tasks, claim).await?;
        Ok(rows.into_iter().map(Task::from).collect())
    }
}

#[async_trait]
impl Tasks for SqliteStore {
    async fn add_task(&self, task: &NewTask) -> Result<Added, StoreError> {
        for _ in 0..3 {
            let add = sqlx::query(sql::ADD)
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
            let known: Vec<(Uuid,)> =
                self.look(sqlx::query_as(sql::KNOWN).bind(task.id.0).bind(task.key.clone())).await?;
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
        let last: Vec<(i64,)> = self.look(sqlx::query_as(sql::LAST_SLOT).bind(name.to_owned())).await?;
        if last.first().is_some_and(|(last,)| *last >= slot) {
            return Ok(None);
        }
        // The task before its slot: if we die in between, its key keeps the next attempt from making two.
        let keyed = NewTask { key: Some(schedule_key(name)), ..task.clone() };
        let added = self.add_task(&keyed).await?;
        self.change(sqlx::query(sql::SLOT).bind(name.to_owned()).bind(every).bind(slot)).await?;
        Ok(match added {
            Added::New(id) => Some(id),
            Added::Known(_) => None,
        })
    }

    async fn due_tasks(&self, kinds: &[&str], limit: usize) -> Result<Vec<Due>, StoreError> {
        // Names of kinds are our own words: nothing in them needs escaping in JSON.
        let kinds: Vec<String> = kinds.iter().map(|kind| format!("\"{kind}\"")).collect();
        let query =
            sqlx::query_as(sql::DUE).bind(now()).bind(column(limit as u64)).bind(format!("[{}]", kinds.join(",")));
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
            if self.change(of_claim(sql::EXTEND, claim).bind(now().saturating_add(ms(lease)))).await? > 0 {
                held.push(claim.id);
            }
        }
        Ok(held)
    }

    async fn task_done(&self, claim: &Claim) -> Result<bool, StoreError> {
        if self.change(of_claim(sql::DONE, claim)).await? > 0 {
            return Ok(true);
        }
        Ok(self.change(of_claim(sql::DONE_AND_KEPT, claim).bind(now())).await? > 0)
    }

    async fn task_failed(&self, claim: &Claim, error: &str, after: Duration) -> Result<bool, StoreError> {
        let due_at = now().saturating_add(ms(after));
        Ok(self.change(of_claim(sql::FAILED, claim).bind(excerpt(error).to_owned()).bind(due_at)).await? > 0)
    }

    async fn bury_task(&self, claim: &Claim, error: &str) -> Result<bool, StoreError> {
        Ok(self.change(of_claim(sql::BURY, claim).bind(excerpt(error).to_owned()).bind(now())).await? > 0)
    }

    async fn give_task_back(&self, claim: &Claim) -> Result<bool, StoreError> {
        Ok(self.change(of_claim(sql::GIVE_BACK, claim).bind(now())).await? > 0)
    }

    async fn task(&self, id: TaskId) -> Result<Option<Task>, StoreError> {
        let rows: Vec<TaskRow> = self.look(sqlx::query_as(sql::ONE).bind(id.0)).await?;
        Ok(rows.into_iter().next().map(Task::from))
    }

    async fn list_tasks(&self, which: Which, after: Option<Place>, limit: usize) -> Result<Vec<Task>, StoreError> {
        let (moment, id) = after.unzip();
        let query = sqlx::query_as(sql::page(which))
            .bind(moment.map(|moment: Timestamp| moment.0))
            .bind(id.unwrap_or(TaskId(Uuid::nil())).0)
            .bind(column(limit as u64));
        let rows: Vec<TaskRow> = self.look(query).await?;
        Ok(rows.into_iter().map(Task::from).collect())
    }

    async fn requeue_task(&self, id: TaskId) -> Result<bool, StoreError> {
        Ok(self.change(sqlx::query(sql::REQUEUE).bind(id.0).bind(now())).await? > 0)
    }

    async fn remove_task(&self, id: TaskId) -> Result<bool, StoreError> {
        Ok(self.change(sqlx::query(sql::REMOVE).bind(id.0)).await? > 0)
    }

    async fn count_tasks(&self) -> Result<Vec<KindCount>, StoreError> {
        let rows: Vec<CountRow> =
            self.look(sqlx::query_as(sql::COUNT).bind(now()).bind(column(crate::COUNTED_MAX))).await?;
        Ok(rows.into_iter().map(KindCount::from).collect())
    }

    async fn sweep_tasks(&self, dead_for: Duration, limit: usize) -> Result<u64, StoreError> {
        self.change(sqlx::query(sql::SWEEP).bind(now()).bind(ms(dead_for)).bind(column(limit as u64))).await
    }
}
