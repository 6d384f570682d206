//! Hashes blocks and transactions, and what a pruning point commits to (Kaspa spec, section 5).

mod lanes;
mod merkle;
mod muhash;
mod transaction;

pub use lanes::{LanesTree, lane_leaf, lane_proof_root, sequencing_commitment};
pub use merkle::{MerkleTree, merkle_root};
pub use muhash::MuHash;
pub use transaction::{transaction_hash, transaction_id};

use crate::wire::Header;
use blake2b_simd::{Params, State};
use polypeer_engine::kit::chain::Hash;

/// BLAKE2b-256 keyed with a domain's name, over the parts one behind the other.
pub fn blake2b(domain: &str, parts: &[&[u8]]) -> Hash {
    let mut state = keyed_blake2b(domain);
    for part in parts {
        state.update(part);
    }
    finish(&state)
}

/// BLAKE3 keyed with a domain's name, over the parts one behind the other.
pub fn blake3(domain: &str, parts: &[&[u8]]) -> Hash {
    let mut hasher = keyed_blake3(domain);
    for part in parts {
        hasher.update(part);
    }
    Hash(hasher.finalize().into())
}

/// A block's hash.
pub fn block_hash(header: &Header) -> Hash {
    header_hash(header, header.timestamp, header.nonce)
}

/// What the proof of work is searched over: the hash with neither time nor nonce.
pub fn pre_pow_hash(header: &Header) -> Hash {
    header_hash(header, 0, 0)
}

// Parents are written level by level: they are expanded nowhere.
fn header_hash(header: &Header, timestamp: u64, nonce: u64) -> Hash {
    let mut state = keyed_blake2b("BlockHash");
    state.update(&header.version.to_le_bytes());
    state.update(&(header.parents.level_count() as u64).to_le_bytes());
    for level in header.parents.levels() {
        state.update(&(level.len() as u64).to_le_bytes());
        for parent in level {
            state.update(&parent.0);
        }
    }
    for hash in [&header.hash_merkle_root, &header.accepted_id_merkle_root, &header.utxo_commitment] {
        state.update(&hash.0);
    }
    state.update(&timestamp.to_le_bytes());
    state.update(&header.bits.to_le_bytes());
    for number in [nonce, header.daa_score, header.blue_score] {
        state.update(&number.to_le_bytes());
    }
    let work = header.blue_work.digits();
    state.update(&(work.len() as u64).to_le_bytes());
    state.update(work);
    state.update(&header.pruning_point.0);
    finish(&state)
}

fn keyed_blake2b(domain: &str) -> State {
    // Every domain's name is shorter than the 64 bytes that a key may have.
    Params::new().hash_length(32).key(domain.as_bytes().get(..64).unwrap_or(domain.as_bytes())).to_state()
}

fn keyed_blake3(domain: &str) -> blake3::Hasher {
    let mut key = [0; 32];
    key.iter_mut().zip(domain.bytes()).for_each(|(place, byte)| *place = byte);
    blake3::Hasher::new_keyed(&key)
}

fn finish(state: &State) -> Hash {
    let mut hash = Hash::ZERO;
    hash.0.iter_mut().zip(state.finalize().as_bytes()).for_each(|(place, byte)| *place = *byte);
    hash
}
