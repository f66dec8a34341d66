//! One lane: the loop that gathers, commits, publishes and settles.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bus::Bus;
use proto::to_client::Kept;
use proto::{Body, Entry, Envelope, Epoch, Message, RoomName};
use store::{Outcome, Store, StoreError, StoreView};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::batch::{self, Batch, Items};
use crate::traced::Traced;
use crate::{AppendError, LaneConfig, RoomLogMetrics, Waiting};

/// The first wait before a batch is tried again; it doubles up to the last.
const RETRY_FIRST: Duration = Duration::from_millis(20);
const RETRY_LAST: Duration = Duration::from_millis(500);
/// What a batch has at least, even if its jobs waited as long as they may behind one that ended badly: it might be over.
const LAST_TRY: Duration = Duration::from_secs(1);

pub(crate) struct Lane {
    pub(crate) number: usize,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) view: Arc<StoreView>,
    pub(crate) config: LaneConfig,
    pub(crate) metrics: RoomLogMetrics,
}

impl Lane {
    /// Runs until `closing`, and then until everything taken is settled.
    pub(crate) async fn run(self, mut jobs: mpsc::Receiver<Waiting>, closing: CancellationToken) {
        let mut waiting = VecDeque::new();
        let mut away = false;
        loop {
            if waiting.is_empty() {
                let next = tokio::select! {
                    next = jobs.recv() => next,
                    () = closing.cancelled(), if !jobs.is_closed() => {
                        jobs.close(); // what is already in the queue still comes out of it
                        continue;
                    }
                };
                let Some(next) = next else { return };
                waiting.push_back(next);
            }
            while waiting.len() < self.config.batch_len {
                let Ok(next) = jobs.try_recv() else { break };
                waiting.push_back(next);
            }
            if away {
                self.give_up_on_the_oldest(&mut waiting);
            }
            let Some(oldest) = waiting.front() else { continue };
            let until = self.until(oldest.since, away);
            away = !self.keep(batch::take(&mut waiting, &self.config), until).await;
        }
    }

    /// When a batch is given up. While the store is away, the wait behind others counts.
    fn until(&self, since: Instant, away: bool) -> Instant {
        let now = Instant::now();
        if away { (since + self.config.patience).max(now + LAST_TRY) } else { now + self.config.patience }
    }

    /// Commits a batch, publishes it and settles it; `false` if the store was away to the end.
    async fn keep(&self, Batch { items, waiting }: Batch, until: Instant) -> bool {
        if let Some(oldest) = waiting.first() {
            self.metrics.queue_seconds.observe(oldest.since.elapsed().as_secs_f64());
        }
        // As it is before: an epoch that turns while a batch is committed must not lend its name to numbers of the one before. The
        // reverse does no harm, for numbers under an older name are read back.
        let epoch = self.view.epoch();
        let traced = Traced::of(&waiting, self.number, &self.config.tracer);
        failpoint::crash("taken");
        match self.commit(&items, 0..items.len(), until, traced.as_ref()).await {
            Ok(outcomes) => {
                failpoint::crash("committed");
                self.publish(epoch, &outcomes, 0, traced.as_ref());
                failpoint::crash("published");
                self.settle(waiting, outcomes.into_iter().map(|outcome| settled(outcome, &items)));
                true
            }
            // One item that the store will never take must not take its neighbours with it.
            Err(StoreError::Refused(_)) if items.len() > 1 => {
                let mut away = false;
                for (index, alone) in waiting.into_iter().enumerate() {
                    // Once the store is away, the others need not wait for it as long again.
                    let answer = if away {
                        Err(unknown())
                    } else {
                        self.keep_alone(epoch, &items, index, until, traced.as_ref(), &mut away).await
                    };
                    self.settle(vec![alone], std::iter::once(answer));
                }
                !away
            }
            Err(error) => {
                tracing::error!(lane = self.number, %error, jobs = waiting.len(), "a batch could not be kept");
                let away = error.is_passing();
                self.settle(waiting, std::iter::repeat_with(|| Err(if away { unknown() } else { refused() })));
                !away
            }
        }
    }

    /// One item of a batch that was refused as a whole.
    async fn keep_alone(
        &self,
        epoch: Epoch,
        items: &Items,
        index: usize,
        until: Instant,
        traced: Option<&Traced<'_>>,
        away: &mut bool,
    ) -> Result<Kept, AppendError> {
        match self.commit(items, index..index + 1, until, traced).await {
            Ok(outcomes) => {
                self.publish(epoch, &outcomes, index, traced);
                outcomes.into_iter().next().map_or(Err(refused()), |outcome| settled(outcome, items))
            }
            Err(error) => {
                *away = error.is_passing();
                Err(if *away { unknown() } else { refused() })
            }
        }
    }

    /// Keeps some of a batch, and tells its traces how that went.
    async fn commit(
        &self,
        items: &Items,
        range: Range<usize>,
        until: Instant,
        traced: Option<&Traced<'_>>,
    ) -> Result<Vec<Outcome>, StoreError> {
        let begun = traced.map(|_| SystemTime::now());
        let mut retries = 0;
        let answer = self.persist(items, range.clone(), until, &mut retries).await;
        if let (Some(traced), Some(begun)) = (traced, begun) {
            traced.committed(range, begun, retries, answer.is_ok());
        }
        answer
    }

