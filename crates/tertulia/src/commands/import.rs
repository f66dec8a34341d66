//! `tertulia import`: what `export` wrote, into this store.
//!
//! Records go in chunks, each a transaction: what is there already is left alone, so an import that was interrupted is simply run
//! again. The first chunk that changes anything ends the epoch, in the same transaction; the end of the file ends it
//! once more, since until then rooms had holes. So no position of a client outlives an import, however it ends.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use prometheus::Registry;
use proto::Epoch;
use store::{GoneId, Keeper, Record, Restoration, Restored, StoreMetrics};

use super::lines::{BYTES_MAX, End, Gone, Header, Kept, Line, Room, VERSION};
use super::mention;
use super::progress::Progress;
use crate::config::ImportConfig;
use crate::node::StartError;
use crate::open::{self, patiently};

/// Records in one transaction, and bytes of text, whichever is reached first: the room is locked for as long as it takes.
const CHUNK: usize = 500;
const CHUNK_BYTES: usize = 1024 * 1024;

/// Reads a file to its end, or to what is wrong with it.
pub(crate) async fn run(asked: &ImportConfig) -> Result<(), StartError> {
    let mut input = Input::open(&asked.input)?;
    // Before anything is opened: a wrong file should not make a database.
    match input.next() {
        Ok(Some(Line::Export(Header { version: VERSION, .. }))) => {}
        Ok(Some(Line::Export(Header { version, .. }))) => {
            return Err(StartError::NotAnExport {
                name: input.name,
                why: format!("has form {version}, and this program knows {VERSION}"),
            });
        }
        Err(error @ StartError::Read { .. }) => return Err(error),
        _ => {
            return Err(StartError::NotAnExport {
                name: input.name,
                why: "was not written by `tertulia export`".into(),
            });
        }
    }
    let store = open::store(&asked.config, StoreMetrics::register(&Registry::new())?).await?;
    let void = patiently(async || store.epoch().await).await?;
    let mut import = Import {
        store,
        void,
        room: None,
        chunk: Vec::new(),
        gone: Vec::new(),
        ids: 0,
        bytes: 0,
        fresh: 0,
        progress: Progress::new("read"),
    };
    let taken = import.all(&mut input).await;
    import.store.close().await;
    taken?;
    mention(format_args!("{}, {} of them new here", import.progress.sentence(), import.fresh));
    Ok(())
}

struct Import {
    store: Arc<dyn Keeper>,
    /// The epoch in force at the start.
    void: Epoch,
    room: Option<Room>,
    chunk: Vec<Record>,
    gone: Vec<GoneId>,
    ids: u64,
    bytes: usize,
    fresh: usize,
    progress: Progress,
}

impl Import {
    async fn all(&mut self, input: &mut Input) -> Result<(), StartError> {
        loop {
            match input.next()? {
                Some(Line::Room(room)) => self.enter(room, input).await?,
                Some(Line::Message(kept)) => self.take(kept, input).await?,
                Some(Line::Id(gone)) => self.take_id(gone, input).await?,
                Some(Line::End(end)) => return self.end(&end, input).await,
                Some(Line::Export(_)) => return Err(input.wrong("another export begins here")),
                None => {
                    self.keep(input).await?;
                    return Err(input.wrong("the file ends here, too early: export again and import that"));
                }
            }
        }
    }

    async fn enter(&mut self, room: Room, input: &Input) -> Result<(), StartError> {
        self.keep(input).await?;
        if i64::try_from(room.head).is_err() || i64::try_from(room.floor).is_err() {
            return Err(input.wrong("its head or its floor is not a room's"));
        }
        if self.room.as_ref().is_none_or(|last| last.room != room.room) {
            self.progress.rooms += 1;
        }
        self.room = Some(room);
        Ok(())
    }

    async fn take(&mut self, kept: Kept, input: &Input) -> Result<(), StartError> {
        let Some(room) = &self.room else { return Err(input.wrong("a message must follow its room")) };
        let record = kept.record(&room.room).map_err(|why| input.wrong(why))?;
        self.bytes += record.message.text.len();
        self.chunk.push(record);
        if self.chunk.len() >= CHUNK || self.bytes >= CHUNK_BYTES {
            self.keep(input).await?;
        }
        Ok(())
    }

