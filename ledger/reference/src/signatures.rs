//! Verifies signatures, many at once: each strictly and on its own, spread over worker threads.
//!
//! `verify_batch` is not used. It accepts other signatures than a single check does, and by chance, so that nodes
//! which batch differently would split: a chain split that an attacker can buy.

use crate::transaction::{self, TransactionBytes};
use ed25519_dalek::{Signature, VerifyingKey};
use rayon::prelude::*;
use std::collections::HashMap;

/// Fewer checks than this are made on the calling thread: at 30 to 60 µs each, waking a worker costs as much.
const PARALLEL_MIN: usize = 8;
/// How many checks a worker takes at a time: half a millisecond of work.
const CHUNK: usize = 16;

/// Whether the transaction's signature verifies strictly: a small-order or non-canonical key or R fails, and so does
/// an S that is not below the group order.
pub fn verify(network_id: &[u8; 16], transaction: &TransactionBytes) -> bool {
    read_key(sender(transaction)).is_some_and(|key| verify_with(&key, network_id, transaction))
}

/// [`verify`] for each, in order.
pub(crate) fn verify_each(network_id: &[u8; 16], transactions: &[&TransactionBytes]) -> Vec<bool> {
    if transactions.len() < PARALLEL_MIN {
        return transactions.iter().map(|transaction| verify(network_id, transaction)).collect();
    }
    // Reading a key costs a tenth of a check, and a batch often has many transactions of few senders.
    let mut places = HashMap::new();
    let mut senders = Vec::new();
    let place_of = |transaction: &&'_ TransactionBytes| {
        let sender = *sender(transaction);
        *places.entry(sender).or_insert_with(|| {
            senders.push(sender);
            senders.len() - 1
        })
    };
    let places: Vec<usize> = transactions.iter().map(place_of).collect();
    let keys: Vec<Option<VerifyingKey>> = senders.par_iter().with_min_len(CHUNK).map(read_key).collect();
    let check = |(transaction, place): (&&TransactionBytes, &usize)| {
        keys[*place].as_ref().is_some_and(|key| verify_with(key, network_id, transaction))
    };
    transactions.par_iter().zip(&places).with_min_len(CHUNK).map(check).collect()
}

/// Whether all verify.
pub(crate) fn verify_all(network_id: &[u8; 16], transactions: &[TransactionBytes]) -> bool {
    let transactions: Vec<&TransactionBytes> = transactions.iter().collect();
    verify_each(network_id, &transactions).iter().all(|right| *right)
}

fn sender(transaction: &TransactionBytes) -> &[u8; 32] {
    transaction[1..].first_chunk().expect("a transaction is longer than a key")
}

fn read_key(bytes: &[u8; 32]) -> Option<VerifyingKey> {
    if is_canonical(bytes) { VerifyingKey::from_bytes(bytes).ok() } else { None }
}

fn verify_with(key: &VerifyingKey, network_id: &[u8; 16], transaction: &TransactionBytes) -> bool {
    let signature = Signature::from_bytes(&transaction::signature(transaction));
    key.verify_strict(&transaction::signed(network_id, transaction), &signature).is_ok()
}

/// Whether a key's y coordinate is below 2^255 - 19. The library's strict check reads larger ones modulo that prime
/// and accepts them when the point is not of small order. (The other non-canonical form, x = 0 with a sign, has small
/// order, which the strict check refuses.)
fn is_canonical(key: &[u8; 32]) -> bool {
    let [low, middle @ .., high] = key;
    high & 0x7f != 0x7f || middle.iter().any(|byte| *byte != 0xff) || *low < 0xed
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where a test of whole signatures does not reach: nobody knows the secrets of these keys.
    #[test]
    fn keys_that_the_library_reads_modulo_the_prime_are_refused() {
        let mut strong = 0;
        for (low, sign) in (0xed..=0xff).flat_map(|low| [(low, 0x7f), (low, 0xff)]) {
            let mut key = [0xff; 32];
            (key[0], key[31]) = (low, sign);
            strong += usize::from(VerifyingKey::from_bytes(&key).is_ok_and(|key| !key.is_weak()));
            assert_eq!(read_key(&key), None);
        }
        assert!(strong > 0, "the library alone would take none of them");
        // The largest canonical y, 2^255 - 20, is that of the point of order 2.
        let mut largest = [0xff; 32];
        (largest[0], largest[31]) = (0xec, 0x7f);
        assert!(read_key(&largest).is_some());
    }
}
