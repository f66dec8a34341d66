//! The recent messages of each room, kept in Redis for clients that return to another node than they left.
//!
//! Writes are gathered a room and may be lost; a lost one leaves a hole in the numbers, and `Recent::above` refuses to
//! reach across it. So an older text of an edited message is never handed out: the number that replaced it is missing.
//! Publications share the connection and the server and must not wait behind these: a pipeline is short, and after each
//! the writer rests many times as long as it took. What a busy room has meanwhile gathered goes together, the newest of it.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fred::bytes_utils::Str;
use fred::clients::Client;
use fred::error::Error;
use fred::interfaces::{ClientLike, HashesInterface};
use fred::types::{ClusterHash, CustomCommand, Value};
use parking_lot::Mutex;
use proto::{Entry, Epoch, Frame, RoomName};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::Shared;
use crate::Recent;

const SCRIPT: &str = include_str!("recent.lua");
const FORGET: &str = include_str!("forget.lua");
const NUMBERS_MAX: usize = 256;
const BYTES_MAX: usize = 1024 * 1024;
/// Bytes that may wait for Redis, of all rooms. Beyond it entries are not remembered, and readers go to the store.
const WAITING_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Longer than this the store is the quicker way.
const PATIENCE: Duration = Duration::from_secs(1);
/// Entries in one pipeline, if each room has fewer.
const PIPELINE_MAX: usize = 256;
/// How many times as long as a pipeline took nothing is written after it, and the longest such rest.
const REST: u32 = 9;
const REST_MAX: Duration = Duration::from_secs(1);

/// What waits to be written.
pub(super) struct Writer {
    waiting: Mutex<Waiting>,
    changed: Notify,
    seconds: u32,
    sha1: String,
}

#[derive(Default)]
struct Waiting {
    rooms: HashMap<RoomName, (Epoch, Vec<Entry>)>,
    bytes: usize,
    floors: HashMap<RoomName, (Epoch, u64)>,
}

/// Rooms whose floors may wait for Redis. Of more than that the messages stay there until they expire.
const FLOORS_MAX: usize = 10_000;

impl Writer {
    pub(super) fn new(seconds: u32) -> Self {
        let sha1 = fred::util::sha1_hash(SCRIPT);
        Self { waiting: Mutex::default(), changed: Notify::new(), seconds, sha1 }
    }

    pub(super) fn add(&self, room: &RoomName, epoch: Epoch, entries: &[Entry]) {
        let bytes: usize = entries.iter().map(|entry| entry.frame.wire().len()).sum();
        let mut waiting = self.waiting.lock();
        if entries.is_empty() || waiting.bytes + bytes > WAITING_BYTES_MAX {
            return;
        }
        waiting.bytes += bytes;
        let (of, kept) = waiting.rooms.entry(room.clone()).or_insert_with(|| (epoch, Vec::new()));
        if *of != epoch {
            *of = epoch;
            kept.clear();
        }
        kept.extend_from_slice(entries);
        // The older ones would be forgotten as soon as they were written.
        let excess = kept.len().saturating_sub(NUMBERS_MAX);
        let forgotten: usize = kept.drain(..excess).map(|entry| entry.frame.wire().len()).sum();
        waiting.bytes -= forgotten;
        drop(waiting);
        self.changed.notify_one();
    }

    pub(super) fn forget(&self, room: &RoomName, epoch: Epoch, floor: u64) {
        let mut waiting = self.waiting.lock();
        if waiting.floors.len() < FLOORS_MAX {
            waiting.floors.insert(room.clone(), (epoch, floor));
            self.changed.notify_one();
        }
    }

    /// The arguments of the script for one room. The key is the third.
    fn arguments(&self, script: &str, key: Str, epoch: Epoch, entries: &[Entry]) -> Vec<Value> {
        let mut all: Vec<Value> = vec![script.into(), 1.into(), key.into(), epoch.to_string().into()];
        all.extend([i64::from(self.seconds), NUMBERS_MAX as i64, BYTES_MAX as i64].map(Value::from));
        for entry in entries {
            all.push(entry.rev.to_string().into());
            all.push(entry.seq.to_string().into());
            all.push(Value::Bytes(entry.frame.wire().clone()));
        }
        all
    }
}

pub(super) async fn write(shared: &Shared) {
    loop {
        shared.writer.changed.notified().await;
        let waiting = std::mem::take(&mut *shared.writer.waiting.lock());
        let rooms: Vec<_> = waiting.rooms.into_iter().collect();
        let mut rest = rooms.as_slice();
        while !rest.is_empty() {
            let (batch, later) = rest.split_at(pipeline(rest));
            rest = later;
            let began = Instant::now();
            if let Some(Err(error)) = shared.voice.ask(|client| write_batch(shared, client, batch)).await {
                tracing::debug!(%error, "Redis did not take recent messages");
            }
            tokio::time::sleep((began.elapsed() * REST).min(REST_MAX)).await;
        }
        // After what was to be remembered before. One at a time: each looks through a room's recent messages.
        for (room, (epoch, floor)) in waiting.floors {
            let began = Instant::now();
            if let Some(Err(error)) = shared.voice.ask(|client| forget(shared, client, &room, epoch, floor)).await {
                tracing::debug!(%error, "Redis did not purge recent messages");
            }
            tokio::time::sleep((began.elapsed() * REST).min(REST_MAX)).await;
        }
    }
}

