//! What a client may ask for.
//!
//! A frame is read in one pass that only marks where each known field stands; then exactly the fields that its `type`
//! needs are read. So unknown fields cost nothing, and a refusal can name the field that was wrong.

use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::{Code, Epoch, MessageId, PersonName, Refusal, RoomName, Text, Token};

/// Messages in the tail that `join` and `history` bring when no `limit` is given.
pub const TAIL_DEFAULT: usize = 50;
/// Most messages in one answer; a larger `limit` is cut to it.
pub const TAIL_MAX: usize = 500;
/// Most bytes in a `ref`.
const REF_BYTES_MAX: usize = 128;

/// One request, with the word that its answer must carry back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `ref`, if the client gave one.
    pub reference: Option<String>,
    /// What is asked.
    pub ask: FromClient,
}

/// A request that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// `ref`, if it could be read.
    pub reference: Option<String>,
    /// The `id` of a `send`, whatever its spelling.
    pub id: Option<String>,
    /// What was wrong.
    pub refusal: Refusal,
}

/// Where a returning client stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The history its number belongs to; absent means the current one.
    pub epoch: Option<Epoch>,
    /// The last number it holds; 0 before the first.
    pub after: u64,
}

/// The requests of `tertulia.v1`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are those of the protocol table")]
pub enum FromClient {
    /// Enter as a guest with a name.
    HelloName { name: PersonName },
    /// Enter as whoever a token stands for.
    HelloToken { token: Token },
    /// Listen to a room: from a position, or with the recent tail.
    Join { room: RoomName, position: Option<Position>, limit: usize },
    /// Stop listening.
    Leave { room: RoomName },
    /// Say something.
    Send { room: RoomName, id: MessageId, text: Text, reply_to: Option<u64> },
    /// Change one's own message.
    Edit { room: RoomName, seq: u64, text: Text },
    /// Take back one's own message.
    Delete { room: RoomName, seq: u64 },
    /// Show that one is writing.
    Typing { room: RoomName },
    /// Read older messages: those before a `seq`, or the newest.
    History { room: RoomName, before: Option<u64>, limit: usize },
    /// Is anybody there?
    Ping,
}

impl Request {
    /// Reads one text frame.
    ///
    /// # Errors
    /// The refusal to answer with, and whatever the answer must carry back.
    pub fn parse(text: &str) -> Result<Self, Box<Rejected>> {
        let fields = Fields::of(text)?;
        let rejected = |reference, refusal| Box::new(Rejected { reference, id: fields.spelled_id(), refusal });
        let reference = fields.reference().map_err(|refusal| rejected(None, refusal))?;
        match fields.ask() {
            Ok(ask) => Ok(Self { reference, ask }),
            Err(refusal) => Err(rejected(reference, refusal)),
        }
    }
}

impl Rejected {
    fn bare(refusal: Refusal) -> Box<Self> {
        Box::new(Self { reference: None, id: None, refusal })
    }
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    r#type: Option<&'a RawValue>,
    #[serde(borrow)]
    r#ref: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    token: Option<&'a RawValue>,
    #[serde(borrow)]
    room: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    seq: Option<&'a RawValue>,
    #[serde(borrow)]
    reply_to: Option<&'a RawValue>,
    #[serde(borrow)]
    after: Option<&'a RawValue>,
    #[serde(borrow)]
    epoch: Option<&'a RawValue>,
    #[serde(borrow)]
    before: Option<&'a RawValue>,
    #[serde(borrow)]
    limit: Option<&'a RawValue>,
}

impl<'a> Fields<'a> {
    fn of(text: &'a str) -> Result<Self, Box<Rejected>> {
        // A struct would also be read from an array, in order; a frame is an object only.
        if !text.trim_ascii_start().starts_with('{') {
            return Err(Rejected::bare(Refusal::new(Code::InvalidFrame, "a frame is one JSON object")));
        }
        serde_json::from_str(text)
            .map_err(|error| Rejected::bare(Refusal::new(Code::InvalidFrame, format!("not JSON: {error}"))))
    }

    fn reference(&self) -> Result<Option<String>, Refusal> {
        let reference = self.r#ref.map(|raw| string("ref", raw)).transpose()?;
        if reference.as_ref().is_some_and(|reference| reference.len() > REF_BYTES_MAX) {
            return Err(Refusal::field("ref", "at most 128 bytes"));
        }
        Ok(reference)
    }

