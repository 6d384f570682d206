//! Carries bytes one way between two nodes: late, at a rate, in pieces that are not the ones that were sent.

use crate::line::WireName;
use bytes::Bytes;
use polypeer_engine::{DisconnectCause, Random, Time};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

/// How good the links of a world are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkQuality {
    /// One way, before jitter.
    pub latency: Duration,
    /// How much the latency varies, in percent; bytes stay in order.
    pub jitter_percent: u32,
    /// Bytes a second of one connection, one way.
    pub bandwidth: u64,
    /// How often a connection breaks by itself, on average, in a day; 0 for never.
    pub breaks_a_day: u32,
}

impl Default for LinkQuality {
    /// A good line on one continent: 25 ms, 12.5 MB/s, never breaks.
    fn default() -> Self {
        Self { latency: Duration::from_millis(25), jitter_percent: 20, bandwidth: 12_500_000, breaks_a_day: 0 }
    }
}

/// How fast a host's own line is, shared by all of its connections; 0 for without limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostQuality {
    /// Bytes a second that it can send.
    pub up: u64,
    /// Bytes a second that it can receive, or cares to read.
    pub down: u64,
}

/// A shared line's next free moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lane {
    free_at: Time,
}

impl Lane {
    /// When `bytes` that are ready at `ready` are through.
    pub(crate) fn through(&mut self, ready: Time, bytes: usize, rate: u64) -> Time {
        if rate == 0 {
            return ready;
        }
        self.free_at = self.free_at.max(ready) + time_for(bytes, rate);
        self.free_at
    }
}

fn time_for(bytes: usize, rate: u64) -> Duration {
    Duration::from_micros((bytes as u64).saturating_mul(1_000_000) / rate)
}

/// Why nothing comes out of a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blocked {
    /// The path loses what is sent; it comes through when the path is mended.
    Path,
    /// Nobody is at the other end any more, and nobody says so.
    Deserted,
}

/// One direction of a connection.
#[derive(Debug, Default)]
pub(crate) struct Pipe {
    queue: VecDeque<Piece>,
    /// Bytes sent and not yet arrived.
    pub(crate) in_flight: usize,
    /// Bytes sent since the sender was last told that it may write.
    pub(crate) since_writable: usize,
    last_arrival: Time,
    finishes: Option<(Time, DisconnectCause)>,
    /// The earliest arrival on the agenda.
    pub(crate) armed: Option<Time>,
    /// Why nothing comes out, if so, and since when.
    pub(crate) blocked: Option<(Blocked, Time)>,
    pub(crate) counts: PipeCounts,
}

/// What a pipe took in and gave out. A frame arrives with its last byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PipeCounts {
    pub(crate) frames_sent: u64,
    pub(crate) bytes_sent: u64,
    pub(crate) frames_arrived: u64,
    pub(crate) bytes_arrived: u64,
    pub(crate) frames_lost: u64,
    pub(crate) bytes_lost: u64,
}

#[derive(Debug)]
struct Piece {
    at: Time,
    bytes: Bytes,
    channel: WireName,
    /// What is said of the channel, instead of bytes on it.
    word: Option<Word>,
}

/// What one end tells the other of a channel. It costs nothing on the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// It is wanted, as one of this kind.
    Open(u16),
    /// It stands.
    Accept,
    /// It is none that this end speaks.
    Refuse,
    /// This end writes no more.
    Finish,
    /// It is broken off.
    Reset,
}

/// What has come out of a pipe.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// Bytes, and whether the last byte of a frame was among them.
    Bytes(Bytes, bool),
    /// A word on a channel.
    Word(Word),
}

impl Pipe {
    /// A pipe in which nothing arrives before `from`.
    pub(crate) fn open(from: Time) -> Self {
        Self { last_arrival: from, ..Self::default() }
    }

    /// Not before what was sent earlier does something arrive that could arrive at `at`, sent at `rate`.
    pub(crate) fn in_order(&self, at: Time, bytes: usize, rate: u64) -> Time {
        at.max(self.last_arrival) + time_for(bytes, rate.max(1))
    }

    /// Takes a frame in that will have arrived at `at`.
    pub(crate) fn send(&mut self, at: Time, channel: WireName, frame: Bytes) {
        self.counts.frames_sent += 1;
        self.counts.bytes_sent += frame.len() as u64;
        self.in_flight += frame.len();
        self.since_writable += frame.len();
        self.last_arrival = at;
        self.queue.push_back(Piece { at, bytes: frame, channel, word: None });
    }

    /// Takes a word in that will have arrived at `at`, or after what was sent before.
    pub(crate) fn say(&mut self, at: Time, channel: WireName, word: Word) {
        self.last_arrival = self.last_arrival.max(at);
        self.queue.push_back(Piece { at: self.last_arrival, bytes: Bytes::new(), channel, word: Some(word) });
    }

    /// The sender's side ends: this arrives at `at`, or after what was sent before. When it arrives.
    pub(crate) fn finish(&mut self, at: Time, cause: DisconnectCause) -> Time {
        self.last_arrival = self.last_arrival.max(at);
        self.finishes.get_or_insert((self.last_arrival, cause)).0
    }

