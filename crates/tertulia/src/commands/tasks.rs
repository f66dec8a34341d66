//! `tertulia tasks`: what is to be done in the background, and what never was.

use std::sync::Arc;

use proto::TaskId;
use store::{Keeper, Place, Task, Which};

use super::say;
use crate::config::{TasksAction, TasksConfig};
use crate::node::StartError;
use crate::open;

/// Tasks in one question.
const PAGE: usize = 500;

/// Lists, shows, retries or drops.
pub(crate) async fn run(asked: &TasksConfig) -> Result<(), StartError> {
    let store = match asked.action {
        TasksAction::List | TasksAction::Show => open::store_to_read(&asked.config).await?,
        TasksAction::Retry | TasksAction::Drop => open::beside(&asked.config).await?,
    };
    let done = match (asked.action, asked.id) {
        (TasksAction::List, _) => list(&store, asked).await,
        (TasksAction::Show, Some(id)) => show(&store, id).await,
        (TasksAction::Retry | TasksAction::Drop, Some(id)) => change(&store, asked.action, &[id]).await,
        (TasksAction::Retry | TasksAction::Drop, None) if asked.dead => {
            let dead = all_dead(&store).await?;
            change(&store, asked.action, &dead).await
        }
        (_, None) => Err(StartError::WhichTask),
    };
    store.close().await;
    done
}

async fn list(store: &Arc<dyn Keeper>, asked: &TasksConfig) -> Result<(), StartError> {
    let which = if asked.dead { Which::Dead } else { Which::Undone };
    let mut after: Option<Place> = None;
    let mut left = asked.limit;
    while left > 0 {
        let page = store.list_tasks(which, after, left.min(PAGE)).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.place(which));
        left -= page.len();
        let lines: String = page.iter().map(|task| line(task, which)).collect();
        say(lines)?;
    }
    Ok(())
}

/// One line: who, what, since or until when, how often, and what went wrong.
fn line(task: &Task, which: Which) -> String {
    let (at, _) = task.place(which);
    let state = match which {
        Which::Dead => "dead",
        _ if task.leased_until.is_some() => "running",
        _ => "waiting",
    };
    let error = task.last_error.as_deref().unwrap_or_default().replace(char::is_control, " ");
    format!("{} {:<12} {state:<7} {at} {:>3} {error}\n", task.id, task.kind, task.attempts)
}

async fn show(store: &Arc<dyn Keeper>, id: TaskId) -> Result<(), StartError> {
    let task = store.task(id).await?.ok_or(StartError::NoSuchTask(id))?;
    let none = || "-".to_owned();
    let moment = |moment: Option<proto::Timestamp>| moment.map_or_else(none, |moment| moment.to_string());
    let lines = [
        ("id", task.id.to_string()),
        ("kind", task.kind),
        ("key", task.key.unwrap_or_else(none)),
        ("payload", task.payload),
        ("created", task.created_at.to_string()),
        ("due", task.due_at.to_string()),
        ("attempts", task.attempts.to_string()),
        ("at most", task.max_attempts.map_or_else(|| "as its kind says".to_owned(), |most| most.to_string())),
        ("worker", task.worker.unwrap_or_else(none)),
        ("leased", moment(task.leased_until)),
        ("dead", moment(task.dead_at)),
        ("done", moment(task.done_at)),
        ("error", task.last_error.unwrap_or_else(none)),
    ];
    let line = |(name, value): &(&str, String)| format!("{name:<9} {}\n", value.replace(char::is_control, " "));
    say(lines.iter().map(line).collect::<String>())
}

async fn change(store: &Arc<dyn Keeper>, action: TasksAction, ids: &[TaskId]) -> Result<(), StartError> {
    let mut changed = 0;
    for &id in ids {
        let did = match action {
            TasksAction::Retry => store.requeue_task(id).await?,
            _ => store.remove_task(id).await?,
        };
        changed += usize::from(did);
        if !did && ids.len() == 1 {
            return Err(StartError::TaskNotChanged(id));
        }
    }
    let verb = if action == TasksAction::Retry { "due again" } else { "dropped" };
    let left = ids.len() - changed;
    let but = if left > 0 { format!(", {left} left as they are") } else { String::new() };
    say(format_args!("{changed} {verb}{but}\n"))
}

/// Read whole before anything changes: what is sent again may die again meanwhile.
async fn all_dead(store: &Arc<dyn Keeper>) -> Result<Vec<TaskId>, StartError> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = store.list_tasks(Which::Dead, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(all) };
        after = Some(last.place(Which::Dead));
        all.extend(page.iter().map(|task| task.id));
    }
}
