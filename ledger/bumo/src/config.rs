//! Says with what a ledger is opened, and why it cannot be.

use crate::rules::Rules;
use crate::signer::Signer;
use crate::tables::StoreError;
use polypeer_store::file::FileError;
use std::path::PathBuf;
use thiserror::Error;

/// How much the ledger may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The store's page cache, in bytes. It fills with use.
    pub cache_bytes: usize,
    /// Bytes of values. The file is about twice as large, as headers, accounts and transactions' places are in it too.
    /// Beyond it no ledger is closed, and what is held is served on.
    pub store_bytes: u64,
    /// Bytes of waiting transactions.
    pub pool_bytes: usize,
    /// Bytes of each of the vote log's two files, which they have from the start. When one is full the other is begun.
    pub votes_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { cache_bytes: 32 << 20, store_bytes: 256 << 30, pool_bytes: 64 << 20, votes_bytes: 8 << 20 }
    }
}

/// What a ledger is opened with.
pub struct Config {
    /// The store's file, made when missing; its folder must exist. A validator's vote log is beside it, with the endings
    /// `votes0` and `votes1`. None keeps everything in memory.
    pub path: Option<PathBuf>,
    /// The network's rules.
    pub rules: Rules,
    /// Who signs, if this node validates.
    pub signer: Option<Box<dyn Signer>>,
    /// How much is kept.
    pub limits: Limits,
}

impl Config {
    /// A ledger in memory that signs nothing.
    pub fn in_memory(rules: Rules) -> Self {
        Self { path: None, rules, signer: None, limits: Limits::default() }
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let signer = self.signer.as_ref().map(|signer| signer.public_key().address());
        let mut fields = f.debug_struct("Config");
        fields.field("path", &self.path).field("rules", &self.rules).field("signer", &signer);
        fields.field("limits", &self.limits).finish()
    }
}

/// Why a ledger cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// An address of the rules is none.
    #[error("`{0}` is no address")]
    Address(String),
    /// There are no validators, too many, or one twice.
    #[error("a network has between 1 and 1,000 validators, each once")]
    Validators,
    /// The genesis account is a validator's.
    #[error("the genesis account must not be a validator's")]
    GenesisValidates,
    /// A fee or reserve is negative.
    #[error("gas price and base reserve must not be negative")]
    Fees,
    /// The file holds something else, is damaged, or cannot be opened.
    #[error(transparent)]
    File(#[from] FileError),
    /// The chain goes by rules that are newer than this program.
    #[error("the chain is at version {0}, this program knows version {max}", max = crate::rules::VERSION_MAX)]
    Version(i64),
    /// The vote log is not what was written. Without it a validator could contradict itself.
    #[error(
        "the vote log is damaged at byte {0}; it was left as it is: only who knows that nothing was signed since may \
             move it away"
    )]
    Votes(u64),
    /// The vote log cannot be opened, or is in use.
    #[error("the vote log cannot be opened: {0}")]
    VotesIo(std::io::Error),
    /// A ledger that stands in the vote log cannot be closed again.
    #[error("ledger {0} stands in the vote log and does not follow the store's")]
    Replay(u64),
}

impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> Self {
        Self::File(error.into())
    }
}