    fn ask(&self) -> Result<FromClient, Refusal> {
        let kind = string("type", self.r#type.ok_or_else(|| Refusal::field("type", "a string"))?)?;
        Ok(match kind.as_str() {
            "hello" => self.hello()?,
            "join" => FromClient::Join { room: self.room()?, position: self.position()?, limit: self.limit()? },
            "leave" => FromClient::Leave { room: self.room()? },
            "send" => FromClient::Send {
                room: self.room()?,
                id: self.id()?,
                text: self.text()?,
                reply_to: self.reply_to.map(|raw| number("reply_to", raw, 1)).transpose()?,
            },
            "edit" => FromClient::Edit { room: self.room()?, seq: self.seq()?, text: self.text()? },
            "delete" => FromClient::Delete { room: self.room()?, seq: self.seq()? },
            "typing" => FromClient::Typing { room: self.room()? },
            "history" => FromClient::History {
                room: self.room()?,
                before: self.before.map(|raw| number("before", raw, 1)).transpose()?,
                limit: self.limit()?,
            },
            "ping" => FromClient::Ping,
            _ => {
                let shown: String = kind.chars().take(40).collect();
                return Err(Refusal::new(Code::UnknownType, format!("no request is called `{shown}`")));
            }
        })
    }

    fn hello(&self) -> Result<FromClient, Refusal> {
        if let Some(raw) = self.token {
            let token = Token::parse(string("token", raw)?)?;
            return Ok(FromClient::HelloToken { token });
        }
        let name = self.name.ok_or_else(|| Refusal::field("name", "a string, where there is no `token`"))?;
        Ok(FromClient::HelloName { name: PersonName::parse(&string("name", name)?)? })
    }

    fn room(&self) -> Result<RoomName, Refusal> {
        let raw = self.room.ok_or_else(|| Refusal::field("room", "a string"))?;
        RoomName::parse(&string("room", raw)?)
    }

    fn id(&self) -> Result<MessageId, Refusal> {
        let wanted = || Refusal::field("id", "a UUID");
        Uuid::try_parse(&string("id", self.id.ok_or_else(wanted)?)?).map(MessageId).map_err(|_| wanted())
    }

    /// The `id` as it was written, so that even a bad one comes back with its error.
    fn spelled_id(&self) -> Option<String> {
        string("id", self.id?).ok().filter(|id| id.len() <= REF_BYTES_MAX)
    }

    fn text(&self) -> Result<Text, Refusal> {
        Text::parse(&string("text", self.text.ok_or_else(|| Refusal::field("text", "a string"))?)?)
    }

    fn seq(&self) -> Result<u64, Refusal> {
        number("seq", self.seq.ok_or_else(|| Refusal::field("seq", "a whole number from 1"))?, 1)
    }

    fn position(&self) -> Result<Option<Position>, Refusal> {
        let Some(raw) = self.after else { return Ok(None) };
        let after = number("after", raw, 0)?;
        // An epoch that cannot be ours is simply another epoch: the client gets a reset, not an error.
        let epoch = match self.epoch {
            Some(raw) => Some(string("epoch", raw)?.parse().unwrap_or(Epoch(0))),
            None => None,
        };
        Ok(Some(Position { epoch, after }))
    }

    fn limit(&self) -> Result<usize, Refusal> {
        let Some(raw) = self.limit else { return Ok(TAIL_DEFAULT) };
        Ok(usize::try_from(number("limit", raw, 1)?).unwrap_or(TAIL_MAX).min(TAIL_MAX))
    }
}

fn string(name: &str, raw: &RawValue) -> Result<String, Refusal> {
    serde_json::from_str(raw.get()).map_err(|_| Refusal::field(name, "a string"))
}

/// A whole number that a signed 64-bit column can hold.
fn number(name: &str, raw: &RawValue, least: u64) -> Result<u64, Refusal> {
    serde_json::from_str(raw.get())
        .ok()
        .filter(|number| (least..=i64::MAX as u64).contains(number))
        .ok_or_else(|| Refusal::field(name, &format!("a whole number from {least}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn code_of(text: &str) -> Option<Code> {
        Request::parse(text).err().map(|rejected| rejected.refusal.code)
    }

    #[test]
    fn a_send_is_read_with_its_ref_and_unknown_fields_are_ignored() {
        let text = r#"{"type":"send","ref":"7","room":"general","id":"01890a5d-ac96-774b-bcce-b302099a8057","text":"hola","deep":{"a":[1,{"b":null}]}}"#;
        let request = Request::parse(text).map(|r| (r.reference, matches!(r.ask, FromClient::Send { .. })));
        assert_eq!(request, Ok((Some("7".into()), true)));
    }

    #[test]
    fn every_kind_of_bad_frame_has_its_code() {
        for (text, code) in [
            ("", Code::InvalidFrame),
            ("hola", Code::InvalidFrame),
            ("[1,2]", Code::InvalidFrame),
            ("null", Code::InvalidFrame),
            (r#"{"type":"ping""#, Code::InvalidFrame),
            (r#"{"type":"ping"} x"#, Code::InvalidFrame),
            (r#"{}"#, Code::InvalidField),
            (r#"{"type":7}"#, Code::InvalidField),
            (r#"{"type":"dance"}"#, Code::UnknownType),
            (r#"{"type":"ping","ref":7}"#, Code::InvalidField),
            (r#"{"type":"hello"}"#, Code::InvalidField),
            (r#"{"type":"hello","name":"\n"}"#, Code::InvalidName),
            (r#"{"type":"join","room":"a b"}"#, Code::InvalidRoom),
            (r#"{"type":"join","room":"a","after":-1}"#, Code::InvalidField),
            (r#"{"type":"join","room":"a","after":1e99}"#, Code::InvalidField),
            (r#"{"type":"join","room":"a","after":99999999999999999999}"#, Code::InvalidField),
            (r#"{"type":"join","room":"a","limit":0}"#, Code::InvalidField),
            (r#"{"type":"send","room":"a","id":"x","text":"t"}"#, Code::InvalidField),
            (r#"{"type":"send","room":"a","id":"01890a5d-ac96-774b-bcce-b302099a8057"}"#, Code::InvalidField),
            (r#"{"type":"send","room":"a","id":"01890a5d-ac96-774b-bcce-b302099a8057","text":" "}"#, Code::TextEmpty),
            (r#"{"type":"edit","room":"a","seq":0,"text":"t"}"#, Code::InvalidField),
            (r#"{"type":"edit","room":"a","seq":1.5,"text":"t"}"#, Code::InvalidField),
        ] {
            assert_eq!(code_of(text), Some(code), "{text}");
        }
    }

    #[test]
    fn an_error_to_a_send_carries_its_id_even_a_bad_one() {
        let rejected = Request::parse(r#"{"type":"send","ref":"r","room":"a","id":"not-a-uuid","text":"t"}"#);
        let rejected = rejected.map_err(|r| (r.reference, r.id));
        assert_eq!(rejected, Err((Some("r".into()), Some("not-a-uuid".into()))));
        let rejected = Request::parse(r#"{"type":"send","ref":7,"room":"a","id":"i","text":"t"}"#);
        assert_eq!(rejected.map_err(|r| (r.reference, r.id)), Err((None, Some("i".into()))));
    }

    #[test]
    fn a_deep_frame_is_read_without_depth() {
        let deep = format!(r#"{{"type":"ping","x":{}{}}}"#, "[".repeat(30_000), "]".repeat(30_000));
        assert_eq!(code_of(&deep), None);
        assert_eq!(code_of(&"[".repeat(30_000)), Some(Code::InvalidFrame));
    }

    #[test]
    fn a_limit_past_the_largest_answer_is_cut_to_it() {
        let request = Request::parse(r#"{"type":"history","room":"a","limit":1000000}"#).map(|r| r.ask);
        assert!(matches!(request, Ok(FromClient::History { limit: TAIL_MAX, .. })));
    }

    proptest! {
        #[test]
        fn no_text_at_all_upsets_the_reader(text in "\\PC*") {
            let _ = Request::parse(&text);
            let _ = Request::parse(&format!(r#"{{"type":"send","room":{text}}}"#));
        }
    }
}
