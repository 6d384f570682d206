//! Hashes what happens, cheaply: enough to tell that two runs differ, not to withstand someone who wants them alike.

use polypeer_engine::{ChannelId, Effect, P2pAction, Time};
use rapidhash::v3::rapidhash_v3;
use serde::Serialize;
use std::fmt;

/// Odd constants without a pattern: the first digits of pi.
const FIRST: u64 = 0x243f_6a88_85a3_08d3;
const SECOND: u64 = 0x1319_8a2e_0370_7345;

/// A hash of every step of a world: what happened where and when, and what came of it. 64 bits, because it must only
/// tell apart what a mistake made differ.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, serde::Deserialize)]
pub struct TraceHash(pub u64);

impl fmt::Display for TraceHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for TraceHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The hash so far.
#[derive(Clone, Debug)]
pub(crate) struct Trace(u64);

impl Trace {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed ^ FIRST)
    }

    pub(crate) fn hash(&self) -> TraceHash {
        TraceHash(self.0)
    }

    /// Notes a step: who, when, what came in.
    pub(crate) fn action<A>(&mut self, node: usize, at: Time, action: &P2pAction<A>) {
        self.number(node as u64);
        self.number(at.as_micros());
        match action {
            P2pAction::MessageReceived { connection, channel, frame } => {
                self.number(1 | (frame.len() as u64) << 8);
                self.number(connection.as_u64());
                self.channel(*channel);
            }
            P2pAction::ChannelOpened { connection, channel, kind, .. } => {
                self.number(10 | u64::from(*kind) << 8 | connection.as_u64() << 24);
                self.channel(*channel);
            }
            P2pAction::ChannelClosed { connection, channel, end } => {
                self.number(11 | (*end as u64) << 8 | connection.as_u64() << 16);
                self.channel(*channel);
            }
            P2pAction::LedgerAnswered { ticket, .. } => self.number(2 | ticket.map_or(0, |ticket| ticket.0 + 1) << 8),
            P2pAction::Wake => self.number(3),
            P2pAction::Writable { connection, .. } => self.number(4 | connection.as_u64() << 8),
            P2pAction::Connected { connection, .. } => self.number(5 | connection.as_u64() << 8),
            P2pAction::ConnectionFailed { connection, cause } => {
                self.number(6 | (*cause as u64) << 8 | connection.as_u64() << 16);
            }
            P2pAction::Disconnected { connection, cause } => {
                self.number(7 | (*cause as u64) << 8 | connection.as_u64() << 16);
            }
            P2pAction::BadFrame { connection, bad, .. } => {
                self.number(8 | u64::from(bad.reason) << 8 | connection.as_u64() << 16);
            }
            // What an operator or a name server says is part of the story; what comes of it is hashed anyway.
            _ => self.number(9),
        }
    }

    // Which one, where there is more than one.
    fn channel(&mut self, channel: ChannelId) {
        if channel != ChannelId::ONLY {
            self.number(u64::from(channel.0));
        }
    }

    /// Notes what came of a step.
    pub(crate) fn effects<R: Serialize>(&mut self, effects: &[Effect<R>]) {
        self.number(effects.len() as u64);
        for effect in effects {
            if let Effect::Send { connection, channel, frame, overflow } = effect {
                self.number(connection.as_u64() << 8 | *overflow as u64);
                self.channel(*channel);
                self.number(rapidhash_v3(frame));
            } else {
                let mut digest = Digest { trace: self.clone(), word: 0, filled: 0 };
                // Hashing cannot fail, and every effect has an encoding.
                let _ = postcard::serialize_with_flavor::<_, _, ()>(effect, &mut digest);
                digest.end();
                *self = digest.trace;
            }
        }
    }

    /// Notes a number.
    pub(crate) fn number(&mut self, number: u64) {
        let wide = u128::from(self.0 ^ number ^ SECOND) * u128::from(FIRST | 1);
        self.0 = (wide as u64).rotate_left(23) ^ (wide >> 64) as u64;
    }
}

/// Takes in the bytes of an encoding, a word at a time.
struct Digest {
    trace: Trace,
    word: u64,
    filled: u32,
}

impl Digest {
    fn end(&mut self) {
        self.trace.number(self.word);
        self.trace.number(u64::from(self.filled));
        (self.word, self.filled) = (0, 0);
    }
}

impl postcard::ser_flavors::Flavor for &mut Digest {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.word |= u64::from(byte) << (8 * self.filled);
        self.filled += 1;
        if self.filled == 8 {
            self.trace.number(self.word);
            (self.word, self.filled) = (0, 0);
        }
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        if bytes.len() <= 8 {
            return bytes.iter().try_for_each(|byte| self.try_push(*byte));
        }
        self.end();
        self.trace.number(bytes.len() as u64);
        self.trace.number(rapidhash_v3(bytes));
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use polypeer_engine::{Close, ConnectionId, Overflow, Record, Table};

    #[test]
    fn every_difference_shows() {
        let connection = ConnectionId::from_u64(4);
        let send = |frame: &'static [u8], overflow| {
            let frame = Bytes::from_static(frame);
            Effect::Send { connection, channel: ChannelId::ONLY, frame, overflow }
        };
        let save = |value: &'static [u8]| {
            let record = Record { table: Table::Bans, key: Bytes::new(), value: Some(Bytes::from_static(value)) };
            Effect::Save(record)
        };
        let stories: Vec<Vec<Effect<u64>>> = vec![
            vec![],
            vec![send(b"a", Overflow::Drop)],
            vec![send(b"b", Overflow::Drop)],
            vec![send(b"a", Overflow::Close)],
            vec![save(b"")],
            vec![save(b"longer than a word of eight")],
            vec![save(b"longer than a word of nine.")],
            vec![Effect::Close { connection, how: Close::Now }],
            vec![Effect::Close { connection, how: Close::Flushed }],
            vec![Effect::Ask { ticket: polypeer_engine::Ticket(1), request: 7 }],
            vec![Effect::Ask { ticket: polypeer_engine::Ticket(1), request: 8 }],
        ];
        let hashes: Vec<TraceHash> = stories
            .iter()
            .map(|effects| {
                let mut trace = Trace::new(1);
                trace.effects(effects);
                trace.hash()
            })
            .collect();
        for (at, hash) in hashes.iter().enumerate() {
            assert!(!hashes[..at].contains(hash), "{at}");
        }
        assert_ne!(Trace::new(1).hash(), Trace::new(2).hash());
    }
}
