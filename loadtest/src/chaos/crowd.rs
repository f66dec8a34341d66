//! All clients of a run, and what they are told.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::client::{Client, Habits, Orders, Shared, Standing};
use super::journal::Journal;
use super::record::ClientLog;
use crate::args::Talk;

/// Bytes of an ordinary text.
const TEXT_BYTES: usize = 100;
/// Bytes of a text while readers are to fall behind.
const LONG_TEXT_BYTES: usize = 8 * 1024;

/// Who only reads.
const READS: Habits = Habits { says: 0.0, changes: 0.0 };

/// How long everything may take to settle once all is mended.
const SETTLES_WITHIN: Duration = Duration::from_secs(60);

/// The clients, each a task.
pub(crate) struct Crowd {
    rooms: Vec<String>,
    began: Instant,
    orders: watch::Sender<Orders>,
    members: Vec<(Shared, JoinHandle<ClientLog>)>,
}

impl Crowd {
    /// Lets them in by the streets, in turn.
    pub(crate) fn enter(talk: &Talk, rooms: &[String], streets: &[SocketAddr], began: Instant) -> Self {
        let orders = watch::Sender::new(Orders { text_bytes: TEXT_BYTES, ..Orders::default() });
        let mut crowd = Self { rooms: rooms.to_vec(), began, orders, members: Vec::new() };
        let writes = Habits { says: talk.rate, changes: 0.0 };
        let edits = Habits { says: talk.rate / 4.0, changes: talk.rate / 4.0 };
        let roles =
            [("writer", talk.writers, writes), ("editor", talk.editors, edits), ("reader", talk.readers, READS)];
        for (role, count, habits) in roles {
            for one in 1..=count {
                let number = crowd.members.len();
                let seed = talk.seed.wrapping_mul(1000).wrapping_add(number as u64);
                let client = crowd.client(format!("{role} {one}"), streets[number % streets.len()], habits, seed);
                crowd.admit(client);
            }
        }
        crowd
    }

    /// Ends the run: nobody begins anything new, all settles, and then somebody comes by each of these doors and asks for
    /// everything. Everybody's log, theirs at the end.
    pub(crate) async fn finish(mut self, latecomers: impl Iterator<Item = (String, SocketAddr)>) -> Vec<ClientLog> {
        self.orders.send_modify(|orders| orders.quiet = true);
        let settled = self.settle(SETTLES_WITHIN).await;
        for (name, door) in latecomers {
            self.latecomer(name, door);
        }
        if settled {
            self.settle(SETTLES_WITHIN).await;
        }
        self.leave().await
    }

    /// One who comes when all is over, by a door of its own, and asks for everything from the start.
    fn latecomer(&mut self, name: String, door: SocketAddr) {
        let client = self.client(name, door, READS, 0).asking_for_everything();
        self.admit(client);
    }

    /// Who would be the next to come in.
    fn client(&self, name: String, door: SocketAddr, habits: Habits, seed: u64) -> Client {
        let (number, journal) = (self.members.len(), Journal::since(self.began));
        Client::new(number, name, door, &self.rooms, habits, seed, journal, self.orders.subscribe())
    }

    fn admit(&mut self, client: Client) {
        self.members.push((client.standing(), tokio::spawn(client.run())));
    }

    /// Some stop reading, drawn by `chance`, and texts become long.
    pub(crate) fn stall(&self, chance: u64) {
        let stalled: HashSet<usize> =
            (0..self.members.len()).filter(|number| chance >> (number % 64) & 1 == 1).collect();
        self.orders.send_modify(|orders| (orders.stalled, orders.text_bytes) = (Arc::new(stalled), LONG_TEXT_BYTES));
    }

    /// Texts become long.
    pub(crate) fn long_texts(&self) {
        self.orders.send_modify(|orders| orders.text_bytes = LONG_TEXT_BYTES);
    }

    /// Everybody reads, and texts are short again.
    pub(crate) fn read_on(&self) {
        self.orders.send_modify(|orders| (orders.stalled, orders.text_bytes) = (Arc::default(), TEXT_BYTES));
    }

    /// Waits until nobody awaits an answer and all stand at the same number in each room; `false` if they never do.
    async fn settle(&self, within: Duration) -> bool {
        let settled = || {
            let standings: Vec<Standing> = self.members.iter().map(|(standing, _)| standing.lock().clone()).collect();
            let complete = standings.iter().all(|standing| {
                standing.owed == 0 && !standing.positions.is_empty() && standing.positions.iter().all(Option::is_some)
            });
            complete && standings.windows(2).all(|pair| pair[0].positions == pair[1].positions)
        };
        // Standings are looked at while they change: what is seen once must hold for a while.
        let mut seen = 0;
        testkit::patience(within, async || {
            seen = if settled() { seen + 1 } else { 0 };
            (seen >= 50).then_some(())
        })
        .await
        .is_some()
    }

    async fn leave(self) -> Vec<ClientLog> {
        self.orders.send_modify(|orders| orders.over = true);
        let mut logs = Vec::new();
        for (_, client) in self.members {
            match client.await {
                Ok(log) => logs.push(log),
                Err(error) => eprintln!("a client of ours failed: {error}"),
            }
        }
        logs
    }
}
