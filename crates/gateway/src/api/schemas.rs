//! What the document says of things that the program writes by hand, and of names and numbers in addresses.

use proto::{PersonName, RoomName, TAIL_DEFAULT, Text, User, to_client};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder};
use utoipa::openapi::{KnownFormat, SchemaFormat, Type};
use uuid::Uuid;

/// A room's name.
pub(super) fn room() -> Object {
    text(1, RoomName::CHARS_MAX).description(Some("Letters and digits of any script, and - _ . :")).build()
}

/// A person's name.
pub(super) fn name() -> Object {
    text(1, PersonName::CHARS_MAX).description(Some("Visible characters on one line")).build()
}

/// What a message says.
pub(super) fn says() -> Object {
    let about = format!("Not blank, at most {} bytes of UTF-8, without NUL", Text::BYTES_MAX);
    text(1, Text::BYTES_MAX).description(Some(about)).build()
}

/// A password.
pub(super) fn password() -> Object {
    text(8, 256).description(Some("8 to 256 bytes of UTF-8")).build()
}

/// One of some words.
pub(super) fn words(words: &[&str]) -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words.iter().copied())).build()
}

/// A text of so many characters.
pub(super) fn text(least: usize, most: usize) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).min_length(Some(least)).max_length(Some(most))
}

/// A number of a room.
pub(super) fn number(least: usize) -> Object {
    whole(least).build()
}

/// How many a page may have.
pub(super) fn limit() -> Object {
    whole(1).default(Some(TAIL_DEFAULT.into())).build()
}

fn whole(least: usize) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .minimum(Some(least))
        .maximum(Some(i64::MAX as usize))
}

/// A UUID.
pub(super) fn uuid() -> Object {
    ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid))).build()
}

/// Sixteen hexadecimal digits.
pub(super) fn epoch() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some("Sixteen hexadecimal digits, to be compared only"))
        .build()
}

/// A moment.
pub(super) fn moment() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .description(Some("RFC 3339, in UTC"))
        .build()
}

/// Somebody, as others see them.
#[derive(Serialize, ToSchema)]
#[schema(as = User)]
pub(super) struct UserShown {
    pub(super) id: Uuid,
    #[schema(schema_with = name)]
    pub(super) name: String,
}

impl From<&User> for UserShown {
    fn from(user: &User) -> Self {
        Self { id: user.id.0, name: user.name.to_string() }
    }
}

/// A message in its present state: the same as the `message` frame over WebSocket.
#[derive(ToSchema)]
#[schema(as = Message)]
#[allow(dead_code, reason = "a message is written once, by proto; this describes it")]
pub(super) struct MessageShown {
    /// `message`.
    r#type: String,
    #[schema(schema_with = room)]
    room: String,
    /// Its place in the room.
    #[schema(minimum = 1)]
    seq: u64,
    /// The number of its last change; equal to `seq` while it is as it was sent.
    #[schema(minimum = 1)]
    rev: u64,
    /// The id that its sender made.
    id: Uuid,
    /// Who sent it, by the name they had then.
    from: UserShown,
    /// What it says; empty once it is deleted.
    text: String,
    /// When it was kept.
    #[schema(schema_with = moment)]
    at: String,
    /// When its text last changed; absent if it never did.
    #[schema(schema_with = moment, required = false)]
    edited_at: Option<String>,
    /// `true` if only its place is left; otherwise absent.
    #[schema(required = false, nullable = false)]
    deleted: Option<bool>,
    /// The `seq` that it answers, if any.
    #[schema(required = false, nullable = false)]
    reply_to: Option<u64>,
}

/// What was written, and is durable.
#[derive(Serialize, ToSchema)]
pub(super) struct Kept {
    /// The message's id.
    id: Uuid,
    /// Its place in the room.
    #[schema(minimum = 1)]
    seq: u64,
    /// The number of the change that was asked for; of a new message, `seq`.
    #[schema(minimum = 1)]
    rev: u64,
    /// When the message was kept.
    #[schema(schema_with = moment)]
    at: String,
}

impl From<to_client::Kept> for Kept {
    fn from(kept: to_client::Kept) -> Self {
        Self { id: kept.id.0, seq: kept.seq, rev: kept.rev, at: kept.at.to_string() }
    }
}
