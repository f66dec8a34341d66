//! What a guest may ask, by whatever name its dialect has for it.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use engineioxide::Str;
use futures_util::FutureExt;
use proto::{Code, MessageId, PersonName, Refusal, RoomName, TAIL_DEFAULT, TAIL_MAX, Text, to_client};
use roomlog::Job;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use store::Post;
use uuid::Uuid;

use super::dialect::{self, Ask, Dialect, Form, People};
use super::life::{After, Guest, Work};
use super::{handshake, packet, people};
use crate::refusal;
use crate::writing::{Kind, Writing};

/// A person is shown writing at most this often; what comes sooner says nothing new.
const TYPING_EVERY: Duration = Duration::from_secs(1);
/// Most bytes of a client's own key for a message.
const KEY_BYTES_MAX: usize = 256;

/// When somebody was last shown writing, and whether they have not ceased to.
#[derive(Default)]
pub(super) struct Typing {
    at: Option<Instant>,
    shown: bool,
}

/// What is said, in whatever form.
#[derive(Debug)]
pub(super) struct Said<'a> {
    pub(super) text: &'a str,
    pub(super) name: Option<&'a str>,
    /// The form to answer in, where it is an object.
    pub(super) form: Option<Form>,
}

impl<'a> Said<'a> {
    pub(super) fn of(said: &'a Value) -> Result<Self, Refusal> {
        match said {
            Value::String(text) => Ok(Self { text, name: None, form: None }),
            Value::Object(object) => {
                let (text, name, form) =
                    dialect::read_object(object).ok_or_else(|| Refusal::field("message", "an object with a text"))?;
                Ok(Self { text, name, form: Some(form) })
            }
            _ => Err(Refusal::field("message", "a string, or an object with a text")),
        }
    }
}

/// Refuses an event that means nothing here.
pub(super) fn unknown(event: &str) -> Refusal {
    let shown: String = event.chars().take(40).collect();
    Refusal::new(Code::UnknownType, format!("no event is called `{shown}`"))
}

impl Guest {
    /// Does what an event asks, now or as work that takes its time. `packet` is the whole of it.
    pub(super) fn on(
        &mut self,
        event: &str,
        arguments: &[&RawValue],
        ack: Option<u64>,
        packet: &Str,
    ) -> Result<Option<Work>, Refusal> {
        match Ask::of(event).ok_or_else(|| unknown(event))? {
            Ask::Say(dialect) => self.say(dialect, arguments, ack, packet),
            Ask::Add(dialect, people) => self.add(dialect, people, arguments, packet),
            Ask::Typing(begins) => self.typing(begins).map(|()| None),
            Ask::Join => {
                let room = RoomName::parse(text_of(arguments.first(), "room")?.as_str())?;
                self.enter(room, None);
                self.acknowledge(ack);
                Ok(None)
            }
            Ask::Leave => {
                let room = RoomName::parse(text_of(arguments.first(), "room")?.as_str())?;
                if *self.here()? != room {
                    return Err(Refusal::new(Code::NotJoined, format!("`{room}` was not joined")));
                }
                self.leave();
                self.acknowledge(ack);
                Ok(None)
            }
            Ask::History => self.history(arguments.first(), ack).map(Some),
        }
    }

    fn acknowledge(&self, ack: Option<u64>) {
        if let Some(number) = ack {
            self.session.answer(packet::ack(self.namespace, number, "[]"));
        }
    }

    /// Says something: acknowledged once the store keeps it.
    fn say(
        &mut self,
        dialect: &'static Dialect,
        arguments: &[&RawValue],
        ack: Option<u64>,
        packet: &Str,
    ) -> Result<Option<Work>, Refusal> {
        let said: Value = read(arguments.first(), "the text")?;
        let Said { text, name, form } = Said::of(&said)?;
        let text = Text::parse(text)?;
        if let Some(name) = name
            && let Some(work) = self.call(name, packet)?
        {
            return Ok(Some(work));
        }
        // An object answers objects only where the dialect has no form of its own.
        let form = form.filter(|_| dialect.form == Form::Text);
        self.session.out().voice.speaks(dialect, form);
        let room = self.here()?.clone();
        let id = match arguments.get(1) {
            Some(key) => {
                let key = key_of(key)?;
                MessageId(::people::derived(&["message", room.as_str(), self.user.name.as_str(), &key]))
            }
            None => MessageId(Uuid::new_v4()),
        };
        let writing = Writing::begin(&self.session.node, self.user.id, Kind::Send)?;
        self.typing.shown = false;
        let post = Post { room: room.clone(), id, from: self.user.clone(), text, reply_to: None };
        let (session, namespace) = (self.session.clone(), self.namespace);
        session.send_begins();
        writing.submit(&room, Job::Post(post), move |told| {
            match (told, ack) {
                (Ok(_), Some(number)) => session.answer(packet::ack(namespace, number, "[]")),
                (Ok(_), None) => {}
                (Err(refusal), _) => session.refuse(&refusal),
            }
            session.send_ends();
        });
        Ok(None)
    }

