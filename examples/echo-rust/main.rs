//! A bot that says back whatever begins with "echo", once each, whatever is restarted in between.
//!
//!     TERTULIA_KEY=tk_… cargo run -p tertulia --example echo -- general [http://127.0.0.1:8080]

use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use uuid::Uuid;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;
type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let room = arguments.next().ok_or("which room?")?;
    let url = arguments.next().unwrap_or_else(|| "http://127.0.0.1:8080".into());
    let url = format!("{}/ws", url.replacen("http", "ws", 1));
    let key = std::env::var("TERTULIA_KEY")?;
    let mut bot = Bot { room, place: json!({}), me: Value::Null, owed: HashMap::new() };
    loop {
        let mut request = url.as_str().into_client_request()?;
        request.headers_mut().insert("authorization", format!("Bearer {key}").parse()?);
        match connect_async(request).await {
            Ok((socket, _)) => bot.live(socket).await?,
            Err(tungstenite::Error::Http(answer)) if answer.status() == 401 => return Err(UNKNOWN.into()),
            Err(_) => {} // away: try again
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

const UNKNOWN: &str = "the key is not good here";

struct Bot {
    room: String,
    /// Up to where it has heard: `after` and `epoch`.
    place: Value,
    me: Value,
    /// Answers not acknowledged yet, by id.
    owed: HashMap<String, String>,
}

impl Bot {
    /// One connection, to its end. An error if there is no use in another.
    async fn live(&mut self, mut socket: Socket) -> Result<(), Failure> {
        while let Some(Ok(frame)) = socket.next().await {
            let Message::Text(text) = frame else { continue };
            let frame: Value = serde_json::from_str(&text)?;
            if [&frame["code"], &frame["reason"]].into_iter().any(|word| word == "unauthorized") {
                return Err(UNKNOWN.into());
            }
            if self.on(&frame, &mut socket).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    async fn on(&mut self, frame: &Value, socket: &mut Socket) -> Result<(), tungstenite::Error> {
        match frame["type"].as_str().unwrap_or_default() {
            "welcome" => {
                self.me = frame["user"]["id"].clone();
                self.join(socket).await?;
                for id in self.owed.keys().cloned().collect::<Vec<_>>() {
                    self.send(&id, socket).await?;
                }
            }
            "joined" => {
                for message in frame["messages"].as_array().into_iter().flatten() {
                    self.answer(message, socket).await?;
                }
                self.place = json!({ "after": frame["head"], "epoch": frame["epoch"] });
                if frame["more"] == true {
                    self.join(socket).await?;
                } else {
                    println!("listening");
                }
            }
            "message" => {
                self.answer(frame, socket).await?;
                self.place["after"] = frame["rev"].clone();
            }
            "ack" => drop(self.owed.remove(frame["id"].as_str().unwrap_or_default())),
            "error" => {
                let id = frame["id"].as_str().unwrap_or_default();
                match frame["retry_after_ms"].as_u64() {
                    Some(pause) => {
                        tokio::time::sleep(Duration::from_millis(pause)).await;
                        self.send(id, socket).await?;
                    }
                    None => drop(self.owed.remove(id)),
                }
            }
            _ => {}
        }
        Ok(())
    }

    async fn join(&self, socket: &mut Socket) -> Result<(), tungstenite::Error> {
        let mut join = self.place.clone();
        join["type"] = "join".into();
        join["room"] = self.room.as_str().into();
        socket.send(Message::text(join.to_string())).await
    }

    async fn answer(&mut self, message: &Value, socket: &mut Socket) -> Result<(), tungstenite::Error> {
        let is_news = message["rev"] == message["seq"] && message["from"]["id"] != self.me;
        let words = message["text"].as_str().and_then(|text| text.strip_prefix("echo "));
        let asked = message["id"].as_str().and_then(|id| Uuid::parse_str(id).ok());
        if let (true, Some(words), Some(asked)) = (is_news, words, asked) {
            // Made from the id of what it answers: made again, it is the same message.
            let id = Uuid::from_u128(asked.as_u128() ^ 1).to_string();
            self.owed.insert(id.clone(), words.to_owned());
            self.send(&id, socket).await?;
        }
        Ok(())
    }

    async fn send(&self, id: &str, socket: &mut Socket) -> Result<(), tungstenite::Error> {
        let Some(text) = self.owed.get(id) else { return Ok(()) };
        let send = json!({ "type": "send", "room": self.room, "id": id, "text": text });
        socket.send(Message::text(send.to_string())).await
    }
}
