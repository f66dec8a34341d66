//! The TCP stream under a session's WebSocket, as the engine sees it.
//!
//! The engine reads it, and writes what it has to say; here that is counted, held back while the session has enough to do, and cut when
//! the session's end has come, whatever the engine is waiting for. The engine's reading task also writes on what waits for the socket, and
//! asks whether somebody is there.

use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::over;
use super::session::Session;
use super::wire::Line;
use crate::places::Place;

pub(super) struct Stream {
    tcp: Arc<TcpStream>,
    /// What came with the handshake.
    early: Vec<u8>,
    session: Arc<Session>,
    /// Bytes of the engine's that are not to be heard.
    unheard: usize,
    _place: Arc<Place>,
}

impl Stream {
    pub(super) fn new(tcp: TcpStream, early: Vec<u8>, session: Arc<Session>, place: Arc<Place>) -> Self {
        let tcp = Arc::new(tcp);
        session.stream_begins(Line::new(tcp.clone(), false));
        Self { tcp, early, session, unheard: 0, _place: place }
    }

    /// The same, after the way from polling was walked: what was read of that was answered.
    pub(super) fn over(tcp: TcpStream, early: Vec<u8>, session: Arc<Session>, place: Arc<Place>) -> Self {
        let tcp = Arc::new(tcp);
        session.stream_begins(Line::new(tcp.clone(), true));
        Self { tcp, early, session, unheard: over::ANSWER_BYTES, _place: place }
    }

    /// Writes on what waits, as far as the socket takes it.
    fn write_on(&self, task: &mut Context<'_>) -> io::Result<()> {
        while self.session.has_more_to_write() {
            match self.tcp.poll_write_ready(task)? {
                Poll::Ready(()) => self.session.write_on(),
                Poll::Pending => break,
            }
            self.check()?;
        }
        Ok(())
    }

    /// Whether there is still somebody to write to.
    fn check(&self) -> io::Result<()> {
        match self.session.out().line.as_ref().is_some_and(Line::is_broken) {
            true => Err(io::ErrorKind::BrokenPipe.into()),
            false => Ok(()),
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.session.stream_ends();
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
        this.write_on(task)?;
        if this.session.holds_back() {
            return Poll::Pending;
        }
        if !this.early.is_empty() {
            let length = this.early.len().min(to.remaining());
            to.put_slice(&this.early[..length]);
            this.early = this.early.split_off(length);
            return Poll::Ready(Ok(()));
        }
        loop {
            ready!(this.tcp.poll_read_ready(task))?;
            match this.tcp.try_read(to.initialize_unfilled()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
                Ok(read) => {
                    to.advance(read);
                    this.session.heard();
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl AsyncWrite for Stream {
    /// Takes all that the engine writes.
    fn poll_write(mut self: Pin<&mut Self>, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.session.writer.register(task.waker());
        if self.session.is_cut() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        if self.unheard > 0 {
            let length = self.unheard.min(bytes.len());
            self.unheard -= length;
            return Poll::Ready(Ok(length));
        }
        self.session.engine_writes(bytes);
        Poll::Ready(self.check().map(|()| bytes.len()))
    }

    /// What was written is written.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match SockRef::from(&*self.tcp).shutdown(Shutdown::Write) {
            Err(error) if error.kind() != io::ErrorKind::NotConnected => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(())),
        }
    }
}
