//! Reads from sockets into one buffer that all connections of a thread share, and cuts frames from it.
//!
//! An idle connection owns no buffer. What is left of an unfinished frame stays where it is until another connection
//! needs the room, then it is copied into the connection's own; once that is large, more is read straight into it: it
//! grows with what really came, by doubling at most.

use crate::host::{EFFECTS_MAX, Host};
use bytes::{Buf, BytesMut};
use polypeer_engine::{BadFrame, ChannelId, ConnectionId, DisconnectCause, Frame, Framed, Framer, P2pAction, Protocol};
use std::task::{Context, Poll};

/// The shared buffer: large enough that a read's fixed cost does not show, small enough for the cache.
const READ_BYTES: usize = 256 << 10;
/// With less room than this the buffer is wound back before the next read.
const READ_BYTES_MIN: usize = 16 << 10;
/// A connection's own buffer is at most so much larger than twice what is in it.
const SPARE_BYTES: usize = 64 << 10;
/// What is left of a frame and longer than this is read on in the connection's own buffer.
pub(crate) const OWN_BYTES: usize = 8 << 10;
/// The most that a connection's own buffer grows by at one time.
const GROW_BYTES_MAX: usize = 1 << 20;
/// Bytes that one connection may bring in a turn before the others have theirs.
const TURN_BYTES: usize = 256 << 10;
/// Frames that one connection may bring in a turn.
pub(crate) const TURN_FRAMES: u32 = 1024;

/// How a turn of reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Nothing more has come; the socket wakes the task.
    Waits,
    /// There is more, and it is the others' turn.
    GoesOn,
    /// Something else wakes the task: the connection is gone or finished, or the ledger is behind.
    Rests,
}

impl<P: Protocol> Host<P> {
    /// One connection's turn to read.
    pub(crate) fn read_turn(&mut self, id: ConnectionId, cx: &mut Context<'_>) -> Turn {
        let Some(connection) = self.connections.get_mut(&id) else { return Turn::Rests };
        if connection.is_finished {
            return Turn::Rests;
        }
        if !connection.is_heard() {
            return self.discard_turn(id, cx);
        }
        if self.asks.must_wait(connection.asks) {
            self.paused.push(id);
            return Turn::Rests;
        }
        if !connection.has_uncut {
            match connection.stream.poll_readable(cx) {
                Poll::Pending => return Turn::Waits,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return self.broken(id),
            }
        }
        let mut buffer = if connection.partial.len() > OWN_BYTES {
            ReadBuffer { bytes: std::mem::take(&mut connection.partial), allocated: connection.allocated, is_own: true }
        } else {
            self.shared_buffer(id)
        };
        let mut frames_left = TURN_FRAMES;
        self.reading = Some(id);
        let turn = self.read_into(id, cx, &mut buffer, &mut frames_left);
        self.reading = None;
        self.put_away(id, buffer, frames_left < TURN_FRAMES);
        turn
    }

    // The buffer that all share, with what this connection has of an unfinished frame and nothing else in it.
    pub(crate) fn shared_buffer(&mut self, id: ConnectionId) -> ReadBuffer {
        let mut scratch = std::mem::take(&mut self.scratch);
        if let Some(lodger) = self.lodger.take()
            && let Some(connection) = self.connections.get_mut(&lodger)
            && connection.lodged > 0
        {
            let lodged = std::mem::take(&mut connection.lodged);
            if lodger == id {
                return scratch;
            }
            connection.partial = BytesMut::from(&scratch.bytes[..]);
            connection.allocated = lodged;
        }
        scratch.bytes.clear();
        if let Some(connection) = self.connections.get_mut(&id) {
            scratch.bytes.extend_from_slice(&connection.partial);
            connection.partial = BytesMut::new();
        }
        scratch
    }

    fn read_into(
        &mut self,
        id: ConnectionId,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuffer,
        frames_left: &mut u32,
    ) -> Turn {
        let mut bytes_left = TURN_BYTES;
        loop {
            let Some(connection) = self.connections.get_mut(&id) else { return Turn::Rests };
            if !std::mem::take(&mut connection.has_uncut) {
                if bytes_left == 0 {
                    return Turn::GoesOn;
                }
                buffer.make_room();
                match connection.stream.poll_receive(&mut buffer.bytes, cx) {
                    Poll::Pending => return Turn::Waits,
                    Poll::Ready(Ok(0)) => {
                        self.finished(id);
                        return Turn::Rests;
                    }
                    Poll::Ready(Ok(count)) => {
                        connection.received(count, self.now);
                        bytes_left = bytes_left.saturating_sub(count);
                    }
                    Poll::Ready(Err(_)) => return self.broken(id),
                }
            }
            if let Some(turn) = self.cut_all(id, ChannelId::ONLY, &mut buffer.bytes, frames_left) {
                return turn;
            }
        }
    }

