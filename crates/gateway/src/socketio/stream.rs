//! The TCP stream under a session's WebSocket.
//!
//! The engine reads and writes it; here it is counted, held back while the session has enough to do, and cut when its end has come,
//! whatever the engine is waiting for.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::session::Session;
use crate::places::Place;

/// How soon the system asks after a silent peer, how often, and how many times before it gives up: within 15 s in all.
const ASK_AFTER: Duration = Duration::from_secs(5);
const ASK_EVERY: Duration = Duration::from_secs(3);
const ASK_TIMES: u32 = 3;

pub(super) struct Stream {
    tcp: TcpStream,
    /// What came with the handshake.
    early: Vec<u8>,
    session: Arc<Session>,
    /// Whether the system watches over it more closely.
    watched: bool,
    _place: Arc<Place>,
}

impl Stream {
    pub(super) fn new(tcp: TcpStream, early: Vec<u8>, session: Arc<Session>, place: Arc<Place>) -> Self {
        session.streams.fetch_add(1, Ordering::AcqRel);
        session.had_stream.store(true, Ordering::Release);
        Self { tcp, early, session, watched: false, _place: place }
    }
}

/// Others are told within 15 s that somebody who is counted was lost; the engine's pings would take longer to notice.
fn watch(tcp: &TcpStream) -> io::Result<()> {
    sockopt::set_tcp_keepidle(tcp, ASK_AFTER)?;
    sockopt::set_tcp_keepintvl(tcp, ASK_EVERY)?;
    sockopt::set_tcp_keepcnt(tcp, ASK_TIMES)?;
    sockopt::set_socket_keepalive(tcp, true)?;
    // The same for what was written and is not taken.
    #[cfg(target_os = "linux")]
    sockopt::set_tcp_user_timeout(tcp, (ASK_AFTER + ASK_EVERY * ASK_TIMES).as_millis() as u32)?;
    Ok(())
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.session.streams.fetch_sub(1, Ordering::AcqRel);
        self.session.tell();
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, task: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        // First, so that a change after the look is not missed.
        this.session.reader.register(task.waker());
        if this.session.is_cut() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        if this.session.holds_back() {
            return Poll::Pending;
        }
        if !this.early.is_empty() {
            let length = this.early.len().min(to.remaining());
            to.put_slice(&this.early[..length]);
            this.early = this.early.split_off(length);
            return Poll::Ready(Ok(()));
        }
        let read = Pin::new(&mut this.tcp).poll_read(task, to);
        if read.is_ready() {
            this.session.heard();
        }
        read
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        this.session.writer.register(task.waker());
        if this.session.is_cut() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        if !this.watched && this.session.is_counted.load(Ordering::Relaxed) {
            this.watched = true;
            if let Err(error) = watch(&this.tcp) {
                tracing::debug!(%error, "a counted session is not watched more closely");
            }
        }
        let written = Pin::new(&mut this.tcp).poll_write(task, bytes);
        if let Poll::Ready(Ok(length)) = written {
            this.session.taken(length);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(task)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(task)
    }
}
