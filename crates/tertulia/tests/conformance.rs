//! WebSocket (RFC 6455) by the byte: framing, control frames, reserved bits, fragments, UTF-8, closing, sizes.
//!
//! The cases are those of the Autobahn suite's sections 1 to 7, 9 and 10, in our own words; the node echoes nothing, so its own
//! `ping` is what goes through the frames. Every case runs directly and through HAProxy.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::SocketAddr;
use std::time::Duration;

use testkit::haproxy::HaProxy;
use testkit::node::{Node, NodeOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
const FIN: u8 = 0x80;
/// The largest message that is taken.
const BOUND: usize = 65_536;

/// What must come of a case.
#[derive(Clone, Debug, PartialEq)]
enum End {
    /// The connection goes on.
    GoesOn,
    /// A close frame with this code; without one where the client gave none.
    Closed(Option<u16>),
}

struct Case {
    name: String,
    bytes: Vec<u8>,
    /// How many bytes go at once.
    pace: usize,
    /// How many `pong` texts of ours must come.
    answers: usize,
    /// The payloads of the pong frames that must come.
    pongs: Vec<Vec<u8>>,
    end: End,
}

impl Case {
    fn goes_on(name: impl Into<String>, bytes: Vec<u8>, answers: usize) -> Self {
        Self { name: name.into(), bytes, pace: usize::MAX, answers, pongs: Vec::new(), end: End::GoesOn }
    }

    fn closed(name: impl Into<String>, bytes: Vec<u8>, code: u16) -> Self {
        Self { end: End::Closed(Some(code)), ..Self::goes_on(name, bytes, 0) }
    }

    fn pongs(mut self, pongs: &[&[u8]]) -> Self {
        self.pongs = pongs.iter().map(|pong| pong.to_vec()).collect();
        self
    }

    fn by_the_byte(mut self) -> Self {
        self.pace = 1;
        self.name += ", byte by byte";
        self
    }

    fn after(mut self, answers: usize) -> Self {
        self.answers = answers;
        self
    }
}

/// A frame as a client sends it: masked. `first` is its first byte, FIN and reserved bits included.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let mut bytes = vec![first];
    match payload.len() {
        small @ 0..126 => bytes.push(0x80 | small as u8),
        medium @ 126..65_536 => {
            bytes.push(0x80 | 126);
            bytes.extend((medium as u16).to_be_bytes());
        }
        large => {
            bytes.push(0x80 | 127);
            bytes.extend((large as u64).to_be_bytes());
        }
    }
    bytes.extend(mask);
    bytes.extend(payload.iter().enumerate().map(|(place, byte)| byte ^ mask[place % 4]));
    bytes
}

fn text(payload: &[u8]) -> Vec<u8> {
    frame(FIN | TEXT, payload)
}

/// A `ping` of ours with these bytes inside a string.
fn ask_with(inside: &[u8]) -> Vec<u8> {
    [br#"{"type":"ping","ref":"case","pad":""#, inside, br#""}"#].concat()
}

/// A `ping` of so many bytes.
fn ask(length: usize) -> Vec<u8> {
    let bare = ask_with(b"").len();
    ask_with(&vec![b'*'; length - bare])
}

/// A message in fragments of so many bytes, with something between each two.
fn fragments(payload: &[u8], size: usize, between: &[u8]) -> Vec<u8> {
    let count = payload.chunks(size).count();
    let mut bytes = Vec::new();
    for (place, chunk) in payload.chunks(size).enumerate() {
        let fin = if place + 1 == count { FIN } else { 0 };
        let opcode = if place == 0 { TEXT } else { CONTINUATION };
        bytes.extend(frame(fin | opcode, chunk));
        if fin == 0 {
            bytes.extend(between);
        }
    }
    bytes
}

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(FIN | CLOSE, &[&code.to_be_bytes(), reason].concat())
}