    /// Calls a guest by another name, once it is known whether that is free; `None` if there is nothing to find out. Who has an
    /// account is shown by the account's name, whatever else it gives.
    fn call(&self, name: &str, packet: &Str) -> Result<Option<Work>, Refusal> {
        if self.has_account {
            return Ok(None);
        }
        let name = PersonName::parse(name)?;
        if name == self.user.name {
            return Ok(None);
        }
        let (session, packet) = (self.session.clone(), packet.clone());
        let work = async move {
            match session.node.people.guest(name).await {
                Ok(free) => After::Called(free.user.name, packet),
                Err(refusal) => {
                    session.refuse(&refusal);
                    After::Nothing
                }
            }
        };
        Ok(Some(work.boxed()))
    }

    /// Gives a name and is counted from then on; a second time says nothing.
    fn add(
        &mut self,
        dialect: &'static Dialect,
        people: &'static People,
        arguments: &[&RawValue],
        packet: &Str,
    ) -> Result<Option<Work>, Refusal> {
        if self.counted.is_some() {
            return Ok(None);
        }
        let room = self.here()?.clone();
        if let Some(work) = self.call(&text_of(arguments.first(), "username")?, packet)? {
            return Ok(Some(work));
        }
        self.session.out().voice.speaks(dialect, None);
        self.session.is_counted.store(true, Ordering::Relaxed);
        let person = handshake::person(&room, self.user.name.clone());
        let (session, user) = (self.session.clone(), self.user.id);
        Ok(Some(
            async move {
                match people::add(session.clone(), room, person, user, people.added).await {
                    Ok(seat) => After::Counted(seat),
                    Err(error) => {
                        session.refuse(&refusal::of_hub(&error));
                        After::Nothing
                    }
                }
            }
            .boxed(),
        ))
    }

    fn typing(&mut self, begins: bool) -> Result<(), Refusal> {
        let room = self.here()?.clone();
        if !begins {
            if std::mem::take(&mut self.typing.shown) {
                people::typed(&self.session, &room, &self.user);
            }
        } else if self.typing.at.is_none_or(|at| at.elapsed() >= TYPING_EVERY) {
            self.typing.at = Some(Instant::now());
            self.typing.shown = true;
            self.session.node.hub.typing(&room, &self.user);
        }
        Ok(())
    }

    /// Reads older messages into an acknowledgement.
    fn history(&mut self, argument: Option<&&RawValue>, ack: Option<u64>) -> Result<Work, Refusal> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Wanted {
            before: Value,
            limit: Option<usize>,
        }
        let wanted: Wanted = match argument {
            Some(_) => read(argument, "{before, limit}")?,
            None => Wanted::default(),
        };
        let before = handshake::offset(&wanted.before)?;
        let limit = wanted.limit.unwrap_or(TAIL_DEFAULT).clamp(1, TAIL_MAX);
        let number = ack.ok_or_else(|| Refusal::field("history", "sent with an acknowledgement"))?;
        let (session, room, namespace) = (self.session.clone(), self.here()?.clone(), self.namespace);
        Ok(async move {
            session.until_all_sent().await;
            match session.node.hub.history(&room, before, limit).await {
                Ok(page) => {
                    let messages = page.entries().iter().map(|entry| entry.frame.payload());
                    let history = to_client::history(None, &room, page.more(), messages);
                    let history = String::from_utf8_lossy(history.payload());
                    session.answer(packet::ack(namespace, number, &format!("[{history}]")));
                }
                Err(error) => session.refuse(&refusal::of_hub(&error)),
            }
            After::Nothing
        }
        .boxed())
    }
}

fn read<'a, T: Deserialize<'a>>(argument: Option<&&'a RawValue>, wanted: &str) -> Result<T, Refusal> {
    let argument = argument.ok_or_else(|| Refusal::new(Code::InvalidField, format!("{wanted} is missing")))?;
    serde_json::from_str(argument.get())
        .map_err(|_| Refusal::new(Code::InvalidField, format!("{wanted} cannot be read")))
}

fn text_of(argument: Option<&&RawValue>, name: &str) -> Result<String, Refusal> {
    read(argument, name)
}

/// A client's own key for a message: whatever JSON it is, by its text.
pub(super) fn key_of(key: &RawValue) -> Result<String, Refusal> {
    let key = match serde_json::from_str(key.get()) {
        Ok(Value::String(key)) => key,
        Ok(Value::Number(key)) => key.to_string(),
        _ => return Err(Refusal::field("clientOffset", "a string or a number")),
    };
    if key.len() > KEY_BYTES_MAX {
        return Err(Refusal::field("clientOffset", "at most 256 bytes"));
    }
    Ok(key)
}
