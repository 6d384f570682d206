//! Remembers addresses, bans and anchors.
//!
//! An engine asks its host to keep [`Record`]s; a [`Store`] keeps them over a restart in one redb file. A batch of
//! records is one durable commit: after a crash all of it is there or none. What a record means is the engine's
//! business; the store knows tables, keys and bytes.
//!
//! ```text
//!   engine ── Effect::Save ──► host: latest of each key ── save(batch) ──► one commit ──► disk
//!   engine ◄── Engine::new(records) ─────────────────────── load() ◄──────────────────────┘
//! ```
//!
//! It refuses to grow without end: a record has a largest size and a file a largest number of records. Every value
//! carries a check of its own, so that a flipped bit is found and told, never loaded.

mod codec;
mod error;

pub use error::{LoadError, OpenError, SaveError};
pub use redb::StorageBackend;

use polypeer_engine::{Record, Table};
use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition, TableError};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The format of the file; a newer one is refused, never guessed at.
pub const VERSION: u64 = 1;
/// redb's own default is 1 GiB. What is kept here is some MiB and read once, at the start.
pub const CACHE_BYTES: usize = 2 << 20;
/// Records in one file: the largest address book, two million, and what else there is. A new key above it is not kept.
pub const RECORDS_MAX: u64 = 1 << 21;
/// A record's key in bytes; the longest in use is an address of 18 bytes.
pub const KEY_BYTES_MAX: usize = 1 << 10;
/// A record's value in bytes; the longest in use are a few hundred.
pub const VALUE_BYTES_MAX: usize = 64 << 10;

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("records");

/// Records in a file, or in whatever else a backend writes to.
pub struct Store {
    // After a failed write it is closed: what redb had in memory is not trusted again. A file is opened anew by the
    // next call, as after a crash.
    database: Mutex<Option<Database>>,
    path: Option<PathBuf>,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// Records written or deleted.
    pub kept: u64,
    /// Records that were too large, or new when the file was full.
    pub refused: u64,
}

impl Store {
    /// Opens the file, and makes it when there is none. A file that a crash left behind is repaired.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref().to_path_buf();
        Ok(Self { database: Mutex::new(Some(open(&path)?)), path: Some(path) })
    }

    /// Opens whatever this backend reads and writes: memory, a simulated disk.
    pub fn open_with_backend(backend: impl StorageBackend) -> Result<Self, OpenError> {
        let database = prepare(redb::Builder::new().set_cache_size(CACHE_BYTES).create_with_backend(backend)?)?;
        Ok(Self { database: Mutex::new(Some(database)), path: None })
    }

    /// A store that forgets everything when it is dropped.
    pub fn in_memory() -> Result<Self, OpenError> {
        Self::open_with_backend(redb::backends::InMemoryBackend::new())
    }

    /// Everything that was kept, by table and key. Stops at the first record that does not carry its own check.
    pub fn load(&self) -> Result<Vec<Record>, LoadError> {
        self.with(|database| {
            let transaction = database.begin_read()?;
            let records = transaction.open_table(RECORDS)?;
            let mut loaded = Vec::with_capacity(usize::try_from(records.len()?.min(RECORDS_MAX)).unwrap_or(0));
            for entry in records.iter()? {
                let (key, value) = entry?;
                loaded.push(codec::decode(key.value(), value.value()).ok_or(LoadError::Damaged)?);
            }
            Ok(loaded)
        })
    }

    /// Keeps a batch in one durable commit, later records of a key over earlier ones. A record that is too large, or
    /// new in a full file, is left out and counted; the rest is kept. After a failure, a full disk for one, the same
    /// batch can be tried again at any time.
    pub fn save(&self, batch: &[Record]) -> Result<Saved, SaveError> {
        if batch.is_empty() {
            return Ok(Saved::default());
        }
        self.with(|database| write(database, batch))
    }

    /// How many records there are.
    pub fn count(&self) -> Result<u64, LoadError> {
        self.with(|database| Ok(database.begin_read()?.open_table(RECORDS)?.len()?))
    }

    // Opens the file anew when an earlier failure closed it, and closes it after one.
    fn with<T, E: From<OpenError>>(&self, work: impl FnOnce(&Database) -> Result<T, E>) -> Result<T, E> {
        let mut slot = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let database = match (slot.take(), &self.path) {
            (Some(database), _) => database,
            (None, Some(path)) => open(path)?,
            (None, None) => return Err(OpenError::Storage(redb::Error::PreviousIo).into()),
        };
        let done = work(&database)?;
        *slot = Some(database);
        Ok(done)
    }
}

fn open(path: &Path) -> Result<Database, OpenError> {
    prepare(redb::Builder::new().set_cache_size(CACHE_BYTES).create(path)?)
}

fn prepare(database: Database) -> Result<Database, OpenError> {
    match version(&database)? {
        Some(VERSION) => {}
        Some(found) => return Err(OpenError::Version { found }),
        None => initialise(&database)?,
    }
    Ok(database)
}

fn version(database: &Database) -> Result<Option<u64>, OpenError> {
    match database.begin_read()?.open_table(META) {
        Ok(meta) => Ok(meta.get("version")?.map(|version| version.value())),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn initialise(database: &Database) -> Result<(), OpenError> {
    let transaction = database.begin_write()?;
    transaction.open_table(META)?.insert("version", VERSION)?;
    transaction.open_table(RECORDS)?;
    transaction.commit()?;
    Ok(())
}

fn write(database: &Database, batch: &[Record]) -> Result<Saved, SaveError> {
    let mut saved = Saved::default();
    let transaction = database.begin_write()?;
    {
        let mut records = transaction.open_table(RECORDS)?;
        for record in batch {
            match put(&mut records, record)? {
                true => saved.kept += 1,
                false => saved.refused += 1,
            }
        }
    }
    transaction.commit()?;
    Ok(saved)
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

// Whether there was room.
fn put(records: &mut redb::Table<'_, &[u8], &[u8]>, record: &Record) -> Result<bool, SaveError> {
    let key = codec::key(record.table, &record.key);
    let Some(value) = &record.value else {
        records.remove(key.as_slice())?;
        return Ok(true);
    };
    if record.key.len() > KEY_BYTES_MAX || value.len() > VALUE_BYTES_MAX {
        return Ok(false);
    }
    if records.len()? >= RECORDS_MAX && records.get(key.as_slice())?.is_none() {
        return Ok(false);
    }
    records.insert(key.as_slice(), codec::value(&key, value).as_slice())?;
    Ok(true)
}

/// The number by which the file knows a table. It never changes.
const fn number(table: Table) -> u8 {
    match table {
        Table::Addresses => 0,
        Table::Bans => 1,
        Table::Anchors => 2,
        Table::Protocol => 3,
    }
}
