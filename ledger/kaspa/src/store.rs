//! Opens the store, writes a batch with one durable commit, and opens it again after a failure.

use crate::config::OpenError;
use crate::node::Number;
use crate::tables::*;
use bytes::Bytes;
use polypeer_engine::kit::chain::Hash;
use polypeer_store::disk::{self, Failure, KeptBack, Opened, Place, Refusal};
use redb::backends::InMemoryBackend;
use redb::{Database, ReadableDatabase, StorageBackend};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

/// The layout's version; a file of another one is refused.
pub(crate) const LAYOUT: u64 = 1;

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

/// One change.
#[derive(Clone, Debug)]
pub(crate) enum Write {
    Header { number: Number, header: Bytes, row: Vec<u8> },
    Body { number: Number, body: Bytes },
    Lost(Number),
    Keep(Hash, Bytes),
    Drop(Hash),
}

impl Write {
    /// Bytes that it adds, as the limit of the store counts them.
    pub(crate) fn bytes(&self) -> u64 {
        let bytes = match self {
            Self::Header { header, row, .. } => header.len() + row.len(),
            Self::Body { body, .. } => body.len(),
            Self::Lost(_) | Self::Keep(..) | Self::Drop(_) => 0,
        };
        bytes as u64
    }
}

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
    /// What the last commit that came back left.
    pub(crate) counters: Counters,
    /// Whether damage was found in the file and taken back to the commit before it.
    pub(crate) was_repaired: bool,
}

impl Store {
    /// Opens the store, and puts the network's first block into it when it is new.
    pub(crate) fn open(source: Source, cache_bytes: usize, rules: &Hash, first: &[Write]) -> Result<Self, OpenError> {
        let failure = Failure::default();
        let Opened { database, was_repaired, .. } = disk::open(&source.place, cache_bytes, &failure)?;
        let counters = Counters::default();
        let database = Arc::new(RwLock::new(Some(database)));
        let (reading, kept_back) = (None, None);
        let mut store = Self { source, cache_bytes, failure, database, reading, kept_back, counters, was_repaired };
        store.found(rules, first)?;
        Ok(store)
    }

    fn found(&mut self, rules: &Hash, first: &[Write]) -> Result<(), OpenError> {
        match self.holds()? {
            None => Ok(self.commit(first, Some(rules))?),
            Some((layout, _)) if layout != LAYOUT.to_be_bytes() => Err(OpenError::Layout),
            Some((_, held)) if held != rules.0 => Err(OpenError::OtherNetwork),
            Some(_) => {
                self.counters = self.look(Counters::load)?;
                Ok(())
            }
        }
    }

    /// Layout and rules of what the file holds; nothing when it is new.
    fn holds(&self) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        self.look(|database| {
            let meta = match database.begin_read()?.open_table(META) {
                Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
                meta => meta?,
            };
            let value = |name| Ok::<_, StoreError>(meta.get(name)?.map(|row| row.value().to_vec()));
            Ok(value("layout")?.zip(value("rules")?))
        })
    }

    /// What readers on other threads look at.
    pub(crate) fn shared(&self) -> SharedDatabase {
        self.database.clone()
    }

    pub(crate) fn look<T>(&self, look: impl FnOnce(&Database) -> Result<T>) -> Result<T> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        look(database.as_ref().ok_or(StoreError::PreviousIo)?)
    }

    /// Makes changes durable, all or none.
    pub(crate) fn commit(&mut self, writes: &[Write], rules: Option<&Hash>) -> Result<()> {
        if self.kept_back.is_some() {
            return Err(StoreError::PreviousIo);
        }
        // A snapshot would keep a commit from using its pages again.
        self.reading = None;
        let added: u64 = writes.iter().map(Write::bytes).sum();
        let counters = Counters { commits: self.counters.commits + 1, bytes: self.counters.bytes + added };
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let mut transaction = database.as_ref().ok_or(StoreError::PreviousIo)?.begin_write()?;
        // The commit then also says which pages are in use, so that opening after a kill need not walk the file.
        transaction.set_quick_repair(self.source.outlives_a_kill);
        {
            let mut meta = transaction.open_table(META)?;
            if let Some(rules) = rules {
                meta.insert("layout", LAYOUT.to_be_bytes().as_slice())?;
                meta.insert("rules", rules.0.as_slice())?;
            }
            meta.insert(Counters::NAME, counters.encode().as_slice())?;
            write(&transaction, writes)?;
        }
        transaction.commit()?;
        self.counters = counters;
        Ok(())
    }

    /// What was last committed.
    pub(crate) fn reading(&mut self) -> Result<&Reading> {
        if self.reading.is_none() {
            self.reading = Some(self.look(Reading::open)?);
        }
        self.reading.as_ref().ok_or_else(|| torn("a snapshot"))
    }

    /// Shuts the database after a failure. Returns whether trying again later makes sense: it does when there was no
    /// space, and does not when the disk refused what it had promised, because what the page cache then shows may
    /// not be what the disk holds.
    pub(crate) fn shut(&mut self) -> bool {
        (self.reading, self.kept_back) = (None, None);
        *self.database.write().unwrap_or_else(PoisonError::into_inner) = None;
        self.lacked_room()
    }

    /// Opens the database again to be read, without a write, since the disk is full. It stays shut when a commit that
    /// failed at its very end shows in it: nobody must hear of what a crash can take back.
    pub(crate) fn reopen(&mut self) -> Result<()> {
        let opened = self.open_by(disk::open_to_read)?;
        if Counters::load(&opened.database)? == self.counters {
            self.put(opened.database);
            self.kept_back = Some(opened.changes);
        }
        Ok(())
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

    /// Whether what is open is what the last commit that came back left. From now on it counts as that.
    pub(crate) fn is_as_acknowledged(&mut self) -> Result<bool> {
        let found = self.look(Counters::load)?;
        let is_same = found == self.counters;
        self.counters = found;
        Ok(is_same)
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

fn write(transaction: &redb::WriteTransaction, writes: &[Write]) -> Result<()> {
    let mut headers = transaction.open_table(HEADERS)?;
    let mut nodes = transaction.open_table(NODES)?;
    let mut bodies = transaction.open_table(BODIES)?;
    let mut held = transaction.open_table(HELD)?;
    let mut operator = transaction.open_table(OPERATOR)?;
    for write in writes {
        match write {
            Write::Header { number, header, row } => {
                headers.insert(u64::from(*number), &header[..])?;
                nodes.insert(u64::from(*number), &row[..])?;
            }
            Write::Body { number, body } => {
                bodies.insert(u64::from(*number), &body[..])?;
                held.insert(u64::from(*number), FULL)?;
            }
            Write::Lost(number) => {
                held.insert(u64::from(*number), INVALID)?;
            }
            Write::Keep(id, bytes) => {
                operator.insert(&id.0, &bytes[..])?;
            }
            Write::Drop(id) => {
                operator.remove(&id.0)?;
            }
        }
    }
    Ok(())
}

impl Drop for Store {
    /// Closes the file, which a reader that is still about would keep locked.
    fn drop(&mut self) {
        self.reading = None;
        *self.database.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
