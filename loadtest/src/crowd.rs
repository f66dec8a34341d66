//! Many guests at once: letting them in at a pace, and asking what they have witnessed.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::door::Door;
use crate::listener::Listener;
use crate::progress::gather;
use crate::tally::Tally;
use crate::witness::Witness;

/// Guests who come in at the same time, before a measurement begins.
pub(crate) const AT_ONCE: usize = 64;

/// Rooms that no other run has used.
pub(crate) struct Rooms {
    run: String,
    pub(crate) count: usize,
}

impl Rooms {
    pub(crate) fn new(count: usize) -> Self {
        let run = Uuid::new_v4().simple().to_string();
        Self { run: run[..8].to_owned(), count: count.max(1) }
    }

    pub(crate) fn name(&self, room: usize) -> String {
        format!("load-{}-{room}", self.run)
    }
}

/// The door of the `index`-th guest: those of one room stand at different doors, where there are several.
pub(crate) fn door(doors: &[Door], index: usize, rooms: usize) -> &Door {
    &doors[(index + index / rooms) % doors.len()]
}

/// Lets listeners in, room by room in turn.
pub(crate) async fn let_in(
    doors: &[Door],
    rooms: &Rooms,
    count: usize,
    tally: &Arc<Tally>,
) -> io::Result<Vec<(Listener, Door)>> {
    let mut set = JoinSet::new();
    let places = Arc::new(Semaphore::new(AT_ONCE));
    for index in 0..count {
        let (door, tally, places) = (door(doors, index, rooms.count).clone(), tally.clone(), places.clone());
        let room = index % rooms.count;
        let mut listener = Listener::new(format!("reader {index}"), room, rooms.name(room));
        set.spawn(async move {
            let _place = places.acquire().await.map_err(io::Error::other)?;
            listener.enter(&door, &tally).await?;
            Ok((listener, door))
        });
    }
    gather("joined", set).await
}

/// Listeners at work, and what they witness.
pub(crate) struct Audience {
    // Held for its end: a set that is dropped ends its tasks.
    _tasks: JoinSet<()>,
    witnesses: Vec<(usize, Arc<Mutex<Witness>>)>,
}

/// What all of an audience heard.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) gaps: u64,
    pub(crate) doubles: u64,
    pub(crate) late: u64,
}

impl Audience {
    pub(crate) fn of(listeners: Vec<(Listener, Door)>, tally: &Arc<Tally>) -> Self {
        let witnesses = listeners.iter().map(|(listener, _)| (listener.room, listener.witness.clone())).collect();
        let mut tasks = JoinSet::new();
        for (listener, door) in listeners {
            tasks.spawn(listener.listen(door, tally.clone()));
        }
        Self::new(tasks, witnesses)
    }

    /// Some tasks, and the witness of each with its room's number.
    pub(crate) fn new(tasks: JoinSet<()>, witnesses: Vec<(usize, Arc<Mutex<Witness>>)>) -> Self {
        Self { _tasks: tasks, witnesses }
    }

    /// Waits until everybody has heard what was acknowledged in their room, or for so long; what never came is a gap.
    pub(crate) async fn hear_out(&self, heads: &[u64], patience: Duration) -> Heard {
        let by = Instant::now() + patience;
        let head = |room: usize| heads.get(room).copied().unwrap_or(0);
        while Instant::now() < by && self.witnesses.iter().any(|(room, witness)| witness.lock().last < head(*room)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut heard = Heard::default();
        for (room, witness) in &self.witnesses {
            let mut witness = witness.lock();
            witness.expect(head(*room));
            heard.gaps += witness.gaps;
            heard.doubles += witness.doubles;
            heard.late += witness.late;
        }
        heard
    }
}
