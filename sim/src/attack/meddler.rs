//! Stands between a hostile engine and its connections: drops, delays, bends and repeats what it sends.

use super::Attack;
use crate::switch::{Scene, Switch};
use bytes::{Bytes, BytesMut};
use polypeer_engine::{ConnectionId, Protocol, Random};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Frames that pass on every connection before the attack begins, so that the handshake is done: the longest one here
/// has four from each side, and a question or two follow.
const GREETING_FRAMES: u32 = 7;
/// Frames that a replaying node remembers.
const REMEMBERED_MAX: usize = 64;
/// The longest frame that is remembered or repeated, in bytes: a flood of blocks would take the simulator's time
/// without showing more.
const REPEATED_BYTES_MAX: usize = 4 << 10;
/// How often a flooding node says everything, and within what time.
const FLOOD: (u32, Duration) = (100, Duration::from_secs(2));
/// The longest that a slow node waits: just within the time that questions are given.
const LATE_MAX: Duration = Duration::from_secs(9);

/// Connections that are counted before those that are gone are forgotten.
const SAID_MAX: usize = 1_024;

/// A frame on its way out: how long it waits first, and its bytes.
pub(super) type Handed = (Duration, Bytes);

/// One hostile node's hand on its frames.
#[derive(Clone, Debug)]
pub(crate) struct Meddler {
    attack: Attack,
    random: Random,
    said: BTreeMap<ConnectionId, u32>,
    remembered: VecDeque<Bytes>,
}

impl Meddler {
    /// The hand of a node with this attack.
    pub(crate) fn new(attack: Attack, seed: [u8; 32]) -> Self {
        Self { attack, random: Random::new(seed), said: BTreeMap::new(), remembered: VecDeque::new() }
    }

    /// Takes a frame that the engine sends, and gives what goes out instead.
    pub(super) fn send(&mut self, connection: ConnectionId, frame: Bytes, out: &mut Vec<Handed>) {
        let said = self.said.entry(connection).or_default();
        *said = said.saturating_add(1);
        if *said <= GREETING_FRAMES {
            out.push((Duration::ZERO, frame));
            return;
        }
        match self.attack {
            Attack::Silent | Attack::Eclipse => {}
            Attack::Slow => out.push((self.wait(LATE_MAX), frame)),
            Attack::Mutate => {
                let frame = if self.random.below(8) == 0 { self.bend(frame) } else { frame };
                out.push((Duration::ZERO, frame));
            }
            Attack::Replay => self.replay(frame, out),
            Attack::Equivocate => {
                // The same frame goes to the same half, whenever it is sent.
                let digest = blake3::hash(&frame);
                if (u64::from(digest.as_bytes()[0]) ^ connection.as_u64() >> 1) & 1 == 0 {
                    out.push((Duration::ZERO, frame));
                }
            }
            Attack::Flood => {
                let copies = if frame.len() <= REPEATED_BYTES_MAX { FLOOD.0 } else { 1 };
                out.extend((0..copies).map(|copy| (FLOOD.1 * copy / FLOOD.0, frame.clone())));
            }
            Attack::Height | Attack::Withhold | Attack::Poison | Attack::Sybil => out.push((Duration::ZERO, frame)),
        }
    }

    fn wait(&mut self, max: Duration) -> Duration {
        Duration::from_micros(self.random.below(max.as_micros() as usize) as u64)
    }

    fn replay(&mut self, frame: Bytes, out: &mut Vec<Handed>) {
        if !self.remembered.is_empty() && self.random.below(4) == 0 {
            let again = self.remembered[self.random.below(self.remembered.len())].clone();
            out.push((self.wait(Duration::from_secs(1)), again));
        }
        if frame.len() <= REPEATED_BYTES_MAX {
            if self.remembered.len() == REMEMBERED_MAX {
                self.remembered.pop_front();
            }
            self.remembered.push_back(frame.clone());
        }
        out.push((Duration::ZERO, frame));
    }

    fn bend(&mut self, frame: Bytes) -> Bytes {
        let at = self.random.below(frame.len());
        let mut bent = BytesMut::from(&frame[..]);
        match self.random.below(6) {
            0 => bent[at] ^= 1 << self.random.below(8),
            1 => bent.truncate(at),
            2 => bent.extend_from_slice(&frame[at..]),
            3 => bent.extend_from_slice(&frame),
            4 => bent[at..].fill(self.random.number() as u8),
            _ => bent = BytesMut::from_iter((0..1 + at.min(256)).map(|_| self.random.number() as u8)),
        }
        bent.freeze()
    }
}

impl<P: Protocol> Switch<P> for Meddler {
    fn sends(&mut self, scene: &mut Scene<'_, P>, connection: ConnectionId, frame: Bytes) {
        if self.said.len() >= SAID_MAX {
            self.said.retain(|connection, _| scene.engine.state().peers.contains_key(connection));
        }
        let mut out = Vec::new();
        self.send(connection, frame, &mut out);
        out.into_iter().for_each(|(wait, frame)| scene.send_after(connection, frame, wait));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(attack: Attack, frames: usize) -> Vec<Handed> {
        let mut meddler = Meddler::new(attack, [1; 32]);
        let mut out = Vec::new();
        for number in 0..frames {
            meddler.send(ConnectionId::from_u64(2), Bytes::from(vec![number as u8; 40]), &mut out);
        }
        out
    }

    #[test]
    fn every_attack_lets_the_greeting_pass() {
        for attack in Attack::ALL {
            let out = outcome(attack, GREETING_FRAMES as usize);
            assert_eq!(out.len(), GREETING_FRAMES as usize, "{attack:?}");
            assert!(out.iter().enumerate().all(|(at, (wait, frame))| wait.is_zero() && frame[0] == at as u8));
        }
    }

    #[test]
    fn each_attack_does_what_it_says() {
        let after = |attack| outcome(attack, 200).split_off(GREETING_FRAMES as usize);
        assert!(after(Attack::Silent).is_empty());
        assert!(after(Attack::Slow).iter().any(|(wait, _)| *wait > Duration::from_secs(5)));
        assert!(after(Attack::Mutate).iter().any(|(_, frame)| frame.len() != 40));
        assert!(after(Attack::Replay).len() > 193);
        assert_eq!(after(Attack::Flood).len(), 193 * 100);
        let told = after(Attack::Equivocate).len();
        assert!((40..150).contains(&told), "{told} of 193 to one peer");
    }
}
