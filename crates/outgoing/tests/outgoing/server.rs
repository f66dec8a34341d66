//! Servers that say whatever a test wants, well or badly.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use parking_lot::Mutex;
use testkit::patience;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, ToSocketAddrs};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// A server that takes any request and says one thing. It ends with the test.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Seen>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    left: AtomicUsize,
    heard: Mutex<Vec<u8>>,
}

#[derive(Clone)]
struct Manner {
    first: String,
    /// What comes after it, again and again.
    then: Option<(String, Duration)>,
    tls: Option<TlsAcceptor>,
}

impl Server {
    pub(crate) async fn saying(first: &str) -> Self {
        Self::start(("127.0.0.1", 0), Manner { first: first.into(), then: None, tls: None }).await
    }

    pub(crate) async fn at(address: impl ToSocketAddrs) -> Self {
        let first = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".into();
        Self::start(address, Manner { first, then: None, tls: None }).await
    }

    pub(crate) async fn with_tls(tls: TlsAcceptor, first: &str) -> Self {
        Self::start(("127.0.0.1", 0), Manner { first: first.into(), then: None, tls: Some(tls) }).await
    }

    pub(crate) async fn without_end(first: &str, then: String) -> Self {
        let then = Some((then, Duration::ZERO));
        Self::start(("127.0.0.1", 0), Manner { first: first.into(), then, tls: None }).await
    }

    pub(crate) async fn dripping(first: &str, drop: &str) -> Self {
        let then = Some((drop.to_owned(), Duration::from_millis(20)));
        Self::start(("127.0.0.1", 0), Manner { first: first.into(), then, tls: None }).await
    }

    async fn start(address: impl ToSocketAddrs, manner: Manner) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::<Seen>::default();
        let task = tokio::spawn(accept(listener, manner, seen.clone()));
        Self { address, seen, task }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(SeqCst)
    }

    /// All that was heard.
    pub(crate) fn heard(&self) -> String {
        String::from_utf8_lossy(&self.seen.heard.lock()).into_owned()
    }

    /// Every connection must end from the other side.
    pub(crate) async fn was_left(&self) {
        let all = async || (self.seen.left.load(SeqCst) == self.connections()).then_some(());
        patience(Duration::from_secs(10), all).await.expect("nobody holds on");
    }

    /// Nobody listens there any more.
    pub(crate) fn leave(self) -> SocketAddr {
        self.task.abort();
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, manner: Manner, seen: Arc<Seen>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        seen.connections.fetch_add(1, SeqCst);
        let (manner, seen) = (manner.clone(), seen.clone());
        tokio::spawn(async move {
            match manner.tls.clone() {
                None => serve(stream, manner, &seen).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, manner, &seen).await;
                    }
                }
            }
            seen.left.fetch_add(1, SeqCst);
        });
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, manner: Manner, seen: &Seen) {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let (mut bytes, mut request) = ([0; 4096], Vec::new());
    // A request of these tests ends with its body, or is no request.
    while !request.ends_with(b"hello") {
        match reader.read(&mut bytes).await {
            Ok(1..) if bytes[0] == 0x16 => break, // a TLS handshake, which nobody answers
            Ok(read @ 1..) => request.extend_from_slice(&bytes[..read]),
            _ => return,
        }
    }
    seen.heard.lock().extend(request);
    let _ = writer.write_all(manner.first.as_bytes()).await;
    if let Some((then, pause)) = manner.then {
        loop {
            tokio::select! {
                wrote = writer.write_all(then.as_bytes()), if !then.is_empty() => if wrote.is_err() { return },
                read = reader.read(&mut bytes) => match read { Ok(1..) => {}, _ => return },
            }
            tokio::time::sleep(pause).await;
        }
    }
    let _ = writer.shutdown().await;
}
