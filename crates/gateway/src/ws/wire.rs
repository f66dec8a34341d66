//! Reading frames without a buffer a connection.
//!
//! The protocol engine is tungstenite's. The socket is read into a scratch buffer of the thread; the engine takes from it
//! through [`Input`] until nothing is left, and only a partial frame stays with the connection.

use std::cell::RefCell;
use std::io::{self, Read, Write};

use tungstenite::error::{CapacityError, Error, ProtocolError};
use tungstenite::protocol::{Message, Role, WebSocketConfig, WebSocketContext};

use super::out::Conn;

/// Bytes read from a socket at once.
const SCRATCH_BYTES: usize = 16 * 1024;
/// What the engine takes at once; it keeps no more than this between frames.
const ENGINE_BYTES: usize = 256;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH_BYTES]);
}

/// A connection's way in.
pub(crate) struct Wire {
    engine: WebSocketContext,
    /// Bytes that were read but not looked at, because a request before them takes its time.
    rest: Vec<u8>,
    /// Whether to go on before reading more: there may be whole frames in `rest` or in the engine's own buffer.
    paused: bool,
}

/// Why nothing more comes in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The client closed, properly.
    Closed,
    /// The connection is gone.
    Lost,
    /// The client broke the protocol: the close code and a sentence.
    Broke(u16, &'static str),
}

/// What reading came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// The socket has no more for now.
    Drained,
    /// The reader of messages asked to pause.
    Paused,
}

impl Wire {
    /// Begins with what the client sent along with its upgrade request.
    pub(crate) fn new(early: Vec<u8>) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(ENGINE_BYTES)
            .write_buffer_size(ENGINE_BYTES)
            .max_message_size(Some(proto::FRAME_BYTES_MAX))
            .max_frame_size(Some(proto::FRAME_BYTES_MAX));
        Self { engine: WebSocketContext::new(Role::Server, Some(config)), paused: !early.is_empty(), rest: early }
    }

    /// Whether there may be requests that were read before.
    pub(crate) fn is_paused(&self) -> bool {
        self.paused
    }

    /// Reads once from the socket and gives every whole text to `take`, which says whether to go on.
    pub(crate) fn read(&mut self, conn: &Conn, take: &mut dyn FnMut(&str) -> bool) -> Result<Reading, Stop> {
        if std::mem::take(&mut self.paused) {
            let rest = std::mem::take(&mut self.rest);
            return self.consume(&rest, conn, take);
        }
        SCRATCH.with_borrow_mut(|scratch| match conn.stream.try_read(scratch) {
            Ok(0) => Err(Stop::Lost),
            Ok(read) => self.consume(&scratch[..read], conn, take),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Reading::Drained),
            Err(_) => Err(Stop::Lost),
        })
    }

    fn consume(&mut self, bytes: &[u8], conn: &Conn, take: &mut dyn FnMut(&str) -> bool) -> Result<Reading, Stop> {
        let mut input = Input { bytes, conn };
        loop {
            match self.engine.read(&mut input) {
                Ok(Message::Text(text)) => {
                    if !take(&text) {
                        self.rest = input.bytes.to_vec();
                        self.paused = true;
                        return Ok(Reading::Paused);
                    }
                }
                Ok(Message::Binary(_)) => return Err(Stop::Broke(1003, "frames are text")),
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
                Ok(Message::Close(_)) => {
                    let _ = self.engine.flush(&mut input); // its echo of the close
                    return Err(Stop::Closed);
                }
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Reading::Drained),
                Err(error) => return Err(stop_of(&error)),
            }
        }
    }
}

fn stop_of(error: &Error) -> Stop {
    match error {
        Error::Capacity(CapacityError::MessageTooLong { .. }) => Stop::Broke(1009, "a frame is at most 65536 bytes"),
        Error::Utf8(_) => Stop::Broke(1007, "text must be UTF-8"),
        Error::ConnectionClosed | Error::AlreadyClosed => Stop::Closed,
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) | Error::Io(_) => Stop::Lost,
        _ => Stop::Broke(1002, "this is not WebSocket"),
    }
}

/// The engine's socket: reads what was read, writes through the connection's way out.
struct Input<'a> {
    bytes: &'a [u8],
    conn: &'a Conn,
}

impl Read for Input<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.bytes.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.bytes.read(into)
    }
}

impl Write for Input<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.conn.control(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