async fn forget(shared: &Shared, client: Client, room: &RoomName, epoch: Epoch, floor: u64) -> Result<(), Error> {
    let key = shared.names.recent(room);
    // Seldom enough to be sent each time.
    let arguments = vec![FORGET.into(), 1.into(), key.into(), epoch.to_string().into(), floor.to_string().into()];
    client.custom::<Value, _>(on_key("EVAL", &arguments), arguments).await.map(|_| ())
}

/// How many of these rooms go into one pipeline.
fn pipeline(rooms: &[(RoomName, (Epoch, Vec<Entry>))]) -> usize {
    let mut entries = 0;
    let fits = |(_, (_, kept)): &&(RoomName, (Epoch, Vec<Entry>))| {
        entries += kept.len();
        entries <= PIPELINE_MAX
    };
    rooms.iter().take_while(fits).count().max(1)
}

async fn write_batch(shared: &Shared, client: Client, batch: &[(RoomName, (Epoch, Vec<Entry>))]) -> Result<(), Error> {
    let writer = &shared.writer;
    let pipeline = client.pipeline();
    for (room, (epoch, entries)) in batch {
        let arguments = writer.arguments(&writer.sha1, shared.names.recent(room), *epoch, entries);
        let _: () = pipeline.custom(on_key("EVALSHA", &arguments), arguments).await?;
    }
    let results = pipeline.try_all::<Value>().await;
    let mut failed = Ok(());
    for ((room, (epoch, entries)), result) in batch.iter().zip(results) {
        match result {
            Ok(_) => {}
            // Each server learns the script when it first needs it, and again after a restart.
            Err(error) if error.details().starts_with("NOSCRIPT") => {
                let arguments = writer.arguments(SCRIPT, shared.names.recent(room), *epoch, entries);
                let _: () = client.custom(on_key("EVAL", &arguments), arguments).await?;
            }
            // The others are not to suffer for it.
            Err(error) => failed = Err(error),
        }
    }
    failed
}

/// fred sends a command of its caller's own to the server of the slot given here; other ways to find it are ignored.
pub(super) fn on_key(command: &'static str, arguments: &[Value]) -> CustomCommand {
    let key = arguments.get(2).and_then(Value::as_bytes).unwrap_or_default();
    CustomCommand::new_static(command, ClusterHash::Custom(fred::util::redis_keyslot(key)), false)
}

pub(super) async fn recall(shared: &Shared, room: &RoomName, epoch: Epoch) -> Option<Recent> {
    let key = shared.names.recent(room);
    let read = shared.voice.ask(|client| async move { client.hgetall::<HashMap<String, Bytes>, _>(key).await });
    rebuild(timeout(PATIENCE, read).await.ok()??.ok()?, epoch)
}

/// `None` for another epoch, and for anything that this code would not have written.
fn rebuild(fields: HashMap<String, Bytes>, epoch: Epoch) -> Option<Recent> {
    if fields.get("epoch")?.as_ref() != epoch.to_string().as_bytes() {
        return None;
    }
    let mut numbers = BTreeMap::new();
    for (field, kept) in &fields {
        if !field.starts_with(|c: char| c.is_ascii_digit()) {
            continue;
        }
        let rev = field.parse().ok()?;
        let entry = if kept.is_empty() { None } else { Some(entry_of(rev, kept)?) };
        numbers.insert(rev, entry);
    }
    Some(Recent { epoch, numbers })
}

fn entry_of(rev: u64, kept: &[u8]) -> Option<Entry> {
    let colon = kept.iter().position(|byte| *byte == b':')?;
    let seq = std::str::from_utf8(&kept[..colon]).ok()?.parse().ok()?;
    // A copy of its own size: the answer as a whole lives as long as its shortest-lived reader otherwise.
    let frame = Frame::from_wire(Bytes::copy_from_slice(&kept[colon + 1..]))?;
    (0 < seq && seq <= rev).then_some(Entry { seq, rev, frame })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(of: &[(&str, &[u8])]) -> HashMap<String, Bytes> {
        of.iter().map(|(name, value)| ((*name).to_owned(), Bytes::copy_from_slice(value))).collect()
    }

    #[test]
    fn what_this_code_did_not_write_is_not_recalled() {
        let epoch = Epoch(1);
        let written = epoch.to_string();
        let of = |field, value| fields(&[("epoch", written.as_bytes()), (field, value)]);
        assert_eq!(rebuild(of("2", b"1:\x81\x01x"), epoch).map(|recent| recent.numbers.len()), Some(1));
        assert_eq!(rebuild(of("2", b"1:\x81\x01x"), Epoch(2)), None);
        for (field, value) in [("2", &b"1:\x81\x02x"[..]), ("2", b"3:\x81\x01x"), ("2", b"x"), ("2x", b""), ("2", b":")]
        {
            assert_eq!(rebuild(of(field, value), epoch), None, "{field}");
        }
        assert_eq!(rebuild(fields(&[("2", b"")]), epoch), None);
    }
}
