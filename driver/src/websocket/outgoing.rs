//! Writes frames to a WebSocket, and control frames between them.
//!
//! Who was dialled sends frames as they are queued, and all queues share their bytes. Who dialled sends a copy with a mask
//! on it, made 64 KiB at a time when the socket has room for it.

use super::Rules;
use super::mask::{Key, mask};
use super::socket::Socket;
use std::io::{self, Cursor, ErrorKind, IoSlice};
use std::rc::Rc;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, OpCode};

/// What is masked at one time: from 16 KiB on a write's fixed cost no longer shows.
const STAGE_BYTES: usize = 64 << 10;
/// Answers to pings that wait for the socket. While there are more, pings are not answered: who does not read the
/// answers learns nothing by them.
const ANSWER_BYTES_MAX: usize = 1 << 10;

/// What is on its way to one peer's socket besides the frames in its queue.
#[derive(Debug)]
pub(super) struct Outgoing {
    rules: Rc<Rules>,
    // Whether we dialled, and so must mask what we send.
    is_masked: bool,
    // Control frames as they go to the socket, once the piece of the queue that was begun is there.
    control: Vec<u8>,
    // What is going to the socket now, and how much of it is there.
    staged: Vec<u8>,
    sent: usize,
    // Of the frame that is being masked: what is left, and the key for that.
    frame_left: usize,
    key: Key,
    is_closed: bool,
}

impl Outgoing {
    pub(super) fn new(rules: Rc<Rules>, is_masked: bool) -> Self {
        Self {
            rules,
            is_masked,
            control: Vec::new(),
            staged: Vec::new(),
            sent: 0,
            frame_left: 0,
            key: Key::default(),
            is_closed: false,
        }
    }

    /// Whether bytes wait here for the socket.
    pub(super) fn has_unsent(&self) -> bool {
        !self.staged.is_empty() || !self.control.is_empty()
    }

    /// Whether CLOSE was said, though perhaps not sent.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Memory that it holds beyond what an idle one does.
    pub(super) fn held_bytes(&self) -> usize {
        self.staged.len() + self.control.len()
    }

    /// Answers a ping, unless too many answers wait.
    pub(super) fn pong(&mut self, payload: &[u8]) {
        if self.control.len() <= ANSWER_BYTES_MAX {
            self.say(Control::Pong, payload);
        }
    }

    /// Says CLOSE, once; after it nothing is said.
    pub(super) fn close(&mut self, payload: &[u8]) {
        self.say(Control::Close, payload);
        self.is_closed = true;
    }

    fn say(&mut self, what: Control, payload: &[u8]) {
        if self.is_closed {
            return;
        }
        let mut header = FrameHeader { opcode: OpCode::Control(what), ..FrameHeader::default() };
        if self.is_masked {
            let Ok(key) = self.rules.keys.borrow_mut().draw() else { return };
            header.mask = Some(key);
        }
        // Memory takes it.
        let _ = header.format(payload.len() as u64, &mut self.control);
        let from = self.control.len();
        self.control.extend_from_slice(payload);
        mask(&mut self.control[from..], header.mask.unwrap_or_default());
    }

    /// Writes what waits here; control frames too when no piece of the queue `is_begun`.
    pub(super) fn catch_up(&mut self, socket: &mut Socket, is_begun: bool) -> io::Result<()> {
        loop {
            if self.staged.is_empty() && !is_begun {
                self.staged = std::mem::take(&mut self.control);
            }
            if self.staged.is_empty() {
                return socket.try_flush();
            }
            self.send(socket)?;
        }
    }

    /// Writes pieces of the queue, and says how much of them was taken. `slices` begins behind what was taken before.
    /// What [`Outgoing::catch_up`] had to do is done.
    pub(super) fn write(&mut self, socket: &mut Socket, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let count = if self.is_masked {
            let count = self.stage(slices.first().map_or(&[][..], |piece| piece))?;
            match self.send(socket) {
                // It is masked and waits here, so it is taken.
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
                _ => count,
            }
        } else if self.control.is_empty() {
            socket.try_write(slices)?
        } else {
            // The end of the piece that was begun is the next place for it.
            socket.try_write(slices.get(..1).unwrap_or(slices))?
        };
        Ok(count)
    }

    // Masks what fits of a piece, which holds whole frames; it may have been begun.
    fn stage(&mut self, piece: &[u8]) -> io::Result<usize> {
        let mut stage = self.rules.stage.take();
        let mut at = 0;
        while at < piece.len() && stage.len() < STAGE_BYTES {
            if self.frame_left == 0 {
                let mut cursor = Cursor::new(&piece[at..]);
                // What is queued is the protocol's own: a header, and as much as it says.
                let parsed = FrameHeader::parse(&mut cursor).ok().flatten();
                let (mut header, length) = parsed.ok_or(ErrorKind::InvalidInput)?;
                at += cursor.position() as usize;
                self.key = self.rules.keys.borrow_mut().draw()?;
                header.mask = Some(self.key);
                header.format(length, &mut stage).map_err(io::Error::other)?;
                self.frame_left = usize::try_from(length).map_err(io::Error::other)?;
            }
            let count = self.frame_left.min(piece.len() - at).min(STAGE_BYTES);
            let from = stage.len();
            stage.extend_from_slice(&piece[at..at + count]);
            self.key = mask(&mut stage[from..], self.key);
            self.frame_left -= count;
            at += count;
        }
        self.staged = stage;
        Ok(at)
    }

    // Writes what is staged until the socket takes no more.
    fn send(&mut self, socket: &mut Socket) -> io::Result<()> {
        while self.sent < self.staged.len() {
            match socket.try_write(&[IoSlice::new(&self.staged[self.sent..])]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.sent = 0;
        let mut stage = std::mem::take(&mut self.staged);
        stage.clear();
        // One buffer is enough for all that find room in their sockets.
        let mut shared = self.rules.stage.borrow_mut();
        if stage.capacity() > shared.capacity() {
            *shared = stage;
        }
        Ok(())
    }
}
