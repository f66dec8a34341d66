//! Tasks, on the readers' connections: the lanes are for messages alone.

mod sql;

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
            let add = sqlx::query(sql::ADD)
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
            let known = || sqlx::query(sql::KNOWN).bind(task.id.0).bind(task.key.clone());
            if let Some(id) = ids_of(&self.look_at_tasks(known).await?)?.pop() {
                return Ok(Added::Known(id));
            }
        }
        Err(StoreError::Conflict("the task's key comes and goes".into()))
    }

    async fn add_scheduled(&self, name: &str, every: Duration, task: &NewTask) -> Result<Option<TaskId>, StoreError> {
        let query = sqlx::query(sql::SCHEDULE)
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
        let rows = self.look_at_tasks(|| sqlx::query(sql::DUE).bind(column(limit as u64)).bind(texts(kinds))).await?;
        Ok(rows_of::<DueRow>(&rows)?.into_iter().map(Due::from).collect())
    }

    async fn claim_tasks(
        &self,
        ids: &[TaskId],
        kinds: &[&str],
        worker: &str,
        lease: Duration,
    ) -> Result<Vec<Task>, StoreError> {
        let query = sqlx::query(sql::CLAIM).bind(uuids(ids)).bind(texts(kinds)).bind(worker.to_owned()).bind(ms(lease));
        tasks_of(&self.ask_of_tasks(query).await?)
    }

    async fn claim_due(
        &self,
        limit: usize,
        kinds: &[&str],
        worker: &str,
        lease: Duration,
    ) -> Result<Vec<Task>, StoreError> {
        let query = sqlx::query(sql::CLAIM_DUE)
            .bind(column(limit as u64))
            .bind(texts(kinds))
            .bind(worker.to_owned())
            .bind(ms(lease));
        tasks_of(&self.ask_of_tasks(query).await?)
    }

    async fn extend_tasks(&self, claims: &[Claim], lease: Duration) -> Result<Vec<TaskId>, StoreError> {
        let query = sqlx::query(sql::EXTEND)
            .bind(claims.iter().map(|claim| claim.id.0).collect::<Vec<Uuid>>())
            .bind(claims.iter().map(|claim| claim.worker.clone()).collect::<Vec<String>>())
            .bind(claims.iter().map(|claim| claim.attempt.cast_signed()).collect::<Vec<i32>>())
            .bind(ms(lease));
        ids_of(&self.ask_of_tasks(query).await?)
    }

    async fn task_done(&self, claim: &Claim) -> Result<bool, StoreError> {
        self.touched(of_claim(sql::DONE, claim)).await
    }

    async fn task_failed(&self, claim: &Claim, error: &str, after: Duration) -> Result<bool, StoreError> {
        self.touched(of_claim(sql::FAILED, claim).bind(excerpt(error).to_owned()).bind(ms(after))).await
    }

    async fn bury_task(&self, claim: &Claim, error: &str) -> Result<bool, StoreError> {
        self.touched(of_claim(sql::BURY, claim).bind(excerpt(error).to_owned())).await
    }

    async fn give_task_back(&self, claim: &Claim) -> Result<bool, StoreError> {
        self.touched(of_claim(sql::GIVE_BACK, claim)).await
    }

    async fn task(&self, id: TaskId) -> Result<Option<Task>, StoreError> {
        Ok(tasks_of(&self.look_at_tasks(|| sqlx::query(sql::ONE).bind(id.0)).await?)?.pop())
    }

    async fn list_tasks(&self, which: Which, after: Option<Place>, limit: usize) -> Result<Vec<Task>, StoreError> {
        let ask = || {
            let (moment, id) = after.unzip();
            let id = id.unwrap_or(TaskId(Uuid::nil())).0;
            sqlx::query(sql::page(which)).bind(moment.map(Moment)).bind(id).bind(column(limit as u64))
        };
        tasks_of(&self.look_at_tasks(ask).await?)
    }

    async fn requeue_task(&self, id: TaskId) -> Result<bool, StoreError> {
        self.touched(sqlx::query(sql::REQUEUE).bind(id.0)).await
    }

    async fn remove_task(&self, id: TaskId) -> Result<bool, StoreError> {
        self.touched(sqlx::query(sql::REMOVE).bind(id.0)).await
    }

    async fn count_tasks(&self) -> Result<Vec<KindCount>, StoreError> {
        let rows = self.look_at_tasks(|| sqlx::query(sql::COUNT).bind(column(crate::COUNTED_MAX))).await?;
        Ok(rows_of::<CountRow>(&rows)?.into_iter().map(KindCount::from).collect())
    }

    async fn sweep_tasks(&self, dead_for: Duration, limit: usize) -> Result<u64, StoreError> {
        let swept = self.ask_of_tasks(sqlx::query(sql::SWEEP).bind(ms(dead_for)).bind(column(limit as u64))).await?;
        Ok(swept.len() as u64)
    }
}
