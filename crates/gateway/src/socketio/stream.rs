//! The TCP stream under a session's WebSocket.
//!
//! The engine reads and writes it; here it is counted, held back while the session has enough to do, and cut when its end has come,
//! whatever the engine is waiting for. Questions whether somebody is there are put between the engine's frames.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::frames::{self, PING, Written};
use super::over;
use super::session::Session;
use crate::places::Place;

pub(super) struct Stream {
    tcp: TcpStream,
    /// What came with the handshake.
    early: Vec<u8>,
    session: Arc<Session>,
    written: Written,
    /// Bytes of the engine's that are not to be heard, and of a question that is under way.
    unheard: usize,
    question: Vec<u8>,
    _place: Arc<Place>,
}

impl Stream {
    pub(super) fn new(tcp: TcpStream, early: Vec<u8>, session: Arc<Session>, place: Arc<Place>) -> Self {
        session.stream_begins();
        let (written, question) = (Written::default(), Vec::new());
        Self { tcp, early, session, written, unheard: 0, question, _place: place }
    }

    /// The same, after the way from polling was walked: what was read of that was answered.
    pub(super) fn over(tcp: TcpStream, early: Vec<u8>, session: Arc<Session>, place: Arc<Place>) -> Self {
        let mut stream = Self::new(tcp, early, session, place);
        stream.unheard = over::ANSWER_BYTES;
        stream
    }

    /// Asks whether somebody is there, if that is wanted and can be done at once.
    fn ask(&mut self) {
        if !self.written.is_between() {
            return;
        }
        if self.question.is_empty() && self.session.pulse.takes_question() {
            self.question = frames::short(PING, b"");
        }
        if !self.question.is_empty() {
            // Without waiting: to wait for room is the writer's.
            let asked = self.tcp.try_write(&self.question).unwrap_or(0);
            self.question.drain(..asked);
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
        this.ask();
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
        if this.unheard > 0 {
            let length = this.unheard.min(bytes.len());
            this.unheard -= length;
            return Poll::Ready(Ok(length));
        }
        while !this.question.is_empty() && this.written.is_between() {
            let asked = ready!(Pin::new(&mut this.tcp).poll_write(task, &this.question))?;
            this.question.drain(..asked);
        }
        let length = ready!(Pin::new(&mut this.tcp).poll_write(task, bytes))?;
        this.written.wrote(&bytes[..length]);
        this.session.pulse.wrote(length);
        this.session.taken(length);
        Poll::Ready(Ok(length))
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(task)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(task)
    }
}
