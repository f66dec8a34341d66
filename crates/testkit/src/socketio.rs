//! A client of Socket.IO in a test, written by hand from the protocol: it sees the packets as they are on the wire.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

/// How long a client waits for what must come.
const DEADLINE: Duration = Duration::from_secs(20);
/// How long a poll may wait: the node pings sooner.
const POLL: Duration = Duration::from_secs(40);
/// Stands between two packets in one answer.
const BETWEEN: char = '\u{1e}';

/// How packets travel.
enum Way {
    Polling,
    WebSocket(Box<WebSocketStream<TcpStream>>),
}

/// A session, and what came that nobody has asked for yet.
pub struct SocketIo {
    address: SocketAddr,
    /// What the node said when the session was opened.
    pub open: Value,
    way: Way,
    /// Packets of the engine that came together.
    packets: VecDeque<String>,
    /// Packets of Socket.IO that nobody has asked for yet, as they are on the wire.
    waiting: VecDeque<String>,
    ended: bool,
    acks: u64,
}

impl SocketIo {
    /// Connects by WebSocket with an `auth`.
    ///
    /// # Panics
    /// When it is not let in.
    pub async fn connect(address: SocketAddr, auth: Value) -> Self {
        let stream = TcpStream::connect(address).await.expect("the node is there");
        Self::over(stream, auth).await
    }

    /// The same, over a connection made in a way of the test's own.
    ///
    /// # Panics
    /// When it is not let in.
    pub async fn over(stream: TcpStream, auth: Value) -> Self {
        let mut client = Self::open(stream, "/socket.io/?EIO=4&transport=websocket").await.expect("it opens");
        client.enter(auth).await;
        client
    }

    /// Opens a session by WebSocket at some address, and no more.
    ///
    /// # Errors
    /// Whatever the node answered instead of 101.
    ///
    /// # Panics
    /// When the node does not say what the protocol wants.
    pub async fn open(stream: TcpStream, target: &str) -> Result<Self, Box<Error>> {
        Self::open_with(stream, target, &[]).await
    }

