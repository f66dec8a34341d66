//! What a client says of itself when it connects: in `auth`, or in the query for those that have none.

use axum::extract::Query;
use axum::http::Uri;
use people::{Identity, derived};
use proto::{Code, PersonName, Refusal, RoomName, Token, User, UserId};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::session::Session;

/// Where people are who name no room.
const ROOM: &str = "general";
/// What people are called who give no name.
const NAME: &str = "anonymous";
/// How tokens of guests begin.
const GUESTS: &str = "g1.";
/// The highest offset that every client can hold.
const OFFSET_MAX: u64 = 1 << 53;

/// The values that mean something here. Each may be missing, and anything may be in it.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Values {
    username: Value,
    token: Value,
    room: Value,
    #[serde(rename = "serverOffset")]
    server_offset: Value,
}

/// Who somebody is, where, and up to where they have heard.
pub(super) struct Known {
    pub(super) identity: Identity,
    pub(super) room: RoomName,
    pub(super) offset: Option<u64>,
}

impl Values {
    pub(super) fn of_query(uri: &Uri) -> Self {
        Query::try_from_uri(uri).map(|Query(values)| values).unwrap_or_default()
    }

    /// These values of `auth`, and what they leave open as the query says.
    pub(super) fn or(auth: Option<&RawValue>, query: &Self) -> Result<Self, Refusal> {
        let mut values: Self = match auth.map(|raw| serde_json::from_str(raw.get())) {
            Some(values) => values.map_err(|_| Refusal::field("auth", "an object"))?,
            None => Self::default(),
        };
        if is_absent(&values.token) && text(&query.token, "token")?.is_some_and(|token| !token.starts_with(GUESTS)) {
            let detail = "only a guest's token may be in an address; give this one in `auth` or as a bearer token";
            return Err(Refusal::new(Code::Unauthorized, detail));
        }
        for (value, other) in [
            (&mut values.username, &query.username),
            (&mut values.token, &query.token),
            (&mut values.room, &query.room),
            (&mut values.server_offset, &query.server_offset),
        ] {
            if is_absent(value) {
                value.clone_from(other);
            }
        }
        Ok(values)
    }

    /// Who that is: whoever the token stands for, or what the request brought; else a new guest.
    pub(super) async fn known(&self, session: &Session) -> Result<Known, Refusal> {
        let (room, offset) = self.place()?;
        let people = &session.node.people;
        let identity = match (text(&self.token, "token")?, session.bearer.as_deref()) {
            (Some(token), _) => people.recognize(Token::parse(token)?.reveal()).await?,
            (None, Some(recognized)) => recognized.clone()?,
            (None, None) => people.guest(PersonName::parse(text(&self.username, "username")?.unwrap_or(NAME))?).await?,
        };
        Ok(Known { identity, room, offset })
    }

    /// Where, and up to where they have heard.
    pub(super) fn place(&self) -> Result<(RoomName, Option<u64>), Refusal> {
        let room = RoomName::parse(text(&self.room, "room")?.unwrap_or(ROOM))?;
        Ok((room, offset(&self.server_offset)?))
    }
}

fn is_absent(value: &Value) -> bool {
    value.is_null() || value == ""
}

fn text<'a>(value: &'a Value, name: &str) -> Result<Option<&'a str>, Refusal> {
    match value {
        value if is_absent(value) => Ok(None),
        Value::String(text) => Ok(Some(text)),
        _ => Err(Refusal::field(name, "a string")),
    }
}

/// An offset as a number or as the string that clients are given.
pub(super) fn offset(value: &Value) -> Result<Option<u64>, Refusal> {
    let offset = match value {
        value if is_absent(value) => return Ok(None),
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number.as_u64(),
        _ => None,
    };
    let offset = offset.filter(|offset| *offset <= OFFSET_MAX);
    offset.map(Some).ok_or_else(|| Refusal::field("serverOffset", "a number that is not negative"))
}

/// Who is counted under a name: whoever comes back with it is the same person returning.
pub(super) fn person(room: &RoomName, name: PersonName) -> User {
    User { id: UserId(derived(&["person", room.as_str(), name.as_str()])), name }
}

/// A refusal of what is asked before anybody is let in.
pub(super) fn twice() -> Refusal {
    Refusal::new(Code::AlreadyWelcome, "a connection is in one namespace")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_offset_may_be_a_number_or_a_string() {
        for (value, wanted) in [(json!(0), Some(0)), (json!("12"), Some(12)), (json!(null), None), (json!(""), None)] {
            assert_eq!(offset(&value), Ok(wanted));
        }
        for bad in [json!(-1), json!("x"), json!(1.5), json!([]), json!(u64::MAX)] {
            assert_eq!(offset(&bad).map_err(|refusal| refusal.code), Err(Code::InvalidField), "{bad}");
        }
    }

    #[test]
    fn auth_counts_before_the_query() {
        let query = Values::of_query(&Uri::from_static("/socket.io/?EIO=4&username=Ben%20B&room=hall"));
        let auth = RawValue::from_string(r#"{"username":"Ana","extra":1}"#.into()).unwrap();
        let values = Values::or(Some(&auth), &query).unwrap();
        assert_eq!((values.username, values.room), (json!("Ana"), json!("hall")));
        assert_eq!(Values::or(None, &query).unwrap().username, json!("Ben B"));
    }
}
