//! Opens the store, on a file, in memory or on a storage of the caller's, and opens it again after a failure.

use crate::config::OpenError;
use crate::parameters::Network;
use crate::tables::{Reading, Result, StoreError, torn};
use crate::writing::{Counters, LAYOUT, Writing};
use polypeer_store::disk::{self, Failure, KeptBack, Opened, Place, Refusal};
use redb::backends::InMemoryBackend;
use redb::{Database, StorageBackend, WriteTransaction};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

/// Where the bytes are, and how well they are kept.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    place: Place,
    outlives_a_kill: bool,
}

impl Source {
    /// The process's memory, gone with it.
    pub(crate) fn memory() -> Self {
        Self { place: Place::Backend(Arc::new(InMemoryBackend::new())), outlives_a_kill: false }
    }

    /// A file, made when missing.
    pub(crate) fn file(path: PathBuf) -> Self {
        Self { place: Place::File(path), outlives_a_kill: true }
    }

    /// Whatever the caller brought.
    pub(crate) fn storage(storage: Arc<dyn StorageBackend>) -> Self {
        Self { place: Place::Backend(storage), outlives_a_kill: true }
    }
}

/// The database that the ledger writes and its readers read; nothing while it is shut.
pub(crate) type SharedDatabase = Arc<RwLock<Option<Database>>>;

/// The store.
///
/// ```text
/// open ──shut──► shut ──reopen──► readable ──settle──► open
///                 └────────────────settle───────────────┘
/// ```
pub(crate) struct Store {
    source: Source,
    cache_bytes: usize,
    failure: Failure,
    database: SharedDatabase,
    reading: Option<Reading>,
    /// What opening it to be read did not write yet.
    kept_back: Option<KeptBack>,
    /// What the last commit that came back left: it tells whether one that did not has come through all the same.
    pub(crate) acknowledged: Counters,
    /// Whether damage was found in the file and taken back to the commit before it.
    pub(crate) was_repaired: bool,
}

impl Store {
    /// Opens the store and founds the network in it when it is new.
    pub(crate) fn open(source: Source, cache_bytes: usize, network: &Network) -> Result<Self, OpenError> {
        let failure = Failure::default();
        let Opened { database, was_repaired, .. } = disk::open(&source.place, cache_bytes, &failure)?;
        let (database, acknowledged) = (Arc::new(RwLock::new(Some(database))), Counters::default());
        let (reading, kept_back) = (None, None);
        let store = Self { source, cache_bytes, failure, database, reading, kept_back, acknowledged, was_repaired };
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
        if self.kept_back.is_some() {
            return Err(StoreError::PreviousIo);
        }
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let mut transaction = database.as_ref().ok_or(StoreError::PreviousIo)?.begin_write()?;
        // The commit then also says which pages are in use, so that opening after a kill need not walk the file.
        transaction.set_quick_repair(self.source.outlives_a_kill);
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
        (self.reading, self.kept_back) = (None, None);
        *self.database.write().unwrap_or_else(PoisonError::into_inner) = None;
        self.lacked_room()
    }

    /// Opens the database again to be read, without a write, since the disk is full. It stays shut, and false comes
    /// back, when a commit that failed at its very end shows in it: nobody must hear of what a crash can take back.
    pub(crate) fn reopen(&mut self) -> Result<bool> {
        let opened = self.open_by(disk::open_to_read)?;
        let is_sure = Counters::load(&opened.database)? == self.acknowledged;
        if is_sure {
            self.put(opened.database);
            self.kept_back = Some(opened.changes);
        }
        Ok(is_sure)
    }

    /// Makes ready for writing again. False when the disk is still full.
    pub(crate) fn settle(&mut self) -> Result<bool> {
        let settled = match &self.kept_back {
            Some(changes) => changes.carry_out().map_err(StoreError::from),
            None => self.open_by(disk::open).map(|opened| self.put(opened.database)),
        };
        match settled {
            Ok(()) => {
                self.kept_back = None;
                Ok(true)
            }
            Err(_) if self.lacked_room() => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn open_by(&self, open: fn(&Place, usize, &Failure) -> Result<Opened, Refusal>) -> Result<Opened> {
        open(&self.source.place, self.cache_bytes, &self.failure).map_err(|refusal| match refusal {
            Refusal::Damaged { what, .. } => StoreError::Corrupted(what),
            Refusal::InUse => StoreError::DatabaseAlreadyOpen,
            Refusal::Storage(error) => error,
        })
    }

    fn put(&self, database: Database) {
        *self.database.write().unwrap_or_else(PoisonError::into_inner) = Some(database);
    }

    // Whether the first failure since the last look was one of room.
    fn lacked_room(&self) -> bool {
        self.failure.take().is_some_and(disk::is_lack_of_room)
    }
}

impl Drop for Store {
    /// Closes the file, which a reader that is still about would keep locked.
    fn drop(&mut self) {
        self.reading = None;
        *self.database.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
