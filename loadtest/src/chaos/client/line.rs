//! One connection of a client: JSON frames over a WebSocket, and why it ended.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

/// For a handshake, and for a write that the other side does not take.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct Connection {
    socket: WebSocketStream<TcpStream>,
}

/// Why nobody was let in, and when to come back if that was said.
pub(super) struct NotLetIn {
    pub(super) why: String,
    pub(super) retry_after: Option<Duration>,
}

impl From<&str> for NotLetIn {
    fn from(why: &str) -> Self {
        Self { why: why.to_owned(), retry_after: None }
    }
}

impl Connection {
    pub(super) async fn open(door: SocketAddr) -> Result<Self, NotLetIn> {
        timeout(PATIENCE, Self::handshake(door)).await.map_err(|_| NotLetIn::from("no answer"))?
    }

    async fn handshake(door: SocketAddr) -> Result<Self, NotLetIn> {
        let stream = TcpStream::connect(door).await.map_err(|_| NotLetIn::from("no connection"))?;
        _ = stream.set_nodelay(true);
        let mut request = format!("ws://{door}/ws").into_client_request().map_err(|_| NotLetIn::from("no address"))?;
        request.headers_mut().insert("sec-websocket-protocol", http_value());
        match tokio_tungstenite::client_async(request, stream).await {
            Ok((socket, _)) => Ok(Self { socket }),
            Err(Error::Http(answer)) => {
                let seconds = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
                Err(NotLetIn {
                    why: answer.status().as_u16().to_string(),
                    retry_after: seconds.map(Duration::from_secs),
                })
            }
            Err(_) => Err(NotLetIn::from("cut in the handshake")),
        }
    }

    /// Sends a frame; an error says how the connection ended.
    pub(super) async fn say(&mut self, frame: &Value) -> Result<(), String> {
        match timeout(PATIENCE, self.socket.send(Message::text(frame.to_string()))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err("cut".to_owned()),
            Err(_) => Err("stuck".to_owned()),
        }
    }

    /// The next frame; `Ok(None)` for one that is not for us (a ping). An error says how the connection ended.
    pub(super) async fn hear(&mut self) -> Result<Option<Value>, String> {
        match self.socket.next().await {
            Some(Ok(Message::Text(text))) => match serde_json::from_str(&text) {
                Ok(frame) => Ok(Some(frame)),
                Err(_) => Err("a frame that is not JSON".to_owned()),
            },
            Some(Ok(Message::Close(frame))) => {
                Err(frame.map_or("closed".to_owned(), |frame| format!("closed {}", u16::from(frame.code))))
            }
            Some(Ok(_)) => Ok(None),
            Some(Err(_)) | None => Err("cut".to_owned()),
        }
    }

    /// Says goodbye in the usual way, without waiting for long.
    pub(super) async fn close(mut self) {
        _ = timeout(Duration::from_millis(200), self.socket.close(None)).await;
    }
}

fn http_value() -> tokio_tungstenite::tungstenite::http::HeaderValue {
    tokio_tungstenite::tungstenite::http::HeaderValue::from_static("tertulia.v1")
}
