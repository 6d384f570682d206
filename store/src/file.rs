//! Keeps the file of a ledger: opens it, lends it to readers, shuts it after a failure and opens it again.
//!
//! What stands in it is the ledger's business; that it has this ledger's layout and holds this network is told here, from
//! two rows of one table.

use crate::disk::{self, Failure, KeptBack, Opened, Place, Refusal};
use redb::backends::InMemoryBackend;
use redb::{Database, ReadableDatabase, StorageBackend, TableDefinition, WriteTransaction};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use thiserror::Error;

/// Layout, network and what the last commit left, by name.
pub const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");

/// Where the bytes are, and how well they are kept.
#[derive(Clone, Debug)]
pub struct Source {
    place: Place,
    outlives_a_kill: bool,
}

impl Source {
    /// The process's memory, gone with it.
    pub fn memory() -> Self {
        Self { place: Place::Backend(Arc::new(InMemoryBackend::new())), outlives_a_kill: false }
    }

    /// A file, made when missing.
    pub fn file(path: PathBuf) -> Self {
        Self { place: Place::File(path), outlives_a_kill: true }
    }

    /// A file, or memory where there is no path.
    pub fn file_or_memory(path: Option<PathBuf>) -> Self {
        path.map_or_else(Self::memory, Self::file)
    }

    /// Whatever the caller brought.
    pub fn storage(storage: Arc<dyn StorageBackend>) -> Self {
        Self { place: Place::Backend(storage), outlives_a_kill: true }
    }
}

/// The database that the ledger writes and its readers read; nothing while it is shut.
pub type SharedDatabase = Arc<RwLock<Option<Database>>>;

/// What a file says of itself. A file of another layout or network is refused.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    /// The layout's version.
    pub layout: u64,
    /// The name of the row that has the network.
    pub name: &'a str,
    /// By what the network is known: a hash of its rules, or of its first block.
    pub network: &'a [u8],
}

impl Identity<'_> {
    /// Writes it into a new file, with its first commit.
    ///
    /// # Errors
    /// The storage's.
    pub fn write(&self, transaction: &WriteTransaction) -> Result<(), redb::Error> {
        let mut meta = transaction.open_table(META)?;
        meta.insert("layout", self.layout.to_be_bytes().as_slice())?;
        meta.insert(self.name, self.network)?;
        Ok(())
    }
}

/// Why a ledger's file is not opened.
#[derive(Debug, Error)]
pub enum FileError {
    /// The file was written with a layout that this version does not read.
    #[error("the store has layout {found}, and this version reads layout {expected}")]
    Layout {
        /// The file's layout.
        found: u64,
        /// This version's.
        expected: u64,
    },
    /// The file holds a network with another beginning or other rules.
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

impl From<Refusal> for FileError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Damaged { offset, what } => Self::Damaged { offset, what },
            Refusal::InUse => redb::Error::DatabaseAlreadyOpen.into(),
            Refusal::Storage(error) => error.into(),
        }
    }
}

impl From<redb::Error> for FileError {
    fn from(error: redb::Error) -> Self {
        Self::Store(Box::new(error))
    }
}

/// A ledger's file.
///
/// ```text
/// open ──shut──► shut ──reopen──► readable ──settle──► open
///                 └────────────────settle───────────────┘
/// ```
#[derive(Debug)]
pub struct LedgerFile {
    source: Source,
    cache_bytes: usize,
    failure: Failure,
    database: SharedDatabase,
    /// What opening it to be read did not write yet.
    kept_back: Option<KeptBack>,
    was_repaired: bool,
}

impl LedgerFile {
    /// Opens what is there, or makes a new database where there is nothing. `cache_bytes` are the pages that it may hold
    /// in memory.
    ///
    /// # Errors
    /// See [`FileError`].
    pub fn open(source: Source, cache_bytes: usize) -> Result<Self, FileError> {
        let failure = Failure::default();
        let Opened { database, was_repaired, .. } = disk::open(&source.place, cache_bytes, &failure)?;
        let database = Arc::new(RwLock::new(Some(database)));
        Ok(Self { source, cache_bytes, failure, database, kept_back: None, was_repaired })
    }

