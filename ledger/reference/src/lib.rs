//! Holds the reference ledger of AnYa and Hello.
//!
//! A small ledger of accounts and proof of work (ledger spec), so that a node does its whole job on a machine with
//! nothing else installed: it validates, chooses the chain with most work at any depth, keeps a mempool, produces
//! blocks, and stores everything in one file whose commit is the acknowledgement. It makes no claim to monetary
//! security, and it knows nothing of how blocks travel.
//!
//! ```text
//!  requests ─► judge (forms, roots, signatures; worker threads)
//!                │
//!              work (one write transaction) ── chain ── side branches
//!                │                               └───── mempool
//!              commit, durable ─► answers, new tip        │
//!                │                                        │
//!              Reader (any thread, committed state) ◄─────┘
//! ```
//!
//! [`Reference`] is the ledger, for one thread; [`Reader`] looks at it from others; [`Format`] is what a protocol
//! needs to place a block; [`Wallet`] signs transactions.

mod batch;
mod block;
mod chain;
mod config;
mod held;
mod index;
mod judge;
mod mempool;
mod operator;
mod parameters;
mod producer;
mod reader;
mod recovery;
mod reference;
mod requests;
mod side;
mod signatures;
mod store;
mod tables;
mod target;
mod transaction;
mod validate;
mod wallet;
mod writing;

pub use block::{BLOCK_BYTES_MAX, EMPTY_BLOCK_BYTES, Format, HEADER_BYTES, Header, TRANSACTIONS_MAX};
pub use block::{encode as encode_block, merkle_root};
pub use config::{Config, Limits, OpenError};
pub use parameters::{Network, NetworkParameters, ParametersError};
pub use producer::Producer;
pub use reader::{BlockView, Reader, TransactionView};
pub use reference::Reference;
pub use signatures::verify as verify_signature;
pub use tables::Account;
pub use target::Target;
pub use transaction::{TRANSACTION_BYTES, Transaction, TransactionBytes, id as transaction_id};
pub use validate::{AHEAD_MS, MEDIAN_BLOCKS, REWARD};
pub use wallet::{PUBLIC_ACCOUNTS, Payment, Wallet};
