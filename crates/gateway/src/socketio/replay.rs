//! A socket's way into a room: first what it missed, by place, as it can take it; then everything live.
//!
//! Clients of Socket.IO keep the last offset they saw and never sort. So what was said before is read by place, not by number of
//! change, window by window, until so little is left that the hub's own answer holds it: from there on it delivers live.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hub::{Answer, Ask, Batch, HubError, Outbox, Seat};
use proto::{Frame, Position, RoomName, TAIL_DEFAULT, UserId};

use super::lines::{Line, Lines};
use super::out::Kind;
use super::people;
use super::session::Session;
use crate::refusal;

/// Numbers in a window. The hub gives a hundred messages at least, so none of a window is cut off.
const WINDOW: u64 = 100;
/// How long after a failure to read it is tried again: these clients cannot ask again themselves.
const AGAIN: Duration = Duration::from_secs(1);

/// Hears one room for a session.
pub(super) struct Ear {
    session: Arc<Session>,
    user: UserId,
    /// The place up to which everything was told.
    told: AtomicU64,
}

impl Ear {
    pub(super) fn new(session: &Arc<Session>, user: UserId) -> Arc<Self> {
        Arc::new(Self { session: session.clone(), user, told: AtomicU64::new(0) })
    }

    /// Tells of some messages in their order.
    fn tell(&self, lines: &[Line], kind: Kind) {
        let session = &self.session;
        let mut out = session.out();
        let voice = out.voice;
        out.hold(lines.len() > 1);
        for line in lines {
            for packet in line.packets(&voice, self.user) {
                session.push(&mut out, packet, kind);
            }
            self.told.store(line.seq, Ordering::Relaxed);
        }
        session.let_go(&mut out);
        if out.bytes(Kind::Present) > session.node.config.backlog_bytes {
            session.end_in(&mut out, "slow");
        }
    }

    /// The hub's answer: what is left of the past. What comes after it is live.
    fn begin(&self, answer: &Answer<'_>) {
        if answer.reset {
            // The client's place is worth nothing: it is told the recent past afresh.
            self.told.store(0, Ordering::Relaxed);
        }
        self.tell(Lines::of(answer.entries).after(self.told.load(Ordering::Relaxed)), Kind::Past);
        self.told.fetch_max(answer.head, Ordering::Relaxed);
    }

    /// Tells of the places up to `head`, all of which are taken.
    async fn catch_up(&self, room: &RoomName, head: u64) -> Result<(), HubError> {
        loop {
            let from = self.told.load(Ordering::Relaxed);
            if from >= head {
                return Ok(());
            }
            let to = head.min(from + WINDOW);
            let page = self.session.node.hub.history(room, Some(to + 1), WINDOW as usize).await?;
            for line in page.entries().iter().filter(|entry| entry.seq > from).filter_map(Line::of) {
                self.session.until_room().await;
                self.tell(std::slice::from_ref(&line), Kind::Past);
            }
            self.told.store(to, Ordering::Relaxed);
        }
    }

    async fn enter(&self, seat: &mut Seat, room: &RoomName, offset: &mut Option<u64>) -> Result<(), HubError> {
        loop {
            let position = offset.map(|after| Position { epoch: None, after });
            let mut head_so_far = None;
            let announce = &mut |answer: &Answer<'_>| match answer.more {
                true => head_so_far = Some(answer.head),
                false => self.begin(answer),
            };
            seat.join(Ask { position, limit: TAIL_DEFAULT }, announce).await?;
            let Some(head) = head_so_far else { return Ok(()) };
            self.catch_up(room, head).await?;
            *offset = Some(head);
        }
    }
}

/// Enters a room: after an offset, or with the recent tail. Returns once everything live follows.
pub(super) async fn enter(ear: Arc<Ear>, mut seat: Seat, room: RoomName, mut offset: Option<u64>) -> Seat {
    ear.told.store(offset.unwrap_or(0), Ordering::Relaxed);
    let mut told = false;
    loop {
        match ear.enter(&mut seat, &room, &mut offset).await {
            Ok(()) => return seat,
            Err(error) if !told => {
                told = true;
                ear.session.refuse(&refusal::of_hub(&error));
            }
            Err(_) => {}
        }
        // From wherever it came to.
        offset = offset.map(|_| ear.told.load(Ordering::Relaxed));
        tokio::time::sleep(AGAIN).await;
    }
}

impl Outbox for Ear {
    fn deliver(&self, batch: &Batch) {
        if let Some(lines) = Lines::of_batch(batch) {
            // What is at or before that place was told, or is a change to it, which these clients have no word for.
            self.tell(lines.after(self.told.load(Ordering::Relaxed)), Kind::Present);
        }
    }

    fn whisper(&self, frame: &Frame) {
        people::whisper(&self.session, self.user, frame);
    }

    fn reset(&self) {
        self.session.end("reset");
    }
}