    /// Whether it is new. One that is not has to be this.
    ///
    /// # Errors
    /// See [`FileError`].
    pub fn is_new(&self, identity: &Identity<'_>) -> Result<bool, FileError> {
        let Some((layout, network)) = self.look(|database| held(database, identity.name))? else { return Ok(true) };
        match layout == identity.layout {
            false => Err(FileError::Layout { found: layout, expected: identity.layout }),
            true if network != identity.network => Err(FileError::OtherNetwork),
            true => Ok(false),
        }
    }

    /// Whether damage was found in the file and taken back to the commit before it.
    pub fn was_repaired(&self) -> bool {
        self.was_repaired
    }

    /// What readers on other threads look at.
    pub fn shared(&self) -> SharedDatabase {
        self.database.clone()
    }

    /// Whether nothing has shut it.
    pub fn is_open(&self) -> bool {
        self.database.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Looks at what was last committed.
    ///
    /// # Errors
    /// The storage's, and what `look` finds wrong.
    pub fn look<T>(&self, look: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, redb::Error> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        look(database.as_ref().ok_or(redb::Error::PreviousIo)?)
    }

    /// Begins what one durable commit will end. Snapshots that are still held keep it from using their pages again.
    ///
    /// # Errors
    /// The storage's; also while it is shut or can only be read.
    pub fn begin(&self) -> Result<WriteTransaction, redb::Error> {
        if self.kept_back.is_some() {
            return Err(redb::Error::PreviousIo);
        }
        let mut transaction = self.look(|database| Ok(database.begin_write()?))?;
        // The commit then also says which pages are in use, so that opening after a kill need not walk the file.
        transaction.set_quick_repair(self.source.outlives_a_kill);
        Ok(transaction)
    }

    /// Shuts the database after a failure; no snapshot of it may be held. Returns whether trying again later makes sense:
    /// it does when there was no space, and does not when the disk refused what it had promised, because what the page
    /// cache then shows may not be what the disk holds.
    pub fn shut(&mut self) -> bool {
        self.kept_back = None;
        *self.database.write().unwrap_or_else(PoisonError::into_inner) = None;
        self.lacked_room()
    }

    /// Opens the database again to be read, without a write, since the disk is full. It stays shut, and false comes back,
    /// when a commit that failed at its very end shows in it, which `is_sure` tells: nobody must hear of what a crash can
    /// take back.
    ///
    /// # Errors
    /// The storage's, and what `is_sure` finds wrong.
    pub fn reopen(
        &mut self,
        is_sure: impl FnOnce(&Database) -> Result<bool, redb::Error>,
    ) -> Result<bool, redb::Error> {
        let opened = self.open_by(disk::open_to_read)?;
        let is_sure = is_sure(&opened.database)?;
        if is_sure {
            self.put(opened.database);
            self.kept_back = Some(opened.changes);
        }
        Ok(is_sure)
    }

    /// Makes ready for writing again. False when the disk is still full.
    ///
    /// # Errors
    /// The storage's, of another kind.
    pub fn settle(&mut self) -> Result<bool, redb::Error> {
        let settled = match &self.kept_back {
            Some(changes) => changes.carry_out().map_err(redb::Error::from),
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

    fn open_by(&self, open: fn(&Place, usize, &Failure) -> Result<Opened, Refusal>) -> Result<Opened, redb::Error> {
        open(&self.source.place, self.cache_bytes, &self.failure).map_err(|refusal| match refusal {
            Refusal::Damaged { what, .. } => redb::Error::Corrupted(what),
            Refusal::InUse => redb::Error::DatabaseAlreadyOpen,
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

impl Drop for LedgerFile {
    /// Closes the file, which a reader that is still about would keep locked.
    fn drop(&mut self) {
        *self.database.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Layout and network of what the file holds; nothing when it is new.
fn held(database: &Database, name: &str) -> Result<Option<(u64, Vec<u8>)>, redb::Error> {
    let meta = match database.begin_read()?.open_table(META) {
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
        meta => meta?,
    };
    let Some(layout) = meta.get("layout")?.map(|row| row.value().to_vec()) else { return Ok(None) };
    let layout = layout.as_slice().try_into().map_or(0, u64::from_be_bytes);
    Ok(Some((layout, meta.get(name)?.map_or_else(Vec::new, |row| row.value().to_vec()))))
}
