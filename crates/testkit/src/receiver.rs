//! Somebody outside who is told of things over HTTP, and answers as a test wants.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::patience;

/// One request.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Its first line and its headers, in small letters.
    pub head: String,
    /// Its body.
    pub body: String,
}

impl Heard {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

#[derive(Default)]
struct State {
    answer: String,
    heard: Vec<Heard>,
}

/// It listens on this machine, until it is dropped.
pub struct Receiver {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl Receiver {
    /// Answers everything so: `204 No Content`, or a status and headers in lines.
    pub async fn answering(answer: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::<Mutex<State>>::default();
        let task = tokio::spawn(listen(listener, state.clone()));
        let receiver = Self { address, state, task };
        receiver.answer(answer);
        receiver
    }

    /// From now on it answers so.
    pub fn answer(&self, answer: &str) {
        self.state.lock().answer = format!("HTTP/1.1 {answer}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    }

    /// Where it is.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// All that was heard so far.
    pub fn heard(&self) -> Vec<Heard> {
        self.state.lock().heard.clone()
    }

    /// Waits until so many requests have come.
    ///
    /// # Panics
    /// When they do not.
    pub async fn until(&self, count: usize) -> Vec<Heard> {
        let enough = async || Some(self.heard()).filter(|heard| heard.len() >= count);
        let all = patience(Duration::from_secs(30), enough).await;
        all.unwrap_or_else(|| panic!("{count} requests were to come: {:?}", self.heard()))
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(listener: TcpListener, state: Arc<Mutex<State>>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(answer(stream, state.clone()));
    }
}

async fn answer(mut stream: TcpStream, state: Arc<Mutex<State>>) -> Option<()> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    let heard = loop {
        let read = stream.read(&mut buffer).await.ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let heard = Heard { head: head.to_lowercase(), body: body.to_owned() };
        let length = heard.header("content-length").map_or(0, |length| length.parse().unwrap_or(0));
        if body.len() >= length {
            break heard;
        }
    };
    let answer = {
        let mut state = state.lock();
        state.heard.push(heard);
        state.answer.clone()
    };
    stream.write_all(answer.as_bytes()).await.ok()
}
