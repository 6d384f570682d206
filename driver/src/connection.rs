//! Holds one connection: its socket, its framer, what is half read and what waits to be written; or its channels, which
//! have those each.

use crate::channel::{self, Channel, Channels};
use crate::meter::Meter;
use crate::places::Place;
use crate::queue::{Flushed, Pool, Queue, Written};
use crate::stream::Stream;
use bytes::{Bytes, BytesMut};
use polypeer_engine::{ChannelId, ConnectionId, DisconnectCause, Framer, Now, Phase, Time};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::task::{Context, Waker};
use std::time::Duration;

/// The engine hears of frames that were dropped at most this often for each connection: it is for people.
const DROPS_TOLD_EVERY: Duration = Duration::from_secs(60);

/// All connections of a network.
pub(crate) type Connections<F> = HashMap<ConnectionId, Box<Connection<F>>, BuildHasherDefault<IdHasher>>;

/// One connection. While it is idle it holds no buffer.
#[derive(Debug)]
pub(crate) struct Connection<F> {
    pub(crate) stream: Stream,
    pub(crate) framer: F,
    pub(crate) phase: Phase,
    /// Its place among the calls whose handshake is not done.
    pub(crate) pending: Option<Place>,
    /// What has come of a frame that is not whole, or, with `has_uncut`, frames that wait for the next turn.
    pub(crate) partial: BytesMut,
    /// How large the memory behind `partial` is.
    pub(crate) allocated: usize,
    /// The same as `partial`, while it still stands in the buffer that all share: how many bytes there are its.
    pub(crate) lodged: usize,
    /// Whether `partial` may hold whole frames.
    pub(crate) has_uncut: bool,
    /// Since when a frame is in the making, where the protocol limits that time.
    pub(crate) partial_since: Option<Time>,
    /// Whether what comes is read only to be thrown away: after bytes that cannot be read on.
    pub(crate) is_deaf: bool,
    /// Whether the peer writes no more.
    pub(crate) is_finished: bool,
    /// On its way out.
    pub(crate) ending: Option<Ending>,
    /// Whether the socket took no more and the task waits for it.
    pub(crate) is_blocked: bool,
    /// Whether it stands in the host's list of queues to flush.
    pub(crate) is_dirty: bool,
    /// Whether the engine is to hear that it is writable.
    pub(crate) is_writable_due: bool,
    /// What it is charged in the memory budget.
    pub(crate) charged: usize,
    /// What it is charged in the network's own budget for frames in the making.
    pub(crate) partial_charged: usize,
    /// Questions that its frames put to the ledger and that are not answered, and their bytes.
    pub(crate) asks: usize,
    pub(crate) ask_bytes: usize,
    /// Its channels, where it has many: then what is said of one above is said of each of them.
    pub(crate) channels: Channels<F>,
    // What waits in their queues.
    channel_bytes: usize,
    queue: Queue,
    sent_since_writable: usize,
    waker: Option<Waker>,
    meter: Meter,
    // Dropped frames that the engine has not been told of, and when it was told last.
    untold_drops: u64,
    drops_told: Option<Time>,
}

/// How a connection goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending {
    /// What the engine will be told.
    pub(crate) cause: DisconnectCause,
    /// Whether to wait for the peer to close, when all is written.
    pub(crate) lingers: bool,
    /// When it is cut.
    pub(crate) until: Time,
    /// Whether our sending side is shut down.
    pub(crate) is_shut: bool,
}

impl<F: Framer> Connection<F> {
    pub(crate) fn new(stream: Stream, framer: F, pending: Option<Place>, now: Now) -> Self {
        Self {
            stream,
            framer,
            phase: Phase(0),
            pending,
            partial: BytesMut::new(),
            allocated: 0,
            lodged: 0,
            has_uncut: false,
            partial_since: None,
            is_deaf: false,
            is_finished: false,
            ending: None,
            is_blocked: false,
            is_dirty: false,
            is_writable_due: false,
            charged: 0,
            partial_charged: 0,
            asks: 0,
            ask_bytes: 0,
            channels: Channels::new(),
            channel_bytes: 0,
            queue: Queue::default(),
            sent_since_writable: 0,
            waker: None,
            meter: Meter { connected: now, ..Meter::default() },
            untold_drops: 0,
            drops_told: None,
        }
    }

    /// Whether frames are handed to the engine.
    pub(crate) fn is_heard(&self) -> bool {
        !self.is_deaf && self.ending.is_none() && !self.is_finished
    }

    /// Whether frames of this channel are.
    pub(crate) fn hears(&self, channel: ChannelId) -> bool {
        let is_there = || self.channels.get(&channel).is_some_and(|channel| !channel.is_deaf);
        self.is_heard() && (channel == ChannelId::ONLY || is_there())
    }

