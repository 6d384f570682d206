//! Spells handshake, addresses, ping and reject (Kaspa spec, sections 2.3 and 2.4).

use super::SubnetworkId;

/// `Version`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Version {
    #[prost(uint32, tag = "1")]
    pub(crate) protocol_version: u32,
    #[prost(uint64, tag = "2")]
    pub(crate) services: u64,
    #[prost(int64, tag = "3")]
    pub(crate) timestamp: i64,
    #[prost(message, optional, tag = "4")]
    pub(crate) address: Option<NetAddress>,
    #[prost(bytes = "vec", tag = "5")]
    pub(crate) id: Vec<u8>,
    #[prost(string, tag = "6")]
    pub(crate) user_agent: String,
    #[prost(bool, tag = "8")]
    pub(crate) disable_relay_tx: bool,
    #[prost(message, optional, tag = "9")]
    pub(crate) subnetwork_id: Option<SubnetworkId>,
    #[prost(string, tag = "10")]
    pub(crate) network: String,
}

/// `NetAddress`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct NetAddress {
    #[prost(int64, tag = "1")]
    pub(crate) timestamp: i64,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) ip: Vec<u8>,
    #[prost(uint32, tag = "4")]
    pub(crate) port: u32,
}

/// `RequestAddresses`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RequestAddresses {
    #[prost(bool, tag = "1")]
    pub(crate) include_all_subnetworks: bool,
    #[prost(message, optional, tag = "2")]
    pub(crate) subnetwork_id: Option<SubnetworkId>,
}

/// `Addresses`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Addresses {
    #[prost(message, repeated, tag = "1")]
    pub(crate) address_list: Vec<NetAddress>,
}

/// `Ping` and `Pong`.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct Nonce {
    #[prost(uint64, tag = "1")]
    pub(crate) nonce: u64,
}

/// `Reject`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Reject {
    #[prost(string, tag = "1")]
    pub(crate) reason: String,
}
