//! Opens the store, writes a batch with one durable commit, and opens it again after a failure.

use crate::config::OpenError;
use crate::node::Number;
use crate::tables::*;
use bytes::Bytes;
use polypeer_engine::kit::chain::Hash;
use polypeer_store::disk::{self, Failure, KeptBack, Opened, Place, Refusal};
use redb::backends::InMemoryBackend;
use redb::{Database, Durability, ReadableDatabase, StorageBackend, WriteTransaction};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

/// The layout's version; a file of another one is refused.
pub(crate) const LAYOUT: u64 = 2;

/// Commits of what is being imported of which only the last is made durable, and each in which a stage ends: a stage that
/// a crash breaks off comes anew anyway, and each commit that is not durable holds on to some pages until one is.
const STAGED_COMMITS_MAX: u32 = 32;

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
    /// To the DAG that is served.
    Served(Change),
    /// To the one that is being imported.
    Staged(Change),
    /// Parts of what is being imported are forgotten, from one to another, which have so many bytes.
    Forget { parts: (u16, u16), bytes: u64 },
    /// What is being imported is forgotten.
    Clear,
    /// What was imported is served from now on, above this pruning point.
    Switch(Number),
    /// The DAG that is served has another pruning point from now on, with what was imported of it in the place of what
    /// was kept. So many bytes less are held than both were.
    Rebase { base: Number, freed: u64 },
    /// A transaction of the operator's waits.
    Keep(Hash, Bytes),
    /// It waits no longer.
    Drop(Hash),
}

impl Write {
    /// Whether it changes nothing of what is served.
    pub(crate) fn is_staged(&self) -> bool {
        matches!(self, Self::Staged(_) | Self::Forget { .. })
    }

    /// Whether a stage of an import ends with it.
    fn is_mark(&self) -> bool {
        matches!(self, Self::Staged(Change::Kept { part: crate::importing::MARKS, .. }))
    }
}

/// One change to a DAG.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Header { number: Number, header: Bytes, row: Vec<u8> },
    Body { number: Number, body: Bytes },
    Lost(Number),
    Kept { part: u16, place: u64, bytes: Bytes },
}

impl Change {
    /// Bytes that it adds, as the limit of the store counts them.
    pub(crate) fn bytes(&self) -> u64 {
        let bytes = match self {
            Self::Header { header, row, .. } => header.len() + row.len(),
            Self::Body { body, .. } => body.len(),
            Self::Kept { bytes, .. } => bytes.len(),
            Self::Lost(_) => 0,
        };
        bytes as u64
    }
}

