//! A listener's way in: an answer complete to a number, and from there everything live.

use std::sync::Arc;

use futures_util::FutureExt;
use proto::{Entry, Epoch, Position, RoomName, User};

use crate::member::{Member, Outbox};
use crate::metrics::{Cause, Source};
use crate::ring::Ring;
use crate::room::{Room, State};
use crate::{Batch, HubError, Inner, Since};

/// How often a join may find that the ring has moved past what it read before it gives up.
const TRIES: usize = 5;

/// Bytes of messages in one answer, unless that would be fewer than [`PAGE_LEN_MIN`] messages.
const PAGE_BYTES: usize = 1024 * 1024;
/// Messages that an answer has at least, where there are as many.
const PAGE_LEN_MIN: usize = 100;

/// What a listener wants to begin with.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    /// Where it stands; `None` for the recent tail.
    pub position: Option<Position>,
    /// How many messages the tail has, also that of a reset.
    pub limit: usize,
}

/// The answer to a join. The caller writes it to the connection at once: what follows, follows it.
#[derive(Debug)]
pub struct Answer<'a> {
    /// The history that `head` belongs to.
    pub epoch: Epoch,
    /// The number that the answer is complete to.
    pub head: u64,
    /// Whether the listener must forget what it holds.
    pub reset: bool,
    /// Whether to ask again with `after` = `head`; nothing live comes before that.
    pub more: bool,
    /// How many people are in the room.
    pub members: u64,
    /// Whether `members` may be out of date.
    pub stale: bool,
    /// By `rev` after a position, by `seq` for a tail.
    pub entries: &'a [Entry],
}

/// Called with the answer, once, possibly under the room's lock: it must be quick and must not call the hub.
pub type Announce<'a> = &'a mut (dyn FnMut(&Answer<'_>) + Send);

/// What is read from the store for a join; equal keys share one read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ReadKey {
    After(RoomName, u64),
    Tail(RoomName, usize),
    Before(RoomName, u64, usize),
}

/// A page of a room from the store. Those who asked for the same at the same time share it.
#[derive(Debug)]
pub struct PageRead {
    epoch: Epoch,
    complete_to: u64,
    head: u64,
    floor: u64,
    more: bool,
    entries: Vec<Entry>,
}

impl PageRead {
    /// The messages: rising by `rev` after a number, by `seq` otherwise.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// A range: what does not fit is cut off at its end, and the answer is complete to where it was cut.
    fn of_changes(changes: store::Changes) -> Self {
        let mut entries: Vec<Entry> = changes.messages.iter().map(proto::Message::entry).collect();
        let fit = fitting(entries.iter());
        let cut = fit < entries.len();
        entries.truncate(fit);
        let complete_to = if cut { entries.last().map_or(changes.after, |last| last.rev) } else { changes.complete_to };
        let store::Changes { epoch, head, floor, more, .. } = changes;
        Self { epoch, complete_to, head, floor, more: more || cut, entries }
    }

    /// The newest: what does not fit is cut off at the old end.
    fn of_tail(tail: store::Tail) -> Self {
        let mut entries: Vec<Entry> = tail.messages.iter().map(proto::Message::entry).collect();
        let fit = fitting(entries.iter().rev());
        let cut = fit < entries.len();
        entries.drain(..entries.len() - fit);
        let store::Tail { epoch, head, floor, more, .. } = tail;
        Self { epoch, complete_to: head, head, floor, more: more || cut, entries }
    }

    /// The history that the numbers belong to.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The room's latest number in the same snapshot.
    pub fn head(&self) -> u64 {
        self.head
    }

    /// Whether there are more in the direction that was asked.
    pub fn more(&self) -> bool {
        self.more
    }
}

pub(crate) type Page = Arc<PageRead>;

/// What a page from the store stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// What changed after the position.
    Range,
    /// The recent tail.
    Tail,
    /// The recent tail, in place of a position that is worth nothing.
    Reset,
}

pub(crate) struct Read {
    page: Page,
    kind: Kind,
}

