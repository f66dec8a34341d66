//! People who come, go and write, as these clients hear of them.
//!
//! The hub tells of everybody in a room, with a count of all. Some dialects count only those who gave a name: these have a seat in a
//! channel beside the room, where nothing is ever said, and the hub counts them there, in the whole cluster.

use std::sync::Arc;

use hub::{Answer, Ask, Batch, HubError, Outbox, Seat};
use proto::{Frame, RoomName, User, UserId};
use serde::{Deserialize, Serialize};

use super::packet;
use super::session::Session;

/// What the channel beside a room is called.
const BESIDE: &str = "people";

/// The frames that are whispered: a room's own, and that somebody has ceased to write, which only goes beside the room.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Whisper {
    Presence { joined: Vec<User>, left: Vec<User>, count: u64 },
    Typing { user: User },
    Typed { user: User },
}

#[derive(Serialize)]
struct Username<'a> {
    username: &'a str,
}

#[derive(Serialize)]
struct Counted<'a> {
    username: &'a str,
    #[serde(rename = "numUsers")]
    num_users: u64,
}

#[derive(Serialize)]
struct Count {
    #[serde(rename = "numUsers")]
    num_users: u64,
}

/// Somebody's place among those who are counted.
pub(super) struct Place {
    session: Arc<Session>,
    person: UserId,
    user: UserId,
}

/// Takes a place for a person and answers with the count.
pub(super) async fn add(
    session: Arc<Session>,
    room: RoomName,
    person: User,
    user: UserId,
    answer: &'static str,
) -> Result<Seat, HubError> {
    let place = Arc::new(Place { session: session.clone(), person: person.id, user });
    let mut seat = session.node.hub.enter(&room.beside(BESIDE), person, place);
    let announce = &mut |answered: &Answer<'_>| {
        session.answer(packet::event(session.voice().namespace, &(answer, Count { num_users: answered.members })));
    };
    seat.join(Ask { position: None, limit: 1 }, announce).await?;
    Ok(seat)
}

/// Tells the others who are counted that somebody has ceased to write.
pub(super) fn typed(session: &Session, room: &RoomName, user: &User) {
    #[derive(Serialize)]
    struct Typed<'a> {
        r#type: &'static str,
        user: &'a User,
    }
    session.node.hub.whisper(&room.beside(BESIDE), user.id, Frame::json(&Typed { r#type: "typed", user }));
}

/// Tells a socket what is whispered in its room.
pub(super) fn whisper(session: &Session, user: UserId, frame: &Frame) {
    let voice = session.voice();
    let (comes, people) = (voice.comes(), voice.people());
    if comes.is_none() && people.is_none() {
        return;
    }
    match (serde_json::from_slice(frame.payload()), comes, people) {
        (Ok(Whisper::Presence { joined, left, .. }), Some((connected, disconnected)), _) => {
            let moved = [(connected, &joined), (disconnected, &left)].into_iter().flat_map(|(event, users)| {
                users.iter().filter(|other| other.id != user).map(move |other| (event, other.name.as_str()))
            });
            session.whisper(moved.map(|told| packet::event(voice.namespace, &told)));
        }
        (Ok(Whisper::Typing { user }), _, Some(people)) => {
            let told = Username { username: user.name.as_str() };
            session.whisper([packet::event(voice.namespace, &(people.typing, told))]);
        }
        _ => {}
    }
}

impl Outbox for Place {
    fn deliver(&self, _: &Batch) {}

    fn whisper(&self, frame: &Frame) {
        let voice = self.session.voice();
        let Some(people) = voice.people() else { return };
        match serde_json::from_slice(frame.payload()) {
            Ok(Whisper::Presence { joined, left, count }) => {
                let moved = [(people.joined, &joined), (people.left, &left)].into_iter().flat_map(|(event, users)| {
                    users.iter().filter(|other| other.id != self.person).map(move |other| (event, other))
                });
                self.session.whisper(moved.map(|(event, other)| {
                    let told = Counted { username: other.name.as_str(), num_users: count };
                    packet::event(voice.namespace, &(event, told))
                }));
            }
            Ok(Whisper::Typed { user }) if user.id != self.user => {
                let told = Username { username: user.name.as_str() };
                self.session.whisper([packet::event(voice.namespace, &(people.typed, told))]);
            }
            _ => {}
        }
    }

    /// The room beside has no numbers; if the history is another now, the room itself says so.
    fn reset(&self) {
        self.session.end("reset");
    }
}
