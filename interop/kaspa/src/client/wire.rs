//! Spells the messages of Kaspa's wire as prost structs, by hand (Kaspa spec, section 2).
//!
//! Names are those of the spec without the suffix `Message`. Nothing is checked here: a scripted peer must be able to
//! say what is wrong.

mod block;
mod envelope;
mod greeting;
mod ibd;
mod transaction;

pub(crate) use block::{
    Block, BlockBody, BlockHeaders, BlockLocator, BlockWithTrustedDataV4, Header, InvRelayBlock, LevelParents,
    RequestBlockLocator, RequestHashes,
};
pub(crate) use envelope::{KaspadMessage, Payload};
pub(crate) use greeting::{Addresses, NetAddress, Nonce, Reject, RequestAddresses, Version};
pub(crate) use ibd::*;
pub(crate) use transaction::{
    Input, Outpoint, Output, ScriptPublicKey, SubnetworkId, Transaction, TransactionIds, TransactionNotFound,
};

/// A hash as our own code has it.
pub(crate) type Hash32 = [u8; 32];

/// `Hash`, and `TransactionId`, which is the same on the wire.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Hash {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) bytes: Vec<u8>,
}

/// Every message without a field.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct Empty {}

impl Hash {
    /// The bytes, or zeros when there are not 32: no block has that hash.
    pub(crate) fn get(&self) -> Hash32 {
        self.bytes.as_slice().try_into().unwrap_or_default()
    }
}

/// A hash as a field.
pub(crate) fn hash(hash: &Hash32) -> Option<Hash> {
    Some(Hash { bytes: hash.to_vec() })
}

/// Hashes as a repeated field.
pub(crate) fn hashes<'a>(all: impl IntoIterator<Item = &'a Hash32>) -> Vec<Hash> {
    all.into_iter().map(|one| Hash { bytes: one.to_vec() }).collect()
}

/// A field as a hash.
pub(crate) fn get(field: Option<&Hash>) -> Hash32 {
    field.map(Hash::get).unwrap_or_default()
}

/// A repeated field as hashes.
pub(crate) fn get_all(field: &[Hash]) -> Vec<Hash32> {
    field.iter().map(Hash::get).collect()
}
