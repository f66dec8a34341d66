//! A bus between several nodes of one process that loses, doubles, delays and reorders as a test decides.
//!
//! It keeps the contract of [`bus::Bus`] and not a hair more: a publication may come late, twice, out of order or never;
//! after `Subscribed` they arrive; after a known loss it says so. What it recalls may have holes and never lies.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bus::{Bus, BusEvent, Loss, Recent};
use bytes::Bytes;
use parking_lot::Mutex;
use proto::{Entry, Epoch, NodeId, RoomName};
use tokio::sync::mpsc;

const QUEUE: usize = 65_536;

/// What becomes of one publication of entries on its way to one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Pass,
    Lose,
    Double,
    Late(Duration),
    /// It waits until it is released.
    Held,
}

/// How long a subscription takes to work, and how much later that is confirmed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Subscribing {
    pub works_after: Duration,
    pub told_after: Duration,
}

/// What joins the nodes.
#[derive(Default)]
pub struct LossyBus {
    state: Mutex<State>,
    remembers: AtomicBool,
}

#[derive(Default)]
struct State {
    ends: Vec<Weak<End>>,
    /// The next publications' fates …
    next: VecDeque<Fate>,
    /// … and then these, again and again; with none, all pass.
    rhythm: Vec<Fate>,
    turn: usize,
    held: Vec<(Arc<End>, RoomName, Bytes)>,
    subscribing: Vec<Subscribing>,
    subscribed: usize,
    memory: HashMap<(RoomName, u64), BTreeMap<u64, Option<Entry>>>,
    /// Which of the entries to remember are forgotten, again and again.
    forgets: Vec<bool>,
    remembered: usize,
}

impl LossyBus {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// A node's end, and what comes out of it.
    pub fn end(self: &Arc<Self>) -> (Arc<End>, mpsc::Receiver<BusEvent>) {
        let (events, heard) = mpsc::channel(QUEUE);
        let mut state = self.state.lock();
        let end = Arc::new(End {
            node: NodeId(state.ends.len() as u64 + 1),
            bus: self.clone(),
            events: Mutex::new(Some(events)),
            line: Mutex::default(),
            up: AtomicBool::new(true),
        });
        state.ends.push(Arc::downgrade(&end));
        (end, heard)
    }

    /// What happens to the publications that come next; those after them keep to the rhythm.
    pub fn next(&self, fates: impl IntoIterator<Item = Fate>) {
        self.state.lock().next.extend(fates);
    }

    pub fn rhythm(&self, fates: Vec<Fate>) {
        self.state.lock().rhythm = fates;
    }

    pub fn subscribing(&self, times: Vec<Subscribing>) {
        self.state.lock().subscribing = times;
    }

    /// Keeps recent entries from now on, except where this rhythm says to forget.
    pub fn remember(&self, forgets: Vec<bool>) {
        self.state.lock().forgets = forgets;
        self.remembers.store(true, Ordering::Relaxed);
    }

    /// Lets go of what was held, in the order it came.
    pub fn release(&self) {
        let held = std::mem::take(&mut self.state.lock().held);
        for (end, room, envelope) in held {
            end.arrive(&room, &envelope);
        }
    }

    pub fn held(&self) -> usize {
        self.state.lock().held.len()
    }

    fn carry(self: &Arc<Self>, from: NodeId, room: &RoomName, envelope: &Bytes) {
        let is_numbered = envelope.get(1) != Some(&2) && envelope.get(1) != Some(&3);
        let ends: Vec<Arc<End>> = self.state.lock().ends.iter().filter_map(Weak::upgrade).collect();
        for end in ends {
            if !end.hears(from, room) {
                continue;
            }
            let fate = if is_numbered { self.state.lock().fate() } else { Fate::Pass };
            match fate {
                Fate::Pass => end.arrive(room, envelope),
                Fate::Lose => {}
                Fate::Double => {
                    end.arrive(room, envelope);
                    end.arrive(room, envelope);
                }
                Fate::Late(by) => {
                    let (room, envelope) = (room.clone(), envelope.clone());
                    tokio::spawn(async move {
                        tokio::time::sleep(by).await;
                        end.arrive(&room, &envelope);
                    });
                }
                Fate::Held => self.state.lock().held.push((end, room.clone(), envelope.clone())),
            }
        }
    }
}

