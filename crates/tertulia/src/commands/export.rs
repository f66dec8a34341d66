//! `tertulia export`: rooms as JSON lines.
//!
//! What is written of a room, and in which order: [`super::telling`].

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proto::{RoomName, Timestamp};
use store::Archive;

use super::lines::{End, Line, header};
use super::progress::Progress;
use super::telling::{PAGE, Telling};
use crate::config::ExportConfig;
use crate::node::StartError;
use crate::open::{self, patiently};

/// Writes what was asked for, whole or not at all.
pub(crate) async fn run(asked: &ExportConfig) -> Result<(), StartError> {
    let store = open::store_to_read(&asked.config).await?;
    if let Some(room) = &asked.room
        && patiently(async || store.heads(std::slice::from_ref(room)).await).await?.heads == [0]
    {
        return Err(StartError::NoSuchRoom(room.clone()));
    }
    let output = Output::open(&asked.output)?;
    let mut export = Export { store, output, ids: 0, progress: Progress::new("exported") };
    export.write(&header(Timestamp::now()))?;
    match &asked.room {
        Some(room) => export.room(room).await?,
        None => export.all().await?,
    }
    export.finish().await
}

struct Export {
    store: Arc<dyn Archive>,
    output: Output,
    ids: u64,
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
        let mut telling = Telling::new(room.clone());
        let before = self.progress.messages;
        self.progress.rooms += 1;
        while let Some(lines) = patiently(async || telling.next(self.store.as_ref()).await).await? {
            for line in &lines {
                self.write(line)?;
            }
            self.progress.messages = before + telling.messages;
            self.progress.tell();
        }
        self.ids += telling.ids;
        Ok(())
    }

    fn write(&mut self, line: &Line) -> Result<(), StartError> {
        let written = serde_json::to_writer(&mut self.output.to, line).map_err(io::Error::from);
        written.and_then(|()| self.output.to.write_all(b"\n")).map_err(|error| self.output.failed(error))
    }

    async fn finish(mut self) -> Result<(), StartError> {
        let Progress { rooms, messages, .. } = self.progress;
        self.write(&Line::End(End { rooms, messages, ids: self.ids }))?;
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
