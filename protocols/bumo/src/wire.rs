//! Turns messages into bytes and back (BUMO spec, sections 2 and 3).
//!
//! ```text
//! Envelope::decode    one WebSocket message: which Kind, whether a request, the data     Envelope::encode, head
//! X::decode           the message inside, borrowed from the bytes                        X::encode
//! ```
//!
//! What is encoded is byte for byte what the original encodes. What is hashed or signed is decoded only if it is in that
//! form too, because the original hashes and checks what it would write, not what came (section 0). The rest
//! ([`Envelope`], [`Ping`], [`Hello`], [`HelloResponse`], [`Peers`], [`GetLedgers`], [`Ledgers`]) may be in any order
//! and have unknown fields. Nothing is allocated but the lists of [`Peers`] and [`Ledgers`], which are bounded.

mod canonical;
mod envelope;
mod error;
mod error_code;
mod field;
mod list;
mod loose;
mod overlay;
mod pbft;
mod proto;
mod transaction;
mod value;

pub use canonical::canonical_proof;
pub use envelope::*;
pub use error::WireError;
pub use error_code::ErrorCode;
pub use list::{Encoded, Items, List, Whole};
pub use loose::is_protobuf;
pub use overlay::*;
pub use pbft::*;
pub use proto::{Field, Message, Reader, Writer};
pub use transaction::*;
pub use value::*;

/// How deep messages may be nested in one: the original's limit. The deepest honest one has nine.
pub const DEPTH_MAX: u32 = 100;
/// Bytes of a WebSocket message (section 1.1): whoever sends more is disconnected.
pub const MESSAGE_BYTES_MAX: usize = 32_000_000;
/// Bytes of a TRANSACTION's data (section 5.3): 1 MiB, and 2 MiB that the original leaves for what is around it.
pub const TRANSACTION_DATA_BYTES_MAX: usize = (1 << 20) + (2 << 20);
/// Bytes of a `TransactionEnv` must be fewer (section 9.1).
pub const TRANSACTION_BYTES_MAX: usize = 1 << 20;
/// Bytes of a PBFT's data (section 5.3) and of a `ConsensusValue` (section 6.3), which must have fewer: 16 MiB of
/// transactions, and 2 MiB for what is around them.
pub const PBFT_BYTES_MAX: usize = (16 << 20) + (2 << 20);
/// Bytes of a proposed `TransactionEnvSet` must be fewer (section 7.6).
pub const TXSET_BYTES_MAX: usize = 16 << 20;
/// Transactions that are proposed in a value: the original's configuration (section 7.6). A value with more is valid.
pub const TRANSACTIONS_MAX: usize = 10_000;
/// Operations of a transaction (section 9.1).
pub const OPERATIONS_MAX: usize = 100;
/// Signatures of a transaction that is relayed: the schema's constant, which the original does not enforce, so that
/// ledgers may have more.
pub const SIGNATURES_MAX: usize = 100;
/// Bytes of a transaction's and of an operation's metadata (section 9.1), and of a metadata entry's value.
pub const METADATA_BYTES_MAX: usize = 256 << 10;
/// Ledgers of a request and of its answer (section 6.1).
pub const LEDGERS_MAX: usize = 5;
/// Entries of a PEERS: the original sends 50 and has no limit; its table holds 1,000.
pub const PEERS_MAX: usize = 1_000;
/// Entries that the original puts into a PEERS (section 5.2).
pub const PEERS_SENT_MAX: usize = 50;
/// The overlay's version, and the oldest that is spoken with (section 4.4).
pub const OVERLAY_VERSION_MIN: i64 = 1000;
