//! Holds a Kaspa DAG of headers and bodies, without its outputs.
//!
//! So that a node learns, keeps, serves and relays real blocks without running a full node: what follows from headers
//! and bodies alone is computed and compared, what follows from the set of unspent outputs is not known here.
//!
//! ```text
//! requests ─► header (version, time, proof of work) ─► ghostdag ─► window, levels ─► body ─┐
//!             one batch at work on the DAG in memory, or on one that is being imported      │
//!             answers, new blocks ◄── headers, what was computed, bodies ◄──────────────────┘
//!                                          │ 200 ms or 4 MiB later, or before the operator is answered
//!                                     one durable commit ─► Reader (any thread, what is durable)
//! ```
//!
//! # What is durable when
//! What peers bring is answered, and so told to others and served, as soon as it is judged, and waits in memory for a
//! commit with what else came: 200 ms at most, or 4 MiB. A crash takes that back, and peers bring it again. An answer to
//! the operator, a block of our own and the end of an import are durable before anybody hears of them, and all that came
//! before with them. A [`Reader`] shows of the DAG what is durable.
//!
//! A full disk leaves in memory what waits: it is served on, not shown, nothing new is taken, and it is stored once there
//! is room. After another failure of the disk nothing is stored before the next start.
//!
//! # What is checked
//! Of headers: hash, version, time against the clock, count and independence of parents, proof of work (where the
//! network asks for it), blue score and blue work (GHOSTDAG), the score for the difficulty, bits, median time, size and
//! depth of the merge set, parents on every level. None of it is believed: a header whose numbers are not those that
//! follow from its past is refused, and nothing of it is kept.
//!
//! Of bodies: the merkle root; one coinbase, first, its form, its blue score and its subsidy; of each transaction
//! version, counts, script sizes, amounts, lane, gas, lock time; masses of the block with the storage mass that
//! transactions claim; that no transaction stands there twice or spends what another one in the block spends or makes.
//!
//! # What is not checked
//! * Whether outputs exist that are spent, are mature and have that value; signatures and scripts; storage mass; fees.
//! * A header's UTXO commitment, accepted-id root (the sequencing commitment) and pruning point, and what a coinbase
//!   pays. The network takes blocks in which these are wrong, but no chain of its leads through them: our sink can be
//!   such a block where theirs is another. It takes the work of that chain to bring it about.
//! * Finality: a heavier chain is followed however deep it forks, down to the base.
//! * Of an import the blue work that the proof's headers claim: see `importing`.
//!
//! Nothing is pruned: all that is above the base is kept, which is the first block or the pruning point that an import
//! brought, up to a limit of bytes. Beyond it nothing new is taken, and what is held is served on.
//!
//! [`Kaspa`] is the ledger, for one thread; [`Reader`] looks at it from others; [`Params`] are a network's rules;
//! [`proof_of_work`] is what the ledger thinks of a header's, for whoever compares it with another judge.

mod body;
mod coinbase;
mod config;
mod dag;
mod founding;
mod fresh;
mod genesis;
mod ghostdag;
mod header;
mod importing;
mod kaspa;
mod levels;
mod mempool;
mod node;
mod order;
mod overrides;
mod params;
mod pow;
mod producer;
mod reachability;
mod reader;
mod serving;
mod store;
mod tables;
mod taking;
mod transaction;
mod unsaved;
mod wide;
mod window;
mod work;

pub use config::{Config, Limits, OpenError};
pub use genesis::Genesis;
pub use kaspa::Kaspa;
pub use params::{BlockLimits, Params, ParamsError, Rate, TransactionLimits};
pub use pow::{ProofOfWork, proof_of_work};
pub use producer::Producer;
pub use reader::{BlockKey, BlockView, FoundView, Reader};