impl Counters {
    /// What they are after this change.
    fn after(mut self, write: &Write) -> Self {
        match write {
            Write::Served(change) => self.bytes += change.bytes(),
            Write::Staged(change) => self.staged += change.bytes(),
            Write::Forget { bytes, .. } => self.staged = self.staged.saturating_sub(*bytes),
            Write::Clear => self.staged = 0,
            Write::Switch(base) => {
                (self.bytes, self.staged) = (self.staged, 0);
                (self.base, self.imports) = (u64::from(*base), self.imports + 1);
            }
            Write::Rebase { base, freed } => {
                self.bytes = (self.bytes + self.staged).saturating_sub(*freed);
                (self.base, self.staged) = (u64::from(*base), 0);
            }
            Write::Keep(..) | Write::Drop(_) => {}
        }
        self
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
    /// Of what is served, and of what is being imported.
    readings: [Option<Reading>; 2],
    /// What opening it to be read did not write yet.
    kept_back: Option<KeptBack>,
    /// What the last commit that came back left.
    pub(crate) counters: Counters,
    /// Commits since the last durable one.
    staged_commits: u32,
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
        let (readings, kept_back) = (Default::default(), None);
        let staged_commits = 0;
        let mut store = Self {
            source,
            cache_bytes,
            failure,
            database,
            readings,
            kept_back,
            counters,
            staged_commits,
            was_repaired,
        };
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

    /// Makes changes durable, all or none. What is only staged becomes so with a later commit.
    pub(crate) fn commit(&mut self, writes: &[Write], rules: Option<&Hash>) -> Result<()> {
        if self.kept_back.is_some() {
            return Err(StoreError::PreviousIo);
        }
        // A snapshot would keep a commit from using its pages again.
        self.readings = Default::default();
        let is_staged = !writes.is_empty() && writes.iter().all(Write::is_staged);
        let may_wait = is_staged && !writes.iter().any(Write::is_mark);
        let staged_commits = if may_wait { (self.staged_commits + 1) % STAGED_COMMITS_MAX } else { 0 };
        // What nobody was promised is not counted.
        let next = Counters { commits: self.counters.commits + u64::from(!is_staged), ..self.counters };
        let counters = writes.iter().fold(next, Counters::after);
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let mut transaction = database.as_ref().ok_or(StoreError::PreviousIo)?.begin_write()?;
        // The commit then also says which pages are in use, so that opening after a kill need not walk the file.
        match staged_commits {
            0 => transaction.set_quick_repair(self.source.outlives_a_kill),
            _ => transaction.set_durability(Durability::None)?,
        }
        {
            let mut meta = transaction.open_table(META)?;
            if let Some(rules) = rules {
                meta.insert("layout", LAYOUT.to_be_bytes().as_slice())?;
                meta.insert("rules", rules.0.as_slice())?;
            }
            meta.insert(Counters::NAME, counters.encode().as_slice())?;
        }
        write(&transaction, writes, self.counters.served())?;
        transaction.commit()?;
        (self.counters, self.staged_commits) = (counters, staged_commits);
        Ok(())
    }

    /// What was last committed: of what is served, then of what is being imported.
    pub(crate) fn readings(&mut self) -> Result<&[Option<Reading>; 2]> {
        for (place, is_served) in [(0, true), (1, false)] {
            if self.readings[place].is_none() {
                self.readings[place] = Some(self.look(|database| Reading::open(database, is_served))?);
            }
        }
        Ok(&self.readings)
    }

    /// Shuts the database after a failure. Returns whether trying again later makes sense: it does when there was no
    /// space, and does not when the disk refused what it had promised, because what the page cache then shows may
    /// not be what the disk holds.
    pub(crate) fn shut(&mut self) -> bool {
        (self.readings, self.kept_back) = (Default::default(), None);
        *self.database.write().unwrap_or_else(PoisonError::into_inner) = None;
        self.lacked_room()
    }

    /// Opens the database again to be read, without a write, since the disk is full. It stays shut when a commit that
    /// failed at its very end shows in it: nobody must hear of what a crash can take back.
    pub(crate) fn reopen(&mut self) -> Result<()> {
        let opened = self.open_by(disk::open_to_read)?;
        if Counters::load(&opened.database)?.promises_as(&self.counters) {
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
        let is_same = found.promises_as(&self.counters);
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

/// Carries changes out, in their order, one run of the same kind after the other.
fn write(transaction: &WriteTransaction, writes: &[Write], mut served: usize) -> Result<()> {
    // All tables exist from the first commit on, so that readers find them.
    open(transaction)?;
    let is_same = |one: &Write, other: &Write| std::mem::discriminant(one) == std::mem::discriminant(other);
    for run in writes.chunk_by(is_same) {
        match &run[0] {
            Write::Served(_) => write_set(transaction, &SETS[served], run)?,
            Write::Staged(_) => write_set(transaction, &SETS[1 - served], run)?,
            Write::Forget { .. } => forget(transaction, &SETS[1 - served], run)?,
            Write::Clear => clear(transaction, &SETS[1 - served])?,
            Write::Switch(_) => {
                clear(transaction, &SETS[served])?;
                served = 1 - served;
            }
            Write::Rebase { .. } => {
                transaction.delete_table(SETS[served].kept)?;
                transaction.rename_table(SETS[1 - served].kept, SETS[served].kept)?;
                clear(transaction, &SETS[1 - served])?;
            }
            Write::Keep(..) | Write::Drop(_) => write_operator(transaction, run)?,
        }
    }
    Ok(())
}

fn forget(transaction: &WriteTransaction, set: &Set, writes: &[Write]) -> Result<()> {
    let mut kept = transaction.open_table(set.kept)?;
    for write in writes {
        if let Write::Forget { parts: (first, last), .. } = write {
            kept.retain_in((*first, 0)..=(*last, u64::MAX), |_, _| false)?;
        }
    }
    Ok(())
}

fn open(transaction: &WriteTransaction) -> Result<()> {
    for set in &SETS {
        transaction.open_table(set.headers)?;
        transaction.open_table(set.nodes)?;
        transaction.open_table(set.bodies)?;
        transaction.open_table(set.held)?;
        transaction.open_table(set.kept)?;
    }
    transaction.open_table(OPERATOR)?;
    Ok(())
}

fn clear(transaction: &WriteTransaction, set: &Set) -> Result<()> {
    transaction.delete_table(set.headers)?;
    transaction.delete_table(set.nodes)?;
    transaction.delete_table(set.bodies)?;
    transaction.delete_table(set.held)?;
    transaction.delete_table(set.kept)?;
    open(transaction)
}

fn write_set(transaction: &WriteTransaction, set: &Set, writes: &[Write]) -> Result<()> {
    let mut headers = transaction.open_table(set.headers)?;
    let mut nodes = transaction.open_table(set.nodes)?;
    let mut bodies = transaction.open_table(set.bodies)?;
    let mut held = transaction.open_table(set.held)?;
    let mut kept = transaction.open_table(set.kept)?;
    for write in writes {
        let (Write::Served(change) | Write::Staged(change)) = write else { continue };
        match change {
            Change::Header { number, header, row } => {
                headers.insert(u64::from(*number), &header[..])?;
                nodes.insert(u64::from(*number), &row[..])?;
            }
            Change::Body { number, body } => {
                bodies.insert(u64::from(*number), &body[..])?;
                held.insert(u64::from(*number), FULL)?;
            }
            Change::Lost(number) => {
                held.insert(u64::from(*number), INVALID)?;
            }
            Change::Kept { part, place, bytes } => {
                kept.insert((*part, *place), &bytes[..])?;
            }
        }
    }
    Ok(())
}

fn write_operator(transaction: &WriteTransaction, writes: &[Write]) -> Result<()> {
    let mut operator = transaction.open_table(OPERATOR)?;
    for write in writes {
        match write {
            Write::Keep(id, bytes) => drop(operator.insert(&id.0, &bytes[..])?),
            Write::Drop(id) => drop(operator.remove(&id.0)?),
            _ => {}
        }
    }
    Ok(())
}

impl Drop for Store {
    /// Closes the file, which a reader that is still about would keep locked.
    fn drop(&mut self) {
        self.readings = Default::default();
        *self.database.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
