//! What may be asked, a file each. A stranger may only say hello; everything else is asked by a guest of the house.

mod amend;
mod hello;
mod history;
mod join;
mod leave;
mod send;
mod typing;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use hello::By;
use hub::Seat;
use people::Identity;
use proto::{Code, FromClient, Refusal, Request, RoomName, User, to_client};

use crate::node::Node;
use crate::stays::Staying;
use crate::ws::out::Conn;
use crate::ws::session::Work;

/// A connection of whom nothing is known.
pub(crate) struct Stranger {
    node: Arc<Node>,
    conn: Arc<Conn>,
}

/// A connection that was welcomed.
pub(crate) struct Guest {
    node: Arc<Node>,
    conn: Arc<Conn>,
    user: User,
    /// The rooms it listens to.
    pub(crate) seats: HashMap<RoomName, Seat>,
    typed_at: Option<Instant>,
    /// Whether it was welcomed unasked, and so may still say hello.
    may_greet: bool,
    /// For how long it may be here, unless for good.
    _staying: Option<Box<Staying>>,
}

/// A hello that was good, to be answered.
pub(crate) struct Hello {
    pub(crate) reference: Option<String>,
}

impl Stranger {
    pub(crate) fn new(node: &Arc<Node>, conn: &Arc<Conn>) -> Self {
        Self { node: node.clone(), conn: conn.clone() }
    }

    /// Answers what needs no name; finding out who it is takes its time.
    pub(crate) fn on(&self, Request { reference, ask }: Request) -> Option<Work> {
        match ask {
            FromClient::HelloName { name } => Some(self.on_hello(reference, By::Name(name))),
            FromClient::HelloToken { token } => Some(self.on_hello(reference, By::Token(token))),
            FromClient::Ping => {
                self.conn.answer(&to_client::pong(reference.as_deref()));
                None
            }
            ask => {
                let refusal = Refusal::new(Code::HelloRequired, "say hello first");
                self.node.refuse(&self.conn, reference.as_deref(), id_of(&ask).as_deref(), &refusal);
                None
            }
        }
    }
}

impl Guest {
    /// Welcomes somebody who was recognized: by their hello, which is answered, or before it could be said.
    pub(crate) fn welcome(node: &Arc<Node>, conn: &Arc<Conn>, hello: Option<Hello>, identity: Identity) -> Self {
        conn.is_welcome.store(true, Ordering::Relaxed);
        let reference = hello.as_ref().and_then(|hello| hello.reference.as_deref());
        hello::welcome_as(node, conn, reference, &identity);
        let user = identity.user.clone();
        let _staying = node.stays.begin(&node.people, identity, conn.clone());
        let may_greet = hello.is_none();
        let (node, conn) = (node.clone(), conn.clone());
        Self { node, conn, user, seats: HashMap::new(), typed_at: None, may_greet, _staying }
    }

    /// Does what is asked, now or as work that takes its time.
    pub(crate) fn on(&mut self, Request { reference, ask }: Request) -> Option<Work> {
        let (node, conn) = (self.node.clone(), self.conn.clone());
        let id = id_of(&ask);
        let done = match ask {
            FromClient::Join { room, position, limit } => {
                self.on_join(reference.clone(), room, position, limit).map(Some)
            }
            FromClient::History { room, before, limit } => {
                Ok(Some(self.on_history(reference.clone(), room, before, limit)))
            }
            FromClient::Leave { room } => self.on_leave(reference.as_deref(), &room).map(|()| None),
            FromClient::Send { room, id, text, reply_to } => {
                self.on_send(reference.clone(), room, id, text, reply_to).map(|()| None)
            }
            FromClient::Edit { room, seq, text } => self.on_edit(reference.clone(), room, seq, text).map(|()| None),
            FromClient::Delete { room, seq } => self.on_delete(reference.clone(), room, seq).map(|()| None),
            FromClient::Typing { room } => self.on_typing(&room).map(|()| None),
            FromClient::Ping => {
                conn.answer(&to_client::pong(reference.as_deref()));
                Ok(None)
            }
            FromClient::HelloName { .. } | FromClient::HelloToken { .. } => {
                self.on_hello(reference.as_deref()).map(|()| None)
            }
        };
        done.unwrap_or_else(|refusal| {
            node.refuse(&conn, reference.as_deref(), id.as_deref(), &refusal);
            None
        })
    }

    fn seat(&self, room: &RoomName) -> Result<&Seat, Refusal> {
        self.seats.get(room).ok_or_else(|| Refusal::new(Code::NotJoined, format!("`{room}` was not joined")))
    }
}

/// The id that an error must carry back: that of a `send`.
fn id_of(ask: &FromClient) -> Option<String> {
    match ask {
        FromClient::Send { id, .. } => Some(id.to_string()),
        _ => None,
    }
}
