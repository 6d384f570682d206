//! Opens a redb file only when it is whole, and changes nothing in it before that is known.
//!
//! ```text
//!   redb ──► Guarded ── tentative: reads from the file, keeps changes in memory ──► checked ──► carried out, in order
//!               └────── certain:   hands everything on, and remembers the first failure
//! ```
//!
//! A file on a full disk can be read although not even opening it can be carried out: it stays tentative until there is
//! room.
//!
//! redb checks a page's sum only after a crash. A bit that turned in a closed file would be loaded, served and built
//! upon, and some of what redb meets in such a file it answers with a panic. So every page is checked once, at the
//! start, up to [`CHECKED_BYTES_MAX`]; a file that does not pass is refused, as it is.

use bytes::Bytes;
use redb::backends::FileBackend;
use redb::{BackendError, Database, StorageBackend, StorageError};
use std::cell::Cell;
use std::fs::OpenOptions;
use std::io::{self, ErrorKind};
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Files up to this size are checked page by page when they are opened, which takes about a quarter of a second. A
/// larger one would make a restart last longer than the second that it may; of it only the headers and what a crash
/// touched are checked.
pub const CHECKED_BYTES_MAX: u64 = 128 << 20;
/// Bytes that opening may want to change: the record of free pages, a bit for each page of 4 KiB, so that this is a
/// file of two tebibytes. More is a damaged file.
const CHANGED_BYTES_MAX: usize = 64 << 20;

/// Where the bytes are.
#[derive(Clone, Debug)]
pub enum Place {
    /// A file, made when missing, readable by its owner and whoever the umask allows.
    File(PathBuf),
    /// Whatever the caller brought. It is not closed: it can be opened again.
    Backend(Arc<dyn StorageBackend>),
}

/// The first failure of a storage since it was last asked. redb itself only reports that something had failed.
#[derive(Clone, Debug, Default)]
pub struct Failure(Arc<Mutex<Option<ErrorKind>>>);

impl Failure {
    /// What failed first, forgotten.
    pub fn take(&self) -> Option<ErrorKind> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn note<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error.kind());
        }
        result
    }
}

/// Whether trying again later makes sense: it does when there was no space, and does not when the disk refused what it
/// had promised, because what the page cache then shows may not be what the disk holds.
pub fn is_lack_of_room(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}

/// An open file.
#[derive(Debug)]
pub struct Opened {
    /// The database.
    pub database: Database,
    /// Whether damage was found and taken back to the commit before it.
    pub was_repaired: bool,
    /// What opening changes in the file; carried out already unless it was opened to be read.
    pub changes: KeptBack,
}

/// What opening a file changes in it, kept in memory. Until it is carried out the database must only be read: a commit
/// would be in memory too.
#[derive(Clone, Debug)]
pub struct KeptBack(Arc<Guard>);

impl KeptBack {
    /// Carries it out. After a failure for lack of room it can be tried again, and the database be read meanwhile.
    ///
    /// # Errors
    /// The storage's, which [`Failure`] has too.
    pub fn carry_out(&self) -> io::Result<()> {
        self.0.confirm()
    }
}

/// Why a file is not opened. It is as it was.
#[derive(Debug)]
pub enum Refusal {
    /// It is not what was written.
    Damaged {
        /// Where: the page that was read last, in bytes from the start.
        offset: u64,
        /// What is wrong, in redb's words.
        what: String,
    },
    /// Another process has it.
    InUse,
    /// It cannot be read or written.
    Storage(redb::Error),
}

/// Opens what is there, or makes a new database where there is nothing.
pub fn open(place: &Place, cache_bytes: usize, failure: &Failure) -> Result<Opened, Refusal> {
    let opened = open_to_read(place, cache_bytes, failure)?;
    opened.changes.carry_out().map_err(|error| Refusal::Storage(redb::Error::Io(error)))?;
    Ok(opened)
}

