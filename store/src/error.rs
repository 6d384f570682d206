//! Says what can go wrong with the file, by operation.

use thiserror::Error;

/// Why a store cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("another process has it open")]
    InUse,
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
    /// A record is not what was written.
    #[error("a record is damaged")]
    Damaged,
    /// The file was closed after a failure and cannot be opened again.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It cannot be read.
    #[error(transparent)]
    Storage(redb::Error),
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

impl From<redb::DatabaseError> for OpenError {
    fn from(error: redb::DatabaseError) -> Self {
        match error {
            redb::DatabaseError::DatabaseAlreadyOpen => Self::InUse,
            other => Self::Storage(other.into()),
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
