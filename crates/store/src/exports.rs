//! Exports made in the background: a room as JSON lines, in pieces, until they are no longer wanted.

use std::time::Duration;

use async_trait::async_trait;
use proto::{RoomName, TaskId, Timestamp};
use uuid::Uuid;

use crate::{NewTask, StoreError};

/// The kind of the tasks that export a room. Their payload: `{"room":"…"}`; the export has the task's id.
pub const EXPORT_TASK: &str = "export";

/// How long an export is kept, and its task remembered.
pub const EXPORT_KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// The task that exports a room. Of one room there is one at a time.
pub fn export_task(room: &RoomName) -> NewTask {
    // Nothing in a room's alphabet needs escaping in JSON.
    let task = NewTask::now(EXPORT_TASK, format!(r#"{{"room":"{room}"}}"#)).keyed(format!("export:{room}"));
    NewTask { kept_for: EXPORT_KEPT_FOR, ..task }
}

/// An export that is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Export {
    /// The attempt that wrote it.
    pub content: Uuid,
    /// How many pieces there are, from 0 on …
    pub chunks: u64,
    /// … and bytes in all of them.
    pub bytes: u64,
    /// Until when it is kept.
    pub expires_at: Timestamp,
}

/// Where exports are kept.
#[async_trait]
pub trait Exports: Send + Sync + 'static {
    /// An attempt begins: what one before it wrote is forgotten, and may write no more.
    async fn begin_export(&self, room: &RoomName, id: TaskId, content: Uuid) -> Result<(), StoreError>;

    /// Keeps a piece. `false`: another attempt has begun, or the export has expired.
    async fn put_export_chunk(
        &self,
        room: &RoomName,
        id: TaskId,
        content: Uuid,
        number: u64,
        lines: &[u8],
    ) -> Result<bool, StoreError>;

    /// All pieces are there. `false` as above.
    async fn finish_export(
        &self,
        room: &RoomName,
        id: TaskId,
        content: Uuid,
        chunks: u64,
        bytes: u64,
    ) -> Result<bool, StoreError>;

    /// An export, if it is complete and not expired.
    async fn export(&self, room: &RoomName, id: TaskId) -> Result<Option<Export>, StoreError>;

    /// One of its pieces.
    async fn export_chunk(&self, room: &RoomName, content: Uuid, number: u64) -> Result<Option<Vec<u8>>, StoreError>;

    /// Forgets at most one export that has expired, finished or not, with its pieces. `false`: there is none.
    async fn sweep_export(&self) -> Result<bool, StoreError>;
}