/// Opens what is there, without a write to it: the disk may be full.
pub fn open_to_read(place: &Place, cache_bytes: usize, failure: &Failure) -> Result<Opened, Refusal> {
    let io = |error: io::Error| Refusal::Storage(redb::Error::Io(error));
    let (storage, closes): (Arc<dyn StorageBackend>, bool) = match place {
        Place::File(path) => {
            if std::fs::metadata(path).map_or(0, |file| file.len()) == 0 {
                make(path)?;
            }
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
            let file = failure.note(file).map_err(io)?;
            (Arc::new(FileBackend::new(file).map_err(|error| Refusal::Storage(error.into()))?), true)
        }
        Place::Backend(storage) => (storage.clone(), false),
    };
    let length = failure.note(storage.len()).map_err(io)?;
    let guard = Guard::new(storage, closes, failure.clone(), length);
    let is_checked = length > 0 && length <= CHECKED_BYTES_MAX;
    // redb gives most damage back as an error, and panics over some.
    IN_DOUBT.set(true);
    let opened = catch_unwind(AssertUnwindSafe(|| prepare(guard.clone(), cache_bytes, is_checked)));
    IN_DOUBT.set(false);
    let offset = guard.tentative().last_read;
    match opened {
        Ok(Ok((database, was_repaired))) => Ok(Opened { database, was_repaired, changes: KeptBack(guard) }),
        Ok(Err(error)) => Err(refusal(error, offset)),
        Err(panic) => Err(Refusal::Damaged { offset, what: words(panic.as_ref()) }),
    }
}

/// Makes a file, whole or not at all: a kill in the middle would leave one that is neither new nor a database. It gets
/// its name when it is whole, so that one sync is enough where redb wants seven.
fn make(path: &Path) -> Result<(), Refusal> {
    let io = |error: io::Error| Refusal::Storage(redb::Error::Io(error));
    let beside = path.with_extension("new");
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(io(error)),
        _ => {}
    }
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&beside).map_err(io)?;
    let storage = FileBackend::new(file).map_err(|error| Refusal::Storage(error.into()))?;
    let guard = Guard::new(Arc::new(storage), false, Failure::default(), 0);
    let made = Database::builder().create_with_backend(Guarded(guard.clone()));
    drop(made.map_err(|error| Refusal::Storage(error.into()))?);
    guard.tentative().changes.retain(|change| !matches!(change, Change::Sync));
    let synced = guard.confirm().and_then(|()| guard.storage.sync_data());
    // Its lock goes now: a process that is forked meanwhile would hold on to it.
    let closed = guard.storage.close();
    synced.and(closed).and_then(|()| std::fs::rename(&beside, path)).map_err(io)
}

thread_local! {
    static IN_DOUBT: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is opening a file of which it is not known yet whether it is whole: a panic then is only
/// redb's word for damage, and comes back as a [`Refusal`]. For panic hooks, which need not tell of it.
pub fn is_in_doubt() -> bool {
    IN_DOUBT.get()
}

fn prepare(guard: Arc<Guard>, cache_bytes: usize, is_checked: bool) -> Result<(Database, bool), redb::DatabaseError> {
    let mut database = Database::builder().set_cache_size(cache_bytes).create_with_backend(Guarded(guard))?;
    let was_repaired = is_checked && !database.check_integrity()?;
    Ok((database, was_repaired))
}

fn refusal(error: redb::DatabaseError, offset: u64) -> Refusal {
    match error {
        redb::DatabaseError::DatabaseAlreadyOpen => Refusal::InUse,
        redb::DatabaseError::Storage(StorageError::Corrupted(what)) => Refusal::Damaged { offset, what },
        redb::DatabaseError::Storage(StorageError::Io(error))
            if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidData) =>
        {
            Refusal::Damaged { offset, what: error.to_string() }
        }
        other => Refusal::Storage(other.into()),
    }
}

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("it cannot be made sense of").to_owned()
}

/// What stands between redb and a storage.
#[derive(Debug)]
struct Guard {
    storage: Arc<dyn StorageBackend>,
    /// Whether redb may close the storage: true for a file that is opened anew each time.
    closes: bool,
    failure: Failure,
    is_certain: AtomicBool,
    tentative: Mutex<Tentative>,
}

/// What opening has changed so far, for redb's eyes only.
#[derive(Debug, Default)]
struct Tentative {
    length: u64,
    /// How much of the storage's own bytes still shows: what was cut off and grown again is zero.
    kept: u64,
    /// What was written over them, later over earlier.
    written: Vec<(u64, Bytes)>,
    changes: Vec<Change>,
    changed_bytes: usize,
    last_read: u64,
}

#[derive(Debug)]
enum Change {
    Length(u64),
    Write(u64, Bytes),
    Sync,
}

impl Guard {
    fn new(storage: Arc<dyn StorageBackend>, closes: bool, failure: Failure, length: u64) -> Arc<Self> {
        let tentative = Mutex::new(Tentative { length, kept: length, ..Tentative::default() });
        Arc::new(Self { storage, closes, failure, is_certain: AtomicBool::new(false), tentative })
    }

