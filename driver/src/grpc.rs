//! Carries a connection's bytes in one call of gRPC over HTTP/2: the DATA of one stream, each way.
//!
//! ```text
//!   queue ── Bytes ──► Grpc ──► h2 ──► gate ──► socket
//!   framer ◄─ bytes ── Grpc ◄── h2 ◄── gate ◄── socket
//! ```
//!
//! The h2 library keeps HTTP/2's rules: frames, flow control, header compression, and limits to rapid resets,
//! continuations, empty and tiny frames. It is driven by the connection's own task alone, some KiB at a time, so that
//! what it has taken is received before it takes more: a peer that is not read fills a window at the other end, not
//! memory at ours. gRPC's prefix of a message is the framer's; compression is the protocol's.

mod gate;
mod open;

use crate::noise::Noise;
use bytes::{Buf, Bytes, BytesMut};
use gate::{Gate, Gated};
use h2::client::SendRequest;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderValue};
pub(crate) use open::{Rules, dial, welcome};
use polypeer_engine::Time;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Bytes that HTTP/2 takes from the socket before what it made of them is received.
const STEP_BYTES: usize = 64 << 10;
/// Bytes that a connection may bring in a turn before the others have theirs.
const TURN_BYTES: usize = 256 << 10;
/// Bytes that are taken from a peer that must wait for the ledger, until it is read again: enough for some hundred
/// window updates, without which what we send would stop too.
const PAUSED_BYTES: usize = 8 << 10;
/// What is handed to HTTP/2 and not with the socket yet.
const SEND_BYTES_MAX: usize = 256 << 10;

/// One call, from either end.
pub(crate) struct Grpc {
    connection: Side,
    sending: SendStream<Bytes>,
    receiving: RecvStream,
    gate: Rc<Gate>,
    // What has come and found no room in the reader's buffer yet.
    inbox: Bytes,
    // Of the socket's bytes, what this turn may still take.
    turn_left: usize,
    // The same, until the connection is read again.
    paused_left: usize,
    is_paused: bool,
    unsent: usize,
    noise: Noise,
    // Whether the HTTP/2 connection has ended.
    is_over: bool,
    // Whether all that came was received, and nothing more comes.
    is_read: bool,
}

/// Who dialled.
enum Side {
    /// The peer did.
    Server(h2::server::Connection<Gated, Bytes>),
    /// We did. Without the handle for more requests HTTP/2 would end the connection with the call.
    Client(h2::client::Connection<Gated, Bytes>, SendRequest<Bytes>),
}

impl Grpc {
    fn new(connection: Side, sending: SendStream<Bytes>, receiving: RecvStream, gate: Rc<Gate>) -> Self {
        Self {
            connection,
            sending,
            receiving,
            gate,
            inbox: Bytes::new(),
            turn_left: 0,
            paused_left: PAUSED_BYTES,
            is_paused: false,
            unsent: 0,
            noise: Noise::new(),
            is_over: false,
            is_read: false,
        }
    }

    /// Begins a turn of the connection's task: HTTP/2 writes what waits and takes what has come. `is_paused` when
    /// nothing is received in this turn.
    pub(crate) fn begin_turn(&mut self, cx: &mut Context<'_>, now: Time, is_paused: bool) {
        self.noise.refill(now);
        self.is_paused = is_paused;
        self.turn_left = if is_paused { self.paused_left } else { TURN_BYTES };
        self.drive(cx);
        self.paused_left = if is_paused { self.turn_left } else { PAUSED_BYTES };
    }

    /// Ends a turn. False when the peer sends too much that is no message.
    pub(crate) fn end_turn(&self, cx: &Context<'_>) -> bool {
        if self.is_starved() && !self.is_paused {
            // Nobody waits for the socket.
            cx.waker().wake_by_ref();
        }
        !self.noise.is_too_much()
    }

