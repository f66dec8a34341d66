//! A session's own task: does what was asked, in order, and sees the session to its end.
//!
//! One request that takes its time is done at a time, and nothing else meanwhile; only the way into a room goes on beside it, since a
//! long replay must not keep anybody from speaking.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use engineioxide::socket::Sid;
use engineioxide::{DisconnectReason, ProtocolVersion, Str};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hub::Seat;
use people::Standing;
use proto::{Code, PersonName, Refusal, RoomName, User};
use serde_json::value::RawValue;

use super::dialect::{self, Voice};
use super::handshake::{self, Known, Values};
use super::packet::{self, Namespace, Packet};
use super::replay::{self, Ear};
use super::session::Session;
use crate::stays::{Going, Staying};

/// How long what was last written may take to be read.
const FAREWELL: Duration = Duration::from_secs(5);

/// A request that takes its time.
pub(super) type Work = BoxFuture<'static, After>;

/// What a request leaves behind.
pub(super) enum After {
    /// It is known who wants into a namespace, or why nobody is let in. The namespace as it was asked for.
    Known(Namespace, String, Box<Result<Known, Refusal>>),
    /// A guest may be called so; the packet that asked for it goes on.
    Called(PersonName, Str),
    /// A seat among the people who are counted.
    Counted(Seat),
    Nothing,
}

/// Somebody who was let in.
pub(super) struct Guest {
    pub(super) session: Arc<Session>,
    pub(super) user: User,
    /// Whether there is an account behind it, which says how it is called.
    pub(super) has_account: bool,
    pub(super) namespace: Namespace,
    /// The room it is in.
    pub(super) room: Option<RoomName>,
    /// The way into that room, while it lasts, and then the seat.
    entering: Option<BoxFuture<'static, Seat>>,
    seat: Option<Seat>,
    pub(super) counted: Option<Seat>,
    pub(super) typing: super::on::Typing,
    /// For how long it may be here, unless for good.
    _staying: Option<Box<Staying>>,
}

struct Life {
    session: Arc<Session>,
    guest: Option<Guest>,
    work: Option<Work>,
}

/// Lives a session from the engine's opening it to its end.
pub(super) async fn live(session: Arc<Session>, sid: Sid) {
    let node = session.node.clone();
    node.metrics.connects.with_label_values(&["socketio"]).inc();
    node.metrics.connections.with_label_values(&["socketio"]).inc();
    let mut life = Life { session: session.clone(), guest: None, work: None };
    let reason = life.run().await;
    drop(life); // leaves all rooms
    node.metrics.connections.with_label_values(&["socketio"]).dec();
    node.metrics.disconnects.with_label_values(&[reason]).inc();
    part(&session, reason).await;
    node.sessions.remove(&sid);
}

impl Life {
    /// Runs until the end is decided; says why.
    async fn run(&mut self) -> &'static str {
        if self.session.version() == ProtocolVersion::V3 {
            // Older clients are in the main namespace without asking.
            self.connect("/", None);
        }
        loop {
            let session = self.session.clone();
            if let Some(reason) = session.ending() {
                return reason;
            }
            if session.going() == Going::Unauthorized {
                if self.is_dismissed() {
                    continue;
                }
            } else if self.work.is_none() {
                if let Some(packet) = session.next_packet() {
                    self.on_packet(&packet);
                    tokio::task::consume_budget().await;
                    continue;
                }
                if session.going() == Going::Drain && !session.has_sends_waiting() {
                    session.end("drain");
                    continue;
                }
            }
            let work = async {
                match &mut self.work {
                    Some(work) => work.await,
                    None => pending().await,
                }
            };
            let entering = async {
                match self.guest.as_mut().and_then(|guest| guest.entering.as_mut()) {
                    Some(entering) => entering.await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = session.nudge.notified() => {}
                after = work => self.after(after),
                seat = entering => {
                    if let Some(guest) = &mut self.guest {
                        guest.entering = None;
                        guest.seat = Some(seat);
                    }
                }
            }
        }
    }

    fn on_packet(&mut self, text: &Str) {
        match (Packet::parse(text), &mut self.guest) {
            (None, _) => self.session.end("protocol"),
            (Some(Packet::Connect { namespace, auth }), _) => self.connect(namespace, auth),
            (Some(Packet::Disconnect), _) => self.session.end("client"),
            (Some(Packet::Event { name, arguments, ack }), Some(guest)) => {
                self.work = guest.on(&name, &arguments, ack, text).unwrap_or_else(|refusal| {
                    self.session.refuse(&refusal);
                    None
                });
            }
            (Some(Packet::Event { .. } | Packet::Other), _) => {}
        }
    }

