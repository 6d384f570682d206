//! Stamps payloads with a sequence number and a hash, and checks what arrives.

use rapidhash::v3::rapidhash_v3;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Bytes of the stamp at the front of a payload: sequence, then hash, both little-endian.
pub(crate) const STAMP_BYTES: usize = 16;

/// The hash of a payload's body, which all messages with that body share.
pub(crate) fn hash(payload: &[u8]) -> u64 {
    rapidhash_v3(&payload[STAMP_BYTES..])
}

/// Writes the stamp of message number `sequence` in front of a body with this hash. A load hashes a body once, a receiver
/// each time.
pub(crate) fn stamp(payload: &mut [u8], sequence: u64, hash: u64) {
    payload[..8].copy_from_slice(&sequence.to_le_bytes());
    payload[8..STAMP_BYTES].copy_from_slice(&(hash ^ spread(sequence)).to_le_bytes());
}

/// The sequence number of a payload, when its hash is right.
pub(crate) fn check(payload: &[u8]) -> Option<u64> {
    let (stamp, body) = payload.split_at_checked(STAMP_BYTES)?;
    let sequence = u64::from_le_bytes(stamp[..8].try_into().ok()?);
    let stamped = u64::from_le_bytes(stamp[8..].try_into().ok()?);
    (rapidhash_v3(body) ^ spread(sequence) == stamped).then_some(sequence)
}

// One number to one number, far apart.
fn spread(sequence: u64) -> u64 {
    sequence.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// What receivers counted, shared with the thread that reports it. One thread receives, so that counting costs no
/// locked instruction.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Messages that arrived for the first time, with the right hash.
    pub(crate) delivered: AtomicU64,
    /// Their payloads' bytes.
    pub(crate) bytes: AtomicU64,
    /// Payloads with a wrong hash.
    pub(crate) corrupt: AtomicU64,
    /// Messages that had arrived before.
    pub(crate) repeated: AtomicU64,
}

impl Tally {
    fn add(counter: &AtomicU64, more: u64) {
        counter.store(counter.load(Relaxed) + more, Relaxed);
    }
}

/// Messages in a row that may be missing while later ones are here: more than any window of the loads.
const AHEAD_MAX: usize = 1 << 20;

/// Checks one connection's messages. A sequence number counts once, in whatever order it comes.
#[derive(Debug)]
pub(crate) struct Arrivals {
    tally: Arc<Tally>,
    next: u64,
    ahead: BTreeSet<u64>,
}

impl Arrivals {
    /// Expects the numbers from 0 upwards.
    pub(crate) fn new(tally: Arc<Tally>) -> Self {
        Self { tally, next: 0, ahead: BTreeSet::new() }
    }

    /// Takes what arrived.
    pub(crate) fn take(&mut self, payload: &[u8]) {
        let Some(sequence) = check(payload) else { return Tally::add(&self.tally.corrupt, 1) };
        let is_new = if sequence == self.next {
            self.next += 1;
            while !self.ahead.is_empty() && self.ahead.remove(&self.next) {
                self.next += 1;
            }
            true
        } else {
            sequence > self.next && self.ahead.len() < AHEAD_MAX && self.ahead.insert(sequence)
        };
        if is_new {
            Tally::add(&self.tally.delivered, 1);
            Tally::add(&self.tally.bytes, payload.len() as u64);
        } else {
            Tally::add(&self.tally.repeated, 1);
        }
    }

    /// All numbers below this one have arrived.
    pub(crate) fn arrived(&self) -> u64 {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(sequence: u64) -> Vec<u8> {
        let mut payload = vec![7; 256];
        let hash = hash(&payload);
        stamp(&mut payload, sequence, hash);
        payload
    }

    #[test]
    fn a_changed_byte_is_noticed() {
        let good = message(3);
        assert_eq!(check(&good), Some(3));
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert_eq!(check(&bad), None, "byte {at}");
        }
        assert_eq!(check(&good[..STAMP_BYTES - 1]), None);
    }

    #[test]
    fn messages_count_once_in_any_order() {
        let tally = Arc::new(Tally::default());
        let mut arrivals = Arrivals::new(Arc::clone(&tally));
        for sequence in [0, 2, 2, 1, 0, 3] {
            arrivals.take(&message(sequence));
        }
        arrivals.take(&[0; 256]);
        assert_eq!(tally.delivered.load(Relaxed), 4);
        assert_eq!(tally.repeated.load(Relaxed), 2);
        assert_eq!(tally.corrupt.load(Relaxed), 1);
        assert_eq!(arrivals.arrived(), 4);
    }
}