    /// Why the stream has ended for the receiver, if it has.
    pub(crate) fn over(&self, now: Time) -> Option<DisconnectCause> {
        let (at, cause) = self.finishes?;
        (self.queue.is_empty() && at <= now).then_some(cause)
    }

    /// When something arrives next.
    pub(crate) fn next(&self) -> Option<Time> {
        if self.blocked.is_some() {
            return None;
        }
        self.queue.front().map(|piece| piece.at).or(self.finishes.map(|(at, _)| at))
    }

    /// The reader is not slow any more: what waited for it has arrived.
    pub(crate) fn hasten(&mut self, now: Time) {
        self.queue.iter_mut().for_each(|piece| piece.at = piece.at.min(now));
        self.last_arrival = self.last_arrival.min(now);
        if let Some((end, _)) = &mut self.finishes {
            *end = self.last_arrival.min(*end);
        }
    }

    /// The path is whole again: what was held up arrives from `at` on.
    pub(crate) fn resume(&mut self, at: Time) {
        self.blocked = None;
        self.queue.iter_mut().for_each(|piece| piece.at = piece.at.max(at));
        self.last_arrival = self.last_arrival.max(at);
        if let Some((end, _)) = &mut self.finishes {
            *end = self.last_arrival.max(*end);
        }
    }

    /// Takes out the next piece that has arrived: a whole one, or one that was cut anywhere, whose rest comes a little
    /// later and together with what follows. With it, the channel.
    pub(crate) fn arrive(&mut self, now: Time, random: &mut Random) -> Option<(WireName, Arrival)> {
        let first = self.queue.front_mut().filter(|piece| piece.at <= now)?;
        let channel = first.channel;
        if let Some(word) = first.word {
            self.queue.pop_front();
            return Some((channel, Arrival::Word(word)));
        }
        let chance = random.number();
        let is_cut = first.bytes.len() > 1 && chance & 7 == 0;
        let bytes = if is_cut {
            let at = 1 + (chance >> 32) as usize % (first.bytes.len() - 1);
            first.at = now + Duration::from_micros(1 + (chance >> 8) % CUT_MICROS_MAX);
            first.bytes.split_to(at)
        } else {
            self.counts.frames_arrived += 1;
            std::mem::take(&mut first.bytes)
        };
        if !is_cut {
            self.queue.pop_front();
        }
        self.in_flight -= bytes.len();
        self.counts.bytes_arrived += bytes.len() as u64;
        Some((channel, Arrival::Bytes(bytes, !is_cut)))
    }

    /// Loses what is under way. How many frames and bytes that was.
    pub(crate) fn lose(&mut self) -> (u64, u64) {
        let lost = (self.in_flight_frames(), self.in_flight as u64);
        self.counts.frames_lost += lost.0;
        self.counts.bytes_lost += lost.1;
        self.queue = VecDeque::new();
        (self.in_flight, self.last_arrival, self.finishes) = (0, Time::ZERO, None);
        lost
    }

    /// Frames under way.
    pub(crate) fn in_flight_frames(&self) -> u64 {
        self.queue.iter().filter(|piece| piece.word.is_none()).count() as u64
    }

    /// Bytes under way, counted one by one.
    pub(crate) fn counted_bytes(&self) -> usize {
        self.queue.iter().map(|piece| piece.bytes.len()).sum()
    }
}

/// The rest of a cut piece comes within this, in microseconds: what a network card or a scheduler keeps apart.
const CUT_MICROS_MAX: u64 = 2_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_as_they_went_in_however_they_are_cut() {
        let mut random = Random::new([1; 32]);
        let mut pipe = Pipe::open(Time::ZERO);
        let (mut sent, mut came, mut cuts) = (Vec::new(), Vec::new(), 0);
        let mut now = Time::ZERO;
        for round in 0u8..200 {
            let frame = vec![round; 1 + usize::from(round)];
            sent.extend_from_slice(&frame);
            let at = pipe.in_order(now + Duration::from_micros(500), frame.len(), 1_000_000);
            pipe.send(at, WireName::ONLY, frame.into());
            now = now + Duration::from_micros(400);
            while let Some((_, Arrival::Bytes(bytes, is_whole))) = pipe.arrive(now, &mut random) {
                cuts += usize::from(!is_whole);
                came.extend_from_slice(&bytes);
            }
            assert_eq!(pipe.in_flight, pipe.counted_bytes());
        }
        now = now + Duration::from_secs(1);
        loop {
            now = now + Duration::from_secs(1);
            let Some((_, Arrival::Bytes(bytes, _))) = pipe.arrive(now, &mut random) else { break };
            came.extend_from_slice(&bytes);
        }
        assert_eq!(sent, came);
        assert!(cuts > 10, "{cuts}");
        assert_eq!(pipe.counts.frames_sent, pipe.counts.frames_arrived);
    }

    #[test]
    fn a_shared_line_takes_one_after_another() {
        let mut lane = Lane::default();
        let at = |ms: u64| Time::from_micros(ms * 1_000);
        assert_eq!(lane.through(at(1), 1_000, 1_000_000), at(2));
        assert_eq!(lane.through(at(1), 1_000, 1_000_000), at(3));
        assert_eq!(lane.through(at(10), 1_000, 1_000_000), at(11));
        assert_eq!(lane.through(at(10), 1_000, 0), at(10));
    }
}
