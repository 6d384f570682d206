//! Counts what becomes of every frame and byte, so that nothing can vanish without a reason.

use serde::{Deserialize, Serialize};

/// What became of the frames and bytes of one node, since the world began. Each number only grows but
/// [`Counts::bytes_waiting`].
///
/// ```text
/// wanted = sent + no room + not open
/// sent (all nodes) = received (all nodes) + lost (all nodes) + under way
/// received = read + skipped + discarded + waiting
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Frames that it wanted to send.
    pub frames_wanted: u64,
    /// Bytes of them.
    pub bytes_wanted: u64,
    /// Frames that found no room in a queue.
    pub frames_no_room: u64,
    /// Bytes of them.
    pub bytes_no_room: u64,
    /// Frames for a connection that was gone or on its way out.
    pub frames_not_open: u64,
    /// Bytes of them.
    pub bytes_not_open: u64,
    /// Frames that went into a pipe.
    pub frames_sent: u64,
    /// Bytes of them.
    pub bytes_sent: u64,
    /// Frames of its own that were lost under way, with their connection.
    pub frames_lost: u64,
    /// Bytes of them, and of frames that were lost in part.
    pub bytes_lost: u64,
    /// Frames that arrived: their last byte did.
    pub frames_received: u64,
    /// Bytes that arrived.
    pub bytes_received: u64,
    /// Frames that were cut out of what arrived and handed to the engine.
    pub frames_read: u64,
    /// Bytes of them.
    pub bytes_read: u64,
    /// Bytes that a framer skipped: of frames that it refused, and between frames.
    pub bytes_skipped: u64,
    /// Bytes that arrived at an end that does not listen any more.
    pub bytes_discarded: u64,
    /// Bytes that arrived and are no whole frame yet.
    pub bytes_waiting: u64,
}

impl Counts {
    /// Adds what another one counted.
    pub fn add(&mut self, other: &Self) {
        let pairs = self.fields().into_iter().zip(other.copied());
        for (own, other) in pairs {
            *own += other;
        }
    }

    /// What does not add up within one node.
    pub(crate) fn fault(&self) -> Option<String> {
        let frames = self.frames_sent + self.frames_no_room + self.frames_not_open;
        let bytes = self.bytes_sent + self.bytes_no_room + self.bytes_not_open;
        let read = self.bytes_read + self.bytes_skipped + self.bytes_discarded + self.bytes_waiting;
        if (self.frames_wanted, self.bytes_wanted) != (frames, bytes) {
            return Some(format!("of {} frames it sent or dropped {frames}: {self:?}", self.frames_wanted));
        }
        (self.bytes_received != read)
            .then(|| format!("of {} bytes it read, skipped or discarded {read}: {self:?}", self.bytes_received))
    }

    fn copied(&self) -> [u64; 17] {
        let mut copy = *self;
        copy.fields().map(|field| *field)
    }

    fn fields(&mut self) -> [&mut u64; 17] {
        [
            &mut self.frames_wanted,
            &mut self.bytes_wanted,
            &mut self.frames_no_room,
            &mut self.bytes_no_room,
            &mut self.frames_not_open,
            &mut self.bytes_not_open,
            &mut self.frames_sent,
            &mut self.bytes_sent,
            &mut self.frames_lost,
            &mut self.bytes_lost,
            &mut self.frames_received,
            &mut self.bytes_received,
            &mut self.frames_read,
            &mut self.bytes_read,
            &mut self.bytes_skipped,
            &mut self.bytes_discarded,
            &mut self.bytes_waiting,
        ]
    }
}