    async fn take_id(&mut self, gone: Gone, input: &Input) -> Result<(), StartError> {
        let Some(room) = &self.room else { return Err(input.wrong("an id must follow its room")) };
        self.gone.push(gone.id(room).map_err(|why| input.wrong(why))?);
        self.ids += 1;
        if self.gone.len() >= CHUNK { self.keep(input).await } else { Ok(()) }
    }

    /// Puts what was gathered into the store.
    async fn keep(&mut self, input: &Input) -> Result<(), StartError> {
        let (records, _) = (std::mem::take(&mut self.chunk), std::mem::take(&mut self.bytes));
        let gone = std::mem::take(&mut self.gone);
        let Some(Room { room, head, floor }) = &self.room else { return Ok(()) };
        if records.is_empty() && gone.is_empty() {
            return Ok(());
        }
        let wanted = Restoration { room, head: *head, floor: *floor, gone: &gone, records: &records, void: self.void };
        match patiently(async || self.store.restore(&wanted).await).await? {
            Restored::Kept(fresh) => self.fresh += fresh,
            Restored::Differs(seq) => {
                return Err(StartError::OtherMessages { room: room.clone(), seq, line: input.line });
            }
        }
        // What was here below the floor of the file is gone now.
        while *floor > 0 && patiently(async || self.store.forget(room, 0, CHUNK).await).await?.more {}
        self.progress.messages += records.len() as u64;
        self.progress.tell();
        Ok(())
    }

    async fn end(&mut self, end: &End, input: &mut Input) -> Result<(), StartError> {
        self.keep(input).await?;
        if (end.rooms, end.messages, end.ids) != (self.progress.rooms, self.progress.messages, self.ids) {
            return Err(input.wrong(format!(
                "the file should have {} messages: lines are missing, export again and import that",
                end.messages
            )));
        }
        if input.next()?.is_some() {
            return Err(input.wrong("something follows the end"));
        }
        // Also when all was there before: whoever was interrupted may not have come this far.
        let now = patiently(async || self.store.epoch().await).await?;
        patiently(async || self.store.rotate_epoch(now).await).await?;
        Ok(())
    }
}

/// The lines of a file, each within bounds.
struct Input {
    from: Box<dyn BufRead>,
    name: PathBuf,
    line: u64,
    buffer: Vec<u8>,
}

impl Input {
    fn open(name: &Path) -> Result<Self, StartError> {
        let (from, name): (Box<dyn BufRead>, PathBuf) = if name == Path::new("-") {
            if io::stdin().is_terminal() {
                mention("reading standard input");
            }
            (Box::new(BufReader::new(io::stdin())), "standard input".into())
        } else {
            let file = File::open(name).map_err(|error| StartError::Read { name: name.to_owned(), error })?;
            (Box::new(BufReader::new(file)), name.to_owned())
        };
        Ok(Self { from, name, line: 0, buffer: Vec::new() })
    }

    fn next(&mut self) -> Result<Option<Line>, StartError> {
        self.buffer.clear();
        let read = (&mut self.from).take(BYTES_MAX as u64).read_until(b'\n', &mut self.buffer);
        if read.map_err(|error| StartError::Read { name: self.name.clone(), error })? == 0 {
            return Ok(None);
        }
        self.line += 1;
        if self.buffer.len() == BYTES_MAX {
            return Err(self.wrong("the line is too long"));
        }
        match serde_json::from_slice(&self.buffer) {
            Ok(line) => Ok(Some(line)),
            // A line that was cut short is the end of a file that was cut short.
            Err(_) if self.buffer.last() != Some(&b'\n') => Ok(None),
            // It counts lines too, and knows of one.
            Err(error) => Err(self.wrong(error.to_string().replace(" at line 1 column", ", column"))),
        }
    }

    fn wrong(&self, why: impl std::fmt::Display) -> StartError {
        StartError::Line { name: self.name.clone(), line: self.line, why: why.to_string() }
    }
}
