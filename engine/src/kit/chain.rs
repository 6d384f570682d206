//! Converses with a ledger of blocks and transactions: the requests and answers that AnYa and Hello share.

use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;
use serde::{Deserialize, Serialize};

/// A block's hash or a transaction's identifier, 32 bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// 32 zero bytes: the parent of a genesis block.
    pub const ZERO: Self = Self([0; 32]);
}

impl From<[u8; 32]> for Hash {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl AsRef<[u8]> for Hash {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a block's bytes say of its place in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The block's own hash.
    pub hash: Hash,
    /// Its parent's hash.
    pub parent: Hash,
    /// How many blocks are below it.
    pub height: u64,
}

/// The pure functions that a ledger supplies, so that a protocol can place what it carries without knowing what it
/// means. They must be cheap: one hash, no signature.
pub trait ChainFormat: Send + 'static {
    /// A block's place, or nothing when the bytes are not even the shape of a block.
    fn head(block: &[u8]) -> Option<Head>;
    /// A transaction's identifier: defined for any bytes.
    fn transaction_id(transaction: &[u8]) -> Hash;
}

/// The end of the best valid chain, durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tip {
    /// The newest block's hash.
    pub hash: Hash,
    /// Its height; a chain has `height + 1` blocks.
    pub height: u64,
    /// The chain's work, genesis included.
    pub work: u128,
    /// The first block's hash.
    pub genesis: Hash,
}

/// Which block is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BlockKey {
    /// Any block that the ledger holds, abandoned branches too.
    Hash(Hash),
    /// The main chain's block at this height.
    Height(u64),
}

/// Where a transaction came from, which decides whether it outlives the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// A peer: it may be lost with the process.
    Peer,
    /// The operator: stored before it is acknowledged, waits again after a restart, and is announced with
    /// [`Answer::NewTransaction`].
    Operator,
}

/// What a protocol asks a ledger of blocks and transactions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// The tip. Answered with [`Answer::Tip`].
    Tip,
    /// Take this block. Answered with [`Answer::BlockTaken`].
    TakeBlock(Bytes),
    /// Take these transactions, each judged on its own. Answered with [`Answer::TransactionsTaken`].
    TakeTransactions {
        /// The ledger's own encoding of each.
        transactions: Vec<Bytes>,
        /// Who brought them.
        origin: Origin,
    },
    /// Give this block. Answered with [`Answer::Block`].
    Block(BlockKey),
    /// The main chain's hashes from height `from` upwards, at most `count`. Answered with [`Answer::Hashes`].
    Hashes {
        /// The first height.
        from: u64,
        /// How many at most.
        count: u32,
    },
    /// The main chain's hashes at these heights, ascending. Answered with [`Answer::HashesAt`].
    HashesAt(Vec<u64>),
    /// Which of these blocks are not held in any form. Answered with [`Answer::Missing`].
    Missing(Vec<Hash>),
    /// The waiting transactions, highest fee first, each sender's in order, as many as fit. Answered with
    /// [`Answer::Waiting`].
    Waiting {
        /// The bytes of all transactions together, at most, with `overhead` added for each.
        bytes_max: u64,
        /// Bytes that the wire adds to each.
        overhead: u64,
    },
    /// The identifiers of waiting transactions, at most this many. Answered with [`Answer::WaitingIds`].
    WaitingIds(u32),
    /// Which of these transactions neither wait nor stand in the main chain, as far as the ledger remembers.
    /// Answered with [`Answer::Missing`].
    MissingTransactions(Vec<Hash>),
    /// One waiting transaction. Answered with [`Answer::Transaction`].
    Transaction(Hash),
    /// Whether the network layer is catching up: a producer pauses meanwhile. Not answered.
    CatchingUp(bool),
}

/// What a ledger says: to a request, or of its own accord.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// To [`Request::Tip`].
    Tip(Tip),
    /// To [`Request::TakeBlock`].
    BlockTaken {
        /// The block's hash; zero when the bytes are no block.
        hash: Hash,
        /// What became of it.
        outcome: BlockOutcome,
    },
    /// To [`Request::TakeTransactions`], in the same order.
    TransactionsTaken(Vec<(Hash, TransactionOutcome)>),
    /// To [`Request::Block`].
    Block(Option<Bytes>),
    /// To [`Request::Hashes`].
    Hashes {
        /// The height of the first; the tip's height + 1 when `from` was above the tip.
        from: u64,
        /// The hash at height `from - 1`; zero for genesis.
        parent: Hash,
        /// The hashes, ascending.
        hashes: Vec<Hash>,
        /// The tip at that moment.
        tip: Tip,
    },
    /// To [`Request::HashesAt`]: pairs of height and hash; heights above the tip are left out. The tip is that of
    /// the same moment.
    HashesAt {
        /// Height and hash, ascending.
        hashes: Vec<(u64, Hash)>,
        /// The tip at that moment.
        tip: Tip,
    },
    /// To [`Request::Missing`] and [`Request::MissingTransactions`]: those not held, in the order asked.
    Missing(Vec<Hash>),
    /// To [`Request::Waiting`].
    Waiting(Vec<Bytes>),
    /// To [`Request::WaitingIds`].
    WaitingIds(Vec<Hash>),
    /// To [`Request::Transaction`].
    Transaction(Option<Bytes>),
    /// Unasked, after the answers of its batch: the main chain has a new end, durably. One for each batch, however
    /// many blocks the batch added.
    NewTip {
        /// The new end.
        tip: Tip,
        /// Its bytes.
        block: Bytes,
    },
    /// Unasked: the operator's transaction, or one that a reorganisation put back, waits now.
    NewTransaction {
        /// Its identifier.
        id: Hash,
        /// Its bytes.
        transaction: Bytes,
    },
}

/// What became of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BlockOutcome {
    /// New, checked as far as its place allows, stored durably.
    Accepted,
    /// Held already.
    Known,
    /// Proof of work and root are right, the parent is not held; the ledger keeps nothing of it.
    ParentUnknown,
    /// From the future: the ledger keeps it until its time, bounded. No blame.
    Held,
    /// Wrong. A peer that sends such a block is to blame.
    Invalid(BlockFault),
    /// Right as far as one can see, but there is no room for it. No blame.
    NoRoom,
}

/// Where a block is wrong, which decides what may be remembered of its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BlockFault {
    /// It does not decode, or its body does not fit its header: another body for the same hash may be right.
    Body,
    /// The header breaks a rule whatever the state: no body can mend it.
    Header,
    /// It, or a block below it, breaks a rule on its parent's state.
    State,
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TransactionOutcome {
    /// New; it waits now.
    Accepted,
    /// It waits already, or stands in the chain.
    Known,
    /// Wrong whatever the state: length, version, signature, sender and recipient.
    NeverValid(TransactionFault),
    /// Cannot be taken in this state, or there is no room. It may come again.
    NotNow(TransactionFault),
}

/// Why a transaction was not taken; the text is the ledger's own word for the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TransactionFault {
    /// Not the one length that the format has.
    Length,
    /// An unknown version.
    Version,
    /// The signature does not verify strictly.
    Signature,
    /// Sender and recipient are the same.
    ToSelf,
    /// The sequence is taken, or too far ahead of the sender's count.
    Sequence,
    /// The balance does not cover amounts and fees.
    Balance,
    /// A sum above 2^64 - 1.
    Overflow,
    /// The fee is below the mempool's least.
    FeeTooLow,
    /// A replacement needs a higher fee.
    ReplacementFeeTooLow,
    /// The mempool is full of better ones, or it must be stored and cannot be.
    NoRoom,
}
