//! Verifies signatures, many at once: each strictly and on its own, spread over worker threads.
//!
//! `verify_batch` is not used. It accepts other signatures than a single check does, and by chance, so that nodes
//! which batch differently would split: a chain split that an attacker can buy.

use crate::transaction::{self, TransactionBytes};
use ed25519_dalek::{Signature, VerifyingKey};
use rayon::prelude::*;

/// Fewer checks than this are made on the calling thread: at 30 to 60 µs each, waking a worker costs as much.
const PARALLEL_MIN: usize = 8;
/// How many checks a worker takes at a time: half a millisecond of work.
const CHUNK: usize = 16;

/// Whether the transaction's signature verifies strictly: a small-order or non-canonical key or R fails, and so does
/// an S that is not below the group order.
pub fn verify(network_id: &[u8; 16], transaction: &TransactionBytes) -> bool {
    let Some(key) = transaction[1..].first_chunk::<32>() else { return false };
    if !is_canonical(key) {
        return false;
    }
    let Ok(key) = VerifyingKey::from_bytes(key) else { return false };
    let signature = Signature::from_bytes(&transaction::signature(transaction));
    key.verify_strict(&transaction::signed(network_id, transaction), &signature).is_ok()
}

/// [`verify`] for each, in order.
pub(crate) fn verify_each(network_id: &[u8; 16], transactions: &[&TransactionBytes]) -> Vec<bool> {
    if transactions.len() < PARALLEL_MIN {
        return transactions.iter().map(|transaction| verify(network_id, transaction)).collect();
    }
    transactions.par_iter().with_min_len(CHUNK).map(|transaction| verify(network_id, transaction)).collect()
}

/// Whether all verify; stops early when one does not.
pub(crate) fn verify_all(network_id: &[u8; 16], transactions: &[TransactionBytes]) -> bool {
    if transactions.len() < PARALLEL_MIN {
        return transactions.iter().all(|transaction| verify(network_id, transaction));
    }
    transactions.par_iter().with_min_len(CHUNK).all(|transaction| verify(network_id, transaction))
}

/// Whether a key's y coordinate is below 2^255 - 19. The library's strict check reads larger ones modulo that prime
/// and accepts them when the point is not of small order. (The other non-canonical form, x = 0 with a sign, has small
/// order, which the strict check refuses.)
fn is_canonical(key: &[u8; 32]) -> bool {
    let [low, middle @ .., high] = key;
    high & 0x7f != 0x7f || middle.iter().any(|byte| *byte != 0xff) || *low < 0xed
}
