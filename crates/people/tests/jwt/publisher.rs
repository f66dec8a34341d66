//! A server that publishes a key set, or is away.

use std::sync::Arc;

use outgoing::{Client, OutgoingConfig};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

#[derive(Default)]
struct Said {
    answer: String,
    fetches: usize,
}

/// It ends with the test.
pub(crate) struct Publisher {
    pub(crate) url: String,
    said: Arc<Mutex<Said>>,
    _task: AbortOnDropHandle<()>,
}

impl Publisher {
    pub(crate) async fn of(keys: &[Value]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
        let said = Arc::<Mutex<Said>>::default();
        let task = AbortOnDropHandle::new(tokio::spawn(serve(listener, said.clone())));
        let publisher = Self { url, said, _task: task };
        publisher.publish(keys);
        publisher
    }

    pub(crate) fn publish(&self, keys: &[Value]) {
        self.say("200 OK", &json!({ "keys": keys }).to_string());
    }

    pub(crate) fn say(&self, status: &str, body: &str) {
        self.said.lock().answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    }

    pub(crate) fn fetches(&self) -> usize {
        self.said.lock().fetches
    }
}

async fn serve(listener: TcpListener, said: Arc<Mutex<Said>>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        answer(stream, &said).await;
    }
}

async fn answer(mut stream: TcpStream, said: &Mutex<Said>) {
    let (mut heard, mut bytes) = (Vec::new(), [0; 1024]);
    while !heard.ends_with(b"\r\n\r\n") {
        match stream.read(&mut bytes).await {
            Ok(read @ 1..) => heard.extend_from_slice(&bytes[..read]),
            _ => return,
        }
    }
    assert!(heard.starts_with(b"GET /jwks.json HTTP/1.1\r\n"));
    let answer = {
        let mut said = said.lock();
        said.fetches += 1;
        said.answer.clone()
    };
    let _ = stream.write_all(answer.as_bytes()).await;
}

/// A client that may call this machine.
pub(crate) fn client() -> Client {
    let allowed = "127.0.0.1".parse().unwrap();
    Client::new(OutgoingConfig { allowed, ..OutgoingConfig::default() }).unwrap()
}