fn framing(cases: &mut Vec<Case>) {
    for length in [60, 125, 126, 127, 128, 255, 256, 65_535, BOUND] {
        cases.push(Case::goes_on(format!("a text of {length} bytes"), text(&ask(length)), 1));
    }
    cases.push(Case::goes_on("a text of 300 bytes", text(&ask(300)), 1).by_the_byte());
    cases.push(Case::goes_on("three texts at once", text(&ask(80)).repeat(3), 3));
    cases.push(Case::goes_on("an empty text", text(b""), 0));
    cases.push(Case::closed("a text over the bound", text(&ask(BOUND + 1)), 1009));
    for length in [0, 125, 126, 70_000] {
        let code = if length > BOUND { 1009 } else { 1003 };
        cases.push(Case::closed(format!("{length} binary bytes"), frame(FIN | BINARY, &vec![0xfe; length]), code));
    }
    let mut unmasked = vec![FIN | TEXT, 60];
    unmasked.extend(ask(60));
    cases.push(Case::closed("a text that is not masked", unmasked, 1002));
    cases.push(Case::closed("a ping that is not masked", vec![FIN | PING, 0], 1002));
}

fn pings(cases: &mut Vec<Case>) {
    let longest = [0xfe; 125];
    for payload in [&b""[..], b"Hello, world!", &[0, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0, 0xff], &longest] {
        let case = Case::goes_on(format!("a ping with {} bytes", payload.len()), frame(FIN | PING, payload), 0);
        cases.push(case.pongs(&[payload]));
    }
    cases.push(Case::goes_on("a ping", frame(FIN | PING, b"slow"), 0).pongs(&[b"slow"]).by_the_byte());
    cases.push(Case::closed("a ping with 126 bytes", frame(FIN | PING, &[0xfe; 126]), 1002));
    cases.push(Case::goes_on("a pong that nobody asked for", frame(FIN | PONG, b""), 0));
    cases.push(
        Case::goes_on(
            "such a pong with a payload, then a ping",
            [frame(FIN | PONG, b"x"), frame(FIN | PING, b"y")].concat(),
            0,
        )
        .pongs(&[b"y"]),
    );
    let ten: Vec<Vec<u8>> = (0..10).map(|number| format!("payload {number}").into_bytes()).collect();
    let all: Vec<u8> = ten.iter().flat_map(|payload| frame(FIN | PING, payload)).collect();
    let payloads: Vec<&[u8]> = ten.iter().map(Vec::as_slice).collect();
    cases.push(Case::goes_on("ten pings", all.clone(), 0).pongs(&payloads));
    cases.push(Case::goes_on("ten pings", all, 0).pongs(&payloads).by_the_byte());
}

fn reserved(cases: &mut Vec<Case>) {
    for bits in 1..8_u8 {
        let first = FIN | bits << 4;
        cases.push(Case::closed(format!("a text with reserved bits {bits:03b}"), frame(first | TEXT, &ask(60)), 1002));
        cases.push(Case::closed(format!("a ping with reserved bits {bits:03b}"), frame(first | PING, b""), 1002));
        let behind = [text(&ask(60)), frame(first | TEXT, &ask(60)), frame(FIN | PING, b"")].concat();
        cases.push(Case::closed(format!("a good text before reserved bits {bits:03b}"), behind, 1002).after(1));
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        cases.push(Case::closed(format!("opcode {opcode}, empty"), frame(FIN | opcode, b""), 1002));
        let behind = [text(&ask(60)), frame(FIN | opcode, b"x"), frame(FIN | PING, b"")].concat();
        cases.push(Case::closed(format!("a good text before opcode {opcode}"), behind, 1002).after(1));
    }
}

fn fragmentation(cases: &mut Vec<Case>) {
    let asked = ask(100);
    for size in [1, 7, 50, 99] {
        cases.push(Case::goes_on(format!("a text in fragments of {size}"), fragments(&asked, size, b""), 1));
        let between = frame(FIN | PING, b"between");
        let pings = asked.chunks(size).count() - 1;
        let case = Case::goes_on(format!("the same with pings between, {size}"), fragments(&asked, size, &between), 1);
        cases.push(case.pongs(&vec![&b"between"[..]; pings]));
    }
    cases.push(
        Case::goes_on("a text in fragments", fragments(&asked, 30, &frame(FIN | PING, b"b")), 1)
            .pongs(&[&b"b"[..]; 3])
            .by_the_byte(),
    );
    cases.push(Case::goes_on(
        "empty fragments",
        [frame(TEXT, b""), frame(CONTINUATION, b""), frame(CONTINUATION, &asked), frame(FIN, b"")].concat(),
        1,
    ));
    cases.push(Case::closed("a ping in fragments", [frame(PING, b"a"), frame(FIN, b"b")].concat(), 1002));
    cases.push(Case::closed("a pong in fragments", [frame(PONG, b"a"), frame(FIN, b"b")].concat(), 1002));
    for fin in [0, FIN] {
        cases.push(Case::closed(
            format!("a continuation of nothing, FIN {fin}"),
            [frame(fin | CONTINUATION, b"x"), text(&asked)].concat(),
            1002,
        ));
        let after_whole = [text(&asked), frame(fin | CONTINUATION, b"x")].concat();
        cases.push(Case::closed(format!("a continuation of what was whole, FIN {fin}"), after_whole, 1002).after(1));
    }
    cases.push(Case::closed("a text inside a text", [frame(TEXT, b"{"), text(&asked)].concat(), 1002));
    cases.push(Case::closed("a fragmented text inside a text", [frame(TEXT, b"{"), frame(TEXT, b"{")].concat(), 1002));
}

