//! Spells what brings up a node from another (Kaspa spec, section 2.8).

use super::{Hash, Header, Outpoint, ScriptPublicKey};

/// `RequestIBDChainBlockLocator`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct RequestIbdChainBlockLocator {
    #[prost(message, optional, tag = "1")]
    pub(crate) low_hash: Option<Hash>,
    #[prost(message, optional, tag = "2")]
    pub(crate) high_hash: Option<Hash>,
}

/// `RequestHeaders`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct RequestHeaders {
    #[prost(message, optional, tag = "1")]
    pub(crate) low_hash: Option<Hash>,
    #[prost(message, optional, tag = "2")]
    pub(crate) high_hash: Option<Hash>,
}

/// `RequestAntipast`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct RequestAntipast {
    #[prost(message, optional, tag = "1")]
    pub(crate) block_hash: Option<Hash>,
    #[prost(message, optional, tag = "2")]
    pub(crate) context_hash: Option<Hash>,
}

/// `RequestPruningPointUTXOSet` and `RequestPruningPointSmtState`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct PruningPointHash {
    #[prost(message, optional, tag = "1")]
    pub(crate) hash: Option<Hash>,
}

/// `PruningPointProof`, version 10.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PruningPointProof {
    #[prost(message, repeated, tag = "1")]
    pub(crate) levels: Vec<HeaderArray>,
}

/// `PruningPointProofHeaderArray`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct HeaderArray {
    #[prost(message, repeated, tag = "1")]
    pub(crate) headers: Vec<Header>,
}

/// `PruningPointProofChunk`, version 11.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PruningPointProofChunk {
    #[prost(message, repeated, tag = "1")]
    pub(crate) chunk: Vec<Header>,
    #[prost(uint32, tag = "2")]
    pub(crate) level: u32,
}

/// `TrustedData`, version 10; its legacy extra is not spelled.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct TrustedData {
    #[prost(message, repeated, tag = "1")]
    pub(crate) daa_window: Vec<DaaBlockV4>,
}

/// `TrustedDataChunk`, version 11.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct TrustedDataChunk {
    #[prost(message, repeated, tag = "1")]
    pub(crate) headers: Vec<DaaBlockV4>,
}

/// `DaaBlockV4`; no row looks into its GHOSTDAG data.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct DaaBlockV4 {
    #[prost(message, optional, tag = "1")]
    pub(crate) header: Option<Header>,
}

/// `PruningPointUtxoSetChunk`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PruningPointUtxoSetChunk {
    #[prost(message, repeated, tag = "1")]
    pub(crate) pairs: Vec<OutpointAndUtxoEntry>,
}

/// `OutpointAndUtxoEntryPair`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct OutpointAndUtxoEntry {
    #[prost(message, optional, tag = "1")]
    pub(crate) outpoint: Option<Outpoint>,
    #[prost(message, optional, tag = "2")]
    pub(crate) utxo_entry: Option<UtxoEntry>,
}

/// `UtxoEntry`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct UtxoEntry {
    #[prost(uint64, tag = "1")]
    pub(crate) amount: u64,
    #[prost(message, optional, tag = "2")]
    pub(crate) script_public_key: Option<ScriptPublicKey>,
    #[prost(uint64, tag = "3")]
    pub(crate) block_daa_score: u64,
    #[prost(bool, tag = "4")]
    pub(crate) is_coinbase: bool,
    #[prost(message, optional, tag = "5")]
    pub(crate) covenant_id: Option<Hash>,
}

/// `SmtMetadata`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct SmtMetadata {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) data: Vec<u8>,
    #[prost(uint64, tag = "2")]
    pub(crate) active_lanes_count: u64,
}

/// `SmtLaneChunk`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SmtLaneChunk {
    #[prost(message, repeated, tag = "1")]
    pub(crate) entries: Vec<SmtLaneEntry>,
}

/// `SmtLaneEntry`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct SmtLaneEntry {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) data: Vec<u8>,
    #[prost(uint64, tag = "2")]
    pub(crate) blue_score: u64,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) proof: Vec<u8>,
}
