//! Spells blocks, headers and what relays them (Kaspa spec, sections 2.6 to 2.8).

use super::{Hash, Transaction};

/// `Block`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Block {
    #[prost(message, optional, tag = "1")]
    pub(crate) header: Option<Header>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) transactions: Vec<Transaction>,
}

/// `BlockBody`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct BlockBody {
    #[prost(message, repeated, tag = "1")]
    pub(crate) transactions: Vec<Transaction>,
}

/// `BlockHeader`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Header {
    #[prost(uint32, tag = "1")]
    pub(crate) version: u32,
    #[prost(message, optional, tag = "3")]
    pub(crate) hash_merkle_root: Option<Hash>,
    #[prost(message, optional, tag = "4")]
    pub(crate) accepted_id_merkle_root: Option<Hash>,
    #[prost(message, optional, tag = "5")]
    pub(crate) utxo_commitment: Option<Hash>,
    #[prost(int64, tag = "6")]
    pub(crate) timestamp: i64,
    #[prost(uint32, tag = "7")]
    pub(crate) bits: u32,
    #[prost(uint64, tag = "8")]
    pub(crate) nonce: u64,
    #[prost(uint64, tag = "9")]
    pub(crate) daa_score: u64,
    #[prost(bytes = "vec", tag = "10")]
    pub(crate) blue_work: Vec<u8>,
    #[prost(message, repeated, tag = "12")]
    pub(crate) parents: Vec<LevelParents>,
    #[prost(uint64, tag = "13")]
    pub(crate) blue_score: u64,
    #[prost(message, optional, tag = "14")]
    pub(crate) pruning_point: Option<Hash>,
}

/// `BlockLevelParents`: one run of equal levels.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct LevelParents {
    #[prost(message, repeated, tag = "1")]
    pub(crate) parent_hashes: Vec<Hash>,
    #[prost(uint32, tag = "2")]
    pub(crate) cumulative_level: u32,
}

/// `InvRelayBlock`, and the retired `IbdBlockLocatorHighestHash`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct InvRelayBlock {
    #[prost(message, optional, tag = "1")]
    pub(crate) hash: Option<Hash>,
}

/// `RequestRelayBlocks`, `RequestIBDBlocks` and `RequestBlockBodies`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct RequestHashes {
    #[prost(message, repeated, tag = "1")]
    pub(crate) hashes: Vec<Hash>,
}

/// `RequestBlockLocator`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct RequestBlockLocator {
    #[prost(message, optional, tag = "1")]
    pub(crate) high_hash: Option<Hash>,
    #[prost(uint32, tag = "2")]
    pub(crate) limit: u32,
}

/// `BlockLocator` and `IbdChainBlockLocator`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct BlockLocator {
    #[prost(message, repeated, tag = "1")]
    pub(crate) hashes: Vec<Hash>,
}

/// `BlockHeaders` and `PruningPoints`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct BlockHeaders {
    #[prost(message, repeated, tag = "1")]
    pub(crate) headers: Vec<Header>,
}

/// `BlockWithTrustedDataV4`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct BlockWithTrustedDataV4 {
    #[prost(message, optional, tag = "1")]
    pub(crate) block: Option<Block>,
    #[prost(uint64, repeated, tag = "2")]
    pub(crate) daa_window_indices: Vec<u64>,
    #[prost(uint64, repeated, tag = "3")]
    pub(crate) ghostdag_data_indices: Vec<u64>,
}
