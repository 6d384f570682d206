//! Stands between yamux and its socket: seals what yamux says, opens what it hears, and watches the heads of its frames.
//!
//! ```text
//!   yamux ── frames ──► out  ── sealed, hidden, in place ──► socket
//!         ◄─ frames ─── raw ◄── uncovered, opened, in place ─
//! ```
//!
//! The library reads whatever comes, and sends whatever it was given; how much, and when, is decided here. By the heads we
//! know what it does not tell: which streams have something, whether one was finished or broken off, what is held for each,
//! and whether it has said that the peer broke a rule. A connection between turns owns no buffer but for what is not whole.

use super::Rules;
use super::frames::{DATA, FIN, GO_AWAY, Head, Heads, RST, SYN};
use super::pnet::Keystream;
use super::sealed::{LENGTH_BYTES, MESSAGE_BYTES_MAX, Seal, TAG_BYTES};
use bytes::{Buf, BufMut, BytesMut};
use futures_util::io::{AsyncRead, AsyncWrite};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// What is read from the socket at one time: so much that the read's fixed cost does not show.
const READ_BYTES: usize = 64 << 10;
/// What is left of a message and longer than this is read on in the connection's own buffer.
const OWN_BYTES: usize = 8 << 10;
/// Data is given to yamux while no more than this waits for the socket.
const OUT_BYTES_MAX: usize = 64 << 10;
/// What may wait for the socket with all that yamux says of its own accord: it answers each ping, and the meter ends a
/// connection that asks for more.
const SAID_BYTES_MAX: usize = 512 << 10;
/// What a stream may bring before it is read, in one frame or many. The library never grants more.
pub(super) const WINDOW_BYTES: u32 = yamux::DEFAULT_CREDIT;

/// One connection's socket, and all that lies over it up to yamux.
#[derive(Debug)]
pub(super) struct Wire {
    socket: TcpStream,
    rules: Rc<Rules>,
    ours: (Keystream, Seal),
    theirs: (Keystream, Seal),
    // Uncovered bytes: first `ready` that are opened, then, if there were any, their checksum, then messages as they came.
    raw: BytesMut,
    ready: usize,
    is_opened: bool,
    // Whether that stands in the buffer that all share.
    is_lodged: bool,
    // Sealed and hidden messages, and behind them what will be the next one, with room for its length.
    out: BytesMut,
    begun: Option<usize>,
    is_blocked: bool,
    // Whether yamux had more to say than there was room for.
    was_full: bool,
    // Whether yamux may read, and how much of the socket.
    is_open: bool,
    turn_left: usize,
    came: usize,
    is_starved: bool,
    has_ended: bool,
    heard: Heads,
    said: Heads,
    streams: BTreeMap<u32, Watched>,
    touched: Vec<u32>,
    current: Option<u32>,
    unread: usize,
    // What may still come on streams that we broke off, and what of that came: the peer had not heard of it.
    forgivable: usize,
    forgiven: usize,
    // Payload that yamux was given and has not said.
    unsaid: usize,
    fault: Option<Fault>,
    is_gone: bool,
}

/// One stream, by the heads of its frames.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Watched {
    /// Bytes that came and were not read.
    unread: usize,
    /// Whether the peer writes no more.
    pub(super) is_finished: bool,
    /// Whether the peer broke it off.
    pub(super) is_reset: bool,
    is_touched: bool,
}

/// Why nothing more can be heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// What came is not what the peer sealed. Anyone on the way can do that.
    Unsealed,
    /// The peer broke yamux's rules.
    Rules,
}

impl Wire {
    /// A wire on which Noise is done. `plain` and `raw` came behind what was agreed on: opened, and not opened.
    pub(super) fn new(
        socket: TcpStream,
        rules: Rc<Rules>,
        ours: (Keystream, Seal),
        theirs: (Keystream, Seal),
        plain: &[u8],
        raw: &[u8],
    ) -> Self {
        let (ready, is_opened) = (plain.len(), !plain.is_empty());
        let checksum = if is_opened { &[0; TAG_BYTES][..] } else { &[] };
        Self {
            socket,
            rules,
            ours,
            theirs,
            raw: BytesMut::from(&[plain, checksum, raw].concat()[..]),
            ready,
            is_opened,
            is_lodged: false,
            out: BytesMut::new(),
            begun: None,
            is_blocked: false,
            was_full: false,
            is_open: false,
            turn_left: 0,
            came: 0,
            is_starved: false,
            has_ended: false,
            heard: Heads::default(),
            said: Heads::default(),
            streams: BTreeMap::new(),
            touched: Vec::new(),
            current: None,
            unread: 0,
            forgivable: 0,
            forgiven: 0,
            unsaid: 0,
            fault: None,
            is_gone: false,
        }
    }

