//! Converses with a ledger: what is asked of it, and what it says.
//!
//! Blocks and diffs travel as the bytes that came, so that what was checked is what is stored, hashed and served. By
//! then they have been decoded to the last byte and have passed the cheap checks (Mina spec, section 6.4); proofs and
//! signatures have not been looked at, and a ledger that can says [`Verdict::Accept`] instead of
//! [`Verdict::Unverified`]. The ledger holds the node's key: gossip is signed by asking.
//!
//! | of the source document | here |
//! |---|---|
//! | Transition Frontier | [`Request::Block`], [`Request::Candidate`], what is served, [`Answer::TipMoved`] |
//! | Block Producer | [`Answer::Publish`] of [`Kind::Block`] |
//! | Transaction Pool | [`Request::Commands`], [`Request::Submit`], [`Answer::Publish`] of [`Kind::Transactions`] |
//! | SNARK Pool | [`Request::SnarkWork`], [`Answer::Publish`] of [`Kind::SnarkWork`] |

use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
pub use polypeer_engine::kit::chain::Hash;
use serde::{Deserialize, Serialize};

/// What a gossiped message is about: each kind has a lane of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    /// A block.
    Block,
    /// User commands for the pool.
    Transactions,
    /// SNARK work for the pool.
    SnarkWork,
}

impl Kind {
    /// All of them, in the order of their lanes.
    pub const ALL: [Self; 3] = [Self::Block, Self::Transactions, Self::SnarkWork];

    /// Its name, as metrics show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Transactions => "transactions",
            Self::SnarkWork => "snark_work",
        }
    }
}

/// How a block came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// Pushed by gossip.
    Gossip,
    /// Fetched, because the ledger or a better tip wanted it.
    Sync,
}

/// What the protocol asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Where the ledger stands; asked once, at the start. Answered with [`Answer::Tip`].
    Tip,
    /// Judge this block and keep it if it is worth keeping. Answered with [`Answer::Judged`].
    Block {
        /// By which [`Answer::Judged`] names it: the message's id for gossip, the state hash for what was fetched.
        id: Hash,
        /// Its state hash.
        hash: Hash,
        /// The block's bytes, without an envelope.
        block: Bytes,
        /// Where in them the body begins.
        header_end: u32,
        /// How it came.
        origin: Origin,
    },
    /// Judge these commands and put those that are new into the pool. Answered with [`Answer::Judged`]: accepted when at
    /// least one is new and valid (section 3.6).
    Commands {
        /// The message's id.
        id: Hash,
        /// The list's bytes: a count, and the commands.
        commands: Bytes,
    },
    /// Judge this SNARK work and put it into the pool. Answered with [`Answer::Judged`].
    SnarkWork {
        /// The message's id.
        id: Hash,
        /// The diff's bytes.
        diff: Bytes,
    },
    /// The operator's transaction, a user command's bytes with its kind. Answered with [`Answer::Submitted`]; when it was
    /// taken [`Answer::Publish`] follows.
    Submit {
        /// The command.
        command: Bytes,
    },
    /// A peer says that this is its best chain: is it better than ours, and what of it is missing here? The path is
    /// proven: every hash follows from the one before. Answered with [`Answer::Candidate`].
    Candidate {
        /// The block from which the path begins: final for that peer.
        root: Bytes,
        /// The best block.
        tip: Bytes,
        /// State hashes from the block behind the root to the tip.
        path: Vec<Hash>,
    },
    /// The answer to `get_best_tip`, without its option byte. Answered with [`Answer::Served`].
    BestTip,
    /// The answer to `get_ancestry` for the block with this hash.
    Ancestry {
        /// The consensus state that the peer says it has, as it came.
        consensus_state: Bytes,
        /// The block's state hash.
        hash: Hash,
    },
    /// The answer to `get_transition_chain`: the list of blocks with these hashes, or nothing when one is not here.
    TransitionChain {
        /// At most twenty (section 5.3).
        hashes: Vec<Hash>,
    },
    /// The answer to `get_transition_chain_proof` for the block with this hash.
    ChainProof {
        /// The block's state hash.
        hash: Hash,
    },
    /// The answer to `Get_transition_knowledge`: a list of hashes.
    Knowledge,
    /// A question about accounts or pending work that the protocol does not look into. A ledger that does not hold what
    /// it takes says nothing, and the peer is told so.
    LedgerQuery {
        /// The method's tag (section 5.3).
        method: String,
        /// Its version.
        version: u32,
        /// The question's bytes.
        payload: Bytes,
    },
    /// Whether the network layer is catching up with its peers: a producer pauses meanwhile. Not answered.
    CatchingUp(bool),
    /// Sign these bytes with the node's key: a gossiped message (section 3.5). Answered with [`Answer::Signed`].
    Sign {
        /// What is signed, `libp2p-pubsub:` in front of it included.
        bytes: Bytes,
    },
}

/// What the ledger says: to a request, or of its own accord.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// To [`Request::Tip`].
    Tip(Tip),
    /// To [`Request::Block`], [`Request::Commands`] and [`Request::SnarkWork`]; and unasked, when one that was left
    /// unverified could be verified after all: while it is held that decides.
    Judged {
        /// Which.
        id: Hash,
        /// What it is.
        verdict: Verdict,
        /// A block that is missing below it.
        wants: Option<Hash>,
    },
    /// To [`Request::Submit`].
    Submitted {
        /// The transaction's id; zero when it does not decode.
        id: Hash,
        /// Why it was refused, if it was.
        refused: Option<Refusal>,
    },
    /// To [`Request::Candidate`]: the hashes of the path that are missing here, oldest first; none when the chain is no
    /// better, or all is here.
    Candidate {
        /// At most as many as the path had.
        wants: Vec<Hash>,
    },
    /// To what is served: the answer's bytes as the method has them behind the option byte; nothing when it is not here.
    Served(Option<Bytes>),
    /// To [`Request::Sign`]: 64 bytes; nothing when there is no key.
    Signed(Option<Bytes>),
    /// Unasked: something of our own that wants to be told to all.
    Publish {
        /// What it is.
        kind: Kind,
        /// The value's bytes: a block, a list of commands, a diff; without envelope.
        payload: Bytes,
    },
    /// Unasked: the best chain has another end now.
    TipMoved(Tip),
}

/// The end of the best chain, durable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tip {
    /// Its state hash.
    pub hash: Hash,
    /// Blocks from genesis to it.
    pub length: u32,
    /// The slot that it was made in, since genesis over all hard forks.
    pub global_slot: u32,
}

/// What a message is (Mina spec, section 3.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// Verified, and worth sending on.
    Accept,
    /// Worth sending on, but nobody checked its proofs or signatures: see [`crate::config::Unverified`].
    Unverified,
    /// A duplicate, old, of no use, or over what is kept: not sent on, without blame.
    Ignore,
    /// Wrong, and whoever sent it could have known: not sent on, and blamed.
    Reject,
}

/// Why a transaction of the operator's was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// It does not decode.
    Malformed,
    /// It is in the pool already.
    Known,
    /// Its nonce was used before, or waits with another command.
    Nonce,
    /// Its fee is too low for a pool that is full.
    Fee,
    /// It is too late for it.
    Expired,
    /// The pool has no room.
    Full,
    /// The disk refused.
    Store,
}
