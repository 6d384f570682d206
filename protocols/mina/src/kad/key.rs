//! Places peers and records in one space: SHA-256 of their name, near by XOR (Mina spec, section 2.3).

use crate::keys::PeerId;
use core::fmt;
use sha2::{Digest as _, Sha256};

/// A place in the key space.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key([u8; 32]);

/// How far two places are from each other: their XOR, as a big-endian number.
pub type Distance = [u8; 32];

impl Key {
    /// Where a record of this name is, or the peer with these bytes as its id.
    pub fn of(name: &[u8]) -> Self {
        Self(Sha256::digest(name).into())
    }

    /// Where a peer is.
    pub fn of_peer(peer: &PeerId) -> Self {
        Self::of(&peer.to_bytes())
    }

    /// How far it is to another place.
    pub fn distance(&self, other: &Self) -> Distance {
        let mut distance = self.0;
        for (byte, other) in distance.iter_mut().zip(other.0) {
            *byte ^= other;
        }
        distance
    }

    /// Leading bits that two places share, 256 when they are one: the number of the bucket.
    pub fn shared_bits(&self, other: &Self) -> u16 {
        let mut shared = 0;
        for byte in self.distance(other) {
            shared += byte.leading_zeros() as u16;
            if byte != 0 {
                break;
            }
        }
        shared
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
