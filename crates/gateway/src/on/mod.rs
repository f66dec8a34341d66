//! What may be asked, a file each. A stranger may only say hello; everything else is asked by a guest.

mod amend;
pub(crate) mod hello;
mod history;
mod join;
mod leave;
mod send;
mod typing;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use hub::Seat;
use proto::{Code, FromClient, Refusal, Request, RoomName, User, to_client};

use crate::node::Node;
use crate::ws::out::Conn;
use crate::ws::session::Work;

/// A connection that has not said hello.
pub(crate) struct Stranger {
    node: Arc<Node>,
    conn: Arc<Conn>,
}

/// A connection whose hello was answered.
pub(crate) struct Guest {
    node: Arc<Node>,
    conn: Arc<Conn>,
    user: User,
    /// The rooms it listens to.
    pub(crate) seats: HashMap<RoomName, Seat>,
    typed_at: Option<Instant>,
}

impl Stranger {
    pub(crate) fn new(node: &Arc<Node>, conn: &Arc<Conn>) -> Self {
        Self { node: node.clone(), conn: conn.clone() }
    }

    /// Answers; a guest if the hello was good.
    pub(crate) fn on(&self, request: Request) -> Option<Guest> {
        let reference = request.reference.as_deref();
        let id = id_of(&request.ask);
        let user = match request.ask {
            FromClient::HelloName { name } => hello::with_name(&self.node, name),
            FromClient::HelloToken { token } => hello::with_token(&self.node, &token),
            FromClient::Ping => {
                self.conn.answer(&to_client::pong(reference));
                return None;
            }
            _ => Err(Refusal::new(Code::HelloRequired, "say hello first")),
        };
        match user {
            Ok(user) => {
                hello::welcome(&self.node, &self.conn, reference, &user);
                let (node, conn) = (self.node.clone(), self.conn.clone());
                Some(Guest { node, conn, user, seats: HashMap::new(), typed_at: None })
            }
            Err(refusal) => {
                self.node.refuse(&self.conn, reference, id.as_deref(), &refusal);
                None
            }
        }
    }
}

impl Guest {
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
                Err(Refusal::new(Code::AlreadyWelcome, "hello was said before"))
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
