//! `tertulia export`: rooms as JSON lines.
//!
//! A room is read page by page, in the order of its messages up to the head it had at first; then, if it went on meanwhile,
//! whatever changed above that head, until nothing more has. So a room is written as it was at one moment, the last page's,
//! and nobody who talks in it is held up. A message that changed meanwhile is there twice; the later line counts.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proto::{RoomName, Timestamp};
use store::{Above, Archive, Record, Records};

use super::lines::{End, Header, Line, Room, VERSION};
use super::progress::Progress;
use crate::config::ExportConfig;
use crate::node::StartError;
use crate::open::{self, patiently};

/// Messages in one read: so much is held in memory.
const PAGE: usize = 500;

/// Writes what was asked for, whole or not at all.
pub(crate) async fn run(asked: &ExportConfig) -> Result<(), StartError> {
    let store = open::store_to_read(&asked.config).await?;
    if let Some(room) = &asked.room
        && patiently(async || store.heads(std::slice::from_ref(room)).await).await?.heads == [0]
    {
        return Err(StartError::NoSuchRoom(room.clone()));
    }
    let mut export = Export { store, output: Output::open(&asked.output)?, progress: Progress::new("exported") };
    export.write(&Line::Export(Header {
        version: VERSION,
        program: format!("tertulia {}", env!("CARGO_PKG_VERSION")),
        at: Timestamp::now(),
    }))?;
    match &asked.room {
        Some(room) => export.room(room).await?,
        None => export.all().await?,
    }
    export.finish().await
}

struct Export {
    store: Arc<dyn Archive>,
    output: Output,
    progress: Progress,
}

impl Export {
    async fn all(&mut self) -> Result<(), StartError> {
        let mut last = None;
        loop {
            let rooms = patiently(async || self.store.rooms(last.as_ref(), PAGE).await).await?;
            for room in &rooms {
                self.room(room).await?;
            }
            last = rooms.into_iter().next_back();
            if last.is_none() {
                return Ok(());
            }
        }
    }

    async fn room(&mut self, room: &RoomName) -> Result<(), StartError> {
        let mut page = self.page(room, Above::Seq(0)).await?;
        let first_head = page.head;
        self.progress.rooms += 1;
        self.write(&Line::Room(Room { room: room.clone(), head: first_head }))?;
        loop {
            let last = page.records.last().map_or(u64::MAX, |record| record.message.seq);
            page.records.retain(|record| record.message.seq <= first_head);
            self.records(page.records)?;
            if !page.more || last >= first_head {
                break;
            }
            page = self.page(room, Above::Seq(last)).await?;
        }
        self.what_came_meanwhile(room, first_head).await
    }

    async fn what_came_meanwhile(&mut self, room: &RoomName, mut head: u64) -> Result<(), StartError> {
        loop {
            let page = self.page(room, Above::Rev(head)).await?;
            let Some(last) = page.records.last().map(|record| record.message.rev) else { return Ok(()) };
            head = if page.more { last } else { page.head };
            self.write(&Line::Room(Room { room: room.clone(), head }))?;
            self.records(page.records)?;
        }
    }

    async fn page(&self, room: &RoomName, above: Above) -> Result<Records, StartError> {
        Ok(patiently(async || self.store.records(room, above, PAGE).await).await?)
    }

    fn records(&mut self, records: Vec<Record>) -> Result<(), StartError> {
        for record in records {
            self.write(&Line::Message(record.into()))?;
            self.progress.messages += 1;
        }
        self.progress.tell();
        Ok(())
    }

    fn write(&mut self, line: &Line) -> Result<(), StartError> {
        let written = serde_json::to_writer(&mut self.output.to, line).map_err(io::Error::from);
        written.and_then(|()| self.output.to.write_all(b"\n")).map_err(|error| self.output.failed(error))
    }

    async fn finish(mut self) -> Result<(), StartError> {
        let Progress { rooms, messages, .. } = self.progress;
        self.write(&Line::End(End { rooms, messages }))?;
        self.output.finish()?;
        self.store.close().await;
        super::mention(self.progress.sentence());
        Ok(())
    }
}

/// Standard output, or a file that gets its name once it is complete.
struct Output {
    to: BufWriter<Box<dyn Write>>,
    name: PathBuf,
    partial: Option<Partial>,
}

impl Output {
    fn open(name: &Path) -> Result<Self, StartError> {
        if name == Path::new("-") {
            let to = BufWriter::new(Box::new(io::stdout()) as Box<dyn Write>);
            return Ok(Self { to, name: "standard output".into(), partial: None });
        }
        let opened = Partial::beside(name).and_then(|partial| {
            let to = BufWriter::new(Box::new(partial.file.try_clone()?) as Box<dyn Write>);
            Ok(Self { to, name: name.to_owned(), partial: Some(partial) })
        });
        opened.map_err(|error| StartError::Write { name: name.to_owned(), error })
    }

    fn finish(&mut self) -> Result<(), StartError> {
        let finished = self.to.flush().and_then(|()| match &self.partial {
            Some(partial) => partial.file.sync_all().and_then(|()| std::fs::rename(&partial.name, &self.name)),
            None => Ok(()),
        });
        finished.map_err(|error| self.failed(error))
    }

    fn failed(&self, error: io::Error) -> StartError {
        StartError::Write { name: self.name.clone(), error }
    }
}

/// What a file is called until it is complete.
struct Partial {
    file: File,
    name: PathBuf,
}

impl Partial {
    fn beside(name: &Path) -> io::Result<Self> {
        let mut partial = name.as_os_str().to_owned();
        partial.push(".part");
        let name = PathBuf::from(partial);
        // What people said is nobody else's business.
        let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&name)?;
        Ok(Self { file, name })
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // It has another name by now, or is worth nothing.
        let _ = std::fs::remove_file(&self.name);
    }
}
