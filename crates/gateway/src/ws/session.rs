//! One connection's whole life: a loop over the socket, the node and whatever request takes its time.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::BoxFuture;
use hub::Seat;
use people::Identity;
use proto::to_client::Bye;
use proto::{Request, RoomName};
use socket2::SockRef;
use tokio::io::Interest;

use super::out::Conn;
use super::wire::{Stop, Wire};
use crate::node::Node;
use crate::on::{Guest, Hello, Stranger};
use crate::places::Held;
use crate::recognized::Recognized;
use crate::stays::{Going, Visitor};

/// How long a closed connection is still read from, so that the last frames are not lost to a reset.
const LINGER: Duration = Duration::from_secs(1);

/// A request that takes its time. Nothing more is read meanwhile, so that requests take effect in order.
pub(crate) type Work = BoxFuture<'static, After>;

/// What a request leaves behind when it is done.
pub(crate) enum After {
    /// It is known who said hello.
    Known(Hello, Box<Identity>),
    /// The guest has a seat in this room.
    Seated(RoomName, Seat),
    Nothing,
}

/// Who is on the other side.
enum Who {
    Stranger(Stranger),
    Guest(Box<Guest>),
}

struct Session {
    conn: Arc<Conn>,
    node: Arc<Node>,
    wire: Wire,
    who: Who,
    work: Option<Work>,
}

/// Lives a connection from its upgrade to its end. `known`: who it is, where the upgrade has brought something that says so.
pub(crate) async fn run(node: Arc<Node>, conn: Arc<Conn>, early: Vec<u8>, _held: Held, known: Option<Box<Recognized>>) {
    let number = node.connections.add(&conn);
    node.metrics.connects.with_label_values(&["websocket"]).inc();
    node.metrics.connections.with_label_values(&["websocket"]).inc();
    let mut session = Session {
        wire: Wire::new(early),
        who: Who::begin(&node, &conn, known),
        work: None,
        conn: conn.clone(),
        node: node.clone(),
    };
    let reason = session.live().await;
    drop(session); // leaves all rooms
    conn.abandon(reason);
    node.connections.open.remove(&number);
    node.metrics.connections.with_label_values(&["websocket"]).dec();
    node.metrics.disconnects.with_label_values(&[reason]).inc();
    part(&conn, reason).await;
}

impl Session {
    /// Runs until the connection ends; says why it did.
    async fn live(&mut self) -> &'static str {
        loop {
            let conn = self.conn.clone();
            let ending = conn.ending();
            if let Some(end) = ending
                && (!conn.has_backlog() || end.is_overdue())
            {
                return end.reason;
            }
            if ending.is_none() && self.is_to_go() {
                continue;
            }
            let may_read = self.work.is_none() && conn.may_read();
            if may_read && self.wire.is_paused() {
                if let Some(reason) = self.read() {
                    return reason;
                }
                tokio::task::consume_budget().await;
                continue;
            }
            let interest = match (may_read, conn.has_backlog()) {
                (true, true) => Some(Interest::READABLE | Interest::WRITABLE),
                (true, false) => Some(Interest::READABLE),
                (false, true) => Some(Interest::WRITABLE),
                (false, false) => None,
            };
            let work = async {
                match &mut self.work {
                    Some(work) => work.await,
                    None => pending().await,
                }
            };
            tokio::select! {
                ready = conn.stream.ready(interest.unwrap_or(Interest::READABLE)), if interest.is_some() => {
                    let Ok(ready) = ready else { return "lost" };
                    if ready.is_writable() {
                        conn.drain_backlog();
                    }
                    if may_read && ready.is_readable() && let Some(reason) = self.read() {
                        return reason;
                    }
                }
                () = conn.nudge.notified() => conn.drain_backlog(),
                after = work => self.after(after),
            }
        }
    }

    /// Reads what there is and does what it asks; a reason if nothing more will come.
    fn read(&mut self) -> Option<&'static str> {
        let Self { conn, node, wire, who, work } = self;
        conn.heard_at.store(node.connections.now(), Ordering::Relaxed);
        let stop = wire.read(conn, &mut |text| {
            *work = who.on_text(text, node, conn);
            work.is_none() && conn.may_read()
        });
        match stop.err()? {
            Stop::Closed => Some("client"),
            Stop::Lost => Some("lost"),
            Stop::Broke(code, sentence) => {
                conn.close("protocol", code, sentence);
                None
            }
        }
    }

    /// Whether the connection was asked to go and has just been told goodbye.
    fn is_to_go(&mut self) -> bool {
        let bye = match self.conn.going() {
            Going::No => return false,
            Going::Drain => Bye::Drain,
            Going::Unauthorized => {
                // Nothing more is heard either, however long the last acknowledgement takes.
                self.work = None;
                self.who.leave_all();
                Bye::Unauthorized
            }
        };
        let may_go = self.work.is_none() && !self.conn.has_sends_waiting();
        if may_go {
            self.conn.goodbye(bye);
        }
        may_go
    }

    fn after(&mut self, after: After) {
        self.work = None;
        match (after, &mut self.who) {
            (After::Known(hello, identity), who @ Who::Stranger(_)) => {
                *who = Who::Guest(Box::new(Guest::welcome(&self.node, &self.conn, Some(hello), *identity)));
            }
            (After::Seated(room, seat), Who::Guest(guest)) => {
                guest.seats.insert(room, seat);
            }
            _ => {}
        }
    }
}

impl Who {
    fn begin(node: &Arc<Node>, conn: &Arc<Conn>, known: Option<Box<Recognized>>) -> Self {
        match known.map(|known| *known) {
            Some(Ok(identity)) => return Self::Guest(Box::new(Guest::welcome(node, conn, None, identity))),
            Some(Err(_)) => conn.dismiss(),
            None => {}
        }
        Self::Stranger(Stranger::new(node, conn))
    }

    fn leave_all(&mut self) {
        if let Self::Guest(guest) = self {
            guest.seats.clear();
        }
    }

    fn on_text(&mut self, text: &str, node: &Arc<Node>, conn: &Arc<Conn>) -> Option<Work> {
        let request = match Request::parse(text) {
            Ok(request) => request,
            Err(rejected) => {
                node.refuse(conn, rejected.reference.as_deref(), rejected.id.as_deref(), &rejected.refusal);
                return None;
            }
        };
        match self {
            Self::Stranger(stranger) => stranger.on(request),
            Self::Guest(guest) => guest.on(request),
        }
    }
}

/// Lets the client read what was last written: closing with unread input would reset the connection instead.
async fn part(conn: &Conn, reason: &'static str) {
    if matches!(reason, "lost" | "idle") || SockRef::from(&conn.stream).shutdown(std::net::Shutdown::Write).is_err() {
        return;
    }
    let silence = async {
        let mut ignored = [0; 512];
        loop {
            if conn.stream.readable().await.is_err() {
                return;
            }
            match conn.stream.try_read(&mut ignored) {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    };
    let _ = tokio::time::timeout(LINGER, silence).await;
}
