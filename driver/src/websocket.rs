//! Carries a connection's frames in the messages of a WebSocket (RFC 6455), over TCP or over TLS on it.
//!
//! ```text
//!   queue ── frames ──► outgoing ── mask, if we dialled ──► socket
//!   framer ◄─ frames ── incoming ◄─ unmask, put together ── socket
//!                          └── ping ──► pong ──► outgoing
//! ```
//!
//! The tungstenite library knows the handshake, a frame's header, the opcodes and the codes; what it would do with a
//! message is done here, because it keeps a buffer for each connection and each direction, reserves what a frame
//! announces, and copies what is sent to many. A frame of ours is a message as a server sends it, so what is queued for a
//! peer that dialled goes to its socket like on TCP.

mod incoming;
mod mask;
mod outgoing;
mod socket;
pub mod trial;
mod upgrade;

use crate::tls::Tls;
use bytes::BytesMut;
use incoming::{Fault, Incoming};
use mask::Keys;
use outgoing::Outgoing;
use polypeer_engine::Time;
use socket::Socket;
use std::cell::RefCell;
use std::io::{self, ErrorKind, IoSlice};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
pub(crate) use upgrade::{dial, welcome};

/// What is read from the socket at one time: so much that the read's fixed cost does not show.
const READ_BYTES: usize = 64 << 10;
/// The same before the handshake of the peers is done.
const EARLY_READ_BYTES: usize = 4 << 10;
/// Bytes of the socket that one connection may bring, without a message among them, before the others have their turn.
const TURN_BYTES: usize = 256 << 10;
/// What our CLOSE says when the peer's was empty (RFC 6455, section 7.4.1): normal closure.
const NORMAL: [u8; 2] = 1000_u16.to_be_bytes();

/// What a network that speaks WebSocket must know of it, and what all its WebSockets share, so that an idle one owns none.
#[derive(Debug)]
pub(crate) struct Rules {
    message_bytes_max: usize,
    early_bytes_max: usize,
    tls: Option<Tls>,
    // What sockets are read to.
    raw: RefCell<BytesMut>,
    // What is masked.
    stage: RefCell<Vec<u8>>,
    keys: RefCell<Keys>,
}

impl Rules {
    pub(crate) fn new(message_bytes_max: usize, early_bytes_max: usize, tls: Option<Tls>) -> Rc<Self> {
        let (raw, stage, keys) = Default::default();
        Rc::new(Self { message_bytes_max, early_bytes_max, tls, raw, stage, keys })
    }
}

/// One WebSocket, from either end.
#[derive(Debug)]
pub(crate) struct WebSocket {
    socket: Socket,
    rules: Rc<Rules>,
    incoming: Incoming,
    outgoing: Outgoing,
    // What was read and not taken apart: the begin of a header, unless the reader had no room or had to look first.
    rest: BytesMut,
    fault: Option<Fault>,
    // Whether the fault was told, and what comes is read only to be thrown away.
    is_broken: bool,
}

impl WebSocket {
    // `rest` came behind the peer's part of the upgrade.
    fn new(socket: Socket, rules: Rc<Rules>, has_dialled: bool, rest: BytesMut) -> Self {
        let (incoming, outgoing) = (Incoming::new(!has_dialled), Outgoing::new(rules.clone(), has_dialled));
        let mut new = Self { socket, rules, incoming, outgoing, rest, fault: None, is_broken: false };
        new.set_pending(true);
        new
    }

    /// Whether the handshake of the peers is not done, so that messages must be short.
    pub(crate) fn set_pending(&mut self, is_pending: bool) {
        let max = if is_pending { self.rules.early_bytes_max } else { self.rules.message_bytes_max };
        self.incoming.limit(max, is_pending);
    }

    /// Begins a turn of the connection's task.
    pub(crate) fn begin_turn(&mut self, now: Time) {
        self.incoming.noise().refill(now);
    }

