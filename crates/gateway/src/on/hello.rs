//! `hello`: a name makes a new guest, a token brings back whoever it stands for.
//!
//! Where the upgrade brought a session or a key there is nothing to say, and the welcome comes by itself. A client that says hello all
//! the same is welcomed once more, as whom it is already: what it says there counts for nothing.

use futures_util::FutureExt;
use people::{Identity, Standing};
use proto::{Code, PersonName, Refusal, Token, User, to_client};

use super::{Guest, Hello, Stranger};
use crate::node::Node;
use crate::ws::out::Conn;
use crate::ws::session::{After, Work};

/// What a hello goes by.
pub(super) enum By {
    Name(PersonName),
    Token(Token),
}

impl By {
    async fn identity(self, node: &Node) -> Result<Identity, Refusal> {
        match self {
            Self::Name(name) => node.people.guest(name).await,
            Self::Token(token) => node.people.recognize(token.reveal()).await,
        }
    }
}

impl Stranger {
    pub(super) fn on_hello(&self, reference: Option<String>, by: By) -> Work {
        let (node, conn) = (self.node.clone(), self.conn.clone());
        async move {
            match by.identity(&node).await {
                Ok(identity) => After::Known(Hello { reference }, Box::new(identity)),
                Err(refusal) => {
                    node.refuse(&conn, reference.as_deref(), None, &refusal);
                    After::Nothing
                }
            }
        }
        .boxed()
    }
}

impl Guest {
    /// Who was welcomed unasked may say hello once, and is told again who it is.
    pub(super) fn on_hello(&mut self, reference: Option<&str>) -> Result<(), Refusal> {
        if !std::mem::take(&mut self.may_greet) {
            return Err(Refusal::new(Code::AlreadyWelcome, "hello was said before"));
        }
        welcome(&self.node, &self.conn, reference, &self.user, None);
        Ok(())
    }
}

/// Only guests are given a token: others have one, which is not ours to repeat.
pub(super) fn welcome_as(node: &Node, conn: &Conn, reference: Option<&str>, identity: &Identity) {
    let token = (identity.standing == Standing::Guest).then(|| node.people.guest_token(&identity.user));
    welcome(node, conn, reference, &identity.user, token.as_deref());
}

fn welcome(node: &Node, conn: &Conn, reference: Option<&str>, user: &User, token: Option<&str>) {
    let limits =
        to_client::Limits::new(node.config.rooms_per_connection, node.config.send_rate, node.config.backlog_bytes);
    conn.answer(&to_client::welcome(reference, user, token, &node.config.node_name, &limits));
}
