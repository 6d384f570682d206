//! Opens the store, writes what is pending with one durable commit, and opens it again after a failure.

use crate::config::OpenError;
use crate::pending::Pending;
use crate::tables::*;
use polypeer_bumo::hash::Hash;
use polypeer_store::disk::{self, Failure, KeptBack, Opened, Place, Refusal};
use redb::backends::InMemoryBackend;
use redb::{Database, ReadableDatabase, StorageBackend, WriteTransaction};
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
    pub(crate) tip: Tip,
    /// Whether damage was found in the file and taken back to the commit before it.
    pub(crate) was_repaired: bool,
}

impl Store {
    /// Opens the store, and puts the network's first ledger into it when it is new.
    pub(crate) fn open(source: Source, cache_bytes: usize, rules: &Hash, first: &Pending) -> Result<Self, OpenError> {
        let failure = Failure::default();
        let Opened { database, was_repaired, .. } = disk::open(&source.place, cache_bytes, &failure)?;
        let database = Arc::new(RwLock::new(Some(database)));
        let (reading, kept_back, tip) = (None, None, Tip::default());
        let mut store = Self { source, cache_bytes, failure, database, reading, kept_back, tip, was_repaired };
        store.found(rules, first)?;
        Ok(store)
    }

    fn found(&mut self, rules: &Hash, first: &Pending) -> Result<(), OpenError> {
        match self.holds()? {
            None => Ok(self.write(first, &Tip { number: 1, ..Tip::default() }, Some(rules))?),
            Some((layout, _)) if layout != LAYOUT.to_be_bytes() => Err(OpenError::Layout),
            Some((_, held)) if held != rules.0 => Err(OpenError::OtherNetwork),
            Some(_) => {
                self.tip = self.look(Tip::load)?;
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

    /// Makes what is pending durable, all or none.
    pub(crate) fn commit(&mut self, pending: &Pending, tip: &Tip) -> Result<()> {
        self.write(pending, tip, None)
    }

    fn write(&mut self, pending: &Pending, tip: &Tip, rules: Option<&Hash>) -> Result<()> {
        if self.kept_back.is_some() {
            return Err(StoreError::PreviousIo);
        }
        // A snapshot would keep a commit from using its pages again.
        self.reading = None;
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
            meta.insert(Tip::NAME, tip.encode().as_slice())?;
        }
        write_chain(&transaction, pending)?;
        write_state(&transaction, pending)?;
        transaction.commit()?;
        self.tip = tip.clone();
        Ok(())
    }

    /// What was last committed.
    pub(crate) fn reading(&mut self) -> Result<&Reading> {
        if self.reading.is_none() {
            self.reading = Some(self.look(Reading::open)?);
        }
        self.reading.as_ref().ok_or(StoreError::PreviousIo)
    }

    /// The same, if it was read before.
    pub(crate) fn ready(&self) -> Option<&Reading> {
        self.reading.as_ref()
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
        if Tip::load(&opened.database)? == self.tip {
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

/// Values, headers, and what became of transactions. All tables exist from the first commit on.
fn write_chain(transaction: &WriteTransaction, pending: &Pending) -> Result<()> {
    let mut values = transaction.open_table(VALUES)?;
    for (number, value) in &pending.values {
        values.insert(number, &value[..])?;
    }
    let mut headers = transaction.open_table(HEADERS)?;
    let mut numbers = transaction.open_table(NUMBERS)?;
    for (number, header) in &pending.headers {
        headers.insert(number, &header.encode()[..])?;
        if let Some(hash) = header.hash {
            numbers.insert(&hash.0, number)?;
        }
    }
    let mut transactions = transaction.open_table(TRANSACTIONS)?;
    for (id, outcome) in &pending.outcomes {
        transactions.insert(&id.0, &outcome.encode()[..])?;
    }
    let mut operator = transaction.open_table(OPERATOR)?;
    for (id, envelope) in &pending.operator {
        match envelope {
            Some(envelope) => drop(operator.insert(&id.0, &envelope[..])?),
            None => drop(operator.remove(&id.0)?),
        }
    }
    Ok(())
}

fn write_state(transaction: &WriteTransaction, pending: &Pending) -> Result<()> {
    let mut accounts = transaction.open_table(ACCOUNTS)?;
    for (key, account) in pending.accounts() {
        accounts.insert(key, &account[..])?;
    }
    let mut nodes = transaction.open_table(NODES)?;
    for (location, node) in pending.nodes() {
        nodes.insert(&location[..], &node[..])?;
    }
    let mut metadata = transaction.open_table(METADATA)?;
    for ((key, name), entry) in &pending.metadata {
        metadata.insert((key, name.as_str()), &entry[..])?;
    }
    let mut sets = transaction.open_table(SETS)?;
    for (hash, set) in &pending.sets {
        sets.insert(&hash.0, &set[..])?;
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
