//! Socket.IO's packets, as text: a digit for the kind, `/name,` unless it is the main namespace, the number of the
//! acknowledgement that is wanted, and JSON. The engine puts them into messages and takes them out.

use bytes::Bytes;
use engineioxide::{ProtocolVersion, Str};
use proto::{Frame, Refusal};
use serde::Serialize;
use serde_json::value::RawValue;

/// What the engine puts before a packet of Socket.IO.
pub(super) const MESSAGE: u8 = b'4';

/// The namespaces that lead into the rooms. Whoever wrote `/ws` at the end of a URL means the second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Namespace {
    #[default]
    Main,
    Ws,
}

/// What a client says.
#[derive(Debug)]
pub(super) enum Packet<'a> {
    Connect {
        /// The name as it was asked for.
        namespace: &'a str,
        auth: Option<&'a RawValue>,
    },
    Disconnect,
    Event {
        name: String,
        arguments: Vec<&'a RawValue>,
        /// The number to acknowledge it by.
        ack: Option<u64>,
    },
    /// An acknowledgement, which nobody asked for.
    Other,
}

impl Namespace {
    pub(super) fn parse(name: &str) -> Option<Self> {
        match name {
            "/" => Some(Self::Main),
            "/ws" => Some(Self::Ws),
            _ => None,
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Main => "",
            Self::Ws => "/ws,",
        }
    }
}

impl<'a> Packet<'a> {
    /// Reads one packet; `None` for what no client of Socket.IO writes.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let mut rest = text.get(1..)?;
        if let b'5' | b'6' = text.as_bytes()[0] {
            // So many attachments follow. They are let go; what stands for them here is no text, and is refused as such.
            let (attachments, head) = rest.split_once('-')?;
            attachments.parse::<u32>().ok()?;
            rest = head;
        }
        let mut namespace = "/";
        if rest.starts_with('/') {
            (namespace, rest) = rest.split_once(',').unwrap_or((rest, ""));
            // Older clients put their query behind the name.
            namespace = namespace.split('?').next().unwrap_or(namespace);
        }
        match text.as_bytes()[0] {
            b'0' => {
                let auth = if rest.is_empty() { None } else { Some(serde_json::from_str(rest).ok()?) };
                Some(Self::Connect { namespace, auth })
            }
            b'1' => Some(Self::Disconnect),
            b'2' | b'5' => {
                let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
                let ack = if digits == 0 { None } else { Some(rest[..digits].parse().ok()?) };
                let mut arguments: Vec<&RawValue> = serde_json::from_str(&rest[digits..]).ok()?;
                if arguments.is_empty() {
                    return None;
                }
                let name = serde_json::from_str(arguments.remove(0).get()).ok()?;
                Some(Self::Event { name, arguments, ack })
            }
            b'3' | b'6' => Some(Self::Other),
            _ => None,
        }
    }
}

/// A packet on its way to clients, made once for however many they are: as the engine takes it, and as the frame of a WebSocket that it
/// becomes there.
#[derive(Clone, Debug)]
pub(super) struct Packed {
    text: Str,
    frame: Frame,
}

impl Packed {
    fn of(text: String) -> Self {
        let frame = Frame::written(|frame| {
            frame.push(MESSAGE);
            frame.extend_from_slice(text.as_bytes());
        });
        Self { text: Str::from(text), frame }
    }

    pub(super) fn text(&self) -> &Str {
        &self.text
    }

    pub(super) fn frame(&self) -> &Bytes {
        self.frame.wire()
    }
}

/// An event; `arguments` is a tuple that begins with its name.
pub(super) fn event(namespace: Namespace, arguments: &impl Serialize) -> Packed {
    written("2", namespace, "", &json(arguments))
}

/// Acknowledges an event with `arguments`, the text of a JSON array.
pub(super) fn ack(namespace: Namespace, number: u64, arguments: &str) -> Packed {
    written("3", namespace, &number.to_string(), arguments)
}

