//! Carries bytes between two nodes: late, at a rate, in pieces that are not the ones that were sent.

use bytes::{Bytes, BytesMut};
use polypeer_engine::{Random, Time};
use std::collections::VecDeque;
use std::time::Duration;

/// How good the links of a world are.
#[derive(Clone, Copy, Debug)]
pub struct LinkQuality {
    /// One way, before jitter.
    pub latency: Duration,
    /// How much the latency varies, in percent; bytes stay in order.
    pub jitter_percent: u32,
    /// Bytes a second, one way.
    pub bandwidth: u64,
}

impl Default for LinkQuality {
    /// A good line on one continent: 25 ms, 12.5 MB/s.
    fn default() -> Self {
        Self { latency: Duration::from_millis(25), jitter_percent: 20, bandwidth: 12_500_000 }
    }
}

/// One direction of a connection.
#[derive(Debug, Default)]
pub(crate) struct Pipe {
    queue: VecDeque<Bytes>,
    /// Bytes sent and not yet arrived.
    pub(crate) in_flight: usize,
    /// Bytes sent since the sender was last told that it may write.
    pub(crate) since_writable: usize,
    last_arrival: Time,
    /// Whether the sender has closed its side.
    pub(crate) is_finished: bool,
}

impl Pipe {
    /// Takes bytes in. When they will have arrived.
    pub(crate) fn send(&mut self, now: Time, frame: Bytes, quality: &LinkQuality, random: &mut Random) -> Time {
        self.in_flight += frame.len();
        self.since_writable += frame.len();
        let on_the_wire = Duration::from_micros(frame.len() as u64 * 1_000_000 / quality.bandwidth.max(1));
        let late = now + random.jitter(quality.latency, quality.jitter_percent);
        let at = late.max(self.last_arrival) + on_the_wire;
        self.last_arrival = at;
        self.queue.push_back(frame);
        at
    }

    /// When the end of the stream will have arrived.
    pub(crate) fn finish(&mut self, now: Time, quality: &LinkQuality) -> Time {
        self.is_finished = true;
        self.last_arrival = self.last_arrival.max(now + quality.latency);
        self.last_arrival
    }

    /// Moves what has arrived to the receiver's buffer: whole pieces, or a piece cut anywhere whose rest comes with
    /// the next arrival. `is_last` when nothing more is under way, so that nothing stays behind.
    pub(crate) fn arrive(&mut self, into: &mut BytesMut, random: &mut Random) {
        let Some(mut piece) = self.queue.pop_front() else { return };
        let is_cut = !self.queue.is_empty() && piece.len() > 1 && random.below(4) == 0;
        let taken =
            if is_cut { piece.split_to(1 + random.below(piece.len() - 1)) } else { piece.split_to(piece.len()) };
        into.extend_from_slice(&taken);
        self.in_flight -= taken.len();
        if piece.is_empty() {
            return;
        }
        // The rest merges with what follows, which has its own arrival to come.
        let next = self.queue.pop_front().unwrap_or_default();
        let merged: BytesMut = piece.iter().chain(next.iter()).copied().collect();
        self.queue.push_front(merged.freeze());
    }
}