    /// Finds out who wants into a namespace.
    fn connect(&mut self, asked: &str, auth: Option<&RawValue>) {
        let session = self.session.clone();
        let version = session.version();
        let Some(namespace) = Namespace::parse(asked) else {
            return session.answer(packet::not_connected(asked, None, version));
        };
        if let Some(guest) = &self.guest {
            // Older clients are in the main one already and may want the other.
            if version == ProtocolVersion::V4 || guest.namespace == namespace {
                return session.answer(packet::not_connected(asked, Some(&handshake::twice()), version));
            }
        }
        let (asked, values) = (asked.to_owned(), Values::or(auth, &session.query));
        let work = async move {
            let known = match values {
                Ok(values) => values.known(&session).await,
                Err(refusal) => Err(refusal),
            };
            After::Known(namespace, asked, Box::new(known))
        };
        self.work = Some(work.boxed());
    }

    fn after(&mut self, after: After) {
        self.work = None;
        match (after, &mut self.guest) {
            (After::Known(namespace, asked, known), _) => match *known {
                Ok(known) => self.let_in(namespace, known),
                Err(refusal) => self.turn_away(&asked, &refusal),
            },
            (After::Called(name, packet), Some(guest)) => {
                guest.user.name = name;
                self.on_packet(&packet);
            }
            (After::Counted(seat), Some(guest)) => guest.counted = Some(seat),
            _ => {}
        }
    }

    /// Answers at once; the past comes after it.
    fn let_in(&mut self, namespace: Namespace, Known { identity, room, offset }: Known) {
        let session = self.session.clone();
        session.is_in.store(true, Ordering::Relaxed);
        let mut voice = Voice::new(namespace);
        if offset.is_some() {
            voice.speaks(dialect::with_offsets(), None);
        }
        session.out().voice = voice;
        // Not the engine's own: whoever knows that one may poll in its owner's name, and clients tell others their `socket.id`.
        session.answer(packet::connected(namespace, &Sid::new().to_string(), session.version()));
        session.answer(packet::event(namespace, &(dialect::NODE_NAME, &session.node.config.node_name)));
        let mut guest = Guest {
            user: identity.user.clone(),
            has_account: identity.standing != Standing::Guest,
            namespace,
            room: None,
            entering: None,
            seat: None,
            counted: None,
            typing: super::on::Typing::default(),
            _staying: session.node.stays.begin(&session.node.people, identity, session.clone()),
            session,
        };
        guest.enter(room, offset);
        self.guest = Some(guest);
    }

    fn turn_away(&self, asked: &str, refusal: &Refusal) {
        let session = &self.session;
        session.node.metrics.refusals.with_label_values(&[refusal.code.as_str()]).inc();
        if refusal.retry_after_ms.is_some() {
            // A client that is refused by its namespace gives up; one whose transport ends comes back.
            session.end("unavailable");
        } else {
            session.answer(packet::not_connected(asked, Some(refusal), session.version()));
        }
    }

    /// Sees to it that nothing more is heard; once all is acknowledged that was accepted, says goodbye: by the namespace, since the
    /// client shall not come back with the same token.
    fn is_dismissed(&mut self) -> bool {
        self.work = None;
        if let Some(guest) = &mut self.guest {
            guest.leave();
        }
        let session = &self.session;
        if session.has_sends_waiting() {
            return false;
        }
        session.refuse(&Refusal::new(Code::Unauthorized, "the session has ended"));
        session.answer(packet::disconnected(session.voice().namespace));
        session.end("unauthorized");
        true
    }
}

impl Guest {
    /// Goes into a room, out of the one before.
    pub(super) fn enter(&mut self, room: RoomName, offset: Option<u64>) {
        self.leave();
        let ear = Ear::new(&self.session, self.user.id);
        let seat = self.session.node.hub.enter(&room, self.user.clone(), ear.clone());
        self.entering = Some(replay::enter(ear, seat, room.clone(), offset).boxed());
        self.room = Some(room);
    }

    /// Leaves the room, and those who are counted there.
    pub(super) fn leave(&mut self) {
        self.entering = None;
        self.seat = None;
        self.counted = None;
        self.room = None;
    }

    pub(super) fn here(&self) -> Result<&RoomName, Refusal> {
        self.room.as_ref().ok_or_else(|| Refusal::new(Code::NotJoined, "no room was joined"))
    }
}

/// Closes the transport, never the namespace: a client that is told to leave that does not come back. Nor does python-socketio when it hears
/// the engine's word for closing: a WebSocket ends without it, and a poll is told that there is no such session.
async fn part(session: &Arc<Session>, reason: &'static str) {
    let is_gone = matches!(reason, "client" | "lost" | "idle");
    let ended = async {
        // A poll takes what it finds and no more: what was acknowledged shall be read.
        session.until(|| is_gone || session.is_cut() || session.out().is_taken()).await;
        session.cut();
        session.until(|| !session.has_stream()).await;
    };
    let _ = tokio::time::timeout(FAREWELL, ended).await;
    session.cut();
    if reason != "client" {
        session.is_now_over();
    }
    if let Some(socket) = session.set_socket(None) {
        socket.close(DisconnectReason::ClosingServer);
    }
}
