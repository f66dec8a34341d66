//! The TCP stream under a session's WebSocket.
//!
//! The engine reads and writes it; here it is counted, held back while the session has enough to do, and cut when its end has come,
//! whatever the engine is waiting for.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::session::Session;
use crate::places::Place;

pub(super) struct Stream {
    tcp: TcpStream,
    /// What came with the handshake.
    early: Vec<u8>,
    session: Arc<Session>,
    _place: Arc<Place>,
}

impl Stream {
    pub(super) fn new(tcp: TcpStream, early: Vec<u8>, session: Arc<Session>, place: Arc<Place>) -> Self {
        session.streams.fetch_add(1, Ordering::AcqRel);
        session.had_stream.store(true, Ordering::Release);
        Self { tcp, early, session, _place: place }
    }
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
        if !this.session.may_read() && this.session.ending().is_none() {
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