fn encoding(cases: &mut Vec<Case>) {
    let good: [&[u8]; 8] = [
        "κόσμε".as_bytes(),
        "Hello-µ@ßöäüàá-UTF-8!!".as_bytes(),
        "\u{80}\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}".as_bytes(),
        "\u{d7ff}\u{e000}\u{fffd}\u{fffe}".as_bytes(),
        "𝄞 and 👩‍👩‍👧".as_bytes(),
        b"\xed\x9f\xbf",
        b"\xee\x80\x80",
        b"\xf4\x8f\xbf\xbf",
    ];
    for inside in good {
        let name = String::from_utf8_lossy(inside).into_owned();
        cases.push(Case::goes_on(format!("{name:?}"), text(&ask_with(inside)), 1));
        cases.push(Case::goes_on(format!("{name:?} cut anywhere"), fragments(&ask_with(inside), 1, b""), 1));
    }
    let bad: [&[u8]; 16] = [
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
        b"\x80",
        b"\xbf\x80",
        b"\xc0\xaf",
        b"\xc1\xbf",
        b"\xe0\x80\xaf",
        b"\xe0\x9f\xbf",
        b"\xf0\x80\x80\xaf",
        b"\xf0\x8f\xbf\xbf",
        b"\xed\xa0\x80",
        b"\xed\xbf\xbf",
        b"\xf4\x90\x80\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\xfc\x84\x80\x80\x80\x80",
        b"\xfe",
        b"\xe2\x82",
    ];
    for inside in bad {
        cases.push(Case::closed(format!("{inside:x?}"), text(&ask_with(inside)), 1007));
        cases.push(Case::closed(format!("{inside:x?} cut anywhere"), fragments(&ask_with(inside), 1, b""), 1007));
    }
    cases.push(Case::closed("a text that ends inside a character", text(b"\xce\xba\xe1\xbd"), 1007));
}

fn closing(cases: &mut Vec<Case>) {
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        cases.push(Case::closed(format!("a close with {code}"), close(code, b""), code));
    }
    for code in [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535] {
        cases.push(Case::closed(format!("a close with {code}, which is not for clients"), close(code, b""), 1002));
    }
    let bare = Case::closed("a close without a code", frame(FIN | CLOSE, b""), 0);
    cases.push(Case { end: End::Closed(None), ..bare });
    cases.push(Case::closed("a close of one byte", frame(FIN | CLOSE, b"x"), 1002));
    cases.push(Case::closed("a reason", close(1000, b"that was all"), 1000));
    cases.push(Case::closed("a reason of 123 bytes", close(1000, &[b'*'; 123]), 1000));
    cases.push(Case::closed("a reason of 124 bytes", close(1000, &[b'*'; 124]), 1002));
    cases.push(Case::closed("a reason that is not UTF-8", close(1000, b"\xce\xba\xed\xa0\x80"), 1007));
    cases.push(Case::closed("a text after the close", [close(1000, b""), text(&ask(60))].concat(), 1000));
    cases.push(Case::closed("a ping after the close", [close(1000, b""), frame(FIN | PING, b"")].concat(), 1000));
    cases.push(Case::closed("two closes", close(1000, b"").repeat(2), 1000));
    cases.push(Case::closed(
        "a close inside a text",
        [frame(TEXT, b"{"), close(1000, b""), frame(FIN, b"}")].concat(),
        1000,
    ));
    cases.push(Case::closed("a text, then a close", [text(&ask(60)), close(1000, b"")].concat(), 1000).after(1));
}

