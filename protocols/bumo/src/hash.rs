//! Hashes ledgers, values, transactions and what is broadcast (BUMO spec, sections 0 and 9).

pub use polypeer_engine::kit::chain::Hash;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sm3::Sm3;

/// The ledger hash, `hash_type` of the configuration. It is announced nowhere: all nodes of a network have the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HashType {
    /// 0, the public networks' one.
    #[default]
    Sha256,
    /// 1.
    Sm3,
}

impl HashType {
    /// The one of this number in a configuration.
    pub fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Sha256),
            1 => Some(Self::Sm3),
            _ => None,
        }
    }

    /// The hash of some bytes.
    pub fn hash(self, bytes: &[u8]) -> Hash {
        match self {
            Self::Sha256 => sha256(bytes),
            Self::Sm3 => sm3(bytes),
        }
    }
}

/// SHA-256 of some bytes.
pub fn sha256(bytes: &[u8]) -> Hash {
    Hash(Sha256::digest(bytes).into())
}

/// SM3 of some bytes.
pub fn sm3(bytes: &[u8]) -> Hash {
    Hash(Sm3::digest(bytes).into())
}
