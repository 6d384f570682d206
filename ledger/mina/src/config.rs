//! Says with what a ledger is opened, and why it cannot be.

use crate::host::Host;
use crate::identity::Identity;
use crate::producer::Producer;
use crate::rules::Rules;
use crate::tables::StoreError;
use polypeer_store::file::FileError;
use std::path::PathBuf;
use std::time::Duration;
use thiserror::Error;

/// How much the ledger may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The store's page cache, in bytes. It fills with use.
    pub cache_bytes: usize,
    /// Blocks of the best chain that are kept, at least the network's `k`, below which nothing changes any more. Older
    /// ones are only looked at by the operator.
    pub blocks: u32,
    /// Bytes of blocks; the file is about a tenth larger. Beyond them side branches go first, then what is final, and
    /// then nothing new is taken.
    pub store_bytes: u64,
    /// Commands that wait: what the network's own nodes hold (Mina spec, section 1.3).
    pub commands: usize,
    /// Bytes of commands that wait. One with proofs has some 40 kB.
    pub command_bytes: usize,
    /// Pieces of SNARK work that wait for a block.
    pub works: usize,
    /// Bytes of SNARK work; a piece has 12 to 24 kB.
    pub work_bytes: usize,
    /// How often the operator's commands are told again while no block has them: pools forget, and peers come and go.
    pub tell_again: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            cache_bytes: 32 << 20,
            blocks: 0,
            store_bytes: 4 << 30,
            commands: 3_000,
            command_bytes: 64 << 20,
            works: 4_096,
            work_bytes: 64 << 20,
            tell_again: Duration::from_secs(10 * 60),
        }
    }
}

/// What a ledger is opened with.
#[derive(Debug)]
pub struct Config {
    /// The store's file, made when missing; its folder must exist. None keeps everything in memory.
    pub path: Option<PathBuf>,
    /// The network's rules.
    pub rules: Rules,
    /// Who signs what this node tells all, if anyone.
    pub identity: Option<Identity>,
    /// Who produces blocks, if anyone; on networks without proofs only.
    pub producer: Option<Producer>,
    /// Who knows what this ledger does not.
    pub host: Box<dyn Host>,
    /// How much is kept.
    pub limits: Limits,
}

impl Config {
    /// A ledger in memory that signs and produces nothing.
    pub fn in_memory(rules: Rules) -> Self {
        let host = Box::new(crate::host::Nobody);
        Self { path: None, rules, identity: None, producer: None, host, limits: Limits::default() }
    }
}

/// Why a ledger cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Blocks without a proof are produced on networks that ask for none.
    #[error("blocks of this network have proofs, which are not made here: nothing is produced on it")]
    Proofs,
    /// The network's constants are out of range.
    #[error(
        "the network's constants make no chain: k, slots of an epoch, of a part of the window and a slot's time must be above 0, and delta 0"
    )]
    Constants,
    /// The file holds something else, is damaged, or cannot be opened.
    #[error(transparent)]
    File(#[from] FileError),
}

impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> Self {
        Self::File(error.into())
    }
}
