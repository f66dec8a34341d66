//! A guest who listens to one room, and comes back with its position when the connection ends.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;

use crate::door::{Closed, Door};
use crate::scan::{self, EPOCH, HEAD, MORE, RESET, REV, TEXT, TYPE};
use crate::tally::Tally;
use crate::wire::{Wire, frame};
use crate::witness::Witness;

/// How long to wait before coming back, where the node did not say.
const PAUSE: Duration = Duration::from_millis(200);

/// A place in a room: kept while the connection comes and goes.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) room: usize,
    name: String,
    room_name: String,
    epoch: String,
    wire: Option<Wire>,
    pub(crate) witness: Arc<Mutex<Witness>>,
}

/// How an entrance went.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Entrance {
    pub(crate) done: bool,
    pub(crate) reset: bool,
    /// What the node said was missed.
    pub(crate) recovered: u64,
}

impl Listener {
    pub(crate) fn new(name: String, room: usize, room_name: String) -> Self {
        Self { room, name, room_name, epoch: String::new(), wire: None, witness: Arc::default() }
    }

    /// Leaves without a word.
    pub(crate) fn lose_network(&mut self) {
        self.wire = None;
    }

    /// Comes in: with the recent tail the first time, with the position after that. Returns when every page has come.
    pub(crate) async fn enter(&mut self, door: &Door, tally: &Tally) -> Result<Entrance, Closed> {
        let mut wire = door.open().await?;
        let mut requests = Vec::new();
        frame(&mut requests, format!(r#"{{"type":"hello","name":"{}"}}"#, self.name).as_bytes());
        frame(&mut requests, self.join().as_bytes());
        wire.write(&requests).await?;
        let mut entrance = Entrance::default();
        while !entrance.done {
            let mut more = false;
            let mut refused = None;
            wire.read(&mut |payload| match TYPE.word(payload) {
                Some(b"joined") => more = self.on_joined(payload, &mut entrance),
                Some(b"message") => on_message(&self.witness, tally, payload),
                Some(b"error" | b"bye") => refused = Some(String::from_utf8_lossy(payload).into_owned()),
                _ => {}
            })
            .await?;
            if let Some(refused) = refused {
                return Err(Closed::Lost(io::Error::other(refused)));
            }
            if more {
                let mut request = Vec::new();
                frame(&mut request, self.join().as_bytes());
                wire.write(&request).await?;
            }
        }
        self.wire = Some(wire);
        Ok(entrance)
    }

    fn join(&self) -> String {
        let Self { room_name, epoch, .. } = self;
        match self.witness.lock().last {
            _ if epoch.is_empty() => format!(r#"{{"type":"join","room":"{room_name}","limit":1}}"#),
            last => format!(r#"{{"type":"join","room":"{room_name}","after":{last},"epoch":"{epoch}"}}"#),
        }
    }

    /// Takes a page; whether to ask for the next.
    fn on_joined(&mut self, payload: &[u8], entrance: &mut Entrance) -> bool {
        let head = HEAD.number(payload).unwrap_or(0);
        let mut witness = self.witness.lock();
        if self.epoch.is_empty() || RESET.is_true(payload) {
            entrance.reset = !self.epoch.is_empty();
            *witness = Witness::at(head);
        } else {
            for rev in REV.numbers(payload) {
                witness.hear(rev);
                entrance.recovered += 1;
            }
            witness.expect(head);
        }
        self.epoch = EPOCH.word(payload).map(String::from_utf8_lossy).unwrap_or_default().into_owned();
        entrance.done = !MORE.is_true(payload);
        !entrance.done
    }

    /// Listens for ever.
    pub(crate) async fn listen(mut self, door: Door, tally: Arc<Tally>) {
        loop {
            if let Some(wire) = &mut self.wire {
                let take = &mut |payload: &[u8]| {
                    if TYPE.word(payload) == Some(b"message") {
                        on_message(&self.witness, &tally, payload);
                    }
                };
                while wire.read(take).await.is_ok() {}
                self.wire = None;
                tally.returns.fetch_add(1, Ordering::Relaxed);
            }
            if self.enter(&door, &tally).await.is_err() {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn on_message(witness: &Mutex<Witness>, tally: &Tally, payload: &[u8]) {
    tally.delivered.fetch_add(1, Ordering::Relaxed);
    witness.lock().hear(REV.number(payload).unwrap_or(0));
    if let Some(stamp) = TEXT.word(payload).and_then(scan::digits) {
        tally.arrived(stamp);
    }
}
