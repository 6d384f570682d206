//! Turns messages into bytes and back (Kaspa spec, sections 1.1, 1.3 and 2).
//!
//! ```text
//! Frames       one gRPC message: flag, length, payload
//! unpack       one Envelope: which Kind, the body's bytes, two ids      pack, pack_gzip
//! X::decode    one message; large ones are taken apart and not copied   X::encode
//! ```
//!
//! What is encoded is byte for byte what kaspad encodes: fields ascend, defaults are left out. What is decoded may be
//! in any order and have unknown fields. Nothing allocates more than a small multiple of the bytes that came.
//!
//! | messages | type |
//! |---|---|
//! | Version, Ping and Pong, Reject, RequestAddresses, Addresses | [`Version`], [`Nonce`], [`Reject`], [`RequestAddresses`], [`Addresses`] |
//! | InvRelayBlock, TransactionNotFound, RequestPruningPointUTXOSet, RequestPruningPointSmtState | [`OneHash`] |
//! | RequestHeaders, RequestAntipast; RequestIBDChainBlockLocator; RequestBlockLocator | [`TwoHashes`]; [`OptionalHashes`]; [`RequestBlockLocator`] |
//! | RequestRelayBlocks, BlockLocator, InvTransactions, RequestTransactions, RequestIBDBlocks, RequestBlockBodies, IbdChainBlockLocator | [`Hashes`] |
//! | Block, IbdBlock; BlockBody; Transaction | [`BlockView`]; [`BlockBody`]; [`TransactionView`] |
//! | BlockHeaders, PruningPoints, PruningPointProof, TrustedDataChunk, PruningPointUtxoSetChunk, SmtLaneChunk | [`Items`] of [`Header`], [`Items`], [`TrustedBlock`], [`Utxo`], [`SmtLane`] |
//! | PruningPointProofChunk, TrustedData, BlockWithTrustedDataV4, SmtMetadata | [`ProofChunk`], [`TrustedData`], [`BlockWithTrustedData`], [`SmtMetadata`] |
//! | Verack, Ready, all credits and ends | [`decode_empty`] |

mod address;
mod block;
mod envelope;
mod error;
mod frames;
mod greeting;
mod gzip;
mod hashes;
mod header;
mod items;
mod kind;
mod old;
mod parents;
mod proto;
mod script;
mod state;
mod transaction;
mod trusted;

pub use address::*;
pub use block::*;
pub use envelope::*;
pub use error::WireError;
pub use frames::{
    Frames, GREETING, GREETING_BYTES_MAX, GZIP, IDENTITY, OPEN, OPEN_BYTES_MAX, PREFIX_BYTES, SYNCING,
    SYNCING_BYTES_MAX,
};
pub use greeting::*;
pub use hashes::*;
pub use header::Header;
pub use items::Items;
pub use kind::{HEADER_BYTES_MAX, Kind};
pub use old::OldBlockWithTrustedData;
pub use parents::{LEVELS_MAX, PARENTS_EXPANDED_MAX, Parents};
pub use script::*;
pub use state::*;
pub use transaction::*;
pub use trusted::*;

use crate::ledger::BlueWork;

impl BlueWork {
    /// The bytes without leading zeros: how it is written and hashed.
    pub fn digits(&self) -> &[u8] {
        let zeros = self.0.iter().take_while(|byte| **byte == 0).count();
        self.0.get(zeros..).unwrap_or_default()
    }
}
