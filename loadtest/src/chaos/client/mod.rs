//! One client for the length of a run: it comes back, says again what was not acknowledged, and writes everything down.

mod changes;
mod line;
mod orders;
mod outbox;
mod rooms;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tokio::sync::watch;

use self::changes::Changes;
use self::line::{Connection, NotLetIn};
use self::outbox::Outbox;
use self::rooms::Rooms;
use super::journal::Journal;
use super::record::{ClientLog, OVER, What};
pub(crate) use orders::{Orders, Shared, Standing};

/// How often a client looks at what is due.
const TICK: Duration = Duration::from_millis(20);
/// A line that was silent for so long is asked; for twice as long, given up.
const SILENCE: Duration = Duration::from_secs(4);
/// The first pause before coming back without being told when; it doubles up to the last, and a random part of it is waited.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_LAST: Duration = Duration::from_secs(3);

/// What a client does besides reading.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Habits {
    /// Messages a second.
    pub(crate) says: f64,
    /// Edits and deletions of its own messages a second.
    pub(crate) changes: f64,
}

/// A client that lives through many connections.
pub(crate) struct Client {
    number: usize,
    name: String,
    door: SocketAddr,
    token: Option<String>,
    journal: Journal,
    rooms: Rooms,
    outbox: Outbox,
    changes: Changes,
    orders: watch::Receiver<Orders>,
    standing: Shared,
    rng: SmallRng,
}

/// How a connection ended, and when to come back if that was said.
struct Ended {
    why: String,
    retry_after: Option<Duration>,
}

impl From<String> for Ended {
    fn from(why: String) -> Self {
        Self { why, retry_after: None }
    }
}

