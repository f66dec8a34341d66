//! What a socket did not take: bytes in order, told apart by whether they are bounded.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

/// Pieces in one write.
const PIECES_A_WRITE: usize = 64;

/// Bytes that wait for one connection. Empty it holds no memory.
#[derive(Default)]
pub(super) struct Backlog {
    pieces: VecDeque<Piece>,
    /// Bytes in all pieces, and in those from rooms.
    bytes: usize,
    room_bytes: usize,
    /// Whether the first piece has been written in part, so that it must be written whole.
    started: bool,
}

struct Piece {
    bytes: Bytes,
    from_room: bool,
}

impl Backlog {
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of rooms' frames that wait: these are bounded.
    pub(super) fn room_bytes(&self) -> usize {
        self.room_bytes
    }

    /// Bytes of answers that wait: while there are many, nothing more is read from the client.
    pub(super) fn answer_bytes(&self) -> usize {
        self.bytes - self.room_bytes
    }

    /// Adds bytes at the end.
    pub(super) fn push(&mut self, bytes: Bytes, from_room: bool) {
        self.bytes += bytes.len();
        if from_room {
            self.room_bytes += bytes.len();
        }
        self.pieces.push_back(Piece { bytes, from_room });
    }

    /// Adds the rest of a frame whose beginning was just written.
    pub(super) fn push_rest(&mut self, rest: Bytes, from_room: bool) {
        self.started = true;
        self.push(rest, from_room);
    }

    /// The pieces for the next write.
    pub(super) fn slices(&self) -> Vec<IoSlice<'_>> {
        self.pieces.iter().take(PIECES_A_WRITE).map(|piece| IoSlice::new(&piece.bytes)).collect()
    }

    /// Takes away what was written.
    pub(super) fn written(&mut self, mut bytes: usize) {
        while bytes > 0 {
            let Some(mut piece) = self.pieces.pop_front() else { return };
            let part = bytes.min(piece.bytes.len());
            self.uncount(part, piece.from_room);
            bytes -= part;
            self.started = part < piece.bytes.len();
            if self.started {
                piece.bytes = piece.bytes.slice(part..);
                self.pieces.push_front(piece);
            }
        }
        if self.pieces.is_empty() {
            // A connection that fell behind once should not keep the room it took.
            self.pieces = VecDeque::new();
        }
    }

    /// Lets go of everything but a frame under way; says how many bytes that was.
    pub(super) fn drop_unstarted(&mut self) -> usize {
        let before = self.bytes;
        let keep = usize::from(self.started);
        while self.pieces.len() > keep
            && let Some(piece) = self.pieces.pop_back()
        {
            self.uncount(piece.bytes.len(), piece.from_room);
        }
        before - self.bytes
    }

    /// Lets go of everything; says how many bytes that was.
    pub(super) fn drop_all(&mut self) -> usize {
        std::mem::take(self).bytes
    }

    fn uncount(&mut self, bytes: usize, from_room: bool) {
        self.bytes -= bytes;
        if from_room {
            self.room_bytes -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(backlog: &Backlog) -> Vec<u8> {
        backlog.slices().iter().flat_map(|slice| slice.to_vec()).collect()
    }

    #[test]
    fn bytes_leave_in_order_whatever_a_write_takes() {
        let mut backlog = Backlog::default();
        backlog.push(Bytes::from_static(b"abc"), true);
        backlog.push(Bytes::from_static(b"de"), false);
        backlog.push(Bytes::from_static(b"fgh"), true);
        assert_eq!((backlog.bytes(), backlog.room_bytes(), backlog.answer_bytes()), (8, 6, 2));
        for (written, left) in [(2, &b"cdefgh"[..]), (2, b"efgh"), (1, b"fgh"), (3, b"")] {
            backlog.written(written);
            assert_eq!(waiting(&backlog), left);
        }
        assert!(backlog.is_empty() && backlog.bytes() == 0 && backlog.room_bytes() == 0);
    }

    #[test]
    fn a_frame_under_way_is_never_dropped_half_way() {
        let mut backlog = Backlog::default();
        backlog.push_rest(Bytes::from_static(b"lf"), true);
        backlog.push(Bytes::from_static(b"next"), true);
        assert_eq!(backlog.drop_unstarted(), 4);
        assert_eq!(waiting(&backlog), b"lf");
        backlog.written(2);
        backlog.push(Bytes::from_static(b"whole"), true);
        assert_eq!(backlog.drop_unstarted(), 5);
        assert!(backlog.is_empty());
    }
}
