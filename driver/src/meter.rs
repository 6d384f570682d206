//! Counts what passes: bytes and frames of each connection and of all.

use polypeer_engine::{ConnectionId, Now};

/// What passed through one connection. At any moment `frames_queued` = `frames_sent` + `frames_dropped` +
/// `frames_lost` + `queue_frames`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meter {
    /// When the connection stood.
    pub connected: Now,
    /// Bytes that came, discarded ones too.
    pub bytes_received: u64,
    /// Whole frames that came and were handed to the engine.
    pub frames_received: u64,
    /// Times that the framer refused bytes.
    pub bad_frames: u64,
    /// Bytes that came when nobody listened any more: after a close, after unreadable bytes.
    pub bytes_discarded: u64,
    /// Bytes given to the socket.
    pub bytes_sent: u64,
    /// Frames that the engine wanted sent.
    pub frames_queued: u64,
    /// Frames given to the socket to their last byte.
    pub frames_sent: u64,
    /// Frames for which the queue had no room.
    pub frames_dropped: u64,
    /// Frames that were queued when the connection went.
    pub frames_lost: u64,
    /// Bytes that wait for the peer to read.
    pub queue_bytes: u64,
    /// Frames that wait for the peer to read, one in the middle of which the socket stopped included.
    pub queue_frames: u64,
    /// Bytes of a frame that has not come whole.
    pub partial_bytes: u64,
    /// When bytes last came.
    pub last_received: Option<Now>,
    /// When bytes were last given to the socket.
    pub last_sent: Option<Now>,
}

impl Meter {
    // What lives on in the sum when the connection is gone.
    pub(crate) fn add(&mut self, other: &Self) {
        self.bytes_received += other.bytes_received;
        self.frames_received += other.frames_received;
        self.bad_frames += other.bad_frames;
        self.bytes_discarded += other.bytes_discarded;
        self.bytes_sent += other.bytes_sent;
        self.frames_queued += other.frames_queued;
        self.frames_sent += other.frames_sent;
        self.frames_dropped += other.frames_dropped;
        self.frames_lost += other.frames_lost;
        self.queue_bytes += other.queue_bytes;
        self.queue_frames += other.queue_frames;
        self.partial_bytes += other.partial_bytes;
        self.last_received = later(self.last_received, other.last_received);
        self.last_sent = later(self.last_sent, other.last_sent);
    }
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
    /// Dials begun so far.
    pub dials: u64,
    /// Dials that came to nothing.
    pub dial_failures: u64,
    /// Connections closed because the memory budget was spent.
    pub shed: u64,
    /// Engine steps so far.
    pub steps: u64,
    /// Questions put to the ledger and not answered yet.
    pub asks_waiting: u64,
    /// Records that were not kept because too many waited for the disk.
    pub records_refused: u64,
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