    /// Lets so much be taken from the socket in this turn.
    pub(super) fn open_for(&mut self, bytes: usize) {
        (self.turn_left, self.came, self.is_starved) = (bytes, 0, false);
    }

    /// What of that is left.
    pub(super) fn turn_left(&self) -> usize {
        self.turn_left
    }

    /// Whether more would have been taken, so that nobody waits for the socket.
    pub(super) fn is_starved(&self) -> bool {
        self.is_starved
    }

    /// Bytes that came through the socket since it was last asked.
    pub(super) fn take_came(&mut self) -> usize {
        std::mem::take(&mut self.came)
    }

    /// Takes what has come, once: up to 64 KiB. Ready when there is something for yamux, the end included.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.has_ended || self.is_opened || self.holds_message() {
            return Poll::Ready(Ok(()));
        }
        if self.turn_left == 0 {
            self.is_starved = true;
            return Poll::Pending;
        }
        self.lodge();
        let before = self.raw.len();
        let most = self.turn_left.min(READ_BYTES);
        self.raw.reserve(most);
        match pin!(self.socket.read_buf(&mut (&mut self.raw).limit(most))).poll(cx) {
            Poll::Pending => {
                self.move_out();
                Poll::Pending
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(count)) => {
                self.has_ended = count == 0;
                self.turn_left -= count;
                self.came += count;
                self.theirs.0.apply(&mut self.raw[before..]);
                Poll::Ready(Ok(()))
            }
        }
    }

    /// Bytes that came and that yamux has not taken.
    pub(super) fn untaken(&self) -> usize {
        self.raw.len()
    }

    /// Takes what has come, to throw it away. None, at the end.
    pub(super) fn poll_discard(&mut self, buffer: &mut BytesMut, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.raw = BytesMut::new();
        (self.ready, self.is_opened) = (0, false);
        pin!(self.socket.read_buf(buffer)).poll(cx)
    }

    /// Lets yamux read what has come, or not.
    pub(super) fn let_in(&mut self, is_open: bool) {
        self.is_open = is_open;
        if !is_open {
            self.move_out();
        }
    }

    fn holds_message(&self) -> bool {
        let Some(length) = self.raw.first_chunk::<LENGTH_BYTES>() else { return false };
        self.raw.len() >= LENGTH_BYTES + usize::from(u16::from_be_bytes(*length))
    }

    // Opens the next message, if it is whole. Whether there is something to be read.
    fn unseal(&mut self) -> Result<bool, Fault> {
        loop {
            if self.ready > 0 {
                return Ok(true);
            }
            if std::mem::take(&mut self.is_opened) {
                self.raw.advance(TAG_BYTES);
            }
            if !self.holds_message() {
                return Ok(false);
            }
            let length = usize::from(self.raw.get_u16());
            self.ready = self.theirs.1.open(&mut self.raw[..length]).ok_or(Fault::Unsealed)?;
            self.is_opened = true;
        }
    }

    // Takes the buffer that all share, unless there is much here already.
    fn lodge(&mut self) {
        if !self.is_lodged && self.raw.len() <= OWN_BYTES {
            let mut buffer = self.rules.raw.take();
            buffer.clear();
            buffer.extend_from_slice(&self.raw);
            (self.raw, self.is_lodged) = (buffer, true);
        }
    }

    // Leaves it to the next connection, and this one with what it needs.
    fn move_out(&mut self) {
        if std::mem::take(&mut self.is_lodged) {
            let kept = BytesMut::from(&self.raw[..]);
            self.rules.raw.replace(std::mem::replace(&mut self.raw, kept));
        } else if self.raw.len() <= OWN_BYTES {
            self.raw = BytesMut::from(&self.raw[..]);
        }
    }

    /// Notes a stream that we opened.
    pub(super) fn opened(&mut self, number: u32) {
        self.streams.insert(number, Watched::default());
    }

    /// Forgets a stream: what comes on it is noise.
    pub(super) fn forget(&mut self, number: u32) {
        if let Some(stream) = self.streams.remove(&number) {
            self.unread -= stream.unread;
        }
        if self.current == Some(number) {
            self.current = None;
        }
    }

    /// A stream was broken off here: as much as its window may be on its way.
    pub(super) fn forgive(&mut self) {
        let most = self.rules.net.their_streams_max * WINDOW_BYTES as usize;
        self.forgivable = most.min(self.forgivable + WINDOW_BYTES as usize);
    }

    /// Bytes that came so and are no noise, since this was last asked.
    pub(super) fn take_forgiven(&mut self) -> usize {
        std::mem::take(&mut self.forgiven)
    }

    /// So much of a stream was read.
    pub(super) fn was_read(&mut self, number: u32, bytes: usize) {
        if let Some(stream) = self.streams.get_mut(&number) {
            let bytes = bytes.min(stream.unread);
            stream.unread -= bytes;
            self.unread -= bytes;
        }
    }

    /// How much more data yamux may be given: it never waits for the socket with a frame in its hand, for then it would
    /// not read either, and two who write to each other would wait for ever.
    pub(super) fn room(&self) -> usize {
        OUT_BYTES_MAX.saturating_sub(self.out.len() + self.unsaid)
    }

    /// So much was given to yamux to be said.
    pub(super) fn was_given(&mut self, bytes: usize) {
        self.unsaid += bytes;
    }

    /// What is known of a stream.
    pub(super) fn watched(&self, number: u32) -> Watched {
        self.streams.get(&number).copied().unwrap_or_default()
    }

    /// Streams on which something has come since this was last asked, each once.
    pub(super) fn take_touched(&mut self, into: &mut Vec<u32>) {
        for number in self.touched.drain(..) {
            if let Some(stream) = self.streams.get_mut(&number) {
                stream.is_touched = false;
                into.push(number);
            }
        }
    }

    /// What came is no frame of yamux.
    pub(super) fn blame(&mut self) {
        self.fault.get_or_insert(Fault::Rules);
    }

    /// Why nothing more can be heard, if so.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Whether the peer says that it goes.
    pub(super) fn is_gone(&self) -> bool {
        self.is_gone
    }

    /// Whether the peer closed, and no message and no frame was left in the middle.
    pub(super) fn has_ended_in_order(&self) -> bool {
        self.has_ended && self.ready == 0 && self.raw.is_empty() && self.heard.is_between()
    }

    /// Whether yamux had more to say than there was room for, since this was last asked.
    pub(super) fn take_full(&mut self) -> bool {
        std::mem::take(&mut self.was_full)
    }

    /// Whether the socket took no more when it was last written to.
    pub(super) fn is_blocked(&self) -> bool {
        self.is_blocked
    }

    /// Whether something waits for the socket.
    pub(super) fn has_unsent(&self) -> bool {
        !self.out.is_empty() || self.unsaid > 0
    }

    /// Memory that it holds, and that yamux holds for it.
    pub(super) fn held_bytes(&self) -> usize {
        self.raw.len() + self.out.len() + self.unread + self.unsaid
    }

    /// Asks the socket whether it takes more.
    pub(super) fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_blocked && self.socket.poll_write_ready(cx).is_pending() {
            return Poll::Pending;
        }
        self.is_blocked = false;
        Poll::Ready(())
    }

    /// Gives the socket what it takes. Whether that was all.
    pub(super) fn send(&mut self) -> io::Result<bool> {
        self.seal()?;
        let mut sent = 0;
        while sent < self.out.len() && !self.is_blocked {
            match self.socket.try_write(&self.out[sent..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.is_blocked = true,
                Err(error) => return Err(error),
            }
        }
        // Only what waits stays here.
        let kept = BytesMut::from(&self.out[sent..]);
        let mut buffer = std::mem::replace(&mut self.out, kept);
        if buffer.capacity() >= OUT_BYTES_MAX / 4 {
            buffer.clear();
            self.rules.stage.replace(buffer);
        }
        Ok(self.out.is_empty())
    }

    /// Says that nothing more comes.
    pub(super) fn shut_down(&self) {
        // It fails only when the connection is broken already, and then reading says so.
        let _ = socket2::SockRef::from(&self.socket).shutdown(Shutdown::Write);
    }

    // Appends what yamux says to the message that is being made, as much as there is room for.
    fn say(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.out.is_empty() {
            let buffer = self.rules.stage.take();
            self.out = buffer;
        }
        let mut left = bytes;
        while !left.is_empty() {
            let begun = *self.begun.get_or_insert_with(|| {
                self.out.put_u16(0);
                self.out.len()
            });
            let room = MESSAGE_BYTES_MAX - TAG_BYTES - (self.out.len() - begun);
            let (now, later) = left.split_at(room.min(left.len()));
            self.out.extend_from_slice(now);
            left = later;
            if now.len() == room {
                self.seal()?;
            }
        }
        Ok(bytes.len())
    }

    // Makes a message of what was said.
    fn seal(&mut self) -> io::Result<()> {
        let Some(begun) = self.begun.take() else { return Ok(()) };
        let tag = self.ours.1.seal(&mut self.out[begun..]).ok_or(ErrorKind::Unsupported)?;
        self.out.extend_from_slice(&tag);
        // At most `MESSAGE_BYTES_MAX`, as more is not appended.
        let length = (self.out.len() - begun) as u16;
        self.out[begun - LENGTH_BYTES..begun].copy_from_slice(&length.to_be_bytes());
        self.ours.0.apply(&mut self.out[begun - LENGTH_BYTES..]);
        Ok(())
    }

    fn touch(&mut self, number: u32) {
        if let Some(stream) = self.streams.get_mut(&number)
            && !std::mem::replace(&mut stream.is_touched, true)
        {
            self.touched.push(number);
        }
    }

    // A frame's head has come.
    fn hear_head(&mut self, head: Head) -> Result<(), Fault> {
        let is_known = self.streams.contains_key(&head.stream);
        match head.kind {
            GO_AWAY => self.is_gone = true,
            DATA if head.length > WINDOW_BYTES => return Err(Fault::Rules),
            kind if kind < GO_AWAY && head.stream != 0 => {
                if head.flags & SYN != 0 && !is_known {
                    self.streams.insert(head.stream, Watched::default());
                }
                if let Some(stream) = self.streams.get_mut(&head.stream) {
                    stream.is_finished |= head.flags & FIN != 0;
                    stream.is_reset |= head.flags & RST != 0;
                    self.current = (kind == DATA && head.flags & RST == 0).then_some(head.stream);
                }
                self.touch(head.stream);
            }
            _ => {}
        }
        Ok(())
    }

    // Hands yamux no more than the rest of a head or of what follows it.
    fn hear(&mut self, buffer: &mut [u8]) -> Result<usize, Fault> {
        if !self.unseal()? {
            return Ok(0);
        }
        let count = self.heard.left().min(self.ready).min(buffer.len());
        buffer[..count].copy_from_slice(&self.raw[..count]);
        self.raw.advance(count);
        self.ready -= count;
        let was_in_body = self.heard.is_in_body();
        if was_in_body && let Some(stream) = self.current.and_then(|number| self.streams.get_mut(&number)) {
            stream.unread += count;
            self.unread += count;
        } else if was_in_body {
            let forgiven = count.min(self.forgivable);
            self.forgivable -= forgiven;
            self.forgiven += forgiven;
        }
        if let Some(head) = self.heard.take(&buffer[..count]) {
            self.current = None;
            self.hear_head(head)?;
        } else if was_in_body
            && !self.heard.is_in_body()
            && let Some(number) = self.current
        {
            // Only now it can be read.
            self.touch(number);
        }
        Ok(count)
    }
}

