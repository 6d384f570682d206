//! Converses with a ledger that holds a DAG: what is asked of it, and what it says.
//!
//! Headers, bodies, blocks and transactions travel as the bytes of their protobuf messages (Kaspa spec, sections 2.5
//! and 2.6), so that what came is what is stored and what is served. The interface is wide enough for a full consensus
//! behind it: nothing here says whether outputs are checked.

mod import;

pub use import::{Branch, Import, ImportFault, Imported, Keep, Progress};

use alloc::vec::Vec;
use bytes::Bytes;
pub use polypeer_engine::kit::chain::{Hash, Origin};
use serde::{Deserialize, Serialize};

/// A block's blue work, 192 bits, big-endian in 24 bytes: it compares as its bytes do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BlueWork(pub [u8; 24]);

/// Where a block stands in the DAG.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The block's hash.
    pub hash: Hash,
    /// The blue blocks in its past.
    pub blue_score: u64,
    /// Their work.
    pub blue_work: BlueWork,
    /// Its difficulty-adjustment score.
    pub daa_score: u64,
    /// Milliseconds since 1970.
    pub timestamp: u64,
}

/// Where the ledger stands. What peers brought may become durable a little later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The block with body of the highest blue work whose whole past above the base has bodies.
    pub sink: Standing,
    /// The header of the highest blue work; the sink, unless a sync is half done.
    pub header_tip: Standing,
    /// The pruning point: genesis, or what an import brought.
    pub pruning_point: Hash,
    /// The first block's hash.
    pub genesis: Hash,
}

/// How a block is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// Not at all.
    Unknown,
    /// It broke a rule that no other body can mend.
    Invalid,
    /// Its header only.
    HeaderOnly,
    /// Header and body.
    Full,
}

/// What the protocol asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Where the ledger stands. Answered with [`Answer::State`].
    State,
    /// How these blocks are held. Answered with [`Answer::Statuses`].
    Statuses(Vec<Hash>),
    /// Take this block, a `BlockMessage` with transactions. Answered with [`Answer::BlockTaken`].
    TakeBlock(Bytes),
    /// Take these headers, each a `BlockHeader`, in their order; what follows a faulty one is not looked at. Answered
    /// with [`Answer::HeadersTaken`].
    TakeHeaders(Vec<Bytes>),
    /// Take these bodies, each a `BlockBodyMessage`, for headers that are held; what follows a faulty one is not looked
    /// at. Answered with [`Answer::BodiesTaken`].
    TakeBodies(Vec<(Hash, Bytes)>),
    /// Give these blocks, each a `BlockMessage`. Answered with [`Answer::Blocks`].
    Blocks(Vec<Hash>),
    /// Give these blocks' bodies, each a `BlockBodyMessage`. Answered with [`Answer::Bodies`].
    Bodies(Vec<Hash>),
    /// Selected-chain ancestors of `high`, itself first, at blue scores that fall by 1, 2, 4, 8, ...: at most `limit`
    /// of them, or as many as there are down to the pruning point when it is 0 (Kaspa spec, section 4.4). Answered with
    /// [`Answer::Locator`].
    BlockLocator {
        /// Where it starts.
        high: Hash,
        /// How many at most; 0 for no limit.
        limit: u32,
    },
    /// Blocks of the sink's selected chain from `high` (the sink) down to `low` (the pruning point) at steps of 1, 2,
    /// 4, ... chain blocks, `low` last (Kaspa spec, section 4.6.2). Answered with [`Answer::Locator`]; empty when one of
    /// them is known and not on the chain.
    ChainLocator {
        /// Where it ends.
        low: Option<Hash>,
        /// Where it starts.
        high: Option<Hash>,
    },
    /// Headers of the past of `high`, itself included, that are not in the past of `low` or `low`, from below in
    /// topological order, merge set by merge set along the selected chain, until about `bytes_max` bytes. Answered with
    /// [`Answer::Headers`].
    HeadersBetween {
        /// A chain ancestor of `high`.
        low: Hash,
        /// Where it ends.
        high: Hash,
        /// Bytes after which no other merge set is begun.
        bytes_max: u32,
    },
    /// Headers of the past of `context`, itself included, that are not in the past of `block` or `block`, ascending in
    /// blue work; refused when there are more than `count_max`. Answered with [`Answer::Headers`].
    Antipast {
        /// Whose past is known already.
        block: Hash,
        /// Whose past is wanted.
        context: Hash,
        /// How many at most.
        count_max: u32,
    },
    /// Blocks of the past of `of`, itself included, whose header is held and whose body is not, from below, at most
    /// `count_max`. Answered with [`Answer::MissingBodies`].
    MissingBodies {
        /// Whose past.
        of: Hash,
        /// How many at most.
        count_max: u32,
    },
    /// Take these transactions, each a `TransactionMessage` judged on its own. Answered with
    /// [`Answer::TransactionsTaken`].
    TakeTransactions {
        /// Their bytes.
        transactions: Vec<Bytes>,
        /// Who brought them.
        origin: Origin,
    },
    /// Give these waiting transactions. Answered with [`Answer::Transactions`].
    Transactions(Vec<Hash>),
    /// Which of these transactions neither wait nor were seen in a recent block. Answered with
    /// [`Answer::MissingTransactions`].
    MissingTransactions(Vec<Hash>),
    /// A piece of the state of a pruned network. Answered with [`Answer::Imported`].
    Import(Import),
    /// What was imported and is kept to be served: at most `count_max` items, and as many as have about `bytes_max` bytes
    /// together, at least one if there is one. Answered with [`Answer::Kept`].
    Kept {
        /// Which part.
        keep: Keep,
        /// How many items at most.
        count_max: u32,
        /// The bytes after which no other item is added.
        bytes_max: u32,
    },
    /// Whether the network layer is catching up: a producer pauses meanwhile. Not answered.
    CatchingUp(bool),
    /// Whether a peer is connected that checks outputs, which this node does not: a producer pauses meanwhile. Not
    /// answered.
    MeetsFullNodes(bool),
}

