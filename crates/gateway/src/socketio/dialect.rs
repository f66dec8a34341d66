//! What clients call things: a table. A vocabulary more is a line more.
//!
//! A socket's dialect is what it speaks, and the last word counts. Until it has spoken it hears messages in every dialect that
//! is for `strangers`: clients pass over events that they do not listen to.

use serde::Serialize;

use super::packet::{self, Namespace, Packed};

/// One vocabulary.
#[derive(Debug)]
pub(super) struct Dialect {
    /// The event that says something, in both directions.
    pub(super) message: &'static str,
    /// What follows its name on the way down.
    pub(super) form: Form,
    /// Whether whoever said it hears it too.
    pub(super) to_sender: bool,
    /// Whether sockets that have not spoken yet are told in it.
    pub(super) strangers: bool,
    /// The events that tell of somebody who comes and goes, with the name alone.
    pub(super) comes: Option<(&'static str, &'static str)>,
    /// How people give a name and are counted.
    pub(super) people: Option<People>,
}

/// How people give a name and are counted, and show that they write.
#[derive(Debug)]
pub(super) struct People {
    /// The event that gives a name, and the answer to it.
    pub(super) add: &'static str,
    pub(super) added: &'static str,
    /// The events that tell the others, with the count.
    pub(super) joined: &'static str,
    pub(super) left: &'static str,
    /// The events for beginning and ceasing to write, in both directions.
    pub(super) typing: &'static str,
    pub(super) typed: &'static str,
}

/// What follows an event's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The text, the offset as a string, the name.
    Offset,
    /// The text.
    Text,
    /// An object with the name and the text, under these keys.
    Object(&'static str, &'static str),
}

pub(super) static DIALECTS: [Dialect; 3] = [
    // The official tutorial and what grew from it.
    Dialect {
        message: "chat message",
        form: Form::Offset,
        to_sender: true,
        strangers: true,
        comes: Some(("user connected", "user disconnected")),
        people: None,
    },
    // The official chat examples.
    Dialect {
        message: "new message",
        form: Form::Object("username", "message"),
        to_sender: false,
        strangers: false,
        comes: None,
        people: Some(People {
            add: "add user",
            added: "login",
            joined: "user joined",
            left: "user left",
            typing: "typing",
            typed: "stop typing",
        }),
    },
    // `send()` of the libraries themselves.
    Dialect { message: "message", form: Form::Text, to_sender: true, strangers: true, comes: None, people: None },
];

/// Said at once to whoever connects: the node's name.
pub(super) const NODE_NAME: &str = "my-name-is";
/// Says why something was refused.
pub(super) const ERROR: &str = "error";

/// The keys under which objects carry a name and a text.
const NAME_KEYS: [&str; 3] = ["username", "user", "name"];
const TEXT_KEYS: [&str; 3] = ["text", "message", "msg"];

/// What an event asks for.
#[derive(Debug)]
pub(super) enum Ask {
    Say(&'static Dialect),
    Add(&'static Dialect, &'static People),
    /// Whether somebody begins or ceases to write.
    Typing(bool),
    Join,
    Leave,
    History,
}

impl Ask {
    /// What an event of this name asks for; `None` for one that means nothing here.
    pub(super) fn of(event: &str) -> Option<Self> {
        for dialect in &DIALECTS {
            if event == dialect.message {
                return Some(Self::Say(dialect));
            }
            if let Some(people) = &dialect.people {
                match event {
                    _ if event == people.add => return Some(Self::Add(dialect, people)),
                    _ if event == people.typing => return Some(Self::Typing(true)),
                    _ if event == people.typed => return Some(Self::Typing(false)),
                    _ => {}
                }
            }
        }
        match event {
            "join" => Some(Self::Join),
            "leave" => Some(Self::Leave),
            "history" => Some(Self::History),
            _ => None,
        }
    }
}

/// How a socket is spoken to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Voice {
    pub(super) namespace: Namespace,
    spoken: Option<(&'static Dialect, Form)>,
}

impl Voice {
    pub(super) fn new(namespace: Namespace) -> Self {
        Self { namespace, spoken: None }
    }

    /// From now on it is spoken to in this dialect.
    pub(super) fn speaks(&mut self, dialect: &'static Dialect, form: Option<Form>) {
        self.spoken = Some((dialect, form.unwrap_or(dialect.form)));
    }

    /// The dialects that it is told messages in, each with the form.
    pub(super) fn hears(&self) -> impl Iterator<Item = (&'static Dialect, Form)> {
        let strange = DIALECTS.iter().filter(|dialect| dialect.strangers).map(|dialect| (dialect, dialect.form));
        let strange = self.spoken.is_none().then_some(strange).into_iter().flatten();
        self.spoken.into_iter().chain(strange)
    }

    /// The events that tell it of those who come and go.
    pub(super) fn comes(&self) -> Option<(&'static str, &'static str)> {
        self.hears().find_map(|(dialect, _)| dialect.comes)
    }

    /// How it is told of people that are counted.
    pub(super) fn people(&self) -> Option<&'static People> {
        self.spoken.and_then(|(dialect, _)| dialect.people.as_ref())
    }
}

/// The dialect of the official tutorial: whoever gives an offset speaks it.
pub(super) fn with_offsets() -> &'static Dialect {
    &DIALECTS[0]
}

/// What is said, for one form of event.
pub(super) fn written(namespace: Namespace, event: &str, form: Form, seq: u64, name: &str, text: &str) -> Packed {
    match form {
        Form::Offset => packet::event(namespace, &(event, text, seq.to_string(), name)),
        Form::Text => packet::event(namespace, &(event, text)),
        Form::Object(name_key, text_key) => {
            packet::event(namespace, &(event, Pair([(name_key, name), (text_key, text)])))
        }
    }
}

/// An object of two fields.
struct Pair<'a>([(&'a str, &'a str); 2]);

impl Serialize for Pair<'_> {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0)
    }
}

/// The text and name in an object that says something, with the form to answer in.
pub(super) fn read_object(object: &serde_json::Map<String, serde_json::Value>) -> Option<(&str, Option<&str>, Form)> {
    let held = |keys: [&'static str; 3]| keys.into_iter().find_map(|key| Some((key, object.get(key)?.as_str()?)));
    let (text_key, text) = held(TEXT_KEYS)?;
    let name = held(NAME_KEYS);
    Some((text, name.map(|(_, name)| name), Form::Object(name.map_or(NAME_KEYS[0], |(key, _)| key), text_key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_not_spoken_hears_all_that_is_for_strangers() {
        let mut voice = Voice::default();
        let heard = |voice: &Voice| voice.hears().map(|(dialect, _)| dialect.message).collect::<Vec<_>>();
        assert_eq!(heard(&voice), ["chat message", "message"]);
        voice.speaks(&DIALECTS[1], None);
        assert_eq!(heard(&voice), ["new message"]);
    }

    #[test]
    fn each_form_is_written_as_its_clients_expect() {
        let written = |form| written(Namespace::Main, "e", form, 5, "Ana", "hi").text().to_string();
        assert_eq!(written(Form::Offset), r#"2["e","hi","5","Ana"]"#);
        assert_eq!(written(Form::Text), r#"2["e","hi"]"#);
        assert_eq!(written(Form::Object("user", "msg")), r#"2["e",{"user":"Ana","msg":"hi"}]"#);
    }
}
