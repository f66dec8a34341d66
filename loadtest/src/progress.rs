//! One line a second on stderr, so that whoever waits sees that something happens.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::{JoinHandle, JoinSet};

use crate::tally::Tally;

/// Ends with its value.
pub(crate) struct Progress(JoinHandle<()>);

impl Progress {
    pub(crate) fn of(tally: &Arc<Tally>) -> Self {
        let tally = tally.clone();
        Self(tokio::spawn(async move {
            let began = Instant::now();
            let (mut acked, mut delivered) = (tally.acked(), tally.delivered());
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                let (acked_now, delivered_now) = (tally.acked(), tally.delivered());
                eprintln!(
                    "{:>4} s  {:>8} acked/s  {:>9} delivered/s  {} refused",
                    began.elapsed().as_secs(),
                    acked_now - acked,
                    delivered_now - delivered,
                    tally.refusals(),
                );
                (acked, delivered) = (acked_now, delivered_now);
            }
        }))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Waits for all of a set, telling now and then how many are done.
pub(crate) async fn gather<T: 'static>(what: &str, mut set: JoinSet<io::Result<T>>) -> io::Result<Vec<T>> {
    let (count, mut told) = (set.len(), Instant::now());
    let mut done = Vec::with_capacity(count);
    while let Some(one) = set.join_next().await {
        done.push(one.map_err(io::Error::other)??);
        if told.elapsed() >= Duration::from_secs(1) {
            told = Instant::now();
            eprintln!("        {} of {count} {what}", done.len());
        }
    }
    Ok(done)
}