impl Client {
    /// A client that comes in by `door` and joins all rooms. All that it does at random comes from `seed`.
    #[expect(clippy::too_many_arguments, reason = "each is a different thing, said once")]
    pub(crate) fn new(
        number: usize,
        name: String,
        door: SocketAddr,
        rooms: &[String],
        habits: Habits,
        seed: u64,
        journal: Journal,
        orders: watch::Receiver<Orders>,
    ) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        Self {
            number,
            door,
            token: None,
            journal,
            rooms: Rooms::new(rooms),
            outbox: Outbox::new(habits.says, rooms.len(), &name, SmallRng::seed_from_u64(rng.random())),
            changes: Changes::new(habits.changes, SmallRng::seed_from_u64(rng.random())),
            name,
            orders,
            standing: Shared::default(),
            rng,
        }
    }

    /// How it stands, to be looked at while it runs.
    pub(crate) fn standing(&self) -> Shared {
        self.standing.clone()
    }

    /// A client that has missed everything and asks for all of it.
    pub(crate) fn asking_for_everything(mut self) -> Self {
        self.rooms.ask_for_everything();
        self
    }

    /// Lives until the run is over; what it did and saw.
    pub(crate) async fn run(mut self) -> ClientLog {
        let mut pause = PAUSE_FIRST;
        while !self.orders.borrow().over {
            let wait = match Connection::open(self.door).await {
                Ok(connection) => {
                    let Ended { why, retry_after } = self.live(connection).await;
                    self.journal.note(What::Lost { why });
                    let welcomed = self.rooms.any_complete();
                    self.rooms.lost();
                    self.tell_standing();
                    if welcomed {
                        pause = PAUSE_FIRST;
                    }
                    retry_after
                }
                Err(NotLetIn { why, retry_after }) => {
                    self.journal.note(What::NotLetIn { why });
                    retry_after
                }
            };
            let wait = wait.unwrap_or_else(|| pause.mul_f64(self.rng.random_range(0.3..1.0)));
            pause = (pause * 2).min(PAUSE_LAST);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = self.orders.wait_for(|orders| orders.over) => {}
            }
        }
        ClientLog { name: self.name, lines: self.journal.into_lines() }
    }

    /// One connection, from hello to its end.
    async fn live(&mut self, mut connection: Connection) -> Ended {
        let hello = match &self.token {
            Some(token) => json!({"type": "hello", "token": token}),
            None => json!({"type": "hello", "name": self.name}),
        };
        if let Err(why) = connection.say(&hello).await {
            return why.into();
        }
        self.outbox.again();
        self.changes.again();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut heard_at, mut asked) = (Instant::now(), false);
        let mut welcomed = false;
        loop {
            let orders = self.orders.borrow().clone();
            let stalled = orders.stalled.contains(&self.number);
            if orders.over {
                connection.close().await;
                return OVER.to_owned().into();
            }
            tokio::select! {
                heard = connection.hear(), if !stalled => {
                    (heard_at, asked) = (Instant::now(), false);
                    match heard {
                        Ok(Some(frame)) if frame["type"] == "bye" => {
                            let why = format!("bye {}", frame["reason"].as_str().unwrap_or_default());
                            return Ended { why, retry_after: frame["retry_after_ms"].as_u64().map(Duration::from_millis) };
                        }
                        // Nothing else was asked yet: without the store nobody can say who comes.
                        Ok(Some(frame)) if frame["type"] == "error" && !welcomed => {
                            let why = format!("hello {}", frame["code"].as_str().unwrap_or_default());
                            return Ended { why, retry_after: frame["retry_after_ms"].as_u64().map(Duration::from_millis) };
                        }
                        Ok(Some(frame)) => {
                            welcomed |= frame["type"] == "welcome";
                            self.take(&frame);
                        }
                        Ok(None) => {}
                        Err(why) => return why.into(),
                    }
                }
                _ = tick.tick() => {
                    if welcomed && let Err(why) = self.say_what_is_due(&mut connection, &orders).await {
                        return why.into();
                    }
                    let silent = heard_at.elapsed();
                    if stalled {
                        heard_at = Instant::now();
                    } else if silent > SILENCE * 2 {
                        return "silent".to_owned().into();
                    } else if silent > SILENCE && !asked {
                        asked = true;
                        if let Err(why) = connection.say(&json!({"type": "ping"})).await {
                            return why.into();
                        }
                    }
                }
            }
            self.tell_standing();
        }
    }

    async fn say_what_is_due(&mut self, connection: &mut Connection, orders: &Orders) -> Result<(), String> {
        while let Some(join) = self.rooms.due(&mut self.journal) {
            connection.say(&join).await?;
        }
        if !orders.quiet {
            self.outbox.write(orders.text_bytes);
            self.changes.choose();
        }
        while let Some(send) = self.outbox.due(&self.rooms, &mut self.journal) {
            connection.say(&send).await?;
        }
        while let Some(change) = self.changes.due(&self.rooms, &mut self.journal) {
            connection.say(&change).await?;
        }
        Ok(())
    }

    fn take(&mut self, frame: &Value) {
        match frame["type"].as_str().unwrap_or_default() {
            "welcome" => {
                self.token = frame["token"].as_str().map(str::to_owned);
                let node = frame["node"].as_str().unwrap_or_default().to_owned();
                self.journal.note(What::Connected { node });
                self.rooms.welcomed();
            }
            "joined" => self.rooms.joined(frame, &mut self.journal),
            "message" => self.rooms.message(frame, &mut self.journal),
            "ack" if frame["ref"].is_string() => self.changes.acked(frame, &self.rooms, &mut self.journal),
            "ack" => {
                if let Some((room, seq)) = self.outbox.acked(frame, &self.rooms, &mut self.journal) {
                    self.changes.may_change(room, seq);
                }
            }
            "error" => {
                // An error carries back what it answers: an `id`, or a `ref` of ours.
                if frame["id"].is_string() {
                    self.outbox.refused(frame, &mut self.journal);
                } else if !self.changes.refused(frame, &mut self.journal) {
                    self.rooms.refused(frame);
                }
            }
            _ => {}
        }
    }

    fn tell_standing(&self) {
        *self.standing.lock() =
            Standing { owed: self.outbox.owed() + self.changes.owed(), positions: self.rooms.positions() };
    }
}
