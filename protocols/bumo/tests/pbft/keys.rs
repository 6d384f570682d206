//! Keys of the test validators, and signatures that are made and checked once for each message.

use bytes::Bytes;
use polypeer_bumo::keys::{PrivateKey, ReadyKey, Scheme};
use polypeer_bumo::ledger::Signed;
use sha2::{Digest as _, Sha256};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::rc::Rc;

/// Answers that are remembered before all are forgotten: some hundred megabytes.
const REMEMBERED_MAX: usize = 1_000_000;

/// A validator's key.
pub(crate) struct Key {
    secret: PrivateKey,
    /// Its public key's text.
    pub(crate) public: String,
    /// Its address.
    pub(crate) address: String,
}

thread_local! {
    static KEYS: RefCell<Vec<Rc<Key>>> = const { RefCell::new(Vec::new()) };
    static SIGNED: RefCell<HashMap<(usize, u128), Bytes>> = RefCell::new(HashMap::new());
    static TRUSTS_OWN: Cell<bool> = const { Cell::new(false) };
    static VERIFIED: RefCell<HashMap<u128, bool>> = RefCell::new(HashMap::new());
}

/// The key of the fixtures' validator of this number.
pub(crate) fn key(number: usize) -> Rc<Key> {
    KEYS.with_borrow_mut(|keys| {
        while keys.len() <= number {
            let seed: [u8; 32] = Sha256::digest(format!("bumo-test-validator-{}", keys.len())).into();
            let secret = PrivateKey::new(Scheme::Ed25519, seed).expect("it is right");
            let (public, address) = (secret.public().text(), secret.public().address());
            keys.push(Rc::new(Key { secret, public, address }));
        }
        keys[number].clone()
    })
}

/// From now on what is signed in this thread is known to be right; only what is forged is checked. For long runs: most of
/// their time goes into signatures.
pub(crate) fn trust_own() {
    TRUSTS_OWN.with(|trusts| trusts.set(true));
}

/// Signs with it, for real, unless it has signed the same before.
pub(crate) fn sign(number: usize, message: &[u8]) -> Bytes {
    let digest = fingerprint(&[message]);
    if let Some(signature) = SIGNED.with_borrow(|signed| signed.get(&(number, digest)).cloned()) {
        return signature;
    }
    let signature = Bytes::copy_from_slice(&key(number).secret.sign(message));
    if TRUSTS_OWN.with(Cell::get) {
        let digest = fingerprint(&[key(number).secret.public().raw(), message, &signature]);
        VERIFIED.with_borrow_mut(|verified| verified.insert(digest, true));
    }
    SIGNED.with_borrow_mut(|signed| {
        if signed.len() >= REMEMBERED_MAX {
            signed.clear();
        }
        signed.insert((number, digest), signature.clone());
    });
    signature
}

/// What a ledger answers.
pub(crate) fn signed(number: usize, message: &[u8]) -> Signed {
    Signed { public_key: key(number).public.clone(), sign_data: sign(number, message) }
}

/// Checks for real, once for each message and signature.
pub(crate) fn verify(key: &ReadyKey, message: &[u8], signature: &[u8]) -> bool {
    let digest = fingerprint(&[key.raw(), message, signature]);
    if let Some(is_right) = VERIFIED.with_borrow(|verified| verified.get(&digest).copied()) {
        return is_right;
    }
    let is_right = key.verify(message, signature);
    VERIFIED.with_borrow_mut(|verified| {
        if verified.len() >= REMEMBERED_MAX {
            verified.clear();
        }
        verified.insert(digest, is_right);
    });
    is_right
}

/// 128 bits of some bytes.
pub(crate) fn fingerprint(parts: &[&[u8]]) -> u128 {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        salt.hash(&mut hasher);
        parts.iter().for_each(|part| part.hash(&mut hasher));
        hasher.finish()
    };
    u128::from(half(1)) << 64 | u128::from(half(2))
}
