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
//! carries a check of its own, so that a flipped bit is found and told, never loaded. A file whose pages are damaged
//! is refused and left as it is: [`disk`] does that, for this file and for those of the ledgers, of which
//! [`mod@file`] has what is the same in all.

mod codec;
pub mod disk;
mod error;
pub mod file;

pub use error::{DamagedRecord, LoadError, OpenError, SaveError};
pub use redb::StorageBackend;

use disk::{Failure, Place};
use polypeer_engine::{Record, Table};
use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition, TableError};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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

/// Who is told of damaged records.
type Listener = Box<dyn Fn(&DamagedRecord) + Send + Sync>;

/// Records in a file, or in whatever else a backend writes to.
pub struct Store {
    place: Place,
    failure: Failure,
    state: Mutex<State>,
    was_repaired: bool,
    listener: Option<Listener>,
}

/// ```text
/// open ──no space──► shut ──next call──► open
///   └───another failure──► broken
/// ```
enum State {
    Open(Database),
    /// What redb had in memory when there was no space is not trusted again; the next call reads the file anew, as
    /// after a crash.
    Shut,
    /// The disk refused what it had promised: what can be read now may not be what it holds.
    Broken,
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
    /// Opens the file, and makes it when there is none. A file that a crash left behind is repaired; one that is
    /// damaged is refused, and left as it is.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::open_place(Place::File(path.as_ref().to_path_buf()))
    }

    /// Opens whatever this backend reads and writes: memory, a simulated disk.
    pub fn open_with_backend(backend: impl StorageBackend) -> Result<Self, OpenError> {
        Self::open_place(Place::Backend(Arc::new(backend)))
    }

    /// A store that forgets everything when it is dropped.
    pub fn in_memory() -> Result<Self, OpenError> {
        Self::open_with_backend(redb::backends::InMemoryBackend::new())
    }

    fn open_place(place: Place) -> Result<Self, OpenError> {
        let failure = Failure::default();
        let (database, was_repaired) = open(&place, &failure)?;
        Ok(Self { place, failure, state: Mutex::new(State::Open(database)), was_repaired, listener: None })
    }

    /// Whether damage was found in the file and taken back to the commit before it.
    pub fn was_repaired(&self) -> bool {
        self.was_repaired
    }

    /// From now on a load leaves damaged records out and tells `listener` of each; without one it refuses to load.
    pub fn on_damage(mut self, listener: impl Fn(&DamagedRecord) + Send + Sync + 'static) -> Self {
        self.listener = Some(Box::new(listener));
        self
    }

    /// Everything that was kept, by table and key, but for records that do not carry their own check; see
    /// [`Store::on_damage`].
    pub fn load(&self) -> Result<Vec<Record>, LoadError> {
        self.with(|database| {
            let transaction = database.begin_read()?;
            let records = transaction.open_table(RECORDS)?;
            let mut loaded = Vec::with_capacity(usize::try_from(records.len()?.min(RECORDS_MAX)).unwrap_or(0));
            for entry in records.iter()? {
                let (key, value) = entry?;
                match (codec::decode(key.value(), value.value()), &self.listener) {
                    (Ok(record), _) => loaded.push(record),
                    (Err(damaged), Some(listener)) => listener(&damaged),
                    (Err(damaged), None) => return Err(LoadError::Damaged(damaged)),
                }
            }
            Ok(loaded)
        })
    }

    /// Keeps a batch in one durable commit, later records of a key over earlier ones. A record that is too large, or
    /// new in a full file, is left out and counted; the rest is kept. After a full disk the same batch can be tried
    /// again at any time; after any other failure of the disk nothing is kept before the next start.
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

    // Opens the file anew when a full disk had shut it, and shuts it after a failure.
    fn with<T, E: From<OpenError>>(&self, work: impl FnOnce(&Database) -> Result<T, E>) -> Result<T, E> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let done = match &*state {
            State::Open(database) => work(database),
            State::Shut => open(&self.place, &self.failure).map_err(E::from).and_then(|(database, _)| {
                let done = work(&database);
                *state = State::Open(database);
                done
            }),
            State::Broken => return Err(OpenError::Broken.into()),
        };
        if done.is_err() {
            self.shut(&mut state);
        }
        done
    }

    fn shut(&self, state: &mut MutexGuard<'_, State>) {
        **state = State::Shut;
        // Closing may be what fails.
        if self.failure.take().is_some_and(|kind| !disk::is_lack_of_room(kind)) {
            **state = State::Broken;
        }
    }
}

fn open(place: &Place, failure: &Failure) -> Result<(Database, bool), OpenError> {
    let opened = disk::open(place, CACHE_BYTES, failure)?;
    match version(&opened.database)? {
        Some(VERSION) => {}
        Some(found) => return Err(OpenError::Version { found }),
        None => initialise(&opened.database)?,
    }
    Ok((opened.database, opened.was_repaired))
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
