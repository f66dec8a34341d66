//! Work in the background: what waits, what never was done, and what to do about it. For admins.

use axum::http::StatusCode;
use proto::{Code, Refusal, TaskId, Timestamp};
use serde::{Deserialize, Serialize};
use store::{Place, Task, Which};
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer::{Answer, json, nothing};
use super::call::{self, Call};
use super::route::{Part, Route};
use super::schemas;
use crate::refusal;

const ALL: &str = "/tasks";
const ONE: &str = "/tasks/{task}";
const LISTS: [(&str, Which); 3] = [("undone", Which::Undone), ("dead", Which::Dead), ("done", Which::Done)];

pub(super) fn part() -> Part {
    let one = |route: Route| route.known().segment("task", schemas::uuid(), "The task's id").refuses(&[Code::NotFound]);
    let list = Route::get(ALL, list)
        .says("listTasks", "Tasks that are not done, never will be, or were. For admins.")
        .more("`undone` (unless another list is asked for): the one that is due first before the others; `dead` and `done`: the latest first.")
        .known()
        .query("list", schemas::words(&LISTS.map(|(word, _)| word)), "Which tasks")
        .query("after", schemas::text(1, 64).build(), "Where the page before ended, as its `next` says")
        .query("limit", schemas::limit(), "How many at most; what is over 500 is cut to it")
        .answers::<TaskPage>(StatusCode::OK, "Some of the tasks");
    let routes = vec![
        list,
        one(Route::get(ONE, look))
            .says("getTask", "One task. For admins.")
            .answers::<TaskShown>(StatusCode::OK, "The task"),
        one(Route::post("/tasks/{task}/retry", retry))
            .says("retryTask", "Have a task tried again at once, its attempts counted from none. For admins.")
            .more("One that is under way, or done, is none that could be tried again.")
            .done("It is due"),
        one(Route::delete(ONE, remove))
            .says("dropTask", "Forget a task. For admins.")
            .more("One that is under way finishes, and nobody runs it again.")
            .done("It is gone"),
    ];
    Part { name: "Tasks", about: "What happens after a request: deliveries, exports, cleaning up.", routes }
}

/// A task.
#[derive(Serialize, ToSchema)]
#[schema(as = Task)]
struct TaskShown {
    id: Uuid,
    /// What is to be done.
    kind: String,
    /// `waiting`, `running`, `dead` or `done`.
    state: &'static str,
    /// At most one undone task has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    key: Option<String>,
    /// What its kind must know, in JSON.
    payload: String,
    #[schema(schema_with = schemas::moment)]
    created_at: String,
    /// When it is due; while it runs, when another may take it over.
    #[schema(schema_with = schemas::moment)]
    due_at: String,
    /// How often it was begun.
    attempts: u32,
    /// What went wrong last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    last_error: Option<String>,
}

impl From<Task> for TaskShown {
    fn from(task: Task) -> Self {
        let state = match (task.done_at, task.dead_at, task.leased_until) {
            (Some(_), ..) => "done",
            (_, Some(_), _) => "dead",
            (_, _, Some(_)) => "running",
            _ => "waiting",
        };
        Self {
            id: task.id.0,
            kind: task.kind,
            state,
            key: task.key,
            payload: task.payload,
            created_at: task.created_at.to_string(),
            due_at: task.due_at.to_string(),
            attempts: task.attempts,
            last_error: task.last_error,
        }
    }
}

/// Some of the tasks.
#[derive(Serialize, ToSchema)]
struct TaskPage {
    tasks: Vec<TaskShown>,
    /// Whether there are more.
    more: bool,
    /// The address of the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

#[derive(Deserialize)]
struct Wanted {
    list: Option<String>,
    after: Option<String>,
    limit: Option<String>,
}

async fn list(call: Call) -> Answer {
    call.admin()?;
    let wanted: Wanted = call.query()?;
    let word = wanted.list.as_deref().unwrap_or("undone");
    let which = LISTS.into_iter().find(|(known, _)| *known == word).map(|(_, which)| which);
    let which = which.ok_or_else(|| Refusal::field("list", "`undone`, `dead` or `done`"))?;
    let after = wanted.after.as_deref().map(place).transpose()?;
    let limit = call::limit(wanted.limit.as_deref())?;
    let mut tasks = call.node.chores.list_tasks(which, after, limit + 1).await.map_err(refusal::of_store)?;
    let more = tasks.len() > limit;
    tasks.truncate(limit);
    let last = tasks.last().filter(|_| more).map(|task| task.place(which));
    let next =
        last.map(|(Timestamp(at), id)| format!("{}{ALL}?list={word}&after={at}.{id}&limit={limit}", super::ROOT));
    let tasks = tasks.into_iter().map(TaskShown::from).collect();
    json(StatusCode::OK, &TaskPage { tasks, more, next })
}

/// Where a page ended.
fn place(text: &str) -> Result<Place, Refusal> {
    let read = || {
        let (at, id) = text.split_once('.')?;
        Some((
            Timestamp(i64::try_from(call::number("after", at, 0).ok()?).ok()?),
            TaskId(call::uuid("after", id).ok()?),
        ))
    };
    read().ok_or_else(|| Refusal::field("after", "what `next` says"))
}

async fn look(call: Call) -> Answer {
    call.admin()?;
    let id = TaskId(call.uuid("task")?);
    let task = call.node.chores.task(id).await.map_err(refusal::of_store)?;
    json(StatusCode::OK, &TaskShown::from(task.ok_or_else(no_such_task)?))
}

async fn retry(call: Call) -> Answer {
    call.admin()?;
    let id = TaskId(call.uuid("task")?);
    changed(call.node.chores.requeue_task(id).await.map_err(refusal::of_store)?)
}

async fn remove(call: Call) -> Answer {
    call.admin()?;
    let id = TaskId(call.uuid("task")?);
    changed(call.node.chores.remove_task(id).await.map_err(refusal::of_store)?)
}

fn changed(did: bool) -> Answer {
    if did { nothing() } else { Err(no_such_task().into()) }
}

fn no_such_task() -> Refusal {
    Refusal::new(Code::NotFound, "there is no such task")
}