impl Read {
    /// What it tells somebody who does not stay: the answer, but for who is in the room.
    pub(crate) fn told(&self, limit: usize) -> Since<'_> {
        let PageRead { epoch, complete_to, more, entries, .. } = &*self.page;
        let is_range = self.kind == Kind::Range;
        let kept = if is_range { &entries[..entries.len().min(limit)] } else { &entries[..] };
        let cut = kept.len() < entries.len();
        let head = kept.last().filter(|_| cut).map_or(*complete_to, |last| last.rev);
        let more = is_range && (*more || cut);
        Since { epoch: *epoch, head, reset: self.kind == Kind::Reset, more, entries: kept }
    }
}

/// A person's seat in a room, on one connection. Dropping it leaves the room.
pub struct Seat {
    hub: Arc<Inner>,
    room: Arc<Room>,
    user: User,
    outbox: Arc<dyn Outbox>,
    member: Option<Arc<Member>>,
}

impl Seat {
    pub(crate) fn new(hub: &Arc<Inner>, name: &RoomName, user: User, outbox: Arc<dyn Outbox>) -> Self {
        let room = hub.rooms.pin(name, || {
            hub.bus.subscribe(name);
            Room::new(name.clone(), hub.view.epoch(), Ring::new(hub.config.ring_bytes_max, hub.budget.clone()))
        });
        room.lock().presence.enter(&user);
        hub.presence_moved(&room);
        hub.metrics.seats.inc();
        Self { hub: hub.clone(), room, user, outbox, member: None }
    }

    /// Starts listening, or starts again: an earlier subscription of this seat ends first. After an answer without
    /// `more`, exactly the numbers above its `head` are delivered.
    ///
    /// # Errors
    /// [`HubError::Away`]: nothing was announced and the seat hears nothing.
    pub async fn join(&mut self, ask: Ask, announce: Announce<'_>) -> Result<(), HubError> {
        self.detach();
        let hub = self.hub.clone();
        let announce: Announce<'_> = &mut |answer| {
            if ask.position.is_some() && !answer.more {
                hub.metrics.resumed(answer.reset);
            }
            announce(answer);
        };
        let warmed = hub.warm(&self.room).await?;
        if self.answer_from_ring(&ask, announce) {
            hub.metrics.joined(warmed.unwrap_or(Source::Ring));
            return Ok(());
        }
        for _ in 0..TRIES {
            let read = Self::read(&hub, &self.room.name, &ask).await?;
            if self.answer_from_page(&read, announce) {
                hub.metrics.joined(Source::Store);
                return Ok(());
            }
            if read.page.epoch != hub.view.epoch() {
                hub.check_epoch().await?;
            }
            hub.warm(&self.room).await?;
        }
        Err(HubError::Away)
    }

    /// Answers from the ring if it holds all that was asked for.
    fn answer_from_ring(&mut self, ask: &Ask, announce: Announce<'_>) -> bool {
        let room = self.room.clone();
        let mut state = room.current(&self.hub.view);
        let (epoch, head) = (state.epoch, state.sequence.known());
        if !state.is_warm() {
            return false;
        }
        let (entries, reset) = match ask.position {
            // A position above ours may be right: another node can be ahead of this one. The store knows.
            Some(at) if is_of(at, epoch) && at.after > head => return false,
            Some(at) if is_of(at, epoch) => match state.sequence.ring().above(at.after) {
                Some(entries) => (entries.cloned().collect::<Vec<_>>(), false),
                None => return false,
            },
            lost => match state.sequence.ring().tail(ask.limit) {
                Some(entries) => (entries.into_iter().cloned().collect(), lost.is_some()),
                None => return false,
            },
        };
        announce(&self.answer(&state, epoch, head, reset, false, &entries));
        self.attach(&mut state, head);
        true
    }

    /// Reads a page of a room from the store.
    pub(crate) async fn read(hub: &Arc<Inner>, name: &RoomName, ask: &Ask) -> Result<Read, HubError> {
        if let Some(at) = ask.position
            && is_of(at, hub.view.epoch())
        {
            let page = hub.page(ReadKey::After(name.clone(), at.after)).await?;
            let is_of_now = is_of(at, page.epoch);
            if is_of_now && (page.floor..=page.head).contains(&at.after) {
                return Ok(Read { page, kind: Kind::Range });
            }
            let is_forgotten = is_of_now && at.after < page.floor;
            // The read may have begun before this position was given out; a head read now has not.
            if !is_forgotten && Self::is_issued(hub, name, at).await? {
                let page = hub.page(ReadKey::After(name.clone(), at.after)).await?;
                if is_of(at, page.epoch) && at.after >= page.floor {
                    return Ok(Read { page, kind: Kind::Range });
                }
            }
        }
        let page = hub.page(ReadKey::Tail(name.clone(), ask.limit)).await?;
        Ok(Read { page, kind: if ask.position.is_some() { Kind::Reset } else { Kind::Tail } })
    }

    /// Whether the room has come to a position, by a head that is read now.
    async fn is_issued(hub: &Inner, name: &RoomName, at: Position) -> Result<bool, HubError> {
        let heads = hub.answered(hub.store.heads(std::slice::from_ref(name)).await)?;
        Ok(heads.heads.first().is_some_and(|head| at.after <= *head))
    }

    /// Answers with a page from the store. `false` if the ring no longer reaches back to it, or its epoch is over.
    fn answer_from_page(&mut self, Read { page, kind }: &Read, announce: Announce<'_>) -> bool {
        let reset = *kind == Kind::Reset;
        let room = self.room.clone();
        let mut state = room.current(&self.hub.view);
        if page.epoch != state.epoch {
            return false;
        }
        // A range that was cut goes on; of a tail, what is older is history.
        if page.more && *kind == Kind::Range {
            announce(&self.answer(&state, page.epoch, page.complete_to, reset, true, &page.entries));
            return true;
        }
        let known = state.sequence.known();
        let since: Vec<Entry> = match state.sequence.ring().above(page.complete_to) {
            _ if !state.is_warm() => return false,
            Some(since) => since.cloned().collect(),
            None => return false,
        };
        announce(&self.answer(&state, page.epoch, page.complete_to, reset, false, &page.entries));
        if !since.is_empty() {
            self.outbox.deliver(&Batch::new(since));
        }
        self.attach(&mut state, known.max(page.complete_to));
        drop(state);
        if page.complete_to > known {
            self.hub.look_behind(&room, Cause::Snapshot);
        }
        true
    }

    fn answer<'a>(
        &self,
        state: &State,
        epoch: Epoch,
        head: u64,
        reset: bool,
        more: bool,
        entries: &'a [Entry],
    ) -> Answer<'a> {
        let stale = !self.hub.bus.is_up();
        Answer { epoch, head, reset, more, members: state.presence.count(), stale, entries }
    }

    fn attach(&mut self, state: &mut State, start: u64) {
        let member = state.attach(|index| Member::new(self.outbox.clone(), self.user.id, start, index));
        self.member = Some(member);
    }

    /// When this returns, nothing more is delivered.
    fn detach(&mut self) {
        if let Some(member) = self.member.take() {
            self.room.lock().detach(&member);
            member.shut();
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.detach();
        self.room.lock().presence.exit(&self.user);
        self.hub.presence_moved(&self.room);
        self.hub.metrics.seats.dec();
        self.room.unpin();
    }
}

