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
use crate::args::Chaos;

/// Bytes of an ordinary text.
const TEXT_BYTES: usize = 100;
/// Bytes of a text while readers are to fall behind.
const LONG_TEXT_BYTES: usize = 8 * 1024;

/// The clients, each a task.
pub(crate) struct Crowd {
    orders: watch::Sender<Orders>,
    members: Vec<(Shared, JoinHandle<ClientLog>)>,
}

impl Crowd {
    /// Lets them in by the streets, in turn.
    pub(crate) fn enter(chaos: &Chaos, rooms: &[String], streets: &[SocketAddr], began: Instant) -> Self {
        let orders = watch::Sender::new(Orders { text_bytes: TEXT_BYTES, ..Orders::default() });
        let mut members = Vec::new();
        let writer = Habits { says: chaos.rate, changes: 0.0 };
        let editor = Habits { says: chaos.rate / 4.0, changes: chaos.rate / 4.0 };
        let reader = Habits { says: 0.0, changes: 0.0 };
        let roles =
            [("writer", chaos.writers, writer), ("editor", chaos.editors, editor), ("reader", chaos.readers, reader)];
        for (role, count, habits) in roles {
            for one in 1..=count {
                let number = members.len();
                let (name, door) = (format!("{role} {one}"), streets[number % streets.len()]);
                let seed = chaos.seed.wrapping_mul(1000).wrapping_add(number as u64);
                let journal = Journal::since(began);
                let client = Client::new(number, name, door, rooms, habits, seed, journal, orders.subscribe());
                members.push((client.standing(), tokio::spawn(client.run())));
            }
        }
        Self { orders, members }
    }

    /// One who comes when all is over, by a door of its own, and asks for everything from the start.
    pub(crate) fn latecomer(&mut self, name: String, door: SocketAddr, rooms: &[String], began: Instant) {
        let reader = Habits { says: 0.0, changes: 0.0 };
        let (number, journal) = (self.members.len(), Journal::since(began));
        let client =
            Client::new(number, name, door, rooms, reader, 0, journal, self.orders.subscribe()).asking_for_everything();
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

    /// Nobody begins anything new.
    pub(crate) fn quiet(&self) {
        self.orders.send_modify(|orders| orders.quiet = true);
    }

    /// Waits until nobody awaits an answer and all stand at the same number in each room; `false` if they never do.
    pub(crate) async fn settle(&self, within: Duration) -> bool {
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

    /// Ends the run; everybody's log.
    pub(crate) async fn leave(self) -> Vec<ClientLog> {
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