    fn tentative(&self) -> MutexGuard<'_, Tentative> {
        self.tentative.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // Nothing, once what was kept back is carried out.
    fn doubt(&self) -> Option<MutexGuard<'_, Tentative>> {
        if self.is_certain.load(Ordering::Acquire) {
            return None;
        }
        let tentative = self.tentative();
        // It may have been carried out while this waited.
        (!self.is_certain.load(Ordering::Acquire)).then_some(tentative)
    }

    /// Carries out what was kept back, as redb wanted it: in order and with its syncs. After a failure it goes on from
    /// the last sync, as what came after that may be lost.
    fn confirm(&self) -> io::Result<()> {
        let mut tentative = self.tentative();
        let mut synced = 0;
        let carried_out = tentative.changes.iter().zip(1..).try_for_each(|(change, count)| {
            self.failure.note(match change {
                Change::Length(length) => self.storage.set_len(*length),
                Change::Write(at, data) => self.storage.write(*at, data),
                Change::Sync => self.storage.sync_data().inspect(|()| synced = count),
            })
        });
        tentative.changes.drain(..synced);
        carried_out?;
        *tentative = Tentative::default();
        self.is_certain.store(true, Ordering::Release);
        Ok(())
    }
}

impl Tentative {
    fn read(&mut self, storage: &dyn StorageBackend, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(out.len() as u64).filter(|end| *end <= self.length);
        let end = end.ok_or(ErrorKind::UnexpectedEof)?;
        self.last_read = offset;
        // As a slice's length it is one that memory has.
        let held = self.kept.clamp(offset, end) - offset;
        let (own, grown) = out.split_at_mut(held as usize);
        if !own.is_empty() {
            storage.read(offset, own)?;
        }
        grown.fill(0);
        for (at, data) in &self.written {
            let (from, to) = ((*at).max(offset), (*at + data.len() as u64).min(end));
            if from < to {
                let source = (from - at) as usize..(to - at) as usize;
                out[(from - offset) as usize..(to - offset) as usize].copy_from_slice(&data[source]);
            }
        }
        Ok(())
    }

    fn write(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        let end = offset.checked_add(data.len() as u64);
        end.filter(|end| *end <= self.length).ok_or(ErrorKind::UnexpectedEof)?;
        self.changed_bytes += data.len();
        if self.changed_bytes > CHANGED_BYTES_MAX {
            return Err(ErrorKind::InvalidData.into());
        }
        let data = Bytes::copy_from_slice(data);
        self.written.push((offset, data.clone()));
        self.changes.push(Change::Write(offset, data));
        Ok(())
    }

    // One right after another would find nothing to do. The first may: what a killed process wrote.
    fn sync(&mut self) {
        if !matches!(self.changes.last(), Some(Change::Sync)) {
            self.changes.push(Change::Sync);
        }
    }

    fn set_len(&mut self, length: u64) {
        self.length = length;
        self.kept = self.kept.min(length);
        for (at, data) in &mut self.written {
            data.truncate(usize::try_from(length.saturating_sub(*at)).unwrap_or(usize::MAX));
        }
        self.changes.push(Change::Length(length));
    }
}

/// What redb holds of it.
#[derive(Debug)]
struct Guarded(Arc<Guard>);

impl StorageBackend for Guarded {
    fn len(&self) -> io::Result<u64> {
        match self.0.doubt() {
            Some(tentative) => Ok(tentative.length),
            None => self.0.failure.note(self.0.storage.len()),
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        match self.0.doubt() {
            Some(mut tentative) => tentative.read(&*self.0.storage, offset, out),
            None => self.0.failure.note(self.0.storage.read(offset, out)),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        match self.0.doubt() {
            Some(mut tentative) => {
                tentative.set_len(len);
                Ok(())
            }
            None => self.0.failure.note(self.0.storage.set_len(len)),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        match self.0.doubt() {
            Some(mut tentative) => {
                tentative.sync();
                Ok(())
            }
            None => self.0.failure.note(self.0.storage.sync_data()),
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        match self.0.doubt() {
            Some(mut tentative) => tentative.write(offset, data),
            None => self.0.failure.note(self.0.storage.write(offset, data)),
        }
    }

    fn close(&self) -> io::Result<()> {
        if self.0.closes { self.0.storage.close() } else { Ok(()) }
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.storage.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.storage.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.storage.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.storage.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.storage.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.storage.query_lock_range(start, end)
    }
}