    // Nothing more can be received.
    fn broken(&mut self, id: ConnectionId) -> Turn {
        if self.connections.get(&id).is_some_and(|connection| connection.stream.is_at_fault()) {
            // The engine says what the peer gets for it, and closes.
            self.refused(id, ChannelId::ONLY, BadFrame::of_host(BadFrame::OF_TRANSPORT));
        } else {
            self.end(id, DisconnectCause::Broken);
        }
        Turn::Rests
    }

    /// Hands all whole frames of a channel that are in the buffer to the engine. How the turn ends, if that ends it.
    pub(crate) fn cut_all(
        &mut self,
        id: ConnectionId,
        channel: ChannelId,
        buffer: &mut BytesMut,
        frames_left: &mut u32,
    ) -> Option<Turn> {
        let last_phase = self.rules().last_phase;
        loop {
            let Some(connection) = self.connections.get_mut(&id) else { return Some(Turn::Rests) };
            if !connection.hears(channel) {
                // What came behind the last frame that counted.
                connection.discarded(buffer.len());
                buffer.clear();
                return Some(Turn::GoesOn);
            }
            if *frames_left == 0 {
                connection.leave_uncut(channel);
                return Some(Turn::GoesOn);
            }
            let Some((framer, phase)) = connection.cutter(channel) else { return Some(Turn::Rests) };
            let is_settled = phase >= last_phase && self.recorder.is_none();
            if is_settled && framer.whole(phase, buffer).is_some() {
                self.cut_run(id, channel, buffer, frames_left);
                continue;
            }
            let before = buffer.len();
            let framed = framer.next(phase, buffer);
            let taken = before - buffer.len();
            match framed {
                Framed::More => {
                    connection.refused(taken);
                    return None;
                }
                Framed::Bad(bad) => {
                    *frames_left -= 1;
                    connection.refused(taken);
                    self.refused(id, channel, bad);
                }
                Framed::Frame(frame) => {
                    *frames_left -= 1;
                    connection.refused(taken.saturating_sub(frame.len()));
                    connection.received_frames(1, frame.len());
                    self.step(P2pAction::MessageReceived { connection: id, channel, frame });
                    self.apply();
                }
            }
        }
    }

    // Hands over frames one after another: the innermost loop of the whole program.
    fn cut_run(&mut self, id: ConnectionId, channel: ChannelId, buffer: &mut BytesMut, frames_left: &mut u32) {
        let run = std::mem::take(buffer).freeze();
        let (mut at, mut is_over) = (0, false);
        while !is_over {
            let Self { connections, engine, effects, now, .. } = self;
            let Some(connection) = connections.get_mut(&id).filter(|connection| connection.hears(channel)) else {
                break;
            };
            let Some((framer, phase)) = connection.cutter(channel) else { break };
            let (before, start) = (*frames_left, at);
            engine.receive(*now, id, channel, effects, |effects| {
                if effects >= EFFECTS_MAX {
                    return None;
                }
                let length = framer.whole(phase, &run[at..]).filter(|_| *frames_left > 0);
                is_over = length.is_none();
                *frames_left -= u32::from(!is_over);
                let frame = Frame::at(&run, at, length?);
                at += frame.len();
                Some(frame)
            });
            let frames = before - *frames_left;
            connection.received_frames(frames, at - start);
            self.totals.steps += u64::from(frames);
            self.apply();
            // Not even one was taken: the engine knows the connection no longer.
            is_over |= frames == 0;
        }
        // The buffer is taken back unless someone shares a frame of it; then what is left moves out.
        let mut rest = run;
        rest.advance(at);
        *buffer = rest.try_into_mut().unwrap_or_else(|rest| BytesMut::from(&rest[..]));
    }

