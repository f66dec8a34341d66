//! A native client in a test: says, hears, and waits for what it should hear.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use uuid::Uuid;

/// How long a client waits for what must come.
const DEADLINE: Duration = Duration::from_secs(20);

/// A connection, and what came that nobody has asked for yet.
pub struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    waiting: VecDeque<Value>,
    closed: Option<Option<CloseFrame>>,
}

impl Client {
    /// Connects with the subprotocol.
    ///
    /// # Panics
    /// When it is not let in.
    pub async fn connect(url: &str) -> Self {
        Self::try_connect(url, &[]).await.expect("the node lets clients in")
    }

    /// Connects with more headers.
    ///
    /// # Errors
    /// Whatever the node answered instead of 101.
    pub async fn try_connect(url: &str, headers: &[(&'static str, &str)]) -> Result<Self, Box<Error>> {
        let mut request = request(url)?;
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().expect("a header"));
        }
        let (socket, _) = tokio_tungstenite::connect_async(request).await?;
        Ok(Self::of(socket))
    }

    /// Says hello to WebSocket over a connection that is there already, made in a way of the test's own.
    ///
    /// # Panics
    /// When it is not let in.
    pub async fn over(stream: TcpStream) -> Self {
        let address = stream.peer_addr().expect("it is connected");
        let request = request(&format!("ws://{address}/ws")).expect("an address");
        let upgraded = tokio_tungstenite::client_async(request, MaybeTlsStream::Plain(stream)).await;
        Self::of(upgraded.expect("the node lets clients in").0)
    }

    fn of(socket: WebSocketStream<MaybeTlsStream<TcpStream>>) -> Self {
        Self { socket, waiting: VecDeque::new(), closed: None }
    }

    /// Says hello with a name and returns the `welcome`.
    pub async fn hello(&mut self, name: &str) -> Value {
        self.say(json!({"type": "hello", "name": name})).await;
        self.expect("welcome").await
    }

    /// Joins a room with its recent tail and returns the `joined`.
    pub async fn join(&mut self, room: &str) -> Value {
        self.say(json!({"type": "join", "room": room})).await;
        self.expect("joined").await
    }

    /// Sends a text under a fresh id and returns the `ack`.
    pub async fn send(&mut self, room: &str, text: &str) -> Value {
        let id = Uuid::new_v4().to_string();
        self.say(json!({"type": "send", "room": room, "id": id, "text": text})).await;
        let ack = self.expect("ack").await;
        assert_eq!(ack["id"], id.as_str());
        ack
    }

    /// Sends one JSON frame.
    pub async fn say(&mut self, frame: Value) {
        self.say_raw(Message::text(frame.to_string())).await;
    }

    /// Sends one message of any kind. That the node has hung up is not an error here: what it said before counts.
    pub async fn say_raw(&mut self, message: Message) {
        let _ = self.socket.send(message).await;
    }

    /// The next frame of a kind, however many others come before it; those wait for whoever asks for them.
    ///
    /// # Panics
    /// When it does not come.
    pub async fn expect(&mut self, kind: &str) -> Value {
        self.expect_where(kind, |frame| frame["type"] == kind).await
    }

    /// The next frame that fits.
    ///
    /// # Panics
    /// When it does not come.
    pub async fn expect_where(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        if let Some(index) = self.waiting.iter().position(&fits) {
            return self.waiting.remove(index).expect("it is there");
        }
        let found = tokio::time::timeout(DEADLINE, async {
            loop {
                match self.next_frame().await {
                    Some(frame) if fits(&frame) => return Some(frame),
                    Some(frame) => self.waiting.push_back(frame),
                    None => return None,
                }
            }
        });
        match found.await {
            Ok(Some(frame)) => frame,
            Ok(None) => panic!("closed ({:?}) before `{what}`; heard: {:?}", self.closed, self.waiting),
            Err(_) => panic!("`{what}` does not come; heard: {:?}", self.waiting),
        }
    }

    /// The refusal of the last request, which must have this code.
    ///
    /// # Panics
    /// When another comes, or none.
    pub async fn refused(&mut self, code: &str) -> Value {
        let error = self.expect("error").await;
        assert_eq!(error["code"], code, "{error}");
        error
    }

    /// The next texts said in a room must be these.
    ///
    /// # Panics
    /// When others come, or none.
    pub async fn heard(&mut self, room: &str, texts: &[&str]) {
        for text in texts {
            let message = self.expect_where("message", |f| f["type"] == "message" && f["room"] == room).await;
            assert_eq!(message["text"], *text, "{message}");
        }
    }

    /// Whatever frames of a kind have come so far, up to the answer of a ping: nothing said before it is missed.
    pub async fn all_so_far(&mut self, kind: &str) -> Vec<Value> {
        let word = Uuid::new_v4().to_string();
        self.say(json!({"type": "ping", "ref": word})).await;
        self.expect_where("pong", |frame| frame["ref"] == word.as_str()).await;
        self.take_heard(kind)
    }

    /// The frames of a kind that have come and that nobody has asked for. Also once the line is gone.
    pub fn take_heard(&mut self, kind: &str) -> Vec<Value> {
        let (these, others) = self.waiting.drain(..).partition(|frame| frame["type"] == kind);
        self.waiting = others;
        Vec::from_iter::<VecDeque<Value>>(these)
    }

    /// How many frames of a kind have come that nobody has asked for.
    pub fn heard_already(&self, kind: &str) -> usize {
        self.waiting.iter().filter(|frame| frame["type"] == kind).count()
    }

    /// Reads until the node closes: the close frame, if it sent one.
    ///
    /// # Panics
    /// When it does not close.
    pub async fn closed(&mut self) -> Option<CloseFrame> {
        tokio::time::timeout(DEADLINE, self.closed_now()).await.expect("the node closes")
    }

    /// Reads until the node closes, for as long as the caller waits: the close frame, if it sent one.
    pub async fn closed_now(&mut self) -> Option<CloseFrame> {
        while let Some(frame) = self.next_frame().await {
            self.waiting.push_back(frame);
        }
        self.closed.clone().flatten()
    }

    /// The next JSON frame; `None` once the node has closed.
    pub async fn next_frame(&mut self) -> Option<Value> {
        while self.closed.is_none() {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => return Some(serde_json::from_str(&text).expect("frames are JSON")),
                Some(Ok(Message::Close(frame))) => self.closed = Some(frame),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => self.closed = Some(None),
            }
        }
        None
    }

    /// The bare stream, for a test that does what no client should.
    pub fn stream(&mut self) -> &mut MaybeTlsStream<TcpStream> {
        self.socket.get_mut()
    }
}

fn request(url: &str) -> Result<Request, Box<Error>> {
    let mut request = url.into_client_request()?;
    request.headers_mut().insert("sec-websocket-protocol", "tertulia.v1".parse().expect("a header"));
    Ok(request)
}
