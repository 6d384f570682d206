//! Says with what a ledger is opened, and why it cannot be.

use crate::parameters::{NetworkParameters, ParametersError};
use crate::producer::Producer;
use crate::tables::StoreError;
use polypeer_store::file::FileError;
use std::path::PathBuf;
use thiserror::Error;

/// How much the ledger may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The store's page cache, in bytes. It fills with use; too small a cache reads the file again and again.
    pub cache_bytes: usize,
    /// The least fee that the mempool takes. Blocks may hold less.
    pub fee_min: u64,
    /// Bytes of waiting transactions. One of 153 bytes takes up about three times as much memory.
    pub mempool_bytes: usize,
    /// Bytes of blocks off the main chain. The branch with most work may exceed them while it is being collected.
    pub side_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { cache_bytes: 32 << 20, fee_min: 1, mempool_bytes: 64 << 20, side_bytes: 256 << 20 }
    }
}

/// What a ledger is opened with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The store's file, made when missing; its folder must exist. None keeps everything in memory.
    pub path: Option<PathBuf>,
    /// The network.
    pub network: NetworkParameters,
    /// Who produces blocks, if anyone.
    pub producer: Option<Producer>,
    /// How much is kept.
    pub limits: Limits,
}

impl Config {
    /// A ledger in memory that produces nothing.
    pub fn in_memory(network: NetworkParameters) -> Self {
        Self { path: None, network, producer: None, limits: Limits::default() }
    }
}

/// Why a ledger cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The network's parameters are out of range.
    #[error(transparent)]
    Parameters(#[from] ParametersError),
    /// The file holds something else, is damaged, or cannot be opened.
    #[error(transparent)]
    File(#[from] FileError),
}

impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> Self {
        Self::File(error.into())
    }
}
