//! `hello`: a name makes a new guest, a token brings one back.

use proto::{Code, PersonName, Refusal, User, UserId, to_client};
use uuid::Uuid;

use crate::node::Node;
use crate::ws::out::Conn;

/// A guest of this name, whom nobody has met before: names are not unique, ids are.
pub(crate) fn with_name(node: &Node, name: PersonName) -> Result<User, Refusal> {
    if !node.config.guests {
        return Err(Refusal::new(Code::Unauthorized, "guests are not let in here"));
    }
    Ok(User { id: UserId(Uuid::new_v4()), name })
}

/// The guest to whom this token was given, on whatever node.
pub(crate) fn with_token(node: &Node, token: &str) -> Result<User, Refusal> {
    if !node.config.guests {
        return Err(Refusal::new(Code::Unauthorized, "guests are not let in here"));
    }
    node.tokens.check(token).ok_or_else(|| Refusal::new(Code::Unauthorized, "the token is not one of ours"))
}

pub(super) fn welcome(node: &Node, conn: &Conn, reference: Option<&str>, user: &User) {
    let limits =
        to_client::Limits::new(node.config.rooms_per_connection, node.config.send_rate, node.config.backlog_bytes);
    let token = node.tokens.issue(user);
    conn.answer(&to_client::welcome(reference, user, &token, &node.config.node_name, &limits));
}