impl Inner {
    pub(crate) async fn page(self: &Arc<Self>, key: ReadKey) -> Result<Page, HubError> {
        let hub = self.clone();
        self.pages
            .run(key.clone(), || {
                async move {
                    let _permit = hub.read_permit().await?;
                    let page = match key {
                        ReadKey::After(name, after) => PageRead::of_changes(
                            hub.answered(hub.store.changes(&name, after, hub.config.page_len).await)?,
                        ),
                        ReadKey::Tail(name, limit) => {
                            PageRead::of_tail(hub.answered(hub.store.tail(&name, limit).await)?)
                        }
                        ReadKey::Before(name, seq, limit) => {
                            PageRead::of_tail(hub.answered(hub.store.before(&name, seq, limit).await)?)
                        }
                    };
                    Ok(Arc::new(page))
                }
                .boxed()
            })
            .await
    }
}

/// How many entries one answer may have: a hundred, and more as long as they are small.
fn fitting<'a>(entries: impl Iterator<Item = &'a Entry>) -> usize {
    let mut bytes = 0;
    entries
        .enumerate()
        .take_while(|(index, entry)| {
            bytes += entry.frame.wire().len();
            *index < PAGE_LEN_MIN || bytes <= PAGE_BYTES
        })
        .count()
}

/// Whether a position belongs to this epoch; one without an epoch means the current one.
fn is_of(position: Position, epoch: Epoch) -> bool {
    position.epoch.is_none_or(|of| of == epoch)
}
