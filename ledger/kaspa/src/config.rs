//! Says with what a ledger is opened, and why it cannot be.

use crate::params::{Params, ParamsError};
use crate::producer::Producer;
use crate::tables::StoreError;
use polypeer_store::disk::Refusal;
use std::path::PathBuf;
use thiserror::Error;

/// How much the ledger may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The store's page cache, in bytes. It fills with use.
    pub cache_bytes: usize,
    /// Bytes of headers and bodies, with what was computed from them. The file is about a third larger. Beyond it
    /// nothing new is taken, and what is held is served on.
    pub store_bytes: u64,
    /// Bytes of waiting transactions, with what it takes to find them.
    pub mempool_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { cache_bytes: 32 << 20, store_bytes: 64 << 30, mempool_bytes: 64 << 20 }
    }
}

/// What a ledger is opened with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The store's file, made when missing; its folder must exist. None keeps everything in memory.
    pub path: Option<PathBuf>,
    /// The network's rules.
    pub params: Params,
    /// Who produces blocks, if anyone.
    pub producer: Option<Producer>,
    /// How much is kept.
    pub limits: Limits,
}

impl Config {
    /// A ledger in memory that produces nothing.
    pub fn in_memory(params: Params) -> Self {
        Self { path: None, params, producer: None, limits: Limits::default() }
    }
}

/// Why a ledger cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The network's rules are out of range.
    #[error(transparent)]
    Params(#[from] ParamsError),
    /// Blocks are produced on private networks only.
    #[error("{0} is a public network: no blocks are produced on it")]
    Public(&'static str),
    /// The file was written with a layout that this version does not read.
    #[error("the store has another layout than version {layout}", layout = crate::store::LAYOUT)]
    Layout,
    /// The file holds a network with another first block or other rules.
    #[error("the store holds another network, or one with other rules")]
    OtherNetwork,
    /// The file is not what was written. It was left as it is.
    #[error("the store is damaged at byte {offset} ({what}); it was left as it is: move it away to begin a new one")]
    Damaged {
        /// The page that is wrong, in bytes from the start.
        offset: u64,
        /// What is wrong with it.
        what: String,
    },
    /// The file cannot be opened, or is in use.
    #[error("the store cannot be opened: {0}")]
    Store(Box<redb::Error>),
}

impl From<Refusal> for OpenError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Damaged { offset, what } => Self::Damaged { offset, what },
            Refusal::InUse => Self::Store(Box::new(StoreError::DatabaseAlreadyOpen)),
            Refusal::Storage(error) => Self::Store(Box::new(error)),
        }
    }
}

impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> Self {
        Self::Store(Box::new(error))
    }
}
