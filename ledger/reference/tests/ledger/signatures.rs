//! Signatures that a lax verifier takes.

use crate::world::{NETWORK, World, key, pay};
use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT as BASE, EIGHT_TORSION};
use curve25519_dalek::{EdwardsPoint, Scalar};
use ed25519_dalek::{Signature, Verifier, VerifyingKey};
use polypeer_engine::kit::chain::{Origin, TransactionFault, TransactionOutcome};
use polypeer_ledger_reference::{TransactionBytes, verify_signature};
use sha2::{Digest, Sha512};

/// What a transaction's signature covers, written down a second time.
fn message(transaction: &TransactionBytes) -> Vec<u8> {
    [b"polypeer/tx/v1\0\0".as_slice(), NETWORK, &transaction[..89]].concat()
}

fn challenge(nonce: &[u8; 32], key: &[u8; 32], message: &[u8]) -> Scalar {
    let digest: [u8; 64] = Sha512::new().chain_update(nonce).chain_update(key).chain_update(message).finalize().into();
    Scalar::from_bytes_mod_order_wide(&digest)
}

/// A transaction of this key, signed with the secret `secret` and the nonce point `nonce` = `r` × base + torsion.
fn forge(key: [u8; 32], secret: Scalar, r: Scalar, nonce: EdwardsPoint) -> TransactionBytes {
    let mut transaction = pay(1, 2, 5, 1, 0);
    transaction[1..33].copy_from_slice(&key);
    let nonce = nonce.compress().to_bytes();
    let s = r + challenge(&nonce, &key, &message(&transaction)) * secret;
    transaction[89..121].copy_from_slice(&nonce);
    transaction[121..].copy_from_slice(s.as_bytes());
    transaction
}

fn is_lax(transaction: &TransactionBytes) -> bool {
    let key: [u8; 32] = transaction[1..33].try_into().expect("32 bytes");
    let signature = Signature::from_slice(&transaction[89..]).expect("64 bytes");
    VerifyingKey::from_bytes(&key).is_ok_and(|key| key.verify(&message(transaction), &signature).is_ok())
}

fn refuses(transaction: &TransactionBytes) {
    assert!(!verify_signature(NETWORK, transaction));
    let mut world = World::new();
    let outcome = world.offer(transaction, Origin::Peer);
    assert_eq!(outcome, TransactionOutcome::NeverValid(TransactionFault::Signature));
}

const SECRET: u64 = 123_456_789;
const NONCE: u64 = 987_654_321;

#[test]
fn an_honest_signature_verifies() {
    let (secret, r) = (Scalar::from(SECRET), Scalar::from(NONCE));
    let transaction = forge((BASE * secret).compress().to_bytes(), secret, r, BASE * r);
    assert!(is_lax(&transaction) && verify_signature(NETWORK, &transaction));
    assert!(verify_signature(NETWORK, &pay(1, 2, 5, 1, 0)));
}

#[test]
fn every_changed_bit_of_a_transaction_breaks_its_signature() {
    let right = pay(1, 2, 5, 1, 0);
    for bit in 8..right.len() * 8 {
        let mut wrong = right;
        wrong[bit / 8] ^= 1 << (bit % 8);
        assert!(!verify_signature(NETWORK, &wrong), "bit {bit}");
    }
}

#[test]
fn a_small_order_key_is_refused() {
    for torsion in EIGHT_TORSION {
        // The secret 0 signs for the torsion point whenever the challenge is a multiple of its order.
        let key = torsion.compress().to_bytes();
        let lax = (0..64_u64).map(|turn| {
            let r = Scalar::from(NONCE + turn);
            forge(key, Scalar::ZERO, r, BASE * r)
        });
        let lax = lax.into_iter().find(is_lax).expect("one challenge in eight fits");
        refuses(&lax);
    }
}

#[test]
fn a_small_order_nonce_is_refused() {
    let secret = Scalar::from(SECRET);
    let transaction = forge((BASE * secret).compress().to_bytes(), secret, Scalar::ZERO, EIGHT_TORSION[0]);
    assert!(is_lax(&transaction));
    refuses(&transaction);
}

#[test]
fn a_nonce_with_torsion_that_a_batch_would_take_is_refused() {
    let (secret, r) = (Scalar::from(SECRET), Scalar::from(NONCE));
    let key = (BASE * secret).compress().to_bytes();
    let transaction = forge(key, secret, r, BASE * r + EIGHT_TORSION[1]);
    // The equation holds up to torsion, which is all that a cofactored check looks at.
    let nonce: [u8; 32] = transaction[89..121].try_into().expect("32 bytes");
    let s = Scalar::from_canonical_bytes(transaction[121..].try_into().expect("32 bytes")).expect("a canonical S");
    let k = challenge(&nonce, &key, &message(&transaction));
    let difference = BASE * s - (BASE * r + EIGHT_TORSION[1]) - (BASE * secret) * k;
    assert!(difference.is_small_order());
    refuses(&transaction);
}

#[test]
fn a_key_that_is_not_canonical_is_refused() {
    // y = 2^255 - 19 + 1 is the identity's y once more.
    let mut wrong = [0xff; 32];
    (wrong[0], wrong[31]) = (0xee, 0x7f);
    let r = Scalar::from(NONCE);
    let transaction = forge(wrong, Scalar::ZERO, r, BASE * r);
    assert!(is_lax(&transaction));
    refuses(&transaction);
}

#[test]
fn an_s_that_is_not_below_the_group_order_is_refused() {
    let mut transaction = pay(1, 2, 5, 1, 0);
    // The group order, little-endian.
    let order = (Scalar::ZERO - Scalar::ONE).to_bytes();
    let mut carry = 1_u16;
    for (byte, add) in transaction[121..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        (*byte, carry) = (sum as u8, sum >> 8);
    }
    refuses(&transaction);
    assert_eq!(key(1), pay(1, 2, 5, 1, 0)[1..33]);
}

#[test]
fn one_wrong_signature_in_a_large_batch_is_found_and_alone() {
    let mut world = World::new();
    let mut transactions: Vec<TransactionBytes> =
        (0..60).map(|at| pay(1 + at % 16, 17 - at % 15 - 1, 1, 1, u64::from(at) / 16)).collect();
    transactions[37][150] ^= 1;
    let request = polypeer_engine::kit::chain::Request::TakeTransactions {
        transactions: transactions.iter().map(|bytes| bytes::Bytes::copy_from_slice(bytes)).collect(),
        origin: Origin::Peer,
    };
    let polypeer_engine::kit::chain::Answer::TransactionsTaken(taken) = world.ask(request) else { panic!("taken") };
    for (at, (_, outcome)) in taken.iter().enumerate() {
        let wrong = *outcome == TransactionOutcome::NeverValid(TransactionFault::Signature);
        assert_eq!(wrong, at == 37, "{at}: {outcome:?}");
    }
}
