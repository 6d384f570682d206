//! Cuts a byte stream into frames: a pure guest of the driver and of the simulator, written by the protocol.

use crate::Phase;
use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};

/// What a framer makes of the bytes so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Framed {
    /// No whole frame yet; the framer is called again when more has come.
    More,
    /// One whole frame, header included, as it stood on the wire: it can be forwarded as it is.
    Frame(Bytes),
    /// Bytes that cannot become a frame.
    Bad(BadFrame),
}

/// What was wrong with the bytes, and what the protocol needs of them for its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadFrame {
    /// The bytes that the answer needs (AnYa: the 36 of the header; Hello: the start of the line), never the payload.
    pub head: Bytes,
    /// The protocol's own number for what is wrong.
    pub reason: u8,
    /// Whether the stream cannot be read on. When it can, the framer skips what belongs to the bad frame, bounded.
    pub fatal: bool,
}

impl BadFrame {
    /// The host's own reason: a frame took longer than [`crate::Profile::frame_time_max`]. Framers use lower numbers.
    pub const TOO_SLOW: u8 = 255;
    /// The host's own reason: [`crate::Profile::partial_bytes_budget`] is spent, and this frame was the longest.
    pub const OVER_BUDGET: u8 = 254;
    /// The host's own reason: the peer broke the rules of what carries its frames, and that one can still say so
    /// ([`crate::Transport::WebSocket`]: a bit that is reserved, a frame that is not masked, a message that is too long;
    /// [`crate::Transport::Libp2p`]: a window that is overrun, a stream that is opened twice, streams without end).
    pub const OF_TRANSPORT: u8 = 253;

    /// What a host hands in for a reason of its own.
    pub const fn of_host(reason: u8) -> Self {
        Self { head: Bytes::new(), reason, fatal: true }
    }
}

/// A protocol's way of cutting one channel's bytes into frames.
///
/// One value serves one direction of one channel. It must give the same frames however the stream is split, keep
/// nothing in memory that has not arrived, and never grow the buffer itself.
pub trait Framer: Send + 'static {
    /// Takes at most one frame off the front of `buffer`.
    fn next(&mut self, phase: Phase, buffer: &mut BytesMut) -> Framed;

    /// How long the frame at the front of `bytes` is, only when [`Framer::next`] would take it off and change nothing
    /// else. A host that has many frames in one buffer then takes them off itself, which is cheaper. A framer that
    /// does not care says nothing.
    fn whole(&self, phase: Phase, bytes: &[u8]) -> Option<usize> {
        let _ = (phase, bytes);
        None
    }

    /// Bytes that the framer has begun to skip or to collect, beyond what is in the buffer. The host adds it to the
    /// connection's share of the memory budget.
    fn held_bytes(&self) -> usize {
        0
    }
}
