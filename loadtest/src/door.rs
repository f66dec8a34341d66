//! Where guests come in: an address on this machine, and the upgrade to a WebSocket.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};

use crate::wire::Wire;

/// One node's address.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    address: SocketAddr,
    request: String,
}

/// Why nobody was let in.
#[derive(Debug)]
pub(crate) enum Closed {
    /// The node said no, and perhaps when to come back.
    Refused { status: u16, retry_after_s: Option<u64> },
    /// There was no answer.
    Lost(io::Error),
}

impl From<io::Error> for Closed {
    fn from(error: io::Error) -> Self {
        Self::Lost(error)
    }
}

impl From<Closed> for io::Error {
    fn from(closed: Closed) -> Self {
        match closed {
            Closed::Refused { status, .. } => Self::other(format!("a node refused the upgrade with {status}")),
            Closed::Lost(error) => error,
        }
    }
}

impl Door {
    /// Reads `ws://host:port/path`. Load is for this machine only: anything but loopback is refused.
    pub(crate) async fn parse(url: &str) -> io::Result<Self> {
        let wrong = |why: &str| io::Error::new(io::ErrorKind::InvalidInput, format!("{url}: {why}"));
        let rest = url.strip_prefix("ws://").ok_or_else(|| wrong("an address begins with ws://"))?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, "ws"));
        let address = lookup_host(host).await?.next().ok_or_else(|| wrong("nobody has this name"))?;
        if !address.ip().is_loopback() {
            return Err(wrong("load goes to this machine only"));
        }
        Ok(Self::new(address, path, "Sec-WebSocket-Protocol: tertulia.v1\r\n"))
    }

    /// The door for Socket.IO of a server on this machine.
    pub(crate) fn socketio(address: SocketAddr) -> Self {
        Self::new(address, "socket.io/?EIO=4&transport=websocket", "")
    }

    fn new(address: SocketAddr, path: &str, headers: &str) -> Self {
        // The key may be the same for all: it only shows that the other side speaks WebSocket.
        let request = format!(
            "GET /{path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
        );
        Self { address, request }
    }

    /// All doors of a run, in the order given.
    pub(crate) async fn all(urls: &[String]) -> io::Result<Vec<Self>> {
        let mut doors = Vec::with_capacity(urls.len());
        for url in urls {
            doors.push(Self::parse(url).await?);
        }
        Ok(doors)
    }

    pub(crate) async fn open(&self) -> Result<Wire, Closed> {
        let mut stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        stream.write_all(self.request.as_bytes()).await?;
        let mut answer = Vec::with_capacity(512);
        let end = loop {
            if let Some(end) = memchr::memmem::find(&answer, b"\r\n\r\n") {
                break end + 4;
            }
            if answer.len() > 16 * 1024 || stream.read_buf(&mut answer).await? == 0 {
                return Err(Closed::Lost(io::ErrorKind::UnexpectedEof.into()));
            }
        };
        let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
        match status_of(&head) {
            101 => Ok(Wire::new(stream, answer.split_off(end))),
            status => Err(Closed::Refused { status, retry_after_s: retry_after_of(&head) }),
        }
    }
}

fn status_of(head: &str) -> u16 {
    head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

fn retry_after_of(head: &str) -> Option<u64> {
    head.lines().find_map(|line| line.strip_prefix("retry-after:"))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_when_to_come_back() {
        let head = "http/1.1 503 service unavailable\r\nretry-after: 2\r\n\r\n";
        assert_eq!((status_of(head), retry_after_of(head)), (503, Some(2)));
    }

    #[tokio::test]
    async fn load_goes_to_this_machine_only() {
        assert!(Door::parse("ws://127.0.0.1:8080/ws").await.is_ok());
        assert!(Door::parse("ws://192.0.2.1:8080/ws").await.is_err());
        assert!(Door::parse("http://127.0.0.1:8080/ws").await.is_err());
    }
}
