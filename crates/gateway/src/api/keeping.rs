//! What rooms keep, and rooms as files. For admins.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use futures_util::stream;
use proto::{Code, Refusal, TaskId};
use serde::{Deserialize, Serialize};
use store::{Policy, export_task};
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer::{Answer, json};
use super::call::Call;
use super::route::{Part, Route};
use super::schemas;
use crate::refusal;

const RETENTION: &str = "/rooms/{room}/retention";

pub(super) fn part() -> Part {
    let of_room =
        |route: Route| route.known().segment("room", schemas::room(), "The room's name").refuses(&[Code::InvalidRoom]);
    let of_export =
        |route: Route| of_room(route).segment("export", schemas::uuid(), "The export's id").refuses(&[Code::NotFound]);
    let routes = vec![
        of_room(Route::get(RETENTION, policy))
            .says("getRetention", "What a room keeps. For admins.")
            .answers::<Keeps>(StatusCode::OK, "What it keeps"),
        of_room(Route::put(RETENTION, set_policy))
            .says("setRetention", "Have a room keep so much from now on. For admins.")
            .more("Whatever either of the two wants gone goes, for good, within minutes. Numbers stay; whoever stands below what is kept starts afresh.")
            .body::<Keeps>()
            .answers::<Keeps>(StatusCode::OK, "What it keeps now"),
        of_room(Route::post("/rooms/{room}/exports", begin))
            .says("exportRoom", "Have a room written as JSON lines. For admins.")
            .more("It is done in the background, once at a time for a room: asking again meanwhile names the same export.")
            .answers::<ExportShown>(StatusCode::ACCEPTED, "It will be written"),
        of_export(Route::get("/rooms/{room}/exports/{export}", look))
            .says("getExport", "How far an export is. For admins.")
            .answers::<ExportShown>(StatusCode::OK, "The export"),
        of_export(Route::get("/rooms/{room}/exports/{export}/lines", lines))
            .says("readExport", "A room as JSON lines, as `tertulia import` takes them. For admins.")
            .answers_lines("The lines: a header, the room, its messages, an end that counts them"),
    ];
    Part { name: "Keeping", about: "How long rooms remember, and rooms as files.", routes }
}

/// What a room keeps. What is absent or null keeps everything.
#[derive(Serialize, Deserialize, ToSchema)]
#[schema(as = Retention)]
struct Keeps {
    /// Messages of at most so many days.
    #[schema(minimum = 1, maximum = 36500)]
    keep_days: Option<u32>,
    /// At most so many of the newest messages.
    #[schema(minimum = 1, maximum = 1000000)]
    keep_messages: Option<u32>,
}

impl From<Policy> for Keeps {
    fn from(Policy { keep_days, keep_messages }: Policy) -> Self {
        Self { keep_days, keep_messages }
    }
}

impl Keeps {
    fn policy(self) -> Result<Policy, Refusal> {
        let within = |number: Option<u32>, most: u32| number.is_none_or(|number| (1..=most).contains(&number));
        if !within(self.keep_days, Policy::KEEP_DAYS_MAX) {
            return Err(Refusal::field("keep_days", "1 to 36500, or null"));
        }
        if !within(self.keep_messages, Policy::KEEP_MESSAGES_MAX) {
            return Err(Refusal::field("keep_messages", "1 to 1000000, or null"));
        }
        Ok(Policy { keep_days: self.keep_days, keep_messages: self.keep_messages })
    }
}

/// An export.
#[derive(Serialize, ToSchema)]
#[schema(as = Export)]
struct ExportShown {
    id: Uuid,
    /// `waiting` until it is complete, `ready` from then on for a day, or `dead`: see the task of the same id.
    state: &'static str,
    /// How many bytes its lines have, once it is ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    bytes: Option<u64>,
    /// Until when it is kept, once it is ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schemas::moment, required = false)]
    expires_at: Option<String>,
}

async fn policy(call: Call) -> Answer {
    call.admin()?;
    let policy = call.node.chores.policy(&call.room()?).await.map_err(refusal::of_store)?;
    json(StatusCode::OK, &Keeps::from(policy))
}

async fn set_policy(mut call: Call) -> Answer {
    call.admin()?;
    let room = call.room()?;
    let policy = call.body::<Keeps>().await?.policy()?;
    call.node.chores.set_policy(&room, policy).await.map_err(refusal::of_store)?;
    json(StatusCode::OK, &Keeps::from(policy))
}

async fn begin(call: Call) -> Answer {
    call.admin()?;
    let added = call.node.chores.add_task(&export_task(&call.room()?)).await.map_err(refusal::of_store)?;
    json(StatusCode::ACCEPTED, &ExportShown { id: added.id().0, state: "waiting", bytes: None, expires_at: None })
}

async fn look(call: Call) -> Answer {
    call.admin()?;
    let (room, id) = (call.room()?, TaskId(call.uuid("export")?));
    let found = call.node.chores.export(&room, id).await.map_err(refusal::of_store)?;
    if let Some(export) = found {
        let (bytes, expires_at) = (Some(export.bytes), Some(export.expires_at.to_string()));
        return json(StatusCode::OK, &ExportShown { id: id.0, state: "ready", bytes, expires_at });
    }
    let task = call.node.chores.task(id).await.map_err(refusal::of_store)?;
    let task = task.filter(|task| task.kind == store::EXPORT_TASK && task.payload == export_task(&room).payload);
    let task = task.ok_or_else(none_such)?;
    let state = if task.dead_at.is_some() { "dead" } else { "waiting" };
    json(StatusCode::OK, &ExportShown { id: id.0, state, bytes: None, expires_at: None })
}

async fn lines(call: Call) -> Answer {
    call.admin()?;
    let (room, id) = (call.room()?, TaskId(call.uuid("export")?));
    let export = call.node.chores.export(&room, id).await.map_err(refusal::of_store)?.ok_or_else(none_such)?;
    let store = call.node.chores.clone();
    // A piece is read when the one before it has been taken. One that is missing cuts the answer short, which its length shows.
    let pieces = stream::try_unfold(0, move |number| {
        let (store, room) = (store.clone(), room.clone());
        async move {
            if number == export.chunks {
                return Ok(None);
            }
            let piece = store.export_chunk(&room, export.content, number).await.map_err(std::io::Error::other)?;
            let piece = piece.ok_or_else(|| std::io::Error::other("the export has expired"))?;
            Ok::<_, std::io::Error>(Some((piece, number + 1)))
        }
    });
    let mut response = Body::from_stream(pieces).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(super::route::LINES));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(export.bytes));
    Ok(response)
}

fn none_such() -> Refusal {
    Refusal::new(Code::NotFound, "there is no such export, or it has expired")
}
