//! Opens the store, on a file, in memory or on a storage of the caller's, and opens it again after a failure.

use crate::backend::{Failure, Watched};
use crate::config::OpenError;
use crate::parameters::Network;
use crate::tables::{Reading, Result, StoreError, torn};
use crate::writing::{LAYOUT, Writing};
use redb::backends::{FileBackend, InMemoryBackend};
use redb::{Database, StorageBackend, WriteTransaction};
use std::fs::OpenOptions;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

/// Where the bytes are.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// The process's memory, gone with it.
    Memory(Arc<InMemoryBackend>),
    /// A file, made when missing.
    File(PathBuf),
    /// Whatever the caller brought.
    Storage(Arc<dyn StorageBackend>),
}

impl Source {
    pub(crate) fn memory() -> Self {
        Self::Memory(Arc::new(InMemoryBackend::new()))
    }

    fn outlives_a_kill(&self) -> bool {
        !matches!(self, Self::Memory(_))
    }
}

/// The database that the ledger writes and its readers read; nothing while a failure keeps it shut.
pub(crate) type SharedDatabase = Arc<RwLock<Option<Database>>>;

/// The open store.
pub(crate) struct Store {
    source: Source,
    cache_bytes: usize,
    failure: Failure,
    database: SharedDatabase,
    reading: Option<Reading>,
}

impl Store {
    /// Opens the store and founds the network in it when it is new.
    pub(crate) fn open(source: Source, cache_bytes: usize, network: &Network) -> Result<Self, OpenError> {
        let failure = Failure::default();
        let database = open(&source, cache_bytes, &failure).map_err(StoreError::from)?;
        let store =
            Self { source, cache_bytes, failure, database: Arc::new(RwLock::new(Some(database))), reading: None };
        store.found(network)?;
        Ok(store)
    }

    fn found(&self, network: &Network) -> Result<(), OpenError> {
        let transaction = self.begin()?;
        let mut tables = Writing::open(&transaction)?;
        match tables.holds()? {
            None => {
                tables.found(network)?;
                tables.finish()?;
                Ok(transaction.commit().map_err(StoreError::from)?)
            }
            Some((layout, _)) if layout != LAYOUT => Err(OpenError::Layout { found: layout }),
            Some((_, genesis)) if genesis != network.genesis_hash.0 => Err(OpenError::OtherNetwork),
            Some(_) => {
                drop(tables);
                Ok(transaction.abort().map_err(StoreError::from)?)
            }
        }
    }

    /// What readers on other threads look at.
    pub(crate) fn shared(&self) -> SharedDatabase {
        self.database.clone()
    }

    /// Begins what one durable commit will end.
    pub(crate) fn begin(&self) -> Result<WriteTransaction> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let mut transaction = database.as_ref().ok_or(StoreError::PreviousIo)?.begin_write()?;
        // The commit then also says which pages are in use, so that opening after a kill need not walk the file.
        transaction.set_quick_repair(self.source.outlives_a_kill());
        Ok(transaction)
    }

    /// Whether nothing has shut it.
    pub(crate) fn is_open(&self) -> bool {
        self.database.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// What was last committed.
    pub(crate) fn reading(&mut self) -> Result<&Reading> {
        if self.reading.is_none() {
            let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
            self.reading = Some(Reading::open(database.as_ref().ok_or(StoreError::PreviousIo)?)?);
        }
        self.reading.as_ref().ok_or_else(|| torn("a snapshot"))
    }

    /// Lets go of the snapshot, whose pages a commit could not use again.
    pub(crate) fn release(&mut self) {
        self.reading = None;
    }

    /// Shuts the database after a failure. Returns whether trying again later makes sense: it does when there was no
    /// space, and does not when the disk refused what it had promised, because what the page cache then shows may
    /// not be what the disk holds.
    pub(crate) fn shut(&mut self) -> bool {
        self.reading = None;
        *self.database.write().unwrap_or_else(PoisonError::into_inner) = None;
        matches!(
            self.failure.take(),
            Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
        )
    }

    /// Opens the database again.
    pub(crate) fn reopen(&mut self) -> Result<()> {
        let database = open(&self.source, self.cache_bytes, &self.failure)?;
        *self.database.write().unwrap_or_else(PoisonError::into_inner) = Some(database);
        Ok(())
    }
}

impl Drop for Store {
    /// Closes the file, which a reader that is still about would keep locked.
    fn drop(&mut self) {
        self.reading = None;
        *self.database.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn open(source: &Source, cache_bytes: usize, failure: &Failure) -> Result<Database, redb::DatabaseError> {
    let (storage, closes): (Arc<dyn StorageBackend>, bool) = match source {
        Source::File(path) => {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
            (Arc::new(FileBackend::new(file)?), true)
        }
        Source::Storage(storage) => (storage.clone(), false),
        Source::Memory(storage) => (storage.clone(), false),
    };
    let watched = Watched { storage, failure: failure.clone(), closes };
    Database::builder().set_cache_size(cache_bytes).create_with_backend(watched)
}