impl State {
    fn fate(&mut self) -> Fate {
        if let Some(fate) = self.next.pop_front() {
            return fate;
        }
        if self.rhythm.is_empty() {
            return Fate::Pass;
        }
        self.turn += 1;
        self.rhythm[self.turn % self.rhythm.len()]
    }

    fn subscribing(&mut self) -> Subscribing {
        self.subscribed += 1;
        let times = &self.subscribing;
        if times.is_empty() { Subscribing::default() } else { times[self.subscribed % times.len()] }
    }

    fn note(&mut self, room: &RoomName, epoch: Epoch, entry: &Entry) {
        self.remembered += 1;
        if !self.forgets.is_empty() && self.forgets[self.remembered % self.forgets.len()] {
            return;
        }
        let numbers = self.memory.entry((room.clone(), epoch.0)).or_default();
        let is_of = |kept: &Option<Entry>| kept.as_ref().is_some_and(|kept| kept.seq == entry.seq);
        let has_newer = numbers.range(entry.rev + 1..).any(|(_, kept)| is_of(kept));
        for (_, kept) in numbers.range_mut(..entry.rev).filter(|(_, kept)| is_of(kept)) {
            *kept = None;
        }
        numbers.insert(entry.rev, (!has_newer).then(|| entry.clone()));
    }
}

/// One node's end of the bus.
pub struct End {
    node: NodeId,
    bus: Arc<LossyBus>,
    events: Mutex<Option<mpsc::Sender<BusEvent>>>,
    line: Mutex<Line>,
    up: AtomicBool,
}

#[derive(Default)]
struct Line {
    /// Rooms, with the subscription's number and whether it works yet.
    wanted: HashMap<RoomName, (u64, bool)>,
    subscriptions: u64,
    /// Nothing arrives, and nobody says so.
    deaf: bool,
    /// So many publications are dropped, and then that is told.
    lagging: usize,
}

impl End {
    /// The connection ends, and that is noticed.
    pub fn cut(&self) {
        self.up.store(false, Ordering::Release);
        self.line.lock().wanted.values_mut().for_each(|(_, works)| *works = false);
        self.tell(BusEvent::Lost(Loss::Reconnect));
        self.tell(BusEvent::Reachable(false));
    }

    /// The connection is back.
    pub fn mend(self: &Arc<Self>) {
        if !self.up.swap(true, Ordering::AcqRel) {
            self.tell(BusEvent::Reachable(true));
            self.subscribe_to_all();
        }
    }

    /// From now on nothing arrives.
    pub fn deafen(&self) {
        self.line.lock().deaf = true;
    }

    /// It is noticed that nothing arrives, and put right.
    pub fn notice(self: &Arc<Self>) {
        let was_deaf = {
            let mut line = self.line.lock();
            line.wanted.values_mut().for_each(|(_, works)| *works = false);
            std::mem::take(&mut line.deaf)
        };
        if was_deaf {
            self.tell(BusEvent::Lost(Loss::Deaf));
            self.subscribe_to_all();
        }
    }

    /// The next publications come too fast.
    pub fn lag(&self, publications: usize) {
        self.line.lock().lagging = publications;
    }

    /// Whether the bus wants the room on this node's behalf.
    pub fn wants(&self, room: &RoomName) -> bool {
        self.line.lock().wanted.contains_key(room)
    }

    /// Hands an event to the hub as if it had happened.
    pub fn tell(&self, event: BusEvent) {
        if let Some(events) = &*self.events.lock() {
            let _ = events.try_send(event);
        }
    }