    /// See [`crate::stream::Stream::poll_readable`].
    pub(crate) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if !self.inbox.is_empty() {
                return Poll::Ready(Ok(()));
            }
            match self.poll_inbox() {
                Poll::Ready(received) => return Poll::Ready(received.map(|_| ())),
                Poll::Pending if self.may_go_on() => self.drive(cx),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// See [`crate::stream::Stream::poll_receive`].
    pub(crate) fn poll_receive(&mut self, buffer: &mut BytesMut, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            let (count, end) = self.receive(buffer);
            if count > 0 {
                self.noise.was_payload(count);
                // It is refused only when the call is over.
                let _ = self.receiving.flow_control().release_capacity(count);
                return Poll::Ready(Ok(count));
            }
            match end {
                Poll::Ready(end) => return Poll::Ready(end.map(|_| 0)),
                Poll::Pending if self.may_go_on() => self.drive(cx),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    // Fills the buffer's room. How much came; and, when that is not all of it, how the stream stands.
    fn receive(&mut self, buffer: &mut BytesMut) -> (usize, Poll<io::Result<bool>>) {
        let mut count = 0;
        loop {
            let fits = self.inbox.len().min(buffer.capacity() - buffer.len());
            buffer.extend_from_slice(&self.inbox[..fits]);
            self.inbox.advance(fits);
            count += fits;
            if !self.inbox.is_empty() {
                return (count, Poll::Pending);
            }
            match self.poll_inbox() {
                Poll::Ready(Ok(true)) => {}
                end => return (count, end),
            }
        }
    }

    // The next bytes that HTTP/2 has, into the inbox. False at the end of the stream.
    fn poll_inbox(&mut self) -> Poll<io::Result<bool>> {
        // What comes comes while the connection is driven, by the task that asks here afterwards.
        let mut nobody = Context::from_waker(Waker::noop());
        loop {
            match self.receiving.poll_data(&mut nobody) {
                // A connection that cannot be written to ends, and HTTP/2 does not tell its streams.
                Poll::Pending if self.is_over => {
                    self.is_read = true;
                    return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
                }
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(bytes))) if bytes.is_empty() => {}
                Poll::Ready(Some(Ok(bytes))) => {
                    self.inbox = bytes;
                    return Poll::Ready(Ok(true));
                }
                Poll::Ready(end) => {
                    self.is_read = true;
                    return Poll::Ready(match end {
                        Some(Err(error)) if !is_orderly(&error) => Err(broken(error)),
                        _ => Ok(false),
                    });
                }
            }
        }
    }

    /// Takes the first of `bytes`, of `waiting` in all; not one byte more than the peer's window and the socket have
    /// room for.
    pub(crate) fn try_write(&mut self, bytes: &Bytes, waiting: usize) -> io::Result<usize> {
        self.sending.reserve_capacity(waiting.min(SEND_BYTES_MAX));
        if self.gate.is_blocked() {
            // The queue holds small frames more cheaply than HTTP/2 does.
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = self.sending.capacity().min(bytes.len());
        if self.is_over || count == 0 || self.sending.send_data(bytes.slice(..count), false).is_err() {
            // A call that was ended takes nothing, but its last word is to be received first.
            let is_broken = self.is_read && self.takes_nothing();
            return Err(if is_broken { ErrorKind::BrokenPipe } else { ErrorKind::WouldBlock }.into());
        }
        self.unsent += count;
        self.noise.sent(count);
        Ok(count)
    }

    /// See [`crate::stream::Stream::poll_writable`].
    pub(crate) fn poll_writable(&mut self) -> Poll<()> {
        let takes_more = !self.gate.is_blocked() && self.sending.capacity() > 0;
        if takes_more { Poll::Ready(()) } else { Poll::Pending }
    }

    /// See [`crate::stream::Stream::takes_nothing`].
    pub(crate) fn takes_nothing(&mut self) -> bool {
        self.is_over || self.sending.poll_reset(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    /// See [`crate::stream::Stream::shut_down`].
    pub(crate) fn shut_down(&mut self) {
        let said = match &self.connection {
            Side::Server(_) => self.sending.send_trailers(trailers()),
            Side::Client(..) => self.sending.send_data(Bytes::new(), true),
        };
        self.unsent += usize::from(said.is_ok());
    }

    /// See [`crate::stream::Stream::has_unsent`].
    pub(crate) fn has_unsent(&self) -> bool {
        self.unsent > 0
    }

    /// See [`crate::stream::Stream::held_bytes`].
    pub(crate) fn held_bytes(&self) -> usize {
        self.unsent + self.inbox.len() + self.gate.held()
    }

    /// Says GOAWAY if the socket takes it, and closes.
    pub(crate) fn hang_up(self) {
        let Self { connection, sending, receiving, gate, is_over, .. } = self;
        if is_over {
            return;
        }
        drop((sending, receiving));
        gate.open(0);
        let mut nobody = Context::from_waker(Waker::noop());
        // What does not get through now never does.
        match connection {
            Side::Server(mut connection) => {
                connection.abrupt_shutdown(Reason::NO_ERROR);
                let _ = connection.poll_closed(&mut nobody);
            }
            Side::Client(mut connection, requests) => {
                drop(requests);
                let _ = Pin::new(&mut connection).poll(&mut nobody);
            }
        }
    }

    fn may_go_on(&self) -> bool {
        self.is_starved() && self.turn_left > 0
    }

    fn is_starved(&self) -> bool {
        !self.is_over && self.gate.is_starved()
    }

    // Lets HTTP/2 do its work.
    fn drive(&mut self, cx: &mut Context<'_>) {
        if self.is_over {
            return;
        }
        self.gate.open(self.turn_left.min(STEP_BYTES));
        self.is_over = self.connection.poll(cx).is_ready();
        self.turn_left = self.turn_left.saturating_sub(self.gate.read());
        self.noise.came(self.gate.read());
        // What was handed over is within the peer's window: all of it goes as long as the socket takes it.
        if self.is_over || !self.gate.is_blocked() {
            self.unsent = 0;
        }
    }
}

impl Side {
    // Ready when the connection has ended; why shows in the call.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Client(connection, _) => Pin::new(connection).poll(cx).map(|_| ()),
            Self::Server(connection) => loop {
                match connection.poll_accept(cx) {
                    Poll::Pending => return Poll::Pending,
                    // One call a connection: more are refused by the announced limit, but the first may be over.
                    Poll::Ready(Some(Ok((_, mut respond)))) => respond.send_reset(Reason::REFUSED_STREAM),
                    Poll::Ready(_) => return Poll::Ready(()),
                }
            },
        }
    }
}

impl std::fmt::Debug for Grpc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Grpc").field("unsent", &self.unsent).field("is_over", &self.is_over).finish_non_exhaustive()
    }
}

// What ends a call that nothing is wrong with.
fn trailers() -> HeaderMap {
    HeaderMap::from_iter([(open::GRPC_STATUS, HeaderValue::from_static("0"))])
}

// A peer's way of saying that it has had enough.
fn is_orderly(error: &h2::Error) -> bool {
    error.is_remote() && matches!(error.reason(), Some(Reason::NO_ERROR | Reason::CANCEL))
}

fn broken(error: h2::Error) -> io::Error {
    io::Error::new(ErrorKind::ConnectionReset, error)
}
