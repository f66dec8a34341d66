//! One room on this node: its numbers, its members, and what it owes them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use proto::{Entry, Epoch, Frame, RoomName, UserId};
use store::{Changes, StoreView};
use tokio::sync::Notify;

use crate::member::Member;
use crate::presence::Presence;
use crate::ring::Ring;
use crate::sequence::Sequence;
use crate::traced::{self, Delivery};
use crate::{Batch, Inner};

/// Members written to before a flusher lets others run.
const MEMBERS_A_TURN: usize = 128;
/// Traced entries of a room that may wait to be handed over: about as many as may be early. Of more nothing is told.
const TRACED_MAX: usize = 512;

pub(crate) struct Room {
    pub(crate) name: RoomName,
    state: Mutex<State>,
    /// Whether the bus confirmed the subscription, and word of it.
    subscribed: AtomicBool,
    pub(crate) subscribed_now: Notify,
    /// How often publications may have been missed up to now.
    doubts: AtomicU64,
    /// One warm-up at a time.
    pub(crate) warming: tokio::sync::Mutex<()>,
}

pub(crate) struct State {
    /// The history that everything here belongs to: numbers, early entries, ring, and the members' starts.
    pub(crate) epoch: Epoch,
    pub(crate) sequence: Sequence,
    pub(crate) members: Arc<Vec<Arc<Member>>>,
    pub(crate) presence: Presence,
    /// Whether a skipped number is being seen to.
    pub(crate) filling: bool,
    /// Whether a look for higher numbers is about to be taken.
    pub(crate) looking: bool,
    /// What came since the flusher last looked: it never waits, so this is what comes during one round.
    owed: Vec<Entry>,
    /// Traced entries that came and were not handed over yet.
    traced: Vec<Delivery>,
    /// When the first of it was published, if it came from the bus.
    owed_since: Option<Instant>,
    flushing: bool,
    pins: usize,
    idle_since: Instant,
}

/// What one turn of the flusher is about.
struct Round {
    batch: Batch,
    members: Arc<Vec<Arc<Member>>>,
    since: Option<Instant>,
    traced: Vec<Delivery>,
}

