//! Messages: reading them by pages, and writing them. What is written goes the way of every door.

use std::sync::Arc;

use axum::http::{HeaderValue, StatusCode, header};
use hub::Ask;
use proto::{Code, Epoch, MessageId, Position, Refusal, RoomName, Text, UserId, to_client};
use roomlog::Job;
use serde::{Deserialize, Serialize};
use store::{Amendment, Change, Post};
use tokio::sync::oneshot;
use utoipa::ToSchema;

use super::answer::{Answer, json, written};
use super::call::{self, Call};
use super::route::{Part, Route};
use super::schemas::{self, Kept, MessageShown};
use crate::node::Node;
use crate::refusal;
use crate::writing::{Kind, Writing};

const LIST: &str = "/rooms/{room}/messages";
const ONE: &str = "/rooms/{room}/messages/{message}";

pub(super) fn part() -> Part {
    let in_room =
        |route: Route| route.known().segment("room", schemas::room(), "The room's name").refuses(&[Code::InvalidRoom]);
    let by_seq = |route: Route| in_room(route).segment("message", schemas::number(1), "The message's `seq`");
    let list = in_room(Route::get(LIST, list))
        .says("listMessages", "Messages of a room: the newest, those before one, or what changed since a position.")
        .more(
            "Without `after`: the newest messages, or those just before `before`, oldest first. With `after`: everything that \
             changed above that number, rising by `rev`, complete to `head`; go on from there. `reset` means that the position is \
             worth nothing: forget what you hold of the room and take these. A page that is not the last has `next`.",
        )
        .query("before", schemas::number(1), "A `seq`: the messages just before it. Not together with `after`")
        .query("after", schemas::number(0), "A number of the room: what changed since. 0 for all there is")
        .query("epoch", schemas::epoch(), "The history that `after` belongs to; without it, the present one")
        .query("limit", schemas::limit(), "How many at most; what is over 500, or 200 with `after`, is cut to it")
        .answers::<MessagePage>(StatusCode::OK, "Some of the messages");
    let look = by_seq(Route::get(ONE, look))
        .says("getMessage", "One message, by its `seq`.")
        .answers::<MessageShown>(StatusCode::OK, "The message as it is now")
        .refuses(&[Code::NotFound]);
    let send = in_room(Route::put(ONE, send))
        .says("sendMessage", "Say something in a room.")
        .more(
            "Make a new UUID for each message, and put it again, unchanged, for as long as no answer comes or one with \
             `retry_after_ms`: it is kept once either way. An id that already names another text of the room is taken for good.",
        )
        .segment("message", schemas::uuid(), "The message's id, made by you")
        .body::<NewMessage>()
        .answers::<Kept>(StatusCode::CREATED, "It is kept, and durable")
        .answers::<Kept>(StatusCode::OK, "It had been kept before")
        .refuses(&[Code::TextEmpty, Code::TextTooLong, Code::IdTaken]);
    let edit = by_seq(Route::patch(ONE, edit))
        .says("editMessage", "Change the text of a message of your own.")
        .body::<NewText>()
        .answers::<Kept>(StatusCode::OK, "It says so from now on")
        .refuses(&[Code::TextEmpty, Code::TextTooLong, Code::NotFound, Code::Forbidden]);
    let delete = by_seq(Route::delete(ONE, delete))
        .says("deleteMessage", "Take back a message of your own. Its place stays, without its text.")
        .answers::<Kept>(StatusCode::OK, "Only its place is left")
        .refuses(&[Code::NotFound, Code::Forbidden]);
    let about = "What people say. A message has an id, made by its sender; a `seq`, its place in the room; and a `rev`, the number \
                 of its last change.";
    Part { name: "Messages", about, routes: vec![list, look, send, edit, delete] }
}

/// Some of a room's messages.
#[derive(ToSchema)]
#[allow(dead_code, reason = "written by proto around messages that are JSON already; this describes it")]
struct MessagePage {
    #[schema(schema_with = schemas::room)]
    room: String,
    /// The history that `head` belongs to.
    #[schema(schema_with = schemas::epoch)]
    epoch: String,
    /// With `after`: the number that this is complete to. Otherwise the room's latest.
    head: u64,
    /// Whether the position was worth nothing.
    reset: bool,
    /// Whether there are more in the direction that was asked.
    more: bool,
    /// The address of the next page.
    #[schema(nullable = false)]
    next: Option<String>,
    messages: Vec<MessageShown>,
}

/// What stands in front of the messages.
#[derive(Serialize)]
struct Head<'a> {
    room: &'a RoomName,
    epoch: Epoch,
    head: u64,
    reset: bool,
    more: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A message to be sent.
#[derive(Deserialize, ToSchema)]
struct NewMessage {
    #[schema(schema_with = schemas::says)]
    text: String,
    /// The `seq` that it answers.
    #[schema(minimum = 1, maximum = 9_223_372_036_854_775_807_u64)]
    reply_to: Option<u64>,
}

/// What a message says from now on.
#[derive(Deserialize, ToSchema)]
struct NewText {
    #[schema(schema_with = schemas::says)]
    text: String,
}

