//! `tertulia rooms`: what rooms keep, and what they forget now.

use std::sync::Arc;

use proto::{RoomName, Timestamp};
use store::{Keeper, Policy};

use super::say;
use crate::config::{Keep, RoomsAction, RoomsConfig};
use crate::node::StartError;
use crate::open;

/// Rooms in one question, and messages that go in one transaction.
const PAGE: usize = 500;

/// Shows, sets, or forgets.
pub(crate) async fn run(asked: &RoomsConfig) -> Result<(), StartError> {
    let store = match asked.action {
        RoomsAction::Show => open::store_to_read(&asked.config).await?,
        RoomsAction::Set | RoomsAction::Forget => open::beside(&asked.config).await?,
    };
    let done = match (asked.action, &asked.room) {
        (RoomsAction::Show, Some(room)) => show(&store, room).await,
        (RoomsAction::Show, None) => list(&store).await,
        (RoomsAction::Set, Some(room)) => set(&store, room, asked).await,
        (RoomsAction::Forget, Some(room)) => forget(&store, room, asked.up_to).await,
        (RoomsAction::Set | RoomsAction::Forget, None) => Err(StartError::WhichRoom),
    };
    store.close().await;
    done
}

/// The rooms that do not keep everything.
async fn list(store: &Arc<dyn Keeper>) -> Result<(), StartError> {
    let mut last = None;
    loop {
        let page = store.policies(last.as_ref(), PAGE).await?;
        say(page.iter().map(|(room, policy)| format!("{room} keeps {}\n", sentence(*policy))).collect::<String>())?;
        let Some((room, _)) = page.into_iter().next_back() else { return Ok(()) };
        last = Some(room);
    }
}

async fn show(store: &Arc<dyn Keeper>, room: &RoomName) -> Result<(), StartError> {
    let heads = store.heads(std::slice::from_ref(room)).await?;
    let [head, floor] = [heads.heads, heads.floors].map(|numbers| numbers.first().copied().unwrap_or(0));
    let keeps = sentence(store.policy(room).await?);
    say(format_args!("room   {room}\nhead   {head}\nfloor  {floor}\nkeeps  {keeps}\n"))
}

async fn set(store: &Arc<dyn Keeper>, room: &RoomName, asked: &RoomsConfig) -> Result<(), StartError> {
    if asked.keep_days.is_none() && asked.keep_messages.is_none() {
        return Err(StartError::KeepWhat);
    }
    let before = store.policy(room).await?;
    let chosen = |asked: Option<Keep>, before| asked.map_or(before, |Keep(kept)| kept);
    let policy = Policy {
        keep_days: chosen(asked.keep_days, before.keep_days),
        keep_messages: chosen(asked.keep_messages, before.keep_messages),
    };
    store.set_policy(room, policy).await?;
    say(format_args!("{room} keeps {}\n", sentence(policy)))
}

/// Up to a number, or as the room's policy says.
async fn forget(store: &Arc<dyn Keeper>, room: &RoomName, up_to: Option<u64>) -> Result<(), StartError> {
    let policy = store.policy(room).await?;
    if up_to.is_none() && policy.keeps_all() {
        return Err(StartError::KeepsAll(room.clone()));
    }
    let mut gone = 0;
    loop {
        let floor = match up_to {
            Some(number) => number,
            None => store.due(room, policy, Timestamp::now(), PAGE).await?,
        };
        let step = store.forget(room, floor, PAGE).await?;
        gone += step.messages;
        // By its age what is due is found a page at a time.
        if !step.more && (up_to.is_some() || floor == 0) {
            let plural = if gone == 1 { "" } else { "s" };
            return say(format_args!("{gone} message{plural} gone, floor {}\n", step.floor));
        }
    }
}

fn sentence(policy: Policy) -> String {
    let days = policy.keep_days.map(|days| format!("messages of {days} day{}", if days == 1 { "" } else { "s" }));
    let messages = policy.keep_messages.map(|count| format!("the newest {count}"));
    match (messages, days) {
        (None, None) => "everything".into(),
        (Some(one), None) | (None, Some(one)) => one,
        (Some(messages), Some(days)) => format!("{messages}, and of those the {days}"),
    }
}
