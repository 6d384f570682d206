//! Says with what a ledger is opened, and why it cannot be.

use crate::params::{Params, ParamsError};
use crate::producer::Producer;
use crate::tables::StoreError;
use polypeer_store::file::FileError;
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
    /// The file holds something else, is damaged, or cannot be opened.
    #[error(transparent)]
    File(#[from] FileError),
}

impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> Self {
        Self::File(error.into())
    }
}
