//! Asking a node of this machine whether it is alive: the health check of an image that has no other client for HTTP.

use std::io::{Error, Result};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(2);

/// Asks the node that listens there; an error says what came instead of 200.
pub(crate) async fn ask(listen: SocketAddr) -> Result<()> {
    timeout(PATIENCE, asked(from_here(listen))).await.unwrap_or_else(|_| Err(Error::other("it does not answer")))
}

async fn asked(node: SocketAddr) -> Result<()> {
    let mut stream = TcpStream::connect(node).await?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
    let mut head = [0; b"HTTP/1.1 200".len()];
    stream.read_exact(&mut head).await?;
    if &head == b"HTTP/1.1 200" { Ok(()) } else { Err(Error::other(String::from_utf8_lossy(&head).into_owned())) }
}

/// Whoever listens on all addresses can be asked on this one.
fn from_here(mut listen: SocketAddr) -> SocketAddr {
    match listen.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => listen.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => listen.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    listen
}
