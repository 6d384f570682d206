//! Hashes states, bodies, work and commands, and writes hashes as text (Mina spec, sections 2.6, 6.2 and 6.3).
//!
//! | what | how |
//! |---|---|
//! | [`state_hash`], [`body_hash`] | Poseidon over Pallas' base field, the state packed into 49 elements |
//! | [`body_reference`] | Blake2b-256 over a tree of bitswap blocks |
//! | [`blake2b`], [`vrf_digest`], transaction ids | Blake2b-256 |
//! | [`text`] | base58 with a version byte and four bytes of SHA-256 twice |

mod bitswap;
mod constants;
mod packing;
pub mod poseidon;
mod state;
pub mod text;

pub use bitswap::{BITSWAP_BLOCK_BYTES_MAX, body_reference};
pub use polypeer_engine::kit::chain::Hash;
pub use state::{body_hash, state_hash, state_hash_above};

use crate::binprot::Fp;

impl From<Fp> for Hash {
    fn from(element: Fp) -> Self {
        Self(element.0)
    }
}

/// Blake2b-256 of some bytes, part by part.
pub fn blake2b(parts: &[&[u8]]) -> Hash {
    let mut hashing = Hashing::default();
    parts.iter().for_each(|part| hashing.update(part));
    hashing.finish()
}

/// What ties between chains are decided by: Blake2b-256 of the last VRF output (section 6.4).
pub fn vrf_digest(output: &[u8; 32]) -> Hash {
    blake2b(&[output])
}

/// Blake2b-256 in the making.
#[derive(Clone, Debug)]
pub(crate) struct Hashing(blake2b_simd::State);

impl Default for Hashing {
    fn default() -> Self {
        Self(blake2b_simd::Params::new().hash_length(32).to_state())
    }
}

impl Hashing {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> Hash {
        let mut hash = Hash::default();
        hash.0.copy_from_slice(self.0.finalize().as_bytes());
        hash
    }
}
