//! Spells the envelope and its oneof (Kaspa spec, sections 2.1 and 2.2).

use super::*;

/// What travels: one payload and two ids.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct KaspadMessage {
    #[prost(
        oneof = "Payload",
        tags = "1, 2, 3, 5, 6, 10, 12, 13, 14, 15, 16, 17, 19, 20, 21, 22, 25, 26, 27, 31, 33, 34, 35, 37, 40, 41, \
                42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 63, 64, 65, 66, 67"
    )]
    pub(crate) payload: Option<Payload>,
    #[prost(uint32, tag = "101")]
    pub(crate) response_id: u32,
    #[prost(uint32, tag = "102")]
    pub(crate) request_id: u32,
}

/// Every payload that is in use, and those retired ones that a row sends.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Payload {
    #[prost(message, tag = "1")]
    Addresses(Addresses),
    #[prost(message, tag = "2")]
    Block(Block),
    #[prost(message, tag = "3")]
    Transaction(Transaction),
    #[prost(message, tag = "5")]
    BlockLocator(BlockLocator),
    #[prost(message, tag = "6")]
    RequestAddresses(RequestAddresses),
    #[prost(message, tag = "10")]
    RequestRelayBlocks(RequestHashes),
    #[prost(message, tag = "12")]
    RequestTransactions(TransactionIds),
    #[prost(message, tag = "13")]
    IbdBlock(Block),
    #[prost(message, tag = "14")]
    InvRelayBlock(InvRelayBlock),
    #[prost(message, tag = "15")]
    InvTransactions(TransactionIds),
    #[prost(message, tag = "16")]
    Ping(Nonce),
    #[prost(message, tag = "17")]
    Pong(Nonce),
    #[prost(message, tag = "19")]
    Verack(Empty),
    #[prost(message, tag = "20")]
    Version(Version),
    #[prost(message, tag = "21")]
    TransactionNotFound(TransactionNotFound),
    #[prost(message, tag = "22")]
    Reject(Reject),
    #[prost(message, tag = "25")]
    PruningPointUtxoSetChunk(PruningPointUtxoSetChunk),
    #[prost(message, tag = "26")]
    RequestIbdBlocks(RequestHashes),
    #[prost(message, tag = "27")]
    UnexpectedPruningPoint(Empty),
    #[prost(message, tag = "31")]
    IbdBlockLocatorHighestHash(InvRelayBlock),
    #[prost(message, tag = "33")]
    RequestNextPruningPointUtxoSetChunk(Empty),
    #[prost(message, tag = "34")]
    DonePruningPointUtxoSetChunks(Empty),
    #[prost(message, tag = "35")]
    IbdBlockLocatorHighestHashNotFound(Empty),
    #[prost(message, tag = "37")]
    DoneBlocksWithTrustedData(Empty),
    #[prost(message, tag = "40")]
    RequestPruningPointAndItsAnticone(Empty),
    #[prost(message, tag = "41")]
    BlockHeaders(BlockHeaders),
    #[prost(message, tag = "42")]
    RequestNextHeaders(Empty),
    #[prost(message, tag = "43")]
    DoneHeaders(Empty),
    #[prost(message, tag = "44")]
    RequestPruningPointUtxoSet(PruningPointHash),
    #[prost(message, tag = "45")]
    RequestHeaders(RequestHeaders),
    #[prost(message, tag = "46")]
    RequestBlockLocator(RequestBlockLocator),
    #[prost(message, tag = "47")]
    PruningPoints(BlockHeaders),
    #[prost(message, tag = "48")]
    RequestPruningPointProof(Empty),
    #[prost(message, tag = "49")]
    PruningPointProof(PruningPointProof),
    #[prost(message, tag = "50")]
    Ready(Empty),
    #[prost(message, tag = "51")]
    BlockWithTrustedDataV4(BlockWithTrustedDataV4),
    #[prost(message, tag = "52")]
    TrustedData(TrustedData),
    #[prost(message, tag = "53")]
    RequestIbdChainBlockLocator(RequestIbdChainBlockLocator),
    #[prost(message, tag = "54")]
    IbdChainBlockLocator(BlockLocator),
    #[prost(message, tag = "55")]
    RequestAntipast(RequestAntipast),
    #[prost(message, tag = "56")]
    RequestNextPruningPointAndItsAnticoneBlocks(Empty),
    #[prost(message, tag = "57")]
    BlockBody(BlockBody),
    #[prost(message, tag = "58")]
    RequestBlockBodies(RequestHashes),
    #[prost(message, tag = "59")]
    RequestPruningPointSmtState(PruningPointHash),
    #[prost(message, tag = "60")]
    SmtMetadata(SmtMetadata),
    #[prost(message, tag = "61")]
    SmtLaneChunk(SmtLaneChunk),
    #[prost(message, tag = "63")]
    RequestNextPruningPointSmtChunk(Empty),
    #[prost(message, tag = "64")]
    PruningPointProofChunk(PruningPointProofChunk),
    #[prost(message, tag = "65")]
    PruningPointProofChunksEnd(Empty),
    #[prost(message, tag = "66")]
    TrustedDataChunk(TrustedDataChunk),
    #[prost(message, tag = "67")]
    TrustedDataChunksEnd(Empty),
}

impl From<Payload> for KaspadMessage {
    fn from(payload: Payload) -> Self {
        Self { payload: Some(payload), request_id: 0, response_id: 0 }
    }
}

impl KaspadMessage {
    /// The payload's name, for a report.
    pub(crate) fn name(&self) -> String {
        let Some(payload) = &self.payload else { return "no payload".to_owned() };
        let text = format!("{payload:?}");
        text.split('(').next().unwrap_or_default().to_owned()
    }
}
