//! The same frames as a stock protobuf library knows them, written down from the spec's table.

use bytes::Bytes;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Rpc {
    #[prost(message, repeated, tag = "1")]
    pub(crate) subscriptions: Vec<Subscription>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) publish: Vec<Message>,
    #[prost(message, optional, tag = "3")]
    pub(crate) control: Option<Control>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Subscription {
    #[prost(bool, optional, tag = "1")]
    pub(crate) subscribe: Option<bool>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub(crate) topic: Option<Bytes>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Message {
    #[prost(bytes = "bytes", optional, tag = "1")]
    pub(crate) from: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub(crate) data: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "3")]
    pub(crate) seqno: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "4")]
    pub(crate) topic: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "5")]
    pub(crate) signature: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "6")]
    pub(crate) key: Option<Bytes>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Control {
    #[prost(message, repeated, tag = "1")]
    pub(crate) ihave: Vec<IHave>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) iwant: Vec<IWant>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) graft: Vec<Graft>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) prune: Vec<Prune>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct IHave {
    #[prost(bytes = "bytes", optional, tag = "1")]
    pub(crate) topic: Option<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub(crate) ids: Vec<Bytes>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct IWant {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub(crate) ids: Vec<Bytes>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Graft {
    #[prost(bytes = "bytes", optional, tag = "1")]
    pub(crate) topic: Option<Bytes>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Prune {
    #[prost(bytes = "bytes", optional, tag = "1")]
    pub(crate) topic: Option<Bytes>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) peers: Vec<Offer>,
    #[prost(uint64, optional, tag = "3")]
    pub(crate) back_off: Option<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Offer {
    #[prost(bytes = "bytes", optional, tag = "1")]
    pub(crate) id: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub(crate) record: Option<Bytes>,
}