    /// Tells the engine of bytes that are no frame. After fatal ones nobody listens to the channel any more, which may be
    /// the whole connection.
    pub(crate) fn refused(&mut self, id: ConnectionId, channel: ChannelId, bad: BadFrame) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let was_heard = connection.hears(channel);
        if was_heard {
            connection.received_bad_frame();
        }
        if bad.fatal && channel == ChannelId::ONLY {
            connection.is_deaf = true;
            connection.discard_partial();
            self.partials.forget(id, connection);
        } else if bad.fatal {
            connection.deafen(channel);
            self.partials.note_channels(id, connection);
        }
        if bad.fatal {
            // The task goes on to discard.
            connection.wake();
        }
        if !was_heard {
            return;
        }
        self.step(P2pAction::BadFrame { connection: id, channel, bad });
        self.apply();
    }

    /// Takes the shared buffer back.
    pub(crate) fn give_back(&mut self, buffer: ReadBuffer) {
        if !buffer.is_own && buffer.is_kept() {
            self.scratch = buffer;
        }
    }

    // Leaves this connection with no more than it needs, and the shared buffer to the next one.
    fn put_away(&mut self, id: ConnectionId, mut buffer: ReadBuffer, has_cut: bool) {
        let is_shared = !buffer.is_own;
        if let Some(connection) = self.connections.get_mut(&id) {
            let held = buffer.bytes.len();
            if connection.is_heard() {
                if held > OWN_BYTES && buffer.allocated <= 2 * held + SPARE_BYTES {
                    connection.allocated = buffer.allocated;
                    connection.partial = std::mem::take(&mut buffer).bytes;
                } else if held > 0 && is_shared && buffer.is_kept() {
                    connection.lodged = held;
                    self.lodger = Some(id);
                } else if held > 0 {
                    connection.allocated = held;
                    connection.partial = BytesMut::from(&buffer.bytes[..]);
                }
                self.partials.note(id, connection, self.now.monotonic, has_cut);
            } else {
                connection.discarded(buffer.bytes.len());
                self.partials.forget(id, connection);
            }
        } else {
            self.gone.bytes_discarded += buffer.bytes.len() as u64;
        }
        self.charge(id);
        if is_shared && buffer.is_kept() {
            self.scratch = buffer;
        }
    }

    // Reads only to throw away: so that a close reaches the peer instead of a reset, and its own is noticed.
    fn discard_turn(&mut self, id: ConnectionId, cx: &mut Context<'_>) -> Turn {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.discard_partial();
        }
        let mut scratch = self.shared_buffer(id);
        let turn = self.discard_into(id, cx, &mut scratch);
        scratch.bytes.clear();
        self.scratch = scratch;
        turn
    }

    fn discard_into(&mut self, id: ConnectionId, cx: &mut Context<'_>, scratch: &mut ReadBuffer) -> Turn {
        let mut bytes_left = TURN_BYTES;
        while bytes_left > 0 {
            let Some(connection) = self.connections.get_mut(&id) else { return Turn::Rests };
            connection.discard_partial();
            scratch.bytes.clear();
            scratch.make_room();
            match connection.stream.poll_receive(&mut scratch.bytes, cx) {
                Poll::Pending => return Turn::Waits,
                Poll::Ready(Ok(0)) => {
                    self.finished(id);
                    return Turn::Rests;
                }
                Poll::Ready(Ok(count)) => {
                    connection.received(count, self.now);
                    connection.discarded(count);
                    bytes_left = bytes_left.saturating_sub(count);
                }
                Poll::Ready(Err(_)) => {
                    let cause = connection.ending.map_or(DisconnectCause::Broken, |ending| ending.cause);
                    self.end(id, cause);
                    return Turn::Rests;
                }
            }
        }
        Turn::GoesOn
    }
}

/// Bytes that came, and how large the memory behind them is: frames cut off the front still belong to it.
#[derive(Debug, Default)]
pub(crate) struct ReadBuffer {
    pub(crate) bytes: BytesMut,
    allocated: usize,
    /// A connection's or a channel's own, not the shared one.
    pub(crate) is_own: bool,
}

impl ReadBuffer {
    /// A channel's own.
    pub(crate) fn own(bytes: BytesMut) -> Self {
        Self { allocated: bytes.capacity(), bytes, is_own: true }
    }

    // Whether it is no larger than one that all share should be.
    fn is_kept(&self) -> bool {
        self.allocated <= 2 * READ_BYTES
    }

    // Winds the buffer back, or lets it grow to twice what is in it and a little.
    fn make_room(&mut self) {
        let held = self.bytes.len();
        if self.bytes.capacity() - held >= READ_BYTES_MIN {
            return;
        }
        let grown = held.min(GROW_BYTES_MAX) + SPARE_BYTES;
        self.bytes.reserve(if self.is_own { grown } else { grown.max(READ_BYTES.saturating_sub(held)) });
        self.allocated = self.allocated.max(self.bytes.capacity());
    }
}
