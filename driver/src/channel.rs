//! Holds one channel of a connection that has many: its stream, its framer, what is half read and what waits to be written.

use crate::libp2p::{Muxer, Tube};
use crate::queue::{Flushed, Pool, Queue, Written};
use bytes::BytesMut;
use polypeer_engine::{ChannelId, Direction, Framer, Phase, Time};
use std::collections::BTreeMap;

/// All channels of a connection, in the order of their numbers.
pub(crate) type Channels<F> = BTreeMap<ChannelId, Box<Channel<F>>>;

/// One channel. While it is idle it holds no buffer.
#[derive(Debug)]
pub(crate) struct Channel<F> {
    pub(crate) stream: Tube,
    pub(crate) opener: Direction,
    pub(crate) framer: F,
    pub(crate) phase: Phase,
    /// What has come of a frame that is not whole, or, with `has_uncut`, frames that wait for the next turn.
    pub(crate) partial: BytesMut,
    /// Whether there may be whole frames, here or in the stream.
    pub(crate) has_uncut: bool,
    /// Since when a frame is in the making.
    pub(crate) partial_since: Option<Time>,
    /// Whether what comes is read only to be thrown away: after bytes that cannot be read on.
    pub(crate) is_deaf: bool,
    /// Whether the peer writes no more.
    pub(crate) is_finished: bool,
    /// Whether we write no more once the queue is written.
    pub(crate) is_finishing: bool,
    /// Whether that is said.
    pub(crate) is_closed: bool,
    pub(crate) queue: Queue,
    pub(crate) sent_since_writable: usize,
    /// Whether the engine is to hear that it is writable.
    pub(crate) is_writable_due: bool,
}

impl<F: Framer> Channel<F> {
    /// A channel that came to stand. `rest` came with the agreement on what it is for.
    pub(crate) fn new(stream: Tube, opener: Direction, framer: F, rest: BytesMut) -> Self {
        Self {
            stream,
            opener,
            framer,
            phase: Phase(0),
            has_uncut: !rest.is_empty(),
            partial: rest,
            partial_since: None,
            is_deaf: false,
            is_finished: false,
            is_finishing: false,
            is_closed: false,
            queue: Queue::default(),
            sent_since_writable: 0,
            is_writable_due: false,
        }
    }

    /// Whether frames may be queued on it.
    pub(crate) fn is_writable(&self) -> bool {
        !self.is_finishing
    }

    /// Whether both ends have said their last.
    pub(crate) fn is_over(&self) -> bool {
        self.is_finished && self.is_closed
    }

    /// See [`crate::connection::Connection::owes_writable`].
    pub(crate) fn owes_writable(&self, low_water: usize) -> bool {
        let low_water = low_water.max(1);
        self.is_writable() && self.sent_since_writable >= low_water && self.queue.bytes() < low_water
    }

    /// Bytes of a frame in the making. Whole frames that wait for their turn are ours to take, not the peer's to send.
    pub(crate) fn partial_bytes(&self) -> usize {
        if self.has_uncut { 0 } else { self.partial.len() + self.framer.held_bytes() }
    }

    /// Memory that it holds beyond what an idle one does, its queue aside.
    pub(crate) fn held_bytes(&self) -> usize {
        self.partial.capacity() + self.framer.held_bytes()
    }

    /// Drops what is half read. How much that was.
    pub(crate) fn discard_partial(&mut self) -> usize {
        self.has_uncut = false;
        self.partial_since = None;
        std::mem::take(&mut self.partial).len()
    }

    // Gives the stream what it takes of the queue. Whether that was anything.
    fn pour(&mut self, muxer: &mut Muxer, pool: &mut Pool, written: &mut Written) -> bool {
        let Self { stream, queue, .. } = self;
        let mut has_moved = queue.bytes() > 0 && queue.pour(pool, written, |bytes| stream.write(muxer, bytes));
        if self.is_finishing && !self.is_closed && self.queue.bytes() == 0 {
            self.is_closed = self.stream.finish();
            has_moved |= self.is_closed;
        }
        has_moved
    }
}

/// Writes what waits on all channels, each in its turn, as far as their windows and the socket take it.
pub(crate) fn flush<F: Framer>(
    channels: &mut Channels<F>,
    muxer: &mut Muxer,
    pool: &mut Pool,
    written: &mut Written,
) -> Flushed {
    loop {
        let mut has_moved = false;
        if !muxer.is_blocked() {
            for channel in channels.values_mut() {
                has_moved |= channel.pour(muxer, pool, written);
            }
        }
        if muxer.push().is_err() {
            return Flushed::Broken;
        }
        if muxer.is_blocked() {
            return Flushed::Blocked;
        }
        if !has_moved {
            return Flushed::Empty;
        }
    }
}