/// What yamux takes for its socket.
#[derive(Debug)]
pub(super) struct Pipe(pub(super) Rc<RefCell<Wire>>);

impl AsyncRead for Pipe {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut wire = self.0.borrow_mut();
        if let Some(fault) = wire.fault {
            return Poll::Ready(Err(io::Error::other(format!("{fault:?}"))));
        }
        if !wire.is_open {
            return Poll::Pending;
        }
        match wire.hear(buffer) {
            // At the end, what there is of a message is no loss.
            Ok(0) if wire.has_ended => Poll::Ready(Ok(0)),
            Ok(0) => Poll::Pending,
            Ok(count) => Poll::Ready(Ok(count)),
            Err(fault) => {
                wire.fault = Some(fault);
                Poll::Ready(Err(io::Error::other(format!("{fault:?}"))))
            }
        }
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut wire = self.0.borrow_mut();
        if wire.out.len() >= SAID_BYTES_MAX {
            wire.was_full = true;
            return Poll::Pending;
        }
        let mut left = bytes;
        while !left.is_empty() {
            let (now, later) = left.split_at(wire.said.left().min(left.len()));
            left = later;
            if wire.said.is_in_body() {
                wire.unsaid = wire.unsaid.saturating_sub(now.len());
            }
            // Ours says something else than "normal" only when the peer broke a rule.
            if let Some(head) = wire.said.take(now)
                && head.kind == GO_AWAY
                && head.length != 0
            {
                wire.fault = Some(Fault::Rules);
            }
        }
        Poll::Ready(wire.say(bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Messages are sealed when all that is to be said now was said.
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