impl Room {
    pub(crate) fn new(name: RoomName, epoch: Epoch, ring: Ring) -> Self {
        Self {
            name,
            state: Mutex::new(State {
                epoch,
                sequence: Sequence::new(ring),
                members: Arc::default(),
                presence: Presence::default(),
                filling: false,
                looking: false,
                owed: Vec::new(),
                traced: Vec::new(),
                owed_since: None,
                flushing: false,
                pins: 0,
                idle_since: Instant::now(),
            }),
            subscribed: AtomicBool::new(false),
            subscribed_now: Notify::new(),
            doubts: AtomicU64::new(0),
            warming: tokio::sync::Mutex::new(()),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// The room's state in the epoch in force. If there is another now, the room starts again here and its members must come
    /// back, whoever finds that first: numbers of one history never meet those of another.
    pub(crate) fn current(&self, view: &StoreView) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        let now = view.epoch();
        if state.epoch != now {
            state.start_again(now);
        }
        state
    }

    pub(crate) fn pin(&self) {
        self.lock().pins += 1;
    }

    pub(crate) fn unpin(&self) {
        let mut state = self.lock();
        state.pins -= 1;
        state.idle_since = Instant::now();
    }

    pub(crate) fn is_idle(&self, linger: Duration) -> bool {
        let state = self.lock();
        state.pins == 0 && state.idle_since.elapsed() >= linger
    }

    pub(crate) fn is_subscribed(&self) -> bool {
        self.subscribed.load(Ordering::Acquire)
    }

    pub(crate) fn set_subscribed(&self) {
        self.subscribed.store(true, Ordering::Release);
        self.subscribed_now.notify_waiters();
    }

    /// Publications may be missing from now back: only what is read after this can be relied on.
    pub(crate) fn doubt(&self) {
        self.doubts.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn doubts(&self) -> u64 {
        self.doubts.load(Ordering::Acquire)
    }

    /// Traced entries have come, and are about to be taken: whoever hands them over will say so.
    pub(crate) fn await_delivery(&self, epoch: Epoch, deliveries: Vec<Delivery>) {
        let mut state = self.lock();
        if state.epoch != epoch || state.members.is_empty() {
            return;
        }
        let (known, space) = (state.sequence.known(), TRACED_MAX.saturating_sub(state.traced.len()));
        // What came before goes out once.
        let is_new = |rev: u64| rev > known && state.traced.iter().all(|other| other.rev != rev);
        let new: Vec<Delivery> = deliveries.into_iter().filter(|delivery| is_new(delivery.rev)).take(space).collect();
        state.traced.extend(new);
    }

    /// Takes entries that were published `since`, and hands on what is ready; whether a number is missing. `None` for
    /// entries of another history than the present one.
    pub(crate) fn take(
        self: &Arc<Self>,
        hub: &Arc<Inner>,
        epoch: Epoch,
        entries: Vec<Entry>,
        since: Option<Instant>,
    ) -> Option<bool> {
        let mut state = self.current(&hub.view);
        if state.epoch != epoch {
            return None;
        }
        let ready = state.sequence.take(entries);
        state.owe(ready, since);
        let gap = state.sequence.has_gap();
        self.flush(hub, state);
        Some(gap)
    }

    /// Takes what a read of everything above `changes.after` brought and hands on what is ready; says how many entries
    /// that was. What belongs to another history, or leaves a hole because the room has started again, is passed over. If the
    /// room has forgotten more than its members here have heard, they must come back: it cannot be told any more.
    pub(crate) fn fill(self: &Arc<Self>, hub: &Arc<Inner>, changes: &Changes) -> usize {
        let mut state = self.current(&hub.view);
        if state.epoch != changes.epoch || !state.is_warm() || state.sequence.known() < changes.after {
            return 0;
        }
        if state.sequence.known() < changes.floor {
            let epoch = state.epoch;
            state.start_again(epoch);
            return 0;
        }
        let entries = changes.messages.iter().map(proto::Message::entry);
        let ready = state.sequence.fill(entries, changes.complete_to);
        state.sequence.forget(changes.floor);
        let count = ready.len();
        state.owe(ready, None);
        self.flush(hub, state);
        count
    }

    /// The room's floor in the store is so high: what is at or below it goes, unless it belongs to another history. Whether
    /// that is news here.
    pub(crate) fn forget(&self, epoch: Epoch, floor: u64) -> bool {
        let mut state = self.lock();
        let before = state.sequence.ring().gone();
        if state.epoch == epoch && floor > before {
            state.sequence.forget(floor);
        }
        state.sequence.ring().gone() > before
    }

    /// Writes what is owed, unless somebody is at it: then they will find it.
    pub(crate) fn flush(self: &Arc<Self>, hub: &Arc<Inner>, mut state: MutexGuard<'_, State>) {
        if state.flushing || state.owed.is_empty() {
            return;
        }
        state.flushing = true;
        let small = state.members.len() <= hub.config.inline_members_max;
        drop(state);
        if small {
            while let Some(round) = self.next_round() {
                round.members.iter().for_each(|member| member.deliver(&round.batch));
                hub.delivered(round);
            }
        } else {
            let (room, hub) = (self.clone(), hub.clone());
            // Not one of the hub's cancellable tasks: a flusher that is dropped half-way would leave a hole.
            hub.tasks.clone().spawn(async move {
                while let Some(round) = room.next_round() {
                    for turn in round.members.chunks(MEMBERS_A_TURN) {
                        turn.iter().for_each(|member| member.deliver(&round.batch));
                        tokio::task::yield_now().await;
                    }
                    hub.delivered(round);
                }
            });
        }
    }

    /// What has gathered, and who is to have it; with nothing owed, the flusher's work is done.
    fn next_round(&self) -> Option<Round> {
        let mut state = self.lock();
        if state.owed.is_empty() {
            state.flushing = false;
            return None;
        }
        let (owed, since) = (std::mem::take(&mut state.owed), state.owed_since.take());
        let traced = state.traced_in(&owed);
        Some(Round { batch: Batch::new(owed), members: state.members.clone(), since, traced })
    }

    /// Shows an ephemeral frame to every member but one.
    pub(crate) fn whisper(&self, hub: &Arc<Inner>, frame: Frame, except: Option<UserId>) {
        let members = self.lock().members.clone();
        let tell = move |members: &[Arc<Member>]| {
            members.iter().filter(|member| Some(member.user) != except).for_each(|member| member.whisper(&frame));
        };
        if members.len() <= hub.config.inline_members_max {
            tell(&members);
        } else {
            hub.spawn(async move {
                for turn in members.chunks(MEMBERS_A_TURN) {
                    tell(turn);
                    tokio::task::yield_now().await;
                }
            });
        }
    }
}

impl Inner {
    /// A turn is done: everybody has been handed what was owed.
    fn delivered(&self, Round { batch, members, since, traced }: Round) {
        self.metrics.delivered(&batch, members.len(), since);
        if !traced.is_empty() {
            traced::delivered(&self.config.tracer, traced, batch.entries().len(), members.len());
        }
    }
}

impl State {
    /// Whether the room stands at a number that was read after its subscription, and so can answer.
    pub(crate) fn is_warm(&self) -> bool {
        self.sequence.is_seeded()
    }

    /// Forgets everything, of an old epoch or of numbers that were missed for good; its members must come back. All of it under the lock, so that nobody is told to
    /// come back who has just done so.
    fn start_again(&mut self, epoch: Epoch) {
        self.epoch = epoch;
        self.sequence.restart();
        self.owed.clear();
        self.traced.clear();
        self.owed_since = None;
        for member in std::mem::take(&mut self.members).iter() {
            member.shut();
            member.outbox.reset();
        }
    }

    /// Whether anybody has a seat.
    pub(crate) fn is_pinned(&self) -> bool {
        self.pins > 0
    }

    fn owe(&mut self, ready: Vec<Entry>, since: Option<Instant>) {
        if self.members.is_empty() {
            self.traced.clear();
        } else if !ready.is_empty() {
            self.owed.extend(ready);
            self.owed_since = self.owed_since.or(since);
        }
    }

    /// Those of the traced entries that go out with these, or were folded into them.
    fn traced_in(&mut self, owed: &[Entry]) -> Vec<Delivery> {
        if self.traced.is_empty() {
            return Vec::new(); // mostly, and then this look is all it costs
        }
        let upto = owed.last().map_or(0, |last| last.rev);
        self.traced.extract_if(.., |delivery| delivery.rev <= upto).collect()
    }

    pub(crate) fn attach(&mut self, make: impl FnOnce(usize) -> Member) -> Arc<Member> {
        let members = Arc::make_mut(&mut self.members);
        let member = Arc::new(make(members.len()));
        members.push(member.clone());
        member
    }

    pub(crate) fn detach(&mut self, member: &Arc<Member>) {
        let members = Arc::make_mut(&mut self.members);
        let index = member.index();
        // After a reset the list is another one.
        if members.get(index).is_some_and(|other| Arc::ptr_eq(other, member)) {
            members.swap_remove(index);
            if let Some(moved) = members.get(index) {
                moved.index.store(index, Ordering::Relaxed);
            }
        }
    }
}
