//! Keeps a node's records in a real store on a simulated disk, as its host's saver does: the latest of each key, a
//! durable commit a batch, again when the disk refuses.

use crate::disk::{Disk, Unsynced};
use bytes::Bytes;
use polypeer_engine::{Random, Record, Table};
use polypeer_store::Store;
use std::collections::BTreeMap;
use std::time::Duration;

/// Keys that may wait for the disk, as in the driver.
const KEYS_MAX: usize = 1 << 17;
/// From a record's coming to the begin of its commit.
pub(crate) const PATIENCE: Duration = Duration::from_millis(2);
/// Between two commits, as in the driver.
const PAUSE: Duration = Duration::from_millis(100);
/// Between two tries while the disk refuses, as in the driver.
const RETRY: Duration = Duration::from_secs(1);

/// Where nodes keep their records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Remembering {
    /// In a store on a disk that a crash tears, as real nodes do.
    #[default]
    OnDisk,
    /// In memory that outlives a crash whole: for worlds in which nothing depends on it.
    InMemory,
}

/// A node's records, and those that wait to be kept.
pub(crate) struct Keeper {
    disk: Disk,
    how: Remembering,
    store: Option<Store>,
    kept: BTreeMap<(Table, Bytes), Bytes>,
    waiting: BTreeMap<(Table, Bytes), Option<Bytes>>,
    is_busy: bool,
    /// Records that found no room.
    pub(crate) refused: u64,
    /// Commits that the disk refused.
    pub(crate) failed: u64,
}

impl Keeper {
    pub(crate) fn new(how: Remembering) -> Self {
        let (kept, waiting) = Default::default();
        Self { disk: Disk::new(), how, store: None, kept, waiting, is_busy: false, refused: 0, failed: 0 }
    }

    pub(crate) fn disk(&self) -> &Disk {
        &self.disk
    }

    /// What was kept, for a node that starts.
    pub(crate) fn open(&mut self) -> Result<Vec<Record>, String> {
        if self.how == Remembering::InMemory {
            let record = |((table, key), value): (&(Table, Bytes), &Bytes)| Record {
                table: *table,
                key: key.clone(),
                value: Some(value.clone()),
            };
            return Ok(self.kept.iter().map(record).collect());
        }
        let store = Store::open_with_backend(self.disk.clone()).map_err(|error| format!("the store: {error}"))?;
        let records = store.load().map_err(|error| format!("the store: {error}"))?;
        self.store = Some(store);
        Ok(records)
    }

    /// Takes a record. Whether [`Keeper::commit`] is to be called, after [`PATIENCE`].
    pub(crate) fn save(&mut self, record: Record) -> bool {
        let Record { table, key, value } = record;
        let key = (table, key);
        if self.how == Remembering::InMemory {
            match value {
                Some(value) => self.kept.insert(key, value),
                None => self.kept.remove(&key),
            };
            return false;
        }
        if self.waiting.len() >= KEYS_MAX && !self.waiting.contains_key(&key) {
            self.refused += 1;
            return false;
        }
        self.waiting.insert(key, value);
        !std::mem::replace(&mut self.is_busy, true)
    }

    /// Commits what waits. When to come again, if it is to.
    pub(crate) fn commit(&mut self) -> Option<Duration> {
        if self.waiting.is_empty() {
            self.is_busy = false;
            return None;
        }
        let record = |((table, key), value): (&(Table, Bytes), &Option<Bytes>)| Record {
            table: *table,
            key: key.clone(),
            value: value.clone(),
        };
        let batch: Vec<Record> = self.waiting.iter().map(record).collect();
        if self.store.is_none() {
            self.store = Store::open_with_backend(self.disk.clone()).ok();
        }
        let done = self.store.as_ref().and_then(|store| store.save(&batch).ok());
        if done.is_none() {
            // What it holds in memory is not trusted again: the next try opens it anew.
            self.store = None;
            self.failed += 1;
            return Some(RETRY);
        }
        self.waiting.clear();
        Some(PAUSE)
    }

    /// The process dies, or the machine.
    pub(crate) fn crash(&mut self, unsynced: Unsynced, random: &mut Random) {
        self.disk = self.disk.crash(unsynced, random);
        self.store = None;
        self.waiting.clear();
        self.is_busy = false;
    }
}