/// What the ledger says: to a request, or of its own accord.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// To [`Request::State`].
    State(State),
    /// To [`Request::Statuses`], in the same order.
    Statuses(Vec<Status>),
    /// To [`Request::TakeBlock`].
    BlockTaken {
        /// The block's hash; zero when the bytes are no block.
        hash: Hash,
        /// What became of it.
        outcome: BlockOutcome,
        /// Where the ledger stands now.
        state: State,
    },
    /// To [`Request::TakeHeaders`].
    HeadersTaken {
        /// How many of them were taken or known already.
        taken: u32,
        /// What was wrong with the next one, if anything.
        fault: Option<BlockOutcome>,
        /// Where the ledger stands now.
        state: State,
    },
    /// To [`Request::TakeBodies`].
    BodiesTaken {
        /// How many of them were taken or known already.
        taken: u32,
        /// What was wrong with the next one, if anything.
        fault: Option<BlockOutcome>,
        /// Where the ledger stands now.
        state: State,
    },
    /// To [`Request::Blocks`], in the same order; nothing for one that is not held with its body.
    Blocks(Vec<Option<Bytes>>),
    /// To [`Request::Bodies`], in the same order; nothing for one that is not held.
    Bodies(Vec<Option<Bytes>>),
    /// To [`Request::BlockLocator`] and [`Request::ChainLocator`].
    Locator(Result<Vec<Hash>, Refusal>),
    /// To [`Request::HeadersBetween`] and [`Request::Antipast`].
    Headers(Result<Headers, Refusal>),
    /// To [`Request::MissingBodies`].
    MissingBodies(Vec<Hash>),
    /// To [`Request::TakeTransactions`], in the same order.
    TransactionsTaken(Vec<(Hash, TransactionOutcome)>),
    /// To [`Request::Transactions`], in the same order; nothing for one that does not wait.
    Transactions(Vec<Option<Bytes>>),
    /// To [`Request::MissingTransactions`]: those not held, in the order asked.
    MissingTransactions(Vec<Hash>),
    /// To [`Request::Import`].
    Imported(Imported),
    /// To [`Request::Kept`]; nothing when nothing was imported.
    Kept(Option<KeptPage>),
    /// Unasked: a block of our own.
    NewBlock {
        /// Its hash.
        hash: Hash,
        /// Where the ledger stands now.
        state: State,
    },
    /// Unasked: the operator's transaction waits now.
    NewTransaction {
        /// Its identifier.
        id: Hash,
    },
}

/// A page of headers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Headers {
    /// Each a `BlockHeader`.
    pub headers: Vec<Bytes>,
    /// The chain block up to which all were given: the next page's `low`. The end when it is `high`.
    pub reached: Hash,
}

/// A page of what was imported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptPage {
    /// The items, as they came.
    pub items: Vec<Bytes>,
    /// Whether none follows.
    pub is_last: bool,
}

