//! Spells transactions and what relays them (Kaspa spec, sections 2.3, 2.5 and 2.7).

use super::Hash;

/// `SubnetworkId`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct SubnetworkId {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) bytes: Vec<u8>,
}

/// `Outpoint`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Outpoint {
    #[prost(message, optional, tag = "1")]
    pub(crate) transaction_id: Option<Hash>,
    #[prost(uint32, tag = "2")]
    pub(crate) index: u32,
}

/// `ScriptPublicKey`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct ScriptPublicKey {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) script: Vec<u8>,
    #[prost(uint32, tag = "2")]
    pub(crate) version: u32,
}

/// `Transaction`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Transaction {
    #[prost(uint32, tag = "1")]
    pub(crate) version: u32,
    #[prost(message, repeated, tag = "2")]
    pub(crate) inputs: Vec<Input>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) outputs: Vec<Output>,
    #[prost(uint64, tag = "4")]
    pub(crate) lock_time: u64,
    #[prost(message, optional, tag = "5")]
    pub(crate) subnetwork_id: Option<SubnetworkId>,
    #[prost(uint64, tag = "6")]
    pub(crate) gas: u64,
    #[prost(bytes = "vec", tag = "8")]
    pub(crate) payload: Vec<u8>,
    #[prost(uint64, tag = "9")]
    pub(crate) storage_mass: u64,
}

/// `TransactionInput`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Input {
    #[prost(message, optional, tag = "1")]
    pub(crate) previous_outpoint: Option<Outpoint>,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) signature_script: Vec<u8>,
    #[prost(uint64, tag = "3")]
    pub(crate) sequence: u64,
    #[prost(uint32, tag = "4")]
    pub(crate) compute_commit: u32,
}

/// `TransactionOutput`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Output {
    #[prost(uint64, tag = "1")]
    pub(crate) value: u64,
    #[prost(message, optional, tag = "2")]
    pub(crate) script_public_key: Option<ScriptPublicKey>,
    #[prost(message, optional, tag = "3")]
    pub(crate) covenant: Option<Covenant>,
}

/// `CovenantBinding`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Covenant {
    #[prost(uint32, tag = "1")]
    pub(crate) authorizing_input: u32,
    #[prost(message, optional, tag = "2")]
    pub(crate) covenant_id: Option<Hash>,
}

/// `InvTransactions` and `RequestTransactions`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct TransactionIds {
    #[prost(message, repeated, tag = "1")]
    pub(crate) ids: Vec<Hash>,
}

/// `TransactionNotFound`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct TransactionNotFound {
    #[prost(message, optional, tag = "1")]
    pub(crate) id: Option<Hash>,
}