#[derive(Deserialize)]
struct Wanted {
    before: Option<String>,
    after: Option<String>,
    epoch: Option<String>,
    limit: Option<String>,
}

async fn list(call: Call) -> Answer {
    call.somebody()?;
    let room = call.room()?;
    let wanted: Wanted = call.query()?;
    let limit = call::limit(wanted.limit.as_deref())?;
    let before = wanted.before.as_deref().map(|text| call::number("before", text, 1)).transpose()?;
    let after = wanted.after.as_deref().map(|text| call::number("after", text, 0)).transpose()?;
    let at =
        |rest: String| format!("{}/rooms/{}/messages?{rest}&limit={limit}", super::ROOT, call::escaped(room.as_str()));
    let Some(after) = after else {
        let page = call.node.hub.history(&room, before, limit).await.map_err(|error| refusal::of_hub(&error))?;
        let next = page.entries().first().filter(|_| page.more()).map(|oldest| at(format!("before={}", oldest.seq)));
        let (epoch, head, more) = (page.epoch(), page.head(), page.more());
        let head = Head { room: &room, epoch, head, reset: false, more, next };
        let messages = page.entries().iter().map(|entry| entry.frame.payload());
        return Ok(written(StatusCode::OK, to_client::page(&head, messages)));
    };
    if before.is_some() {
        return Err(Refusal::new(Code::InvalidField, "`before` and `after` do not go together").into());
    }
    // An epoch that cannot be ours is simply another epoch.
    let epoch = wanted.epoch.map(|epoch| epoch.parse().unwrap_or(Epoch(0)));
    let ask = Ask { position: Some(Position { epoch, after }), limit };
    let read = call.node.hub.since(&room, &ask).await.map_err(|error| refusal::of_hub(&error))?;
    let since = read.told();
    let next = since.more.then(|| at(format!("after={}&epoch={}", since.head, since.epoch)));
    let hub::Since { epoch, head, reset, more, entries } = since;
    let head = Head { room: &room, epoch, head, reset, more, next };
    Ok(written(StatusCode::OK, to_client::page(&head, entries.iter().map(|entry| entry.frame.payload()))))
}

async fn look(call: Call) -> Answer {
    call.somebody()?;
    let (room, seq) = (call.room()?, call.number("message")?);
    let before = seq.saturating_add(1);
    let page = call.node.hub.history(&room, Some(before), 1).await.map_err(|error| refusal::of_hub(&error))?;
    match page.entries().iter().find(|entry| entry.seq == seq) {
        Some(entry) => Ok(written(StatusCode::OK, entry.frame.payload().to_vec())),
        None => Err(Refusal::new(Code::NotFound, "there is no such message").into()),
    }
}

async fn send(mut call: Call) -> Answer {
    let from = call.somebody()?.user.clone();
    let (room, id) = (call.room()?, MessageId(call.uuid("message")?));
    let NewMessage { text, reply_to } = call.body().await?;
    let text = Text::parse(&text)?;
    if reply_to.is_some_and(|seq| !(1..=i64::MAX as u64).contains(&seq)) {
        return Err(Refusal::field("reply_to", "a whole number from 1").into());
    }
    let by = from.id;
    let post = Post { room: room.clone(), id, from, text, reply_to };
    let kept = write(&call.node, by, &room, Kind::Send, Job::Post(post)).await?;
    let mut response = json(if kept.known { StatusCode::OK } else { StatusCode::CREATED }, &Kept::from(kept))?;
    let at = format!("{}/rooms/{}/messages/{}", super::ROOT, call::escaped(room.as_str()), kept.seq);
    if let Ok(at) = HeaderValue::try_from(at) {
        response.headers_mut().insert(header::LOCATION, at);
    }
    Ok(response)
}

async fn edit(mut call: Call) -> Answer {
    let by = call.somebody()?.user.id;
    let (room, seq) = (call.room()?, call.number("message")?);
    let NewText { text } = call.body().await?;
    amend(&call.node, by, room, seq, Kind::Edit, Change::Text(Text::parse(&text)?)).await
}

async fn delete(call: Call) -> Answer {
    let by = call.somebody()?.user.id;
    let (room, seq) = (call.room()?, call.number("message")?);
    amend(&call.node, by, room, seq, Kind::Delete, Change::Delete).await
}

async fn amend(node: &Arc<Node>, by: UserId, room: RoomName, seq: u64, kind: Kind, change: Change) -> Answer {
    let amendment = Amendment { room: room.clone(), seq, by, change };
    let kept = write(node, by, &room, kind, Job::Amend(amendment)).await?;
    json(StatusCode::OK, &Kept::from(kept))
}

/// Returns once it is durable, or known that it will not be.
pub(super) async fn write(
    node: &Arc<Node>,
    by: UserId,
    room: &RoomName,
    kind: Kind,
    job: Job,
) -> Result<to_client::Kept, Refusal> {
    let writing = Writing::begin(node, by, kind)?;
    let (answer, told) = oneshot::channel();
    writing.submit(room, job, move |kept| {
        // Whoever asked may have gone.
        let _ = answer.send(kept);
    });
    told.await.unwrap_or_else(|_| Err(Refusal::for_now(Code::Unavailable, "this node is leaving", 1000)))
}
