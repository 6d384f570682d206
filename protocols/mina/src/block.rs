//! Reads and writes blocks, to the last byte (Mina spec, sections 6.1 and 6.2).
//!
//! ```text
//! Block   header ── protocol state ── previous, genesis, blockchain, consensus, constants
//!    │      ├────── recursive proof ─ statement, evaluations, wrap proof
//!    │      ├────── delta chain proof
//!    │      └────── versions
//!    └─── body ──── staged ledger diff ── works, commands with their statuses, coinbase
//! ```
//!
//! The declarations are the layout: fields are on the wire in their order, with nothing between them. A block is decoded
//! without an allocation; proofs, lists and the body are checked and left where they lie.

mod amount;
mod blockchain;
mod body;
mod consensus;
mod header;
mod key;
mod proof;
mod slot;
mod state;
mod statement;
mod status;

pub use amount::{Sign, SignedAmount};
pub use blockchain::{BlockchainState, StagedLedgerHash};
pub use body::*;
pub use consensus::{ConsensusState, Densities, EpochData};
pub use header::{Block, DeltaProof, Header, Version};
pub use key::{PublicKey, Signature};
pub use proof::*;
pub use slot::Slot;
pub use state::{Constants, ProtocolState, StateBody};
pub use statement::{FeeExcess, LocalState, Registers, Statement};
pub use status::{Failure, FailureTable, Status};

/// Sub-windows of the window that densities are kept for: a constant of the circuits, so of every network.
pub const SUB_WINDOWS: usize = 11;
/// Commands of a partial diff. A block's tree of work has 128 leaves (`transaction_capacity_log_2` = 7), and each command
/// takes one.
pub const COMMANDS_MAX: usize = 128;
/// Completed works of a partial diff: two for each leaf.
pub const WORKS_MAX: usize = 256;
/// Statuses of coinbase and fee transfers in a partial diff: two coinbases, and a fee transfer for each pair of receivers
/// among provers and creator.
pub const INTERNALS_MAX: usize = 256;
/// Account updates, or failures of one, that a table of failures may have. The network's cost limit lets a command have
/// some 14 updates.
pub const FAILURES_MAX: usize = 64;
