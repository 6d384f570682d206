//! Holds the key with which a node proves who it is, on transports where it does.

use ed25519_dalek::{Signer, SigningKey};
use std::fmt;
use std::sync::Arc;

/// What a peer id begins with: an identity multihash of 36 bytes, and protobuf's form of an ed25519 key of 32.
pub(crate) const ID_PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

/// A node's own ed25519 key. A clone is the same.
///
/// It is no part of a recording, and an engine never sees it: what the engine wants signed goes through its ledger.
#[derive(Clone)]
pub struct Identity(Arc<SigningKey>);

impl Identity {
    /// The key that this seed stands for.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(Arc::new(SigningKey::from_bytes(seed)))
    }

    /// What peers know the node by.
    pub fn peer_id(&self) -> [u8; 38] {
        peer_id(self.0.verifying_key().as_bytes())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the key, which a log must not hold.
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

/// The id of whoever has this public key.
pub(crate) fn peer_id(public: &[u8; 32]) -> [u8; 38] {
    let mut id = [0; 38];
    id[..ID_PREFIX.len()].copy_from_slice(&ID_PREFIX);
    id[ID_PREFIX.len()..].copy_from_slice(public);
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_known_id() {
        let known = "002408011220 8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c";
        let known = const_hex::decode(known.replace(' ', "")).expect("hex");
        assert_eq!(Identity::from_seed(&[1; 32]).peer_id(), known[..]);
    }
}
