//! The way from polling to a WebSocket, walked here up to its last step: until then the client may turn back and poll on.
//!
//! The engine takes the first step for the last: from then on it answers no poll in earnest, for ever. So it is shown the way only when
//! the client has gone all of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::frames::{self, PING, PONG, TEXT};
use super::session::Session;

/// How long a client may take for it.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes read at once.
const READ_BYTES: usize = 512;

const PROBE: &[u8] = b"2probe";
const ANSWER: &[u8] = b"3probe";
const OVER: &[u8] = b"5";
/// Bytes of the answer with its head: the engine answers once more, and that must not be heard.
pub(super) const ANSWER_BYTES: usize = ANSWER.len() + 2;

/// Sees that a session goes over once, and one way at a time.
struct Claim(Arc<Session>);

impl Claim {
    fn of(session: &Arc<Session>) -> Option<Self> {
        let claim = session.claim_way(true).then(|| Self(session.clone()))?;
        // Only now: whoever had the claim before may have left one.
        (!session.has_stream()).then_some(claim)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.0.pulse.goes_over(false);
        self.0.claim_way(false);
    }
}

/// Waits until a client has gone over, and then does something with what the engine is to read; does nothing if it turns back.
pub(super) async fn walk(
    mut tcp: TcpStream,
    early: Vec<u8>,
    session: Arc<Session>,
    go_on: impl FnOnce(TcpStream, Vec<u8>),
) {
    let Some(_claim) = Claim::of(&session) else { return };
    let walked = tokio::select! {
        walked = tokio::time::timeout(PATIENCE, steps(&mut tcp, early, &session)) => walked.ok().flatten(),
        () = session.until(|| session.ending().is_some()) => None,
    };
    if let Some(read) = walked {
        go_on(tcp, read);
    }
}

/// What the engine is to read: the two steps, and what came after them. `None` if the client turns back.
async fn steps(tcp: &mut TcpStream, mut bytes: Vec<u8>, session: &Session) -> Option<Vec<u8>> {
    let mut steps = Vec::new();
    loop {
        while let Some(frame) = frames::first(&bytes).ok()? {
            let step: Vec<u8> = bytes.drain(..frame.length).collect();
            match (frame.kind, frame.says.as_slice()) {
                (TEXT, PROBE) => {
                    steps = step;
                    session.pulse.goes_over(true);
                    session.tell();
                    tcp.write_all(&frames::short(TEXT, ANSWER)).await.ok()?;
                }
                (TEXT, OVER) if !steps.is_empty() => {
                    steps.extend(step);
                    steps.extend(bytes);
                    return Some(steps);
                }
                (PING, said) => tcp.write_all(&frames::short(PONG, said)).await.ok()?,
                (PONG, _) => {}
                _ => return None,
            }
        }
        let mut read = [0; READ_BYTES];
        match tcp.read(&mut read).await {
            Ok(length @ 1..) => bytes.extend_from_slice(&read[..length]),
            _ => return None,
        }
    }
}