fn sizes(cases: &mut Vec<Case>) {
    let (whole, beyond) = (ask(BOUND), ask(BOUND + 1));
    for size in [64, 256, 1_024, 1_300, 16_384, 65_535] {
        cases.push(Case::goes_on(
            format!("the largest message in fragments of {size}"),
            fragments(&whole, size, b""),
            1,
        ));
        cases.push(Case::closed(format!("one byte more in fragments of {size}"), fragments(&beyond, size, b""), 1009));
    }
    for pace in [64, 997, 16_384] {
        let case = Case::goes_on(format!("the largest message, {pace} bytes at a time"), text(&whole), 1);
        cases.push(Case { pace, ..case });
    }
    // Only told, not sent: nobody shall wait for them, or make room.
    let claims = |length: u64| [&[FIN | TEXT, 0x80 | 127][..], &length.to_be_bytes(), &[0; 4]].concat();
    cases.push(Case::closed("a text that claims a gibibyte", claims(1 << 30), 1009));
    cases.push(Case::closed("a text that claims all there is", claims(i64::MAX as u64), 1009));
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for section in [framing, pings, reserved, fragmentation, encoding, closing, sizes] {
        section(&mut cases);
    }
    cases
}

/// A connection that is looked at frame by frame.
struct Raw(TcpStream);

impl Raw {
    async fn open(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let request = format!(
            "GET /ws HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        // As RFC 6455 computes it for this key, in its section 1.3.
        assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        Self(stream)
    }

    /// The next frame: its first byte and its payload; `None` once the connection is over.
    async fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        let first = self.0.read_u8().await.ok()?;
        let length = match self.0.read_u8().await.ok()? {
            126 => self.0.read_u16().await.ok()?.into(),
            127 => self.0.read_u64().await.ok()?,
            small => small.into(),
        };
        assert!(length < 0x80 || first & 0xf < 8, "servers do not mask, and control frames are short");
        let mut payload = vec![0; length as usize];
        self.0.read_exact(&mut payload).await.ok()?;
        Some((first, payload))
    }
}

async fn check(address: SocketAddr, case: &Case) {
    let Case { name, bytes, pace, answers, pongs, end } = case;
    let mut raw = Raw::open(address).await;
    for chunk in bytes.chunks(*pace) {
        // A node that has closed already need not take the rest.
        if raw.0.write_all(chunk).await.is_err() {
            break;
        }
    }
    if *end == End::GoesOn {
        raw.0.write_all(&text(br#"{"type":"ping","ref":"and on"}"#)).await.unwrap();
    }
    let (mut heard, mut ponged, mut came) = (0, Vec::new(), None);
    while let Some((first, payload)) = raw.next().await {
        assert!(came.is_none(), "{name}: a frame after the close");
        match first {
            first if first == FIN | TEXT => {
                let answer = String::from_utf8(payload).unwrap();
                heard += usize::from(answer.contains(r#""ref":"case""#));
                if answer.contains(r#""ref":"and on""#) {
                    came = Some(End::GoesOn);
                    break;
                }
            }
            first if first == FIN | PONG => ponged.push(payload),
            first if first == FIN | CLOSE => {
                came = Some(End::Closed(payload.first_chunk().map(|code| u16::from_be_bytes(*code))));
            }
            first => panic!("{name}: a frame that begins with {first:#x}"),
        }
    }
    assert_eq!(came.as_ref(), Some(end), "{name}");
    assert_eq!(heard, *answers, "{name}: answers");
    assert_eq!(&ponged, pongs, "{name}: pongs");
}

async fn check_all(address: SocketAddr) {
    let cases = cases();
    assert!(cases.len() > 150, "{}", cases.len());
    for case in &cases {
        let checked = tokio::time::timeout(Duration::from_secs(20), check(address, case)).await;
        assert!(checked.is_ok(), "{}: no end", case.name);
    }
}

fn options() -> NodeOptions {
    NodeOptions::alone(env!("CARGO_BIN_EXE_tertulia"))
}

#[tokio::test]
async fn a_node_speaks_websocket_by_the_book() {
    let node = Node::start(options()).await;
    check_all(node.address()).await;
}

/// Guards against a front door that changes, holds back or cuts what passes.
#[tokio::test]
async fn so_it_does_behind_the_front_door() {
    let node = Node::start(options()).await;
    let door = HaProxy::before(&[node.address()]).await;
    check_all(door.address()).await;
}
