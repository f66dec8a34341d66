//! Notes in the store that grants were used. Nobody waits for one, and many make one statement: after a night everybody's first
//! step in is due to be noted.

use std::sync::Arc;
use std::time::Duration;

use store::Accounts;
use tokio::sync::mpsc;
use uuid::Uuid;

/// Notes that may wait; of what finds no room the next use will do.
const WAITING_MAX: usize = 8_192;
const TOGETHER_MAX: usize = 512;

/// A grant that was used, and whether it is a key.
type Used = (Uuid, bool);

/// Where uses are told.
pub(crate) struct Touches(mpsc::Sender<Used>);

impl Touches {
    pub(crate) fn add(&self, grant: Uuid, is_key: bool) {
        _ = self.0.try_send((grant, is_key));
    }
}

pub(crate) fn queue() -> (Touches, mpsc::Receiver<Used>) {
    let (told, queue) = mpsc::channel(WAITING_MAX);
    (Touches(told), queue)
}

/// Notes what is told, for ever. Sessions are good for so long from then on.
pub(crate) async fn note(mut told: mpsc::Receiver<Used>, accounts: Arc<dyn Accounts>, session: Duration) {
    let mut batch = Vec::new();
    while told.recv_many(&mut batch, TOGETHER_MAX).await > 0 {
        batch.sort_unstable();
        batch.dedup();
        let (keys, sessions): (Vec<Used>, Vec<Used>) = batch.drain(..).partition(|(_, is_key)| *is_key);
        for (grants, life) in [(keys, None), (sessions, Some(session))] {
            let grants: Vec<Uuid> = grants.into_iter().map(|(grant, _)| grant).collect();
            if grants.is_empty() {
                continue;
            }
            // It ends nothing before its time: the next use comes long before the end.
            if let Err(error) = accounts.touch_grants(&grants, life).await {
                tracing::debug!(%error, "the use of grants was not noted");
            }
        }
    }
}
