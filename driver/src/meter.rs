//! Counts what passes: bytes and frames of each connection and of all.

use polypeer_engine::{ConnectionId, Now};

/// What passed through one connection. What came and went is accounted for at any moment, see [`Meter::imbalances`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meter {
    /// When the connection stood.
    pub connected: Now,
    /// Bytes that came, discarded ones too.
    pub bytes_received: u64,
    /// Whole frames that came and were handed to the engine.
    pub frames_received: u64,
    /// Bytes of those.
    pub bytes_framed: u64,
    /// Times that the framer refused bytes.
    pub bad_frames: u64,
    /// Bytes that the framer refused or skipped.
    pub bytes_refused: u64,
    /// Bytes that came when nobody listened any more: after a close, after unreadable bytes.
    pub bytes_discarded: u64,
    /// Bytes that the engine wanted sent.
    pub bytes_queued: u64,
    /// Bytes given to the socket.
    pub bytes_sent: u64,
    /// Bytes of the frames that were not sent, or not to their end.
    pub bytes_unsent: u64,
    /// Frames that the engine wanted sent.
    pub frames_queued: u64,
    /// Frames given to the socket to their last byte.
    pub frames_sent: u64,
    /// Frames for which the queue had no room.
    pub frames_dropped: u64,
    /// Gossip that was dropped because the memory budget was nearly spent and this connection held much of it.
    pub frames_shed: u64,
    /// Frames that the engine wanted sent when the connection was on its way out or gone.
    pub frames_late: u64,
    /// Frames that were queued when the connection went.
    pub frames_lost: u64,
    /// Bytes that wait for the peer to read.
    pub queue_bytes: u64,
    /// Frames that wait for the peer to read, one in the middle of which the socket stopped included.
    pub queue_frames: u64,
    /// Bytes that came and are no frame yet, or frames that wait for their turn.
    pub partial_bytes: u64,
    /// When bytes last came.
    pub last_received: Option<Now>,
    /// When bytes were last given to the socket.
    pub last_sent: Option<Now>,
}

impl Meter {
    /// What does not add up; nothing, at any moment, or the driver has lost something without saying so.
    ///
    /// In: bytes received = framed + refused + discarded + not a frame yet. Out: frames queued = sent + dropped + shed
    /// + late + lost + waiting, and bytes likewise.
    pub fn imbalances(&self) -> Vec<Imbalance> {
        let unsent = self.frames_dropped + self.frames_shed + self.frames_late + self.frames_lost;
        let bytes_in = self.bytes_framed + self.bytes_refused + self.bytes_discarded + self.partial_bytes;
        let sums = [
            (Imbalance::BytesIn, self.bytes_received, bytes_in),
            (Imbalance::FramesOut, self.frames_queued, self.frames_sent + unsent + self.queue_frames),
            (Imbalance::BytesOut, self.bytes_queued, self.bytes_sent + self.bytes_unsent + self.queue_bytes),
        ];
        sums.into_iter().filter(|(_, went_in, came_out)| went_in != came_out).map(|(which, ..)| which).collect()
    }

    // What lives on in the sum when the connection is gone.
    pub(crate) fn add(&mut self, other: &Self) {
        self.bytes_received += other.bytes_received;
        self.frames_received += other.frames_received;
        self.bytes_framed += other.bytes_framed;
        self.bad_frames += other.bad_frames;
        self.bytes_refused += other.bytes_refused;
        self.bytes_discarded += other.bytes_discarded;
        self.bytes_queued += other.bytes_queued;
        self.bytes_sent += other.bytes_sent;
        self.bytes_unsent += other.bytes_unsent;
        self.frames_queued += other.frames_queued;
        self.frames_sent += other.frames_sent;
        self.frames_dropped += other.frames_dropped;
        self.frames_shed += other.frames_shed;
        self.frames_late += other.frames_late;
        self.frames_lost += other.frames_lost;
        self.queue_bytes += other.queue_bytes;
        self.queue_frames += other.queue_frames;
        self.partial_bytes += other.partial_bytes;
        self.last_received = later(self.last_received, other.last_received);
        self.last_sent = later(self.last_sent, other.last_sent);
    }

    // A frame whose connection broke while room was made for it.
    pub(crate) fn unsent(&mut self, bytes: usize) {
        self.frames_late += 1;
        self.bytes_unsent += bytes as u64;
    }

    // A frame that the engine wanted sent when there was nobody to send it to any more.
    pub(crate) fn too_late(&mut self, bytes: usize) {
        self.frames_queued += 1;
        self.bytes_queued += bytes as u64;
        self.unsent(bytes);
    }
}

/// A sum that does not add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Imbalance {
    /// Bytes received.
    BytesIn,
    /// Frames handed to the engine, which it counts itself.
    FramesIn,
    /// Frames to send.
    FramesOut,
    /// Bytes to send.
    BytesOut,
    /// Questions to the ledger.
    Asks,
}

/// What passed through a network since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// The sum over all connections, those that are gone too; `connected` is when the network started.
    pub all: Meter,
    /// Connections that stand, those on their way out too.
    pub connections: u64,
    /// Connections accepted so far.
    pub accepted: u64,
    /// Times that accepting failed: no file descriptor, no memory.
    pub accept_failures: u64,
    /// Sockets that were accepted and closed at once, and calls or upgrades that were refused, before they became a
    /// connection: too many on their way, or not our method.
    pub calls_refused: u64,
    /// Sockets that were accepted and on which no call or WebSocket stood in time.
    pub calls_failed: u64,
    /// Dials begun so far.
    pub dials: u64,
    /// Dials that came to nothing.
    pub dial_failures: u64,
    /// Connections closed because the memory budget was spent.
    pub shed: u64,
    /// Engine steps so far.
    pub steps: u64,
    /// Questions put to the ledger so far.
    pub asks: u64,
    /// Of them, those that the ledger took and answered.
    pub asks_answered: u64,
    /// Of them, those that wait.
    pub asks_waiting: u64,
    /// Of them, those that were left when the network ended.
    pub asks_lost: u64,
    /// Records that were not kept because too many waited for the disk.
    pub records_refused: u64,
}

impl Totals {
    /// What does not add up: see [`Meter::imbalances`]; and questions = answered + waiting + left at the end.
    pub fn imbalances(&self) -> Vec<Imbalance> {
        let mut found = self.all.imbalances();
        if self.asks != self.asks_answered + self.asks_waiting + self.asks_lost {
            found.push(Imbalance::Asks);
        }
        found
    }

    /// Whether nothing is on its way: no byte, no frame, no question.
    pub fn is_at_rest(&self) -> bool {
        self.all.queue_bytes + self.all.queue_frames + self.all.partial_bytes + self.asks_waiting == 0
    }
}

/// The counters, as [`crate::View`] shows them.
pub struct Meters<'a> {
    pub(crate) totals: Totals,
    pub(crate) connection: &'a dyn Fn(ConnectionId) -> Option<Meter>,
}

impl Meters<'_> {
    /// The sum over everything.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// One connection's counters, while it stands.
    pub fn connection(&self, connection: ConnectionId) -> Option<Meter> {
        (self.connection)(connection)
    }
}

impl std::fmt::Debug for Meters<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Meters").field("totals", &self.totals).finish_non_exhaustive()
    }
}

fn later(a: Option<Now>, b: Option<Now>) -> Option<Now> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if a.monotonic >= b.monotonic { a } else { b }),
        (a, b) => a.or(b),
    }
}
