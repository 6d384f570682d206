//! Keeps a key ready that verifies many signatures: where it lies on its curve is found once.

use super::{PublicKey, SIGNATURE_BYTES, minus, verify_at};
use curve25519_dalek::edwards::EdwardsPoint;

/// A public key that is used again and again, such as a validator's. It says of every signature what the key itself says.
#[derive(Clone, Copy, Debug)]
pub struct ReadyKey {
    key: PublicKey,
    /// Of an Ed25519 key; nothing when it is not on the curve.
    minus: Option<EdwardsPoint>,
}

impl ReadyKey {
    /// Makes it ready.
    pub fn new(key: PublicKey) -> Self {
        let minus = if let PublicKey::Ed25519(raw) = &key { minus(raw) } else { None };
        Self { key, minus }
    }

    /// The key's own bytes.
    pub fn raw(&self) -> &[u8] {
        self.key.raw()
    }

    /// Whether this is the signature of this message.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match (&self.key, &self.minus) {
            (PublicKey::Ed25519(raw), Some(minus)) => <&[u8; SIGNATURE_BYTES]>::try_from(signature)
                .is_ok_and(|signature| verify_at(raw, minus, message, signature).unwrap_or(false)),
            (key, _) => key.verify(message, signature),
        }
    }
}
