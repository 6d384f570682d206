//! Holds a BUMO ledger: accounts, the pool, and the votes of a validator.
//!
//! So that a node follows, serves and validates in a network of the original's: ledgers are made from the same values by
//! the same rules, so exactly that their hashes agree.
//!
//! ```text
//! requests ─► Close:   value, proof ─► execution ─► account tree ─► header ─► pending ──► one commit for many ledgers
//!             Propose: pool ─► execution ─► value          │
//!             Judge:   value ─► execution ─► valid?        └─► the next Close of the same value finds it done
//!             Sign:    vote ─► vote log ─► one sync for all that came at once ─► signature
//!             Submit:  transaction ─► rules of the door ─► pool; the operator's ─► vote log, with the same sync
//!                  │
//!             answers                          Reader (any thread, committed state)
//! ```
//!
//! # What is durable when
//! A vote before its signature leaves, always. A ledger that was closed stands in a validator's vote log with the next
//! vote; the store has it about two seconds later at the latest, written on a thread of its own, and readers see it then.
//! An operator's transaction is in the vote log before it is acknowledged. A node that only follows has no such log: it
//! commits for the operator, and can lose the last two seconds of ledgers, which it fetches again: a value with its proof
//! is the network's, not this node's.
//!
//! # What is executed
//! CREATE_ACCOUNT without code, PAY_COIN, SET_PRIVILEGE. From the first ledger with another operation on, the state is not
//! known any more, and the node follows for good: it checks proofs, stores and serves, and neither votes nor proposes. A
//! validator that is proposed such a value does not vote for it.
//!
//! # What is not known from a real node
//! The captured chains have one validator and the operations above. By the public source alone, without a vector: the
//! reward's remainder among several validators and the account that elects them, reserved addresses, signers that are
//! removed, thresholds of single operations, fees that cannot be paid, hard forks, and what is checked of operations that
//! are not executed.
//!
//! [`Bumo`] is the ledger, for one thread; [`Reader`] looks at it from others; [`Rules`] are a network's; a [`Signer`] has
//! the validation key.

mod account;
mod answering;
mod bumo;
mod chain;
mod checks;
mod closing;
mod config;
mod envelope;
mod execution;
mod genesis;
mod header;
mod health;
mod judging;
mod leaving;
mod log;
mod pending;
mod pool;
mod proposing;
mod reader;
mod rules;
mod signer;
mod store;
mod tables;
mod trie;
mod votes;
mod writing;

pub use bumo::Bumo;
pub use config::{Config, Limits, OpenError};
pub use header::Header;
pub use reader::{
    AccountView, LedgerKey, LedgerView, PlaceView, Reader, Standing, TransactionView, open_transaction, transaction_id,
};
pub use rules::{Rules, VERSION_MAX, VERSION_MIN};
pub use signer::{KeyFileError, Signer, read_key, write_key};
