//! A room as JSON lines, kept in the store for whoever asked.

use std::sync::Arc;
use std::time::Duration;

use proto::{RoomName, Timestamp};
use serde::Deserialize;
use store::{EXPORT_TASK, Keeper};
use tasks::{Failure, Kind, Manner, Task};
use uuid::Uuid;

use crate::commands::lines::{End, Line, header};
use crate::commands::telling::Telling;

/// Bytes in one piece, and one line more.
const CHUNK_BYTES: usize = 256 * 1024;

/// The kind `export`: writes what `tertulia export --room` would, in pieces.
pub(super) struct ExportRoom(Arc<dyn Keeper>);

#[derive(Deserialize)]
struct Asked {
    room: RoomName,
}

impl ExportRoom {
    /// From and into this store.
    pub(super) fn new(store: Arc<dyn Keeper>) -> Self {
        Self(store)
    }
}

impl Kind for ExportRoom {
    const NAME: &'static str = EXPORT_TASK;

    fn manner(&self) -> Manner {
        Manner { time_limit: Duration::from_secs(3600), attempts_max: 4, ..Manner::default() }
    }

    async fn run(&self, task: &Task) -> Result<(), Failure> {
        let Asked { room } = serde_json::from_str(&task.payload).map_err(Failure::give_up)?;
        let store = &self.0;
        if store.heads(std::slice::from_ref(&room)).await?.heads == [0] {
            return Err(Failure::give_up(format_args!("there is no room {room} here")));
        }
        let content = Uuid::now_v7();
        store.begin_export(&room, task.id, content).await?;
        let mut pieces = Pieces { store, room: &room, task, content, gathered: Vec::new(), chunks: 0, bytes: 0 };
        pieces.put(&header(Timestamp::now())).await?;
        let mut telling = Telling::new(room.clone());
        while let Some(lines) = telling.next(store.as_ref()).await? {
            for line in lines {
                pieces.put(&line).await?;
            }
        }
        pieces.put(&Line::End(End { rooms: 1, messages: telling.messages, ids: telling.ids })).await?;
        pieces.finish().await
    }
}

/// What is gathered until it is a piece.
struct Pieces<'a> {
    store: &'a Arc<dyn Keeper>,
    room: &'a RoomName,
    task: &'a Task,
    content: Uuid,
    gathered: Vec<u8>,
    chunks: u64,
    bytes: u64,
}

impl Pieces<'_> {
    async fn put(&mut self, line: &Line) -> Result<(), Failure> {
        serde_json::to_writer(&mut self.gathered, line).map_err(Failure::give_up)?;
        self.gathered.push(b'\n');
        if self.gathered.len() >= CHUNK_BYTES { self.keep().await } else { Ok(()) }
    }

    async fn keep(&mut self) -> Result<(), Failure> {
        let lines = std::mem::take(&mut self.gathered);
        let kept = self.store.put_export_chunk(self.room, self.task.id, self.content, self.chunks, &lines).await?;
        self.chunks += 1;
        self.bytes += lines.len() as u64;
        if kept { Ok(()) } else { Err(overtaken()) }
    }

    async fn finish(mut self) -> Result<(), Failure> {
        if !self.gathered.is_empty() {
            self.keep().await?;
        }
        let Self { store, room, task, content, chunks, bytes, .. } = self;
        let kept = store.finish_export(room, task.id, content, chunks, bytes).await?;
        if kept { Ok(()) } else { Err(overtaken()) }
    }
}

fn overtaken() -> Failure {
    Failure::retry("another attempt has begun")
}