    fn hears(&self, from: NodeId, room: &RoomName) -> bool {
        let mut line = self.line.lock();
        let Some(&(_, works)) = line.wanted.get(room) else { return false };
        if from != self.node && (!works || !self.up.load(Ordering::Acquire)) {
            return false;
        }
        if line.deaf {
            return false;
        }
        if line.lagging > 0 {
            line.lagging -= 1;
            if line.lagging == 0 {
                drop(line);
                self.tell(BusEvent::Lost(Loss::Lag));
            }
            return false;
        }
        true
    }

    fn arrive(&self, room: &RoomName, envelope: &Bytes) {
        self.tell(BusEvent::Publication { room: room.clone(), envelope: envelope.clone() });
    }

    fn subscribe_to_all(self: &Arc<Self>) {
        let rooms: Vec<RoomName> = self.line.lock().wanted.keys().cloned().collect();
        rooms.iter().for_each(|room| self.want(room));
    }

    fn want(self: &Arc<Self>, room: &RoomName) {
        let number = {
            let mut line = self.line.lock();
            line.subscriptions += 1;
            let number = line.subscriptions;
            let works = line.wanted.get(room).is_some_and(|(_, works)| *works);
            line.wanted.insert(room.clone(), (number, works));
            number
        };
        if !self.up.load(Ordering::Acquire) {
            return;
        }
        let Subscribing { works_after, told_after } = self.bus.state.lock().subscribing();
        if works_after.is_zero() && told_after.is_zero() {
            self.works(room, number);
            self.tell(BusEvent::Subscribed(vec![room.clone()]));
            return;
        }
        let (end, room) = (self.clone(), room.clone());
        tokio::spawn(async move {
            tokio::time::sleep(works_after).await;
            if end.works(&room, number) {
                tokio::time::sleep(told_after).await;
                end.tell(BusEvent::Subscribed(vec![room]));
            }
        });
    }

    /// Whether this subscription is still the one that counts.
    fn works(&self, room: &RoomName, number: u64) -> bool {
        if !self.up.load(Ordering::Acquire) {
            return false;
        }
        match self.line.lock().wanted.get_mut(room) {
            Some((newest, works)) if *newest == number => {
                *works = true;
                true
            }
            _ => false,
        }
    }
}

/// What a node holds of its end: the trait is for a value, and the end is shared with the test.
pub struct Handle(pub Arc<End>);

#[async_trait]
impl Bus for Handle {
    fn node(&self) -> NodeId {
        self.0.node
    }

    fn publish(&self, room: &RoomName, envelope: Bytes) {
        self.0.bus.carry(self.0.node, room, &envelope);
    }

    fn remember(&self, room: &RoomName, epoch: Epoch, entries: &[Entry]) {
        if self.0.bus.remembers.load(Ordering::Relaxed) {
            let mut state = self.0.bus.state.lock();
            entries.iter().for_each(|entry| state.note(room, epoch, entry));
        }
    }

    fn forget(&self, room: &RoomName, epoch: Epoch, floor: u64) {
        let mut state = self.0.bus.state.lock();
        let numbers = state.memory.get_mut(&(room.clone(), epoch.0)).into_iter().flat_map(BTreeMap::values_mut);
        numbers.filter(|kept| kept.as_ref().is_some_and(|kept| kept.seq <= floor)).for_each(|kept| *kept = None);
    }

    fn subscribe(&self, room: &RoomName) {
        self.0.want(room);
    }

    fn unsubscribe(&self, room: &RoomName) {
        self.0.line.lock().wanted.remove(room);
    }

    async fn recall(&self, room: &RoomName, epoch: Epoch) -> Option<Recent> {
        let numbers = self.0.bus.state.lock().memory.get(&(room.clone(), epoch.0)).cloned()?;
        Some(Recent { epoch, numbers })
    }

    fn announce(&self, _room: &RoomName, _count: u64) {}

    fn suppose(&self, _node: NodeId) {}

    async fn presence(&self, _room: &RoomName) -> Vec<(NodeId, u64)> {
        Vec::new()
    }

    fn is_up(&self) -> bool {
        self.0.up.load(Ordering::Acquire)
    }

    async fn close(&self) {
        self.0.events.lock().take();
    }
}
