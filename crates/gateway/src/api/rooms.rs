//! Rooms: which there are, and how one stands.

use axum::http::StatusCode;
use proto::RoomName;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::{Answer, json};
use super::call::{self, Call};
use super::route::{Part, Route};
use super::schemas;
use crate::refusal;

pub(super) fn part() -> Part {
    let list = Route::get("/rooms", list)
        .says("listRooms", "The rooms in which something was said, by name.")
        .more("Names are in the order of their bytes. A page that is not the last has `next`, the address of the one after it.")
        .known()
        .query("after", schemas::room(), "Rooms behind this name only")
        .query("limit", schemas::limit(), "How many at most; what is over 500 is cut to it")
        .answers::<RoomPage>(StatusCode::OK, "Some of the rooms")
        .refuses(&[proto::Code::InvalidRoom]);
    let look = Route::get("/rooms/{room}", look)
        .says("getRoom", "How a room stands: its head, and how many people are in it.")
        .more("A room in which nothing was ever said has the head 0. The members are a best effort; `stale` if nodes cannot hear each other.")
        .known()
        .segment("room", schemas::room(), "The room's name")
        .answers::<RoomStands>(StatusCode::OK, "How the room stands")
        .refuses(&[proto::Code::InvalidRoom]);
    Part {
        name: "Rooms",
        about: "Where people talk. A room is there as soon as somebody speaks in it.",
        routes: vec![list, look],
    }
}

/// Some of the rooms.
#[derive(Serialize, ToSchema)]
struct RoomPage {
    rooms: Vec<RoomShown>,
    /// The history that the heads belong to.
    #[schema(schema_with = schemas::epoch)]
    epoch: String,
    /// Whether there are more.
    more: bool,
    /// The address of the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

/// A room in the list.
#[derive(Serialize, ToSchema)]
#[schema(as = Room)]
struct RoomShown {
    #[schema(schema_with = schemas::room)]
    room: String,
    /// Its latest number.
    head: u64,
}

/// How a room stands.
#[derive(Serialize, ToSchema)]
struct RoomStands {
    #[schema(schema_with = schemas::room)]
    room: String,
    /// The history that the head belongs to.
    #[schema(schema_with = schemas::epoch)]
    epoch: String,
    /// The room's latest number.
    head: u64,
    /// How many people are in it.
    members: u64,
    /// Whether `members` may be out of date.
    stale: bool,
}

#[derive(Deserialize)]
struct Wanted {
    after: Option<String>,
    limit: Option<String>,
}

async fn list(call: Call) -> Answer {
    call.somebody()?;
    let wanted: Wanted = call.query()?;
    let after = wanted.after.as_deref().map(RoomName::parse).transpose()?;
    let limit = call::limit(wanted.limit.as_deref())?;
    let page = call.node.hub.rooms(after.as_ref(), limit).await.map_err(|error| refusal::of_hub(&error))?;
    let last = page.rooms.last().filter(|_| page.more);
    let next =
        last.map(|(room, _)| format!("{}/rooms?after={}&limit={limit}", super::ROOT, call::escaped(room.as_str())));
    let rooms = page.rooms.iter().map(|(room, head)| RoomShown { room: room.to_string(), head: *head }).collect();
    json(StatusCode::OK, &RoomPage { rooms, epoch: page.epoch.to_string(), more: page.more, next })
}

async fn look(call: Call) -> Answer {
    call.somebody()?;
    let room = call.room()?;
    let glance = call.node.hub.glance(&room).await.map_err(|error| refusal::of_hub(&error))?;
    let hub::Glance { epoch, head, members, stale } = glance;
    json(StatusCode::OK, &RoomStands { room: room.to_string(), epoch: epoch.to_string(), head, members, stale })
}
