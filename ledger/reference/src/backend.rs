//! Stands between redb and a storage, so that a failure leaves its cause behind and the storage can be opened again.

use redb::{BackendError, StorageBackend};
use std::io;
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError};

/// The first failure of a storage since it was last opened. redb itself only reports that something had failed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Failure(Arc<Mutex<Option<io::ErrorKind>>>);

impl Failure {
    /// Takes note of the first failure.
    fn note<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error.kind());
        }
        result
    }

    /// What failed first, forgotten.
    pub(crate) fn take(&self) -> Option<io::ErrorKind> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A storage that is shared over several openings. Closing is left to whoever drops the last reference.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    pub(crate) storage: Arc<dyn StorageBackend>,
    pub(crate) failure: Failure,
    /// Whether redb may close the storage: true for a file that is opened anew each time.
    pub(crate) closes: bool,
}

impl StorageBackend for Watched {
    fn len(&self) -> io::Result<u64> {
        self.failure.note(self.storage.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.failure.note(self.storage.read(offset, out))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.failure.note(self.storage.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.failure.note(self.storage.sync_data())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.failure.note(self.storage.write(offset, data))
    }

    fn close(&self) -> io::Result<()> {
        if self.closes { self.storage.close() } else { Ok(()) }
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.storage.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.storage.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.storage.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.storage.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.storage.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.storage.query_lock_range(start, end)
    }
}
