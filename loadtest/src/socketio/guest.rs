//! A client of Socket.IO, as cheap as it can be: WebSocket from the beginning, and packets that are looked at and not parsed.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::crowd::{AT_ONCE, Audience, Rooms};
use crate::door::Door;
use crate::pace::{Next, Pace};
use crate::progress::gather;
use crate::scan::digits;
use crate::tally::Tally;
use crate::wire::{Wire, frame};
use crate::witness::Witness;

/// How long the last acknowledgements are waited for.
const LAST_ANSWERS: Duration = Duration::from_secs(10);

/// Somebody in a room, in the dialect of the official tutorial.
pub(super) struct Guest {
    wire: Wire,
    witness: Arc<Mutex<Witness>>,
}

/// What a speaker leaves behind.
pub(super) struct Spoken {
    pub(super) said: u64,
    pub(super) unanswered: usize,
}

impl Guest {
    /// Comes into a room and hears it from its beginning.
    pub(super) async fn enter(door: &Door, room: &str, name: &str, tally: &Tally) -> io::Result<Self> {
        let mut guest = Self { wire: door.open().await?, witness: Arc::default() };
        let mut connect = Vec::new();
        frame(&mut connect, format!(r#"40{{"room":"{room}","username":"{name}","serverOffset":0}}"#).as_bytes());
        let (mut is_open, mut is_in, mut refused) = (false, false, None);
        while !is_in {
            let was_open = is_open;
            guest
                .read(tally, |packet| match packet {
                    [b'0', ..] => is_open = true,
                    [b'4', b'0', ..] => is_in = true,
                    [b'4', b'4', ..] => refused = Some(String::from_utf8_lossy(packet).into_owned()),
                    _ => {}
                })
                .await?;
            if let Some(refused) = refused {
                return Err(io::Error::other(refused));
            }
            if is_open && !was_open {
                guest.wire.write(&connect).await?;
            }
        }
        Ok(guest)
    }

    /// Many, spread over rooms, to stay and listen.
    pub(super) async fn crowd(door: &Door, rooms: &Rooms, count: usize, tally: &Arc<Tally>) -> io::Result<Audience> {
        let (mut set, places) = (JoinSet::new(), Arc::new(Semaphore::new(AT_ONCE)));
        for index in 0..count {
            let (door, tally, places) = (door.clone(), tally.clone(), places.clone());
            let room = index % rooms.count;
            let name = rooms.name(room);
            set.spawn(async move {
                let _place = places.acquire().await.map_err(io::Error::other)?;
                Ok((room, Self::enter(&door, &name, &format!("reader {index}"), &tally).await?))
            });
        }
        let guests = gather("joined", set).await?;
        let witnesses = guests.iter().map(|(room, guest)| (*room, guest.witness.clone())).collect();
        let mut tasks = JoinSet::new();
        for (_, mut guest) in guests {
            let tally = tally.clone();
            tasks.spawn(async move {
                while guest.read(&tally, |_| ()).await.is_ok() {}
                tally.returns.fetch_add(1, Ordering::Relaxed);
            });
        }
        Ok(Audience::new(tasks, witnesses))
    }

    /// Sends as the pace says, so many under way, and waits for the last acknowledgements.
    pub(super) async fn speak(
        mut self,
        mut pace: Pace,
        in_flight: usize,
        bytes: usize,
        tally: &Tally,
    ) -> io::Result<Spoken> {
        let (mut due, mut out, filling, mut over) = (Dues::new(in_flight), Vec::new(), "x".repeat(bytes), false);
        loop {
            while !over && let Some(number) = due.free() {
                match pace.next() {
                    Next::Due(moment) => {
                        // The moment stands first in the text; what follows it makes up the length.
                        let stamp = format!("{} ", tally.stamp(moment));
                        let rest = &filling[stamp.len().min(bytes)..];
                        frame(&mut out, format!(r#"42{number}["chat message","{stamp}{rest}"]"#).as_bytes());
                        due.begin(number, moment);
                    }
                    Next::Later => break,
                    Next::Over => over = true,
                }
            }
            self.wire.write(&out).await?;
            out.clear();
            if over && due.waiting == 0 {
                break;
            }
            let has_place = due.free().is_some();
            let mut acked = |packet: &[u8]| {
                if let [b'4', b'3', number @ ..] = packet
                    && let Some(moment) = digits(number).and_then(|number| due.end(number))
                {
                    tally.acked.fetch_add(1, Ordering::Relaxed);
                    tally.ack_time.record(moment.elapsed());
                }
            };
            tokio::select! {
                read = self.read(tally, &mut acked) => read?,
                () = pace.until_due(), if !over && has_place => {}
                () = tokio::time::sleep(LAST_ANSWERS), if over => break,
            }
        }
        Ok(Spoken { said: due.said, unanswered: due.waiting })
    }

    /// Reads what there is, answers pings, and shows the rest to `take`.
    async fn read(&mut self, tally: &Tally, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        let (mut pinged, witness) = (false, &self.witness);
        self.wire
            .read(&mut |packet| match said(packet) {
                Some((number, stamp)) => {
                    tally.delivered.fetch_add(1, Ordering::Relaxed);
                    tally.arrived(stamp);
                    witness.lock().hear(number);
                }
                None if packet == b"2" => pinged = true,
                None => take(packet),
            })
            .await?;
        if pinged {
            let mut pong = Vec::new();
            frame(&mut pong, b"3");
            self.wire.write(&pong).await?;
        }
        Ok(())
    }
}

/// Numbers for acknowledgements, and since when each message was due.
struct Dues {
    places: Vec<Option<Instant>>,
    waiting: usize,
    said: u64,
}

impl Dues {
    fn new(in_flight: usize) -> Self {
        Self { places: vec![None; in_flight.max(1)], waiting: 0, said: 0 }
    }

    fn free(&self) -> Option<usize> {
        self.places.iter().position(Option::is_none)
    }

    fn begin(&mut self, number: usize, due: Instant) {
        self.places[number] = Some(due);
        self.waiting += 1;
        self.said += 1;
    }

    fn end(&mut self, number: u64) -> Option<Instant> {
        let due = self.places.get_mut(number as usize)?.take()?;
        self.waiting -= 1;
        Some(due)
    }
}

/// The number and the stamp of a message: `42["chat message","<stamp> …","<number>","<name>"]`, where no text has a quote in it.
fn said(packet: &[u8]) -> Option<(u64, u64)> {
    let text = packet.strip_prefix(br#"42["chat message",""#)?;
    let number = memchr::memrchr_iter(b'"', text).nth(3)?;
    Some((digits(&text[number + 1..])?, digits(text)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_told_from_all_else() {
        assert_eq!(said(br#"42["chat message","123 xxx","7","reader 1"]"#), Some((7, 123)));
        for other in [&br#"42["user connected","reader 1"]"#[..], b"430[]", b"2", br#"40{"sid":"x"}"#] {
            assert_eq!(said(other), None);
        }
    }

    #[test]
    fn so_many_are_under_way_and_no_more() {
        let mut due = Dues::new(2);
        for number in 0..2 {
            assert_eq!(due.free(), Some(number));
            due.begin(number, Instant::now());
        }
        assert_eq!((due.free(), due.end(1).is_some(), due.end(1).is_some()), (None, true, false));
        assert_eq!((due.free(), due.waiting, due.said), (Some(1), 1, 2));
    }
}