/// Lets a client into a namespace.
pub(super) fn connected(namespace: Namespace, sid: &str, version: ProtocolVersion) -> Packed {
    #[derive(Serialize)]
    struct Sid<'a> {
        sid: &'a str,
    }
    match version {
        ProtocolVersion::V3 => written("0", namespace, "", ""),
        ProtocolVersion::V4 => written("0", namespace, "", &json(&Sid { sid })),
    }
}

/// Puts a client out of its namespace: it does not come back by itself.
pub(super) fn disconnected(namespace: Namespace) -> Packed {
    written("1", namespace, "", "")
}

/// Does not let a client into a namespace, whatever it is called. Older clients get the sentence alone.
pub(super) fn not_connected(namespace: &str, refusal: Option<&Refusal>, version: ProtocolVersion) -> Packed {
    #[derive(Serialize)]
    struct Why<'a> {
        message: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<Told<'a>>,
    }
    let message = refusal.map_or("Invalid namespace", |refusal| &refusal.detail);
    let why = match version {
        ProtocolVersion::V3 => json(&message),
        ProtocolVersion::V4 => json(&Why { message, data: refusal.map(Told::of) }),
    };
    let prefix = if namespace == "/" { String::new() } else { format!("{namespace},") };
    Packed::of(format!("4{prefix}{why}"))
}

/// A refusal, as clients of Socket.IO are told.
#[derive(Serialize)]
pub(super) struct Told<'a> {
    code: &'static str,
    detail: &'a str,
}

impl<'a> Told<'a> {
    pub(super) fn of(refusal: &'a Refusal) -> Self {
        Self { code: refusal.code.as_str(), detail: &refusal.detail }
    }
}

fn written(kind: &str, namespace: Namespace, number: &str, json: &str) -> Packed {
    Packed::of([kind, namespace.prefix(), number, json].concat())
}

/// A value's JSON. Ours are tuples and structs of strings and numbers, which always have one.
pub(super) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn events_are_read_with_or_without_namespace_and_number() {
        for (text, number) in
            [(r#"2["a",1,"x"]"#, None), (r#"2/ws,12["a",1,"x"]"#, Some(12)), (r#"27["a",1,"x"]"#, Some(7))]
        {
            let Some(Packet::Event { name, arguments, ack }) = Packet::parse(text) else { panic!("{text}") };
            let arguments: Vec<&str> = arguments.iter().map(|raw| raw.get()).collect();
            assert_eq!((name.as_str(), arguments, ack), ("a", vec!["1", r#""x""#], number), "{text}");
        }
    }

    #[test]
    fn what_no_client_writes_is_not_taken() {
        for text in
            ["", "2", "2[]", "2[1]", "2{}", r#"2["a""#, r#"299999999999999999999["a"]"#, "4{}", "9", "é", "0{", "x"]
        {
            assert!(Packet::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn what_is_said_has_the_form_on_the_wire() {
        assert_eq!(event(Namespace::Main, &("m", 1, "x")).text().as_str(), r#"2["m",1,"x"]"#);
        assert_eq!(event(Namespace::Ws, &("m",)).text().as_str(), r#"2/ws,["m"]"#);
        assert_eq!(ack(Namespace::Main, 7, "[]").text().as_str(), "37[]");
        assert_eq!(connected(Namespace::Main, "s", ProtocolVersion::V4).text().as_str(), r#"0{"sid":"s"}"#);
        let packed = connected(Namespace::Ws, "s", ProtocolVersion::V3);
        assert_eq!((packed.text().as_str(), &packed.frame()[..]), ("0/ws,", &b"\x81\x0640/ws,"[..]));
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_not_and_no_more(text in "[0-6](/[a-z?=]*,?)?[0-9]{0,22}.{0,30}") {
            let _ = Packet::parse(&text);
        }
    }
}
