//! Connections lent out one at a time, and never used again once in doubt.
//!
//! Whoever takes a [`Seat`] must give it back to have it used again. A caller that fails, is too late, or is cancelled half
//! way simply lets go, and the connection is closed with whatever answer was still under way on it. That rule is why
//! this is not the database library's own pool, which hands such connections on after a look at them.

use std::future::Future;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::StoreError;

/// Makes connections, each fit for use.
pub(crate) trait Opener: Send + Sync {
    type Connection: Send;

    fn open(&self) -> impl Future<Output = Result<Self::Connection, StoreError>> + Send;

    /// Says goodbye to the database.
    fn close(connection: Self::Connection) -> impl Future<Output = ()> + Send;
}

/// So many connections and no more. They are opened when first needed.
pub(crate) struct Seats<O: Opener> {
    opener: O,
    count: u32,
    free: Semaphore,
    // Held for a push or a pop only. The newest is taken first, so that what is not needed grows old and idle.
    idle: Mutex<Vec<O::Connection>>,
    patience: Duration,
}

impl<O: Opener> Seats<O> {
    pub(crate) fn new(opener: O, count: u32, patience: Duration) -> Self {
        let free = Semaphore::new(count as usize);
        Self { opener, count, free, idle: Mutex::default(), patience }
    }

    /// Waits for a free connection, and makes it if need be; for each of the two at most `patience`.
    pub(crate) async fn take(&self) -> Result<Seat<'_, O>, StoreError> {
        let permit = timeout(self.patience, self.free.acquire())
            .await
            .map_err(|_| StoreError::Away(format!("all {} connections are busy", self.count)))?
            .map_err(|_| StoreError::Refused("it has been closed".into()))?;
        let idle = self.idle.lock().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => timeout(self.patience, self.opener.open())
                .await
                .map_err(|_| StoreError::Away("it does not answer to a new connection".into()))??,
        };
        Ok(Seat { seats: self, connection, _permit: permit })
    }

    /// Lets go of all idle connections: what broke one has most likely broken them all.
    pub(crate) fn forget_idle(&self) {
        self.idle.lock().clear();
    }

    /// Waits for all that are lent out, then ends everything.
    pub(crate) async fn close(&self) {
        let all = self.free.acquire_many(self.count).await;
        self.free.close();
        drop(all);
        let idle = std::mem::take(&mut *self.idle.lock());
        for connection in idle {
            O::close(connection).await;
        }
    }
}

/// A connection on loan. Dropping it closes it.
pub(crate) struct Seat<'a, O: Opener> {
    seats: &'a Seats<O>,
    pub(crate) connection: O::Connection,
    _permit: SemaphorePermit<'a>,
}

impl<O: Opener> Seat<'_, O> {
    /// Returns it after a complete answer.
    pub(crate) fn give_back(self) {
        self.seats.idle.lock().push(self.connection);
    }
}
