//! When a speaker's messages are due.

use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// One of three ways to go on.
pub(crate) enum Pace {
    /// Whenever there is a place for it, until then.
    Until(Instant),
    /// So many, whenever there is a place.
    Count(u64),
    /// At a rate; the moment that has come and was not taken yet.
    Rate(UnboundedReceiver<Instant>, Option<Instant>),
}

/// What is next.
pub(crate) enum Next {
    /// A message, due since then.
    Due(Instant),
    /// Nothing now.
    Later,
    /// Nothing any more.
    Over,
}

impl Pace {
    /// So many a second. A thread that sleeps wakes within some tens of microseconds; the runtime's timers tick in
    /// milliseconds, which would be most of what is measured.
    pub(crate) fn rate(a_second: f64, until: Instant) -> Self {
        let (tell, due) = unbounded_channel();
        let step = Duration::from_secs_f64(1.0 / a_second.max(0.001));
        thread::spawn(move || {
            let mut next = Instant::now() + step;
            while next < until {
                thread::sleep(next.saturating_duration_since(Instant::now()));
                if tell.send(next).is_err() {
                    return;
                }
                next += step;
            }
        });
        Self::Rate(due, None)
    }

    pub(crate) fn next(&mut self) -> Next {
        let now = Instant::now();
        match self {
            Self::Until(until) if now < *until => Next::Due(now),
            Self::Count(left @ 1..) => {
                *left -= 1;
                Next::Due(now)
            }
            Self::Until(_) | Self::Count(_) => Next::Over,
            Self::Rate(dues, come) => match come.take().map_or_else(|| dues.try_recv(), Ok) {
                Ok(due) => Next::Due(due),
                Err(TryRecvError::Empty) => Next::Later,
                Err(TryRecvError::Disconnected) => Next::Over,
            },
        }
    }

    /// Returns when `next` is worth asking again.
    pub(crate) async fn until_due(&mut self) {
        if let Self::Rate(dues, come) = self {
            *come = dues.recv().await;
        }
    }
}