    /// The same with more headers.
    ///
    /// # Errors
    /// Whatever the node answered instead of 101.
    ///
    /// # Panics
    /// When the node does not say what the protocol wants.
    pub async fn open_with(
        stream: TcpStream,
        target: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, Box<Error>> {
        let address = stream.peer_addr().expect("it is connected");
        let mut request = format!("ws://{address}{target}").into_client_request()?;
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().expect("a header"));
        }
        let (socket, _) = tokio_tungstenite::client_async(request, stream).await?;
        let mut client = Self::new(address, Way::WebSocket(Box::new(socket)));
        client.opened().await;
        Ok(client)
    }

    /// Opens a session by polling, and enters the main namespace with an `auth`.
    pub async fn polling(address: SocketAddr, auth: Value) -> Self {
        let mut client = Self::new(address, Way::Polling);
        client.opened().await;
        client.enter(auth).await;
        client
    }

    fn new(address: SocketAddr, way: Way) -> Self {
        let (packets, waiting) = (VecDeque::new(), VecDeque::new());
        Self { address, open: Value::Null, way, packets, waiting, ended: false, acks: 0 }
    }

    async fn opened(&mut self) {
        let packet = self.packet().await.expect("an open packet");
        self.open = serde_json::from_str(packet.strip_prefix('0').expect("an open packet")).expect("JSON");
    }

    async fn enter(&mut self, auth: Value) {
        self.say(&format!("40{auth}")).await;
        let answer = self.expect_where("an answer to CONNECT", |packet| packet.starts_with('0')).await;
        assert!(answer.starts_with(r#"0{"sid":""#), "{answer}");
    }

    /// Asks for the main namespace with an `auth`; why nobody is let in, as `data` has it.
    ///
    /// # Errors
    /// The refusal.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn try_enter(&mut self, auth: &Value) -> Result<(), Value> {
        self.say(&format!("40{auth}")).await;
        let answer = self.expect_where("an answer to CONNECT", |packet| packet.starts_with(['0', '4'])).await;
        match answer.strip_prefix('4') {
            Some(refused) => {
                let refused: Value = serde_json::from_str(refused).expect("an object");
                Err(refused["data"].clone())
            }
            None => Ok(()),
        }
    }

    fn sid(&self) -> &str {
        self.open["sid"].as_str().unwrap_or_default()
    }

    /// Goes over from polling to WebSocket, in the order in which clients do it.
    ///
    /// # Panics
    /// When the node does not play its part.
    pub async fn upgrade(&mut self) {
        // A client polls on meanwhile.
        let polled = async {
            let mut polled = Vec::new();
            while !polled.iter().any(|packet| packet == "6") {
                polled.extend(self.poll().await.expect("an answer to a poll"));
            }
            polled
        };
        let (polled, socket) = tokio::join!(polled, self.probe());
        self.packets.extend(polled);
        self.go_over(socket).await;
    }

    /// Goes the other half.
    ///
    /// # Panics
    /// As above.
    pub async fn go_over(&mut self, mut socket: WebSocketStream<TcpStream>) {
        socket.send(Message::text("5")).await.expect("sent");
        self.way = Way::WebSocket(Box::new(socket));
    }

    /// Goes half of that way: a WebSocket that was answered, and is not gone over to.
    ///
    /// # Panics
    /// As above.
    pub async fn probe(&self) -> WebSocketStream<TcpStream> {
        let target = format!("ws://{}/socket.io/?EIO=4&transport=websocket&sid={}", self.address, self.sid());
        let stream = TcpStream::connect(self.address).await.expect("the node is there");
        let (mut socket, _) = tokio_tungstenite::client_async(target, stream).await.expect("an upgrade");
        socket.send(Message::text("2probe")).await.expect("sent");
        assert_eq!(socket.next().await.expect("an answer").expect("whole"), Message::text("3probe"));
        socket
    }

    /// Sends one packet of the engine, whatever it is. That the node has hung up is not an error here.
    pub async fn say(&mut self, packet: &str) {
        match &mut self.way {
            Way::WebSocket(socket) => _ = socket.send(Message::text(packet)).await,
            Way::Polling => _ = self.post(packet).await,
        }
    }

    /// Sends a body by `POST`; the status.
    pub async fn post(&self, body: &str) -> Option<u16> {
        let target = format!("/socket.io/?EIO=4&transport=polling&sid={}", self.sid());
        request(self.address, "POST", &target, body).await.map(|(status, _)| status)
    }

    /// Polls once; the packets, or nothing if that is refused.
    pub async fn poll(&self) -> Option<Vec<String>> {
        let sid = if self.open.is_null() { String::new() } else { format!("&sid={}", self.sid()) };
        let target = format!("/socket.io/?EIO=4&transport=polling{sid}");
        let (status, body) = request(self.address, "GET", &target, "").await?;
        (status == 200).then(|| body.split(BETWEEN).map(str::to_owned).collect())
    }

    /// The next packet of the engine but its pings, which are answered; `None` once the session has ended.
    async fn packet(&mut self) -> Option<String> {
        loop {
            let packet = match self.packets.pop_front() {
                Some(packet) => packet,
                None if self.ended => return None,
                None => match &mut self.way {
                    Way::WebSocket(socket) => match socket.next().await {
                        Some(Ok(Message::Text(text))) => text.as_str().to_owned(),
                        Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                        _ => {
                            self.ended = true;
                            continue;
                        }
                    },
                    Way::Polling => {
                        match self.poll().await {
                            Some(packets) => self.packets.extend(packets),
                            None => self.ended = true,
                        }
                        continue;
                    }
                },
            };
            match packet.as_str() {
                "2" => self.say("3").await,
                "6" | "" => {}
                "1" => {
                    // The engine's word for closing, on which some clients do not come back: whoever looks finds it.
                    self.waiting.push_back(packet);
                    self.ended = true;
                }
                _ => return Some(packet),
            }
        }
    }

    /// The next packet of Socket.IO that fits; others wait for whoever asks for them.
    ///
    /// # Panics
    /// When it does not come.
    pub async fn expect_where(&mut self, what: &str, fits: impl Fn(&str) -> bool) -> String {
        if let Some(index) = self.waiting.iter().position(|packet| fits(packet)) {
            return self.waiting.remove(index).expect("it is there");
        }
        let found = tokio::time::timeout(DEADLINE, async {
            while let Some(packet) = self.packet().await {
                let packet = packet.strip_prefix('4').unwrap_or(&packet).to_owned();
                if fits(&packet) {
                    return Some(packet);
                }
                self.waiting.push_back(packet);
            }
            None
        });
        match found.await {
            Ok(Some(packet)) => packet,
            Ok(None) => panic!("ended before {what}; heard: {:?}", self.waiting),
            Err(_) => panic!("{what} does not come; heard: {:?}", self.waiting),
        }
    }

    /// The arguments of the next event of a name.
    pub async fn expect(&mut self, event: &str) -> Vec<Value> {
        let packet = self.expect_where(event, |packet| name_of(packet).as_deref() == Some(event)).await;
        let mut arguments = arguments_of(&packet);
        arguments.remove(0);
        arguments
    }

    /// Stays for as long as it takes, doing what a client does, until an event of a name comes; `false` if the session ends before.
    pub async fn stays_until(&mut self, event: &str) -> bool {
        while let Some(packet) = self.packet().await {
            let packet = packet.strip_prefix('4').unwrap_or(&packet).to_owned();
            let is_it = name_of(&packet).as_deref() == Some(event);
            self.waiting.push_back(packet);
            if is_it {
                return true;
            }
        }
        false
    }

    /// Emits an event.
    pub async fn emit(&mut self, arguments: &Value) {
        self.say(&format!("42{arguments}")).await;
    }

    /// Emits an event and returns the acknowledgement, as it is on the wire.
    pub async fn ask(&mut self, arguments: &Value) -> String {
        let number = self.acks;
        self.acks += 1;
        self.say(&format!("42{number}{arguments}")).await;
        let prefix = format!("3{number}");
        let is_it = |packet: &str| packet.strip_prefix(&prefix).is_some_and(|rest| rest.starts_with('['));
        self.expect_where("an acknowledgement", is_it).await
    }

    /// Emits an event and returns what the refusal says; there is no acknowledgement.
    ///
    /// # Panics
    /// When it is acknowledged, or refused for another reason.
    pub async fn refused(&mut self, arguments: &Value, code: &str) {
        let number = self.acks;
        self.acks += 1;
        self.say(&format!("42{number}{arguments}")).await;
        let error = self.expect("error").await;
        assert_eq!(error[0]["code"], code, "{error:?}");
        assert!(error[0]["detail"].is_string(), "{error:?}");
        let acknowledged = self.waiting.iter().any(|packet| packet.starts_with(&format!("3{number}[")));
        assert!(!acknowledged, "refused and acknowledged");
    }

    /// The offsets and texts that the tutorial's client hears, up to a text.
    pub async fn heard_until(&mut self, last: &str) -> Vec<(u64, String)> {
        let mut heard = Vec::new();
        loop {
            let arguments = self.expect("chat message").await;
            let offset = arguments[1].as_str().and_then(|offset| offset.parse().ok()).expect("an offset as a string");
            let text = arguments[0].as_str().expect("a text").to_owned();
            let is_last = text == last;
            heard.push((offset, text));
            if is_last {
                return heard;
            }
        }
    }

    /// Whatever events came so far, by name: all that was said before this is among them.
    pub async fn names_so_far(&mut self) -> Vec<String> {
        self.ask(&json!(["history", {"limit": 1}])).await;
        self.waiting.drain(..).filter_map(|packet| name_of(&packet)).collect()
    }

    /// Reads to the end of the session; the packets of Socket.IO that came before it.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn to_the_end(mut self) -> Vec<String> {
        let ended = tokio::time::timeout(DEADLINE, async {
            while let Some(packet) = self.packet().await {
                self.waiting.push_back(packet.strip_prefix('4').unwrap_or(&packet).to_owned());
            }
        });
        ended.await.expect("the session ends");
        self.waiting.into()
    }
}

fn arguments_of(packet: &str) -> Vec<Value> {
    let json = packet.strip_prefix('2').map(|rest| rest.trim_start_matches("/ws,"));
    json.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
}

fn name_of(packet: &str) -> Option<String> {
    Some(arguments_of(packet).first()?.as_str()?.to_owned())
}

/// One HTTP request on a connection of its own: status and body.
pub async fn request(address: SocketAddr, method: &str, target: &str, body: &str) -> Option<(u16, String)> {
    let (status, _, body) = request_with(address, method, target, "", body).await?;
    Some((status, body))
}

/// The same with more header lines, each ended by `\r\n`; status, head and body.
pub async fn request_with(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &str,
    body: &str,
) -> Option<(u16, String, String)> {
    let length = if method == "POST" { format!("Content-Length: {}\r\n", body.len()) } else { String::new() };
    let head = format!("{method} {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}{length}\r\n");
    let mut stream = TcpStream::connect(address).await.ok()?;
    stream.write_all(head.as_bytes()).await.ok()?;
    let _ = stream.write_all(body.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(POLL, stream.read_to_end(&mut answer)).await;
    let answer = String::from_utf8(answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, head.to_owned(), body.to_owned()))
}