/// Why the ledger cannot answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// This block's header is not held.
    UnknownHeader(Hash),
    /// The first is not a selected-chain ancestor of the second.
    NotAncestor(Hash, Hash),
    /// The first is higher than the second.
    LowAboveHigh(Hash, Hash),
    /// The pruning point is not on this block's selected chain.
    PruningPointMissed(Hash),
    /// There are more than were allowed.
    TooMany(u32),
}

/// What became of a block, a header or a body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BlockOutcome {
    /// New, checked, stored durably.
    Accepted,
    /// Held already.
    Known,
    /// These parents are not held with header (a header), or with header and body (a block, a body); nothing is kept.
    ParentsUnknown(Vec<Hash>),
    /// It broke this rule. Whoever sends such a block is to blame.
    Invalid(Fault),
    /// It is so far behind that it can no longer be merged; dropped without blame.
    TooOld,
    /// Right as far as one can see, but there is no room for it. No blame.
    NoRoom,
}

impl BlockOutcome {
    /// Whether whoever brought the block is to blame, and another may bring the right one under the same hash.
    pub fn is_of_bearer(&self) -> bool {
        matches!(self, Self::Invalid(fault) if !fault.is_of_header())
    }
}

/// Which rule a block broke. [`Fault::is_of_header`] says whether another body may be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// It does not decode.
    Malformed,
    /// Not the version that this time wants.
    Version,
    /// More than 132 s ahead of this node's clock.
    TimeTooFar,
    /// Not later than the median of its past.
    TimeTooOld,
    /// No parent, too many, or one in the past of another.
    Parents,
    /// The parents at the levels above 0 are not those that follow from its past.
    IndirectParents,
    /// The hash is above the target.
    ProofOfWork,
    /// Not the target that follows from its past, or one easier than the floor.
    Bits,
    /// Not the score that follows from its past.
    DaaScore,
    /// Not the score that follows from its past.
    BlueScore,
    /// Not the work that follows from its past.
    BlueWork,
    /// It merges more than the network allows.
    MergeSet,
    /// The pruning point is none that it can have.
    PruningPoint,
    /// The merkle root is not that of the body.
    MerkleRoot,
    /// No coinbase first, a second one, or one that breaks its form.
    Coinbase,
    /// A transaction in it breaks a rule on its own, or stands there twice.
    Transaction,
    /// Larger than a block may be.
    Mass,
    /// A block without transactions.
    NoBody,
    /// It was found to be invalid before.
    KnownInvalid,
    /// A block in its past is invalid.
    InvalidParent,
}

impl Fault {
    /// Whether no other body could make a block with this hash right, so that the hash may be remembered.
    pub fn is_of_header(self) -> bool {
        !matches!(
            self,
            Self::Malformed
                | Self::TimeTooFar
                | Self::MerkleRoot
                | Self::NoBody
                | Self::Coinbase
                | Self::Transaction
                | Self::Mass
        )
    }

    /// What the sender is told, in today's words where there are some (Kaspa spec, section 4.3).
    pub fn text(self) -> &'static str {
        match self {
            Self::Malformed => "malformed block",
            Self::Version => "wrong block version",
            Self::TimeTooFar => "the block timestamp is too far into the future",
            Self::TimeTooOld => "block timestamp is not after the median time of its past",
            Self::Parents => "invalid block parents",
            Self::IndirectParents => "unexpected indirect parents",
            Self::ProofOfWork => "block has invalid proof-of-work",
            Self::Bits => "block has unexpected difficulty",
            Self::DaaScore => "unexpected header daa score",
            Self::BlueScore => "unexpected header blue score",
            Self::BlueWork => "unexpected header blue work",
            Self::MergeSet => "merge set size exceeds the limit",
            Self::PruningPoint => "unexpected header pruning point",
            Self::MerkleRoot => "invalid merkle root",
            Self::Coinbase => "bad coinbase transaction",
            Self::Transaction => "invalid transaction in block",
            Self::Mass => "block mass exceeds the limit",
            Self::NoBody => "expected block with body",
            Self::KnownInvalid => "sent an invalid block",
            Self::InvalidParent => "block has an invalid block in its past",
        }
    }
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TransactionOutcome {
    /// New; it waits now.
    Accepted,
    /// It waits already, or stood in a recent block.
    Known,
    /// Its form is wrong whatever the state.
    Malformed,
    /// Larger than is relayed.
    TooLarge,
    /// There is no room.
    NoRoom,
}

impl TransactionOutcome {
    /// Whether it is the fault of these bytes: others under the same identifier, which says nothing of signatures, may
    /// be right.
    pub fn is_of_bearer(self) -> bool {
        matches!(self, Self::Malformed | Self::TooLarge)
    }
}
