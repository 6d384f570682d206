//! Holds the newest blocks of a Mina network, and its pools, without the ledger of accounts.
//!
//! So that a node learns, keeps, serves and relays real blocks without running a full node: chains are chosen by what their
//! ends say, as the network does, and nothing is executed.
//!
//! ```text
//! requests ─► a copy of the blocks ─► judged, taken ─► one durable commit ─► answers, the new tip
//!                      commands, SNARK work ─► pools (memory)                    │
//!                      signatures ◄─ the node's key                  Reader (any thread, what is durable)
//! ```
//!
//! # What is kept
//! The best chain back to the block that is final, `k` below its end, and further when the operator wants it; branches that
//! could still become the best; one better chain while it is fetched. The rest goes, so that memory and disk stay as they
//! are.
//!
//! # What is durable when
//! Blocks and the operator's commands before anybody hears of them. What peers bring for the pools stays in memory, and
//! peers bring it again. The operator's commands stay on disk until a block that has them is final.
//!
//! A full disk takes nothing new: what is held is served on, and blocks are taken again once there is room. After another
//! failure of the disk nothing is stored before the next start.
//!
//! # What is checked
//! That a block's state hash is that of its bytes, that length and slots follow from the block below, that no final block is
//! contradicted. On networks without proofs also all else of the consensus state: densities, epochs, checkpoints, seeds. Of
//! commands that their nonces were not used, that they are not too late; of SNARK work that its proofs are of its statements.
//!
//! # What is not checked
//! * **Proofs and signatures.** Everything that peers bring is [`Unverified`](polypeer_mina::ledger::Verdict::Unverified)
//!   unless a [`Host`] that can tell says otherwise. On a network with proofs a peer can therefore make up a chain that this
//!   ledger takes for the best one, until a better one comes: it is a relay's view, not a full node's, and nobody should
//!   decide about money by it.
//! * Balances, and nonces that no kept block tells: the pools hold what could never be included, until it is old.
//! * What blocks do: no ledger is executed, so whether a state's ledger hashes are right nobody here knows.
//!
//! [`Mina`] is the ledger, for one thread; [`Reader`] looks at it from others; [`Rules`] are a network's; an [`Identity`]
//! has the node's key.

mod config;
mod first;
mod health;
mod host;
mod identity;
mod mina;
mod node;
mod orphans;
mod pool;
mod producer;
mod reader;
mod rules;
mod serving;
mod store;
mod successor;
mod tables;
mod tree;
mod turn;
mod window;
mod works;

pub use config::{Config, Limits, OpenError};
pub use host::{Finding, Host, Nobody};
pub use identity::{Identity, KeyFileError};
pub use mina::Mina;
pub use producer::Producer;
pub use reader::{BlockKey, BlockView, CommandView, Reader, Standing};
pub use rules::Rules;
