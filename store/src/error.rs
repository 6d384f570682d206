//! Says what can go wrong with the file, by operation.

use crate::disk::Refusal;
use polypeer_engine::Table;
use std::fmt;
use thiserror::Error;

/// Why a store cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("another process has it open")]
    InUse,
    /// It is not what was written. It was left as it is.
    #[error("it is damaged at byte {offset} ({what}); it was left as it is: move it away to start without it")]
    Damaged {
        /// The page that is wrong, in bytes from the start.
        offset: u64,
        /// What is wrong with it.
        what: String,
    },
    /// The disk refused what it had promised. Only a new start reads what it really holds.
    #[error("the disk has failed, and is not trusted again before the next start")]
    Broken,
    /// It was written by a newer program.
    #[error("its format is version {found}, this program reads version {}", crate::VERSION)]
    Version {
        /// The version found.
        found: u64,
    },
    /// It cannot be read or written, or is not a store.
    #[error(transparent)]
    Storage(redb::Error),
}

/// Why records cannot be loaded.
#[derive(Debug, Error)]
pub enum LoadError {
    /// A record is not what was written, and nobody listens for that: see [`Store::on_damage`](crate::Store::on_damage).
    #[error("a record is damaged: {0}")]
    Damaged(DamagedRecord),
    /// The file was closed after a failure and cannot be opened again.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It cannot be read.
    #[error(transparent)]
    Storage(redb::Error),
}

/// A record that does not carry its own check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedRecord {
    /// Its table; nothing when that is damaged too.
    pub table: Option<Table>,
    /// Its key.
    pub key: Vec<u8>,
}

impl fmt::Display for DamagedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An address has 18 bytes; a longer key is known by its beginning.
        const SHOWN_MAX: usize = 32;
        match self.table {
            Some(table) => write!(f, "table {table:?}, key ")?,
            None => write!(f, "unknown table, key ")?,
        }
        self.key.iter().take(SHOWN_MAX).try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(if self.key.len() > SHOWN_MAX { "..." } else { "" })
    }
}

/// Why a batch was not kept. None of it was.
#[derive(Debug, Error)]
pub enum SaveError {
    /// The file was closed after a failure and cannot be opened again, yet.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It cannot be written: a full disk for one.
    #[error(transparent)]
    Storage(redb::Error),
}

impl From<Refusal> for OpenError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::InUse => Self::InUse,
            Refusal::Damaged { offset, what } => Self::Damaged { offset, what },
            Refusal::Storage(error) => Self::Storage(error),
        }
    }
}

macro_rules! storage {
    ($into:ident: $($from:ident),+) => {
        $(impl From<redb::$from> for $into {
            fn from(error: redb::$from) -> Self {
                Self::Storage(error.into())
            }
        })+
    };
}

storage!(OpenError: TransactionError, TableError, StorageError, CommitError);
storage!(LoadError: TransactionError, TableError, StorageError);
storage!(SaveError: TransactionError, TableError, StorageError, CommitError);