    /// See [`crate::stream::Stream::poll_readable`].
    pub(crate) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let has_more = !self.rest.is_empty()
            || self.incoming.has_more()
            || self.incoming.closed().is_some()
            || self.fault.is_some() && !self.is_broken;
        if has_more { Poll::Ready(Ok(())) } else { self.socket.poll_readable(cx) }
    }

    /// See [`crate::stream::Stream::poll_receive`].
    pub(crate) fn poll_receive(&mut self, buffer: &mut BytesMut, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut raw = self.rules.raw.take();
        raw.extend_from_slice(&self.rest);
        let received = self.receive(&mut raw, buffer, cx);
        self.rest = BytesMut::from(&raw[..]);
        raw.clear();
        self.rules.raw.replace(raw);
        received
    }

    fn receive(&mut self, raw: &mut BytesMut, buffer: &mut BytesMut, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let before = buffer.len();
        let mut bytes_left = TURN_BYTES;
        loop {
            if self.is_broken {
                raw.clear();
            } else if self.fault.is_none() {
                self.fault = self.incoming.take(raw, buffer, &mut self.outgoing).err();
            }
            let count = buffer.len() - before;
            if count > 0 {
                return Poll::Ready(Ok(count));
            }
            if self.incoming.closed().is_some() {
                return Poll::Ready(Ok(0));
            }
            if self.fault.is_some() && !std::mem::replace(&mut self.is_broken, true) {
                return Poll::Ready(Err(ErrorKind::InvalidData.into()));
            }
            if bytes_left == 0 {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let most = if self.incoming.is_early() { EARLY_READ_BYTES } else { READ_BYTES };
            let room = (buffer.capacity() - buffer.len()).max(EARLY_READ_BYTES);
            let read = ready!(self.socket.poll_read(raw, most.min(room), cx))?;
            if read == 0 {
                // A WebSocket ends with CLOSE.
                return Poll::Ready(Err(ErrorKind::UnexpectedEof.into()));
            }
            bytes_left = bytes_left.saturating_sub(read);
        }
    }

    /// Whether the last error was that the peer broke the rules.
    pub(crate) fn is_at_fault(&self) -> bool {
        self.is_broken
    }

    /// Whether more than messages would bear has come.
    pub(crate) fn is_noisy(&self) -> bool {
        self.fault == Some(Fault::TooMuchNoise)
    }

    /// Nobody waits for messages any more.
    pub(crate) fn discard(&mut self) {
        self.incoming.discard();
    }

    /// Writes what waits here; control frames only when no piece of the queue `is_begun`.
    pub(crate) fn catch_up(&mut self, is_begun: bool) -> io::Result<()> {
        self.outgoing.catch_up(&mut self.socket, is_begun)?;
        if self.is_broken && self.outgoing.is_closed() && !self.outgoing.has_unsent() {
            // The peer's CLOSE cannot be told from what else it sends. The end is something that it notices.
            self.socket.shut_down();
        }
        Ok(())
    }

    /// Writes pieces of the queue. How much of them it has taken.
    pub(crate) fn try_write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.outgoing.write(&mut self.socket, slices)
    }

    /// See [`crate::stream::Stream::poll_writable`].
    pub(crate) fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.socket.poll_writable(cx)
    }

    /// See [`crate::stream::Stream::takes_nothing`].
    pub(crate) fn takes_nothing(&self) -> bool {
        self.incoming.closed().is_some()
    }

    /// Says CLOSE: as the peer did, or what it did wrong, or nothing more than that.
    pub(crate) fn shut_down(&mut self) {
        match (self.incoming.closed(), self.fault) {
            (Some([]), _) => self.outgoing.close(&NORMAL),
            (Some(said), _) => self.outgoing.close(said),
            (None, Some(fault)) => self.outgoing.close(&u16::from(fault.code()).to_be_bytes()),
            (None, None) => self.outgoing.close(&[]),
        }
    }

    /// See [`crate::stream::Stream::has_unsent`].
    pub(crate) fn has_unsent(&self) -> bool {
        self.outgoing.has_unsent() || self.socket.has_unsent()
    }

    /// See [`crate::stream::Stream::unfinished_bytes`].
    pub(crate) fn unfinished_bytes(&self) -> usize {
        self.incoming.unfinished_bytes()
    }

    /// See [`crate::stream::Stream::held_bytes`].
    pub(crate) fn held_bytes(&self) -> usize {
        self.rest.len() + self.incoming.held_bytes() + self.outgoing.held_bytes()
    }

    /// Says CLOSE if it was not said and the socket takes it, and closes.
    pub(crate) fn hang_up(mut self, is_begun: bool) {
        self.shut_down();
        // What does not get through now never does.
        let _ = self.catch_up(is_begun);
        self.socket.shut_down();
    }
}