    /// Tries until it is known or the time is up. Trying again is safe: ids make it so for posts, and an amendment that
    /// already happened alters nothing.
    async fn persist(
        &self,
        items: &Items,
        range: Range<usize>,
        until: Instant,
        retries: &mut u64,
    ) -> Result<Vec<Outcome>, StoreError> {
        let mut pause = RETRY_FIRST;
        loop {
            let asked = async {
                match items {
                    Items::Posts(posts) => self.store.append(self.number, &posts[range.clone()]).await,
                    Items::Amendments(asked) => self.store.amend(self.number, &asked[range.clone()]).await,
                }
            };
            // Whoever drops a question drops its connection too, so no later one gets its answer.
            let answer = timeout_at(until, asked)
                .await
                .unwrap_or_else(|_| Err(StoreError::Away("it does not answer in time".into())));
            self.view.note(&answer);
            match answer {
                Ok(outcomes) if outcomes.len() == range.len() => return Ok(outcomes),
                Ok(outcomes) => {
                    let detail = format!("{} outcomes for {} items", outcomes.len(), range.len());
                    return Err(StoreError::Refused(detail));
                }
                Err(error) if error.is_passing() && Instant::now() + pause < until => {
                    tracing::warn!(lane = self.number, %error, "the store is away, trying again");
                    self.metrics.retries.inc();
                    *retries += 1;
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(RETRY_LAST);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// One publication a room. A known id's is repeated: whoever kept it may have died before publishing. `first` is the place
    /// of the first outcome in its batch.
    fn publish(&self, epoch: Epoch, outcomes: &[Outcome], first: usize, traced: Option<&Traced<'_>>) {
        let mut rooms: HashMap<&RoomName, BTreeMap<u64, Entry>> = HashMap::new();
        for outcome in outcomes {
            let Some(message) = kept(outcome) else { continue };
            if matches!(outcome, Outcome::Known(_)) {
                self.metrics.republished.inc();
            }
            rooms.entry(&message.room).or_default().insert(message.rev, message.entry());
        }
        let mut publishing = traced.map(|traced| traced.publishing(first, outcomes));
        for (room, entries) in rooms {
            let entries: Vec<Entry> = entries.into_values().collect();
            self.bus.remember(room, epoch, &entries);
            let body = match publishing.as_mut().and_then(|publishing| publishing.marks_of(room)) {
                Some(marks) => Body::Traced { marks, entries },
                None => Body::Entries(entries),
            };
            self.bus.publish(room, Envelope::now(epoch, self.bus.node(), body).encode());
        }
        if let Some(publishing) = publishing {
            publishing.done();
        }
    }

    fn settle(&self, batch: Vec<Waiting>, answers: impl Iterator<Item = Result<Kept, AppendError>>) {
        self.metrics.queue_messages.sub(batch.len() as i64);
        for (waiting, answer) in batch.into_iter().zip(answers) {
            (waiting.settle)(answer);
        }
    }

    /// After a batch that ran out of time, those behind it that waited as long need not wait as long again.
    fn give_up_on_the_oldest(&self, waiting: &mut VecDeque<Waiting>) {
        while let Some(oldest) = waiting.front()
            && oldest.since.elapsed() >= self.config.patience
        {
            let oldest = waiting.pop_front().into_iter().collect();
            self.settle(oldest, std::iter::once(Err(unknown())));
        }
    }
}

fn unknown() -> AppendError {
    AppendError::Unknown { retry_after_ms: 1000 }
}

/// The store answered that it will not: a full disk, missing rights. An operator must see to it, so nobody need hurry back.
fn refused() -> AppendError {
    AppendError::Unknown { retry_after_ms: 5000 }
}

/// The message that an outcome left in its room.
pub(crate) fn kept(outcome: &Outcome) -> Option<&Message> {
    match outcome {
        Outcome::Kept(message) | Outcome::Known(message) => Some(message),
        Outcome::Forgotten { .. } | Outcome::IdTaken | Outcome::NotFound | Outcome::Forbidden => None,
    }
}

fn settled(outcome: Outcome, items: &Items) -> Result<Kept, AppendError> {
    let known = matches!(outcome, Outcome::Known(_));
    match outcome {
        Outcome::Kept(message) | Outcome::Known(message) => {
            // A post that was known may have changed since; its sender is told of the number it was kept under.
            let rev = if matches!(items, Items::Posts(_)) { message.seq } else { message.rev };
            Ok(Kept { id: message.id, seq: message.seq, rev, at: message.at, known })
        }
        Outcome::Forgotten { id, seq, at } => Ok(Kept { id, seq, rev: seq, at, known: true }),
        Outcome::IdTaken => Err(AppendError::IdTaken),
        Outcome::NotFound => Err(AppendError::NotFound),
        Outcome::Forbidden => Err(AppendError::Forbidden),
    }
}
