//! A room as lines, a page at a time, for whoever writes them somewhere.
//!
//! A room is read in the order of its messages up to the head it had at first; then, if it went on meanwhile, whatever changed
//! above that head, until nothing more has. So a room is told as it was at one moment, the last page's, and nobody who talks in it
//! is held up. A message that changed meanwhile is there twice; the later line counts. Of what the room has forgotten the ids
//! are told, and again if it forgets while it is told.

use proto::RoomName;
use store::{Above, Archive, GoneId, GoneIds, Record, StoreError};

use super::lines::{Line, Room};

/// Messages in one read: so much is held in memory.
pub(crate) const PAGE: usize = 500;

/// Where the telling of a room has come to.
pub(crate) struct Telling {
    room: RoomName,
    first_head: u64,
    floor: u64,
    next: Next,
    /// Lines of messages so far.
    pub(crate) messages: u64,
    /// Lines of ids so far.
    pub(crate) ids: u64,
}

/// What is read next.
#[derive(Clone, Copy)]
enum Next {
    Head,
    /// The ids of what is gone; then messages, or what changed after a number.
    Ids(GoneIds, After),
    Rest(After),
    Nothing,
}

#[derive(Clone, Copy)]
enum After {
    Seq(u64),
    Rev(u64),
}

impl Telling {
    pub(crate) fn new(room: RoomName) -> Self {
        Self { room, first_head: 0, floor: 0, next: Next::Head, messages: 0, ids: 0 }
    }

    /// The lines of one page, perhaps none; `None` when all has been told. After an error it may be asked again.
    pub(crate) async fn next(&mut self, store: &dyn Archive) -> Result<Option<Vec<Line>>, StoreError> {
        match self.next {
            Next::Head => self.head(store).await.map(Some),
            Next::Ids(from, then) => self.gone(store, from, then).await.map(Some),
            Next::Rest(After::Seq(seq)) => self.said(store, seq).await.map(Some),
            Next::Rest(After::Rev(rev)) => self.came_meanwhile(store, rev).await.map(Some),
            Next::Nothing => Ok(None),
        }
    }

    async fn head(&mut self, store: &dyn Archive) -> Result<Vec<Line>, StoreError> {
        let page = store.records(&self.room, Above::Seq(u64::MAX), 0).await?;
        (self.first_head, self.floor) = (page.head, page.floor);
        self.next = self.after_floor(After::Seq(0));
        Ok(vec![self.line(page.head)])
    }

    /// The ids of what is gone come before anything else.
    fn after_floor(&self, then: After) -> Next {
        if self.floor > 0 { Next::Ids(GoneIds::WithRows(0), then) } else { Next::Rest(then) }
    }

    async fn gone(&mut self, store: &dyn Archive, from: GoneIds, then: After) -> Result<Vec<Line>, StoreError> {
        let page = store.gone_ids(&self.room, from, PAGE).await?;
        self.next = match (from, page.last()) {
            (GoneIds::WithRows(_), Some(last)) => Next::Ids(GoneIds::WithRows(last.seq), then),
            (GoneIds::WithRows(_), None) => Next::Ids(GoneIds::Kept(None), then),
            (GoneIds::Kept(_), Some(last)) => Next::Ids(GoneIds::Kept(Some(last.id)), then),
            (GoneIds::Kept(_), None) => Next::Rest(then),
        };
        self.ids += page.len() as u64;
        Ok(page.into_iter().map(|gone: GoneId| Line::Id(gone.into())).collect())
    }

    async fn said(&mut self, store: &dyn Archive, after: u64) -> Result<Vec<Line>, StoreError> {
        let page = store.records(&self.room, Above::Seq(after), PAGE).await?;
        let last = page.records.last().map_or(u64::MAX, |record| record.message.seq);
        let is_whole = !page.more || last >= self.first_head;
        self.next = Next::Rest(if is_whole { After::Rev(self.first_head) } else { After::Seq(last) });
        let upto = self.first_head;
        Ok(self.messages(page.records.into_iter().filter(|record| record.message.seq <= upto)))
    }

    async fn came_meanwhile(&mut self, store: &dyn Archive, head: u64) -> Result<Vec<Line>, StoreError> {
        let page = store.records(&self.room, Above::Rev(head), PAGE).await?;
        if page.floor > self.floor {
            self.floor = page.floor;
            self.next = self.after_floor(After::Rev(head));
            return Ok(vec![self.line(head)]);
        }
        let Some(last) = page.records.last().map(|record| record.message.rev) else {
            self.next = Next::Nothing;
            return Ok(Vec::new());
        };
        let head = if page.more { last } else { page.head };
        self.next = Next::Rest(After::Rev(head));
        let mut lines = vec![self.line(head)];
        lines.extend(self.messages(page.records.into_iter()));
        Ok(lines)
    }

    fn line(&self, head: u64) -> Line {
        Line::Room(Room { room: self.room.clone(), head, floor: self.floor })
    }

    fn messages(&mut self, records: impl Iterator<Item = Record>) -> Vec<Line> {
        let lines: Vec<Line> = records.map(|record| Line::Message(record.into())).collect();
        self.messages += lines.len() as u64;
        lines
    }
}