    /// What cuts a channel's bytes, and by the rules of which phase.
    pub(crate) fn cutter(&mut self, channel: ChannelId) -> Option<(&mut F, Phase)> {
        if channel == ChannelId::ONLY {
            return Some((&mut self.framer, self.phase));
        }
        self.channels.get_mut(&channel).map(|channel| (&mut channel.framer, channel.phase))
    }

    /// Leaves whole frames for the next turn.
    pub(crate) fn leave_uncut(&mut self, channel: ChannelId) {
        if channel == ChannelId::ONLY {
            self.has_uncut = true;
        } else if let Some(channel) = self.channels.get_mut(&channel) {
            channel.has_uncut = true;
        }
    }

    /// Whether it can be written to on this channel.
    pub(crate) fn takes(&self, channel: ChannelId) -> bool {
        match channel {
            ChannelId::ONLY => !self.stream.is_muxed(),
            _ => self.channels.get(&channel).is_some_and(|channel| channel.is_writable()),
        }
    }

    /// Whether the engine has closed it.
    pub(crate) fn is_closed_by_us(&self) -> bool {
        self.ending.is_some_and(|ending| ending.cause == DisconnectCause::Ours)
    }

    /// Remembers which task to wake.
    pub(crate) fn polled(&mut self, cx: &Context<'_>) {
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
        }
    }

    /// Has the connection's task look again.
    pub(crate) fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }

    pub(crate) fn queue_bytes(&self) -> usize {
        self.queue.bytes() + self.channel_bytes
    }

    /// Notes that the engine wants `bytes` sent; it counts them too, dropped or not.
    pub(crate) fn wants_to_send(&mut self, channel: ChannelId, bytes: usize) {
        self.meter.frames_queued += 1;
        self.meter.bytes_queued += bytes as u64;
        let sent = match self.channels.get_mut(&channel) {
            Some(channel) => &mut channel.sent_since_writable,
            None => &mut self.sent_since_writable,
        };
        *sent = sent.saturating_add(bytes);
    }

    /// Adds a frame to a queue. Whether the channel takes it was asked before.
    pub(crate) fn enqueue(&mut self, channel: ChannelId, frame: Bytes, pool: &mut Pool) {
        match self.channels.get_mut(&channel) {
            Some(channel) => {
                self.channel_bytes += frame.len();
                channel.queue.push(frame, pool);
            }
            None => self.queue.push(frame, pool),
        }
    }

    /// The frame's channel ended while room was made for it.
    pub(crate) fn unsent(&mut self, bytes: usize) {
        self.meter.unsent(bytes);
    }

    /// The frame found no room.
    pub(crate) fn dropped(&mut self, bytes: usize) {
        self.meter.frames_dropped += 1;
        self.meter.bytes_unsent += bytes as u64;
    }

    /// The frame is gossip, and memory is short.
    pub(crate) fn shed(&mut self, bytes: usize) {
        self.meter.frames_shed += 1;
        self.meter.bytes_unsent += bytes as u64;
    }

    /// The engine wants `bytes` sent, but the connection is on its way out.
    pub(crate) fn too_late(&mut self, bytes: usize) {
        self.meter.too_late(bytes);
    }

    /// When anything last moved.
    pub(crate) fn last_moved(&self) -> Time {
        let Meter { connected, last_received, last_sent, .. } = self.meter;
        let times = [Some(connected), last_received, last_sent];
        times.into_iter().flatten().map(|now| now.monotonic).max().unwrap_or_default()
    }

    /// It was gossip, so the connection stays. How many such frames the engine is to be told of: at once, then at most
    /// once a minute.
    pub(crate) fn drops_to_tell(&mut self, now: Time) -> Option<u64> {
        self.untold_drops += 1;
        let is_told_lately = self.drops_told.is_some_and(|told| now.since(told) < DROPS_TOLD_EVERY);
        if is_told_lately {
            return None;
        }
        self.drops_told = Some(now);
        self.last_drops()
    }

    /// What the engine has not been told of dropped frames.
    pub(crate) fn last_drops(&mut self) -> Option<u64> {
        Some(std::mem::take(&mut self.untold_drops)).filter(|frames| *frames > 0)
    }

    /// Writes what the socket takes.
    pub(crate) fn flush(&mut self, pool: &mut Pool, now: Now) -> Flushed {
        let mut written = Written::default();
        let flushed = match &mut self.stream {
            Stream::Libp2p(muxer) => {
                let flushed = channel::flush(&mut self.channels, muxer, pool, &mut written);
                self.channel_bytes -= written.bytes;
                flushed
            }
            stream => self.queue.flush(stream, pool, &mut written),
        };
        if written.bytes > 0 {
            self.meter.bytes_sent += written.bytes as u64;
            self.meter.frames_sent += written.frames as u64;
            self.meter.last_sent = Some(now);
        }
        self.is_blocked = matches!(flushed, Flushed::Blocked);
        flushed
    }

    /// Closes what it stands on.
    pub(crate) fn hang_up(self) {
        self.stream.hang_up(self.queue.is_begun());
    }

    /// Whether the engine is owed the word that it may make answers again: enough was sent since the last such
    /// word, and most of it is read.
    pub(crate) fn owes_writable(&self, low_water: usize) -> bool {
        let low_water = low_water.max(1);
        self.sent_since_writable >= low_water && self.queue.bytes() < low_water
    }

    /// The engine is told now.
    pub(crate) fn told_writable(&mut self) {
        self.is_writable_due = false;
        self.sent_since_writable = 0;
    }

    pub(crate) fn received(&mut self, bytes: usize, now: Now) {
        self.meter.bytes_received += bytes as u64;
        self.meter.last_received = Some(now);
    }

    pub(crate) fn received_frames(&mut self, count: u32, bytes: usize) {
        self.meter.frames_received += u64::from(count);
        self.meter.bytes_framed += bytes as u64;
    }

    /// The framer took these bytes and made no frame of them.
    pub(crate) fn refused(&mut self, bytes: usize) {
        self.meter.bytes_refused += bytes as u64;
    }

    pub(crate) fn received_bad_frame(&mut self) {
        self.meter.bad_frames += 1;
    }

    /// Nobody waits for the rest of what is half read.
    pub(crate) fn discard_partial(&mut self) {
        self.discarded(self.unfinished());
        self.stream.discard();
        self.partial = BytesMut::new();
        self.lodged = 0;
        self.has_uncut = false;
        for channel in self.channels.values_mut() {
            channel.discard_partial();
        }
    }

    /// A channel ends: what it had waiting is lost, and what is half read is discarded.
    pub(crate) fn remove_channel(&mut self, id: ChannelId) -> Option<Box<Channel<F>>> {
        let channel = self.channels.remove(&id)?;
        self.channel_bytes -= channel.queue.bytes();
        self.meter.frames_lost += channel.queue.frames() as u64;
        self.meter.bytes_unsent += channel.queue.bytes() as u64;
        self.discarded(channel.partial.len());
        Some(channel)
    }

    /// Nobody waits for the rest of what is half read on a channel.
    pub(crate) fn deafen(&mut self, id: ChannelId) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        channel.is_deaf = true;
        let bytes = channel.discard_partial();
        self.discarded(bytes);
    }

    /// The channel whose frame in the making was begun first.
    pub(crate) fn slowest(&self) -> ChannelId {
        let begun = self.channels.iter().filter_map(|(id, channel)| Some((channel.partial_since?, *id)));
        begun.min().map_or(ChannelId::ONLY, |(_, id)| id)
    }

    /// The channel whose frame in the making is longest.
    pub(crate) fn longest(&self) -> ChannelId {
        let lengths = self.channels.iter().map(|(id, channel)| (channel.partial_bytes(), *id));
        lengths.max().map_or(ChannelId::ONLY, |(_, id)| id)
    }

    pub(crate) fn discarded(&mut self, bytes: usize) {
        self.meter.bytes_discarded += bytes as u64;
    }

    /// Bytes of a frame in the making.
    pub(crate) fn partial_bytes(&self) -> usize {
        let own = self.partial.len() + self.lodged + self.framer.held_bytes() + self.stream.unfinished_bytes();
        own + self.channels.values().map(|channel| channel.partial_bytes()).sum::<usize>()
    }

    fn unfinished(&self) -> usize {
        self.partial.len() + self.lodged + self.channels.values().map(|channel| channel.partial.len()).sum::<usize>()
    }

    fn queue_frames(&self) -> usize {
        self.queue.frames() + self.channels.values().map(|channel| channel.queue.frames()).sum::<usize>()
    }

    /// Memory that it holds beyond what an idle one does.
    pub(crate) fn held_bytes(&self) -> usize {
        let partial = if self.partial.is_empty() { 0 } else { self.allocated };
        let framer = self.framer.held_bytes();
        let channels: usize = self.channels.values().map(|channel| channel.held_bytes()).sum();
        self.queue_bytes() + partial + self.lodged + framer + channels + self.ask_bytes + self.stream.held_bytes()
    }

    /// Its counters now.
    pub(crate) fn meter(&self) -> Meter {
        Meter {
            queue_bytes: self.queue_bytes() as u64,
            queue_frames: self.queue_frames() as u64,
            partial_bytes: self.unfinished() as u64,
            ..self.meter
        }
    }

    /// Its counters for good: what is queued is lost, and so is what was no frame yet.
    pub(crate) fn last_meter(&self) -> Meter {
        Meter {
            frames_lost: self.meter.frames_lost + self.queue_frames() as u64,
            bytes_unsent: self.meter.bytes_unsent + self.queue_bytes() as u64,
            bytes_discarded: self.meter.bytes_discarded + self.unfinished() as u64,
            ..self.meter
        }
    }
}

/// Spreads connection ids, which are counted and never chosen by a peer, over a hash table.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        // Fibonacci hashing: the table looks at the highest and the lowest bits.
        let spread = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = spread ^ (spread >> 32);
    }
}
