//! Who is here: best effort, and gathered.
//!
//! A node tells the room's channel when its own people come and go (a *beat*), at most four times a second; every node, the
//! same one too, gathers the beats and tells its members, at most once a second. So whatever else moves, members know within
//! two seconds. Counts of other nodes come from beats,
//! at first from what the bus remembers, and go when a node goes. Never numbered, never in the store.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proto::{Beat, Body, NodeId, User, UserId, to_client};

use crate::Inner;
use crate::room::Room;

/// Names in one frame; beyond that only the count tells.
const NAMES_MAX: usize = 50;
/// Beats in the time that members are told once in: what is gathered twice must not take twice as long.
const BEATS: u32 = 4;
/// How often rooms with something to tell are looked at.
const TICK: Duration = Duration::from_millis(100);
/// How often rooms are looked at that nobody may be in any more.
const REAP: Duration = Duration::from_secs(1);

/// A room's people, as this node knows them.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    /// People on this node, with how many seats each has.
    here: HashMap<UserId, (User, u32)>,
    /// People on other nodes, by number only.
    others: HashMap<NodeId, u64>,
    /// What the other nodes have not been told.
    beat: Moves,
    /// What the members have not been told.
    news: Moves,
    /// Whether the room is on the list that the tick goes through.
    listed: bool,
}

/// Comings and goings that wait to be told.
#[derive(Debug, Default)]
struct Moves {
    joined: Vec<User>,
    left: Vec<User>,
    pending: bool,
    told_at: Option<Instant>,
}

impl Moves {
    fn came(&mut self, user: &User) {
        note(user, &mut self.joined, &mut self.left);
        self.pending = true;
    }

    fn went(&mut self, user: &User) {
        note(user, &mut self.left, &mut self.joined);
        self.pending = true;
    }

    /// Takes what is pending, if it may be told by now.
    fn take_due(&mut self, every: Duration) -> Option<(Vec<User>, Vec<User>)> {
        if !self.pending || self.told_at.is_some_and(|at| at.elapsed() < every) {
            return None;
        }
        self.pending = false;
        self.told_at = Some(Instant::now());
        Some((std::mem::take(&mut self.joined), std::mem::take(&mut self.left)))
    }
}

/// Whoever comes back before their going was told has not gone, and the reverse.
fn note(user: &User, to: &mut Vec<User>, from: &mut Vec<User>) {
    let before = from.len();
    from.retain(|other| other.id != user.id);
    if from.len() == before && to.len() < NAMES_MAX {
        to.push(user.clone());
    }
}

impl Presence {
    pub(crate) fn count(&self) -> u64 {
        self.here.len() as u64 + self.others.values().sum::<u64>()
    }

    pub(crate) fn enter(&mut self, user: &User) {
        let (_, seats) = self.here.entry(user.id).or_insert_with(|| (user.clone(), 0));
        *seats += 1;
        if *seats == 1 {
            self.beat.came(user);
        }
    }

    pub(crate) fn exit(&mut self, user: &User) {
        let Some((_, seats)) = self.here.get_mut(&user.id) else { return };
        *seats -= 1;
        if *seats == 0 {
            self.here.remove(&user.id);
            self.beat.went(user);
        }
    }

    /// Notes how many people another node has; `true` if that is news.
    pub(crate) fn others(&mut self, node: NodeId, count: u64) -> bool {
        let before = if count == 0 { self.others.remove(&node) } else { self.others.insert(node, count) };
        let moved = before.unwrap_or(0) != count;
        self.news.pending |= moved;
        moved
    }

    /// The count has become doubtful or certain again; once certain, others must hear of us again.
    pub(crate) fn mark_news(&mut self, reachable: bool) {
        self.news.pending = true;
        self.beat.pending |= reachable && !self.here.is_empty();
    }

    /// Whether something waits to be told that is not on the list of such rooms yet; it is from now on.
    fn is_newly_pending(&mut self) -> bool {
        (self.beat.pending || self.news.pending) && !std::mem::replace(&mut self.listed, true)
    }
}

impl Inner {
    /// Something about a room's people has changed: tells it now if nothing was told for a while, and otherwise leaves
    /// it to the tick.
    pub(crate) fn presence_moved(self: &Arc<Self>, room: &Arc<Room>) {
        let (beat, count, told) = {
            let mut state = room.lock();
            let presence = &mut state.presence;
            let beat = presence.beat.take_due(self.config.presence_every / BEATS);
            let news = presence.news.take_due(self.config.presence_every);
            if presence.is_newly_pending() {
                self.moved.lock().push(room.clone());
            }
            let here = presence.here.len() as u64;
            (beat, here, news.map(|(joined, left)| (joined, left, presence.count())))
        };
        if let Some((joined, left)) = beat {
            self.bus.announce(&room.name, count);
            self.publish(&room.name, Body::Presence(Beat { count, joined, left }));
        }
        if let Some((joined, left, count)) = told {
            let frame = to_client::presence(&room.name, &joined, &left, count, !self.bus.is_up());
            room.whisper(self, frame, None);
        }
    }

    pub(crate) fn on_beat(self: &Arc<Self>, room: &Arc<Room>, origin: NodeId, beat: Beat) {
        {
            let mut state = room.lock();
            if origin != self.bus.node() {
                // Or nobody would notice if this was the last that is ever heard of it.
                self.bus.suppose(origin);
                state.presence.others(origin, beat.count);
            }
            beat.joined.iter().for_each(|user| state.presence.news.came(user));
            beat.left.iter().for_each(|user| state.presence.news.went(user));
        }
        self.presence_moved(room);
    }

    /// Tells what was gathered, and lets go of rooms that nobody has been in for a while.
    pub(crate) async fn tick(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut reaped_at = Instant::now();
        loop {
            ticks.tick().await;
            let moved = std::mem::take(&mut *self.moved.lock());
            for room in moved {
                room.lock().presence.listed = false;
                self.presence_moved(&room);
            }
            if reaped_at.elapsed() >= REAP {
                reaped_at = Instant::now();
                let linger = self.config.linger;
                self.rooms.reap(|room| room.is_idle(linger), |name| self.bus.unsubscribe(name));
            }
        }
    }
}
