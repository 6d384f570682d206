//! Keeps a simulated disk: what was synced is safe, of the rest a crash leaves what chance decides.
//!
//! Pages that were never written take no memory, so that a thousand small files cost what is in them. A disk outlives
//! the process that writes it: [`Disk::crash`] cuts off all handles that are about, and new ones see what is left.

use polypeer_engine::Random;
use redb::StorageBackend;
use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Result};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a file system reads and writes at once.
const PAGE_BYTES: usize = 4096;
/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// A disk, or one process's handle to it. Clones are the same handle.
#[derive(Clone, Debug)]
pub struct Disk {
    state: Arc<Mutex<State>>,
    life: u64,
}

type Page = Box<[u8; PAGE_BYTES]>;

#[derive(Default)]
struct State {
    pages: BTreeMap<u64, Page>,
    length: u64,
    /// What pages were when the disk was last synced, of those that were changed since.
    synced: BTreeMap<u64, Option<Page>>,
    synced_length: u64,
    /// What was changed since, in order.
    changes: Vec<Change>,
    life: u64,
    room: Option<u64>,
    operations_left: Option<u64>,
    counts: DiskCounts,
}

#[derive(Clone, Debug)]
enum Change {
    Length(u64),
    Write(u64, Box<[u8]>),
}

/// What was done to a disk so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskCounts {
    /// Writes.
    pub writes: u64,
    /// Bytes of them.
    pub bytes_written: u64,
    /// Syncs.
    pub syncs: u64,
    /// Operations that failed.
    pub failures: u64,
}

/// What a crash leaves of the writes that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsynced {
    /// All of them: the process died, the machine did not.
    Kept,
    /// Whole writes, each by chance.
    Some,
    /// Sectors of writes, each by chance.
    Torn,
}

impl Default for Disk {
    fn default() -> Self {
        Self::new()
    }
}

impl Disk {
    /// An empty disk.
    pub fn new() -> Self {
        Self { state: Arc::default(), life: 0 }
    }

    /// The machine or the process that writes to it dies: every handle so far fails from now on. Returns a new one.
    pub fn crash(&self, unsynced: Unsynced, random: &mut Random) -> Self {
        let mut state = self.state();
        state.life += 1;
        match unsynced {
            Unsynced::Kept => {}
            Unsynced::Some => state.lose(SECTOR_BYTES * (1 << 20), random),
            Unsynced::Torn => state.lose(SECTOR_BYTES, random),
        }
        Self { state: self.state.clone(), life: state.life }
    }

    /// Takes so many bytes more, then is full.
    pub fn fill_after(&self, bytes: u64) {
        self.state().room = Some(bytes);
    }

    /// Fails every operation after so many more.
    pub fn fail_after(&self, operations: u64) {
        self.state().operations_left = Some(operations);
    }

    /// Has room again and fails no more.
    pub fn heal(&self) {
        let mut state = self.state();
        (state.room, state.operations_left) = (None, None);
    }

    /// What was done to it.
    pub fn counts(&self) -> DiskCounts {
        self.state().counts
    }

    /// Bytes of memory that its pages and its unsynced writes take.
    pub fn held_bytes(&self) -> usize {
        let state = self.state();
        let unsynced: usize =
            state.changes.iter().map(|change| if let Change::Write(_, data) = change { data.len() } else { 0 }).sum();
        (state.pages.len() + state.synced.len()) * PAGE_BYTES + unsynced
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn operate<T>(&self, work: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        let mut state = self.state();
        let done = if state.life == self.life {
            state.tick().and_then(|()| work(&mut state))
        } else {
            Err(Error::other("whoever wrote to this disk is dead"))
        };
        if done.is_err() {
            state.counts.failures += 1;
        }
        done
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64> {
        self.operate(|state| Ok(state.length))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        self.operate(|state| {
            if offset.saturating_add(out.len() as u64) > state.length {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            state.read(offset, out);
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.operate(|state| {
            if len > state.length && state.room == Some(0) {
                return Err(ErrorKind::StorageFull.into());
            }
            state.apply(&Change::Length(len));
            state.changes.push(Change::Length(len));
            Ok(())
        })
    }

    fn sync_data(&self) -> Result<()> {
        self.operate(|state| {
            state.counts.syncs += 1;
            state.synced.clear();
            state.changes.clear();
            state.synced_length = state.length;
            Ok(())
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
        self.operate(|state| {
            if let Some(room) = &mut state.room {
                *room = room.checked_sub(data.len() as u64).ok_or_else(|| Error::from(ErrorKind::StorageFull))?;
            }
            state.counts.writes += 1;
            state.counts.bytes_written += data.len() as u64;
            let change = Change::Write(offset, data.into());
            state.apply(&change);
            state.changes.push(change);
            Ok(())
        })
    }
}

impl State {
    fn tick(&mut self) -> Result<()> {
        if let Some(left) = &mut self.operations_left {
            *left = left.checked_sub(1).ok_or_else(|| Error::other("the disk is broken"))?;
        }
        Ok(())
    }

    fn read(&self, offset: u64, out: &mut [u8]) {
        let mut done = 0;
        while done < out.len() {
            let at = offset + done as u64;
            let (page, inside) = place(at);
            let count = (PAGE_BYTES - inside).min(out.len() - done);
            match self.pages.get(&page) {
                Some(bytes) => out[done..done + count].copy_from_slice(&bytes[inside..inside + count]),
                None => out[done..done + count].fill(0),
            }
            done += count;
        }
    }

    // Keeps what a page was when the disk was last synced.
    fn remember(&mut self, page: u64) {
        let pages = &self.pages;
        self.synced.entry(page).or_insert_with(|| pages.get(&page).cloned());
    }

    fn apply(&mut self, change: &Change) {
        match change {
            Change::Length(length) => self.resize(*length),
            Change::Write(offset, data) => self.write(*offset, data),
        }
    }

    fn resize(&mut self, length: u64) {
        if length < self.length {
            let (last, inside) = place(length);
            let gone: Vec<u64> = self.pages.range(last..).map(|(page, _)| *page).collect();
            for page in gone {
                self.remember(page);
                if page == last && inside > 0 {
                    if let Some(bytes) = self.pages.get_mut(&page) {
                        bytes[inside..].fill(0);
                    }
                } else {
                    self.pages.remove(&page);
                }
            }
        }
        self.length = length;
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        let mut done = 0;
        while done < data.len() {
            let (page, inside) = place(offset + done as u64);
            let count = (PAGE_BYTES - inside).min(data.len() - done);
            self.remember(page);
            let bytes = self.pages.entry(page).or_insert_with(|| Box::new([0; PAGE_BYTES]));
            bytes[inside..inside + count].copy_from_slice(&data[done..done + count]);
            done += count;
        }
        // A write whose room was made by a change that a crash took back.
        self.length = self.length.max(offset + data.len() as u64);
    }

    // Goes back to what was synced, and does again what chance lets through: pieces of writes of at most `piece` bytes.
    fn lose(&mut self, piece: usize, random: &mut Random) {
        for (page, bytes) in std::mem::take(&mut self.synced) {
            match bytes {
                Some(bytes) => self.pages.insert(page, bytes),
                None => self.pages.remove(&page),
            };
        }
        self.length = self.synced_length;
        let is_whole = random.below(3) == 0;
        for change in std::mem::take(&mut self.changes) {
            match change {
                Change::Write(offset, data) => {
                    for (count, part) in data.chunks(piece).enumerate() {
                        if is_whole || random.below(2) == 0 {
                            self.write(offset + (count * piece) as u64, part);
                        }
                    }
                }
                Change::Length(length) if is_whole || random.below(2) == 0 => self.resize(length),
                Change::Length(_) => {}
            }
        }
        // What is there after the crash is what there is.
        self.synced.clear();
        self.synced_length = self.length;
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("length", &self.length).field("counts", &self.counts).finish_non_exhaustive()
    }
}

fn place(offset: u64) -> (u64, usize) {
    (offset / PAGE_BYTES as u64, (offset % PAGE_BYTES as u64) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(disk: &Disk) -> Vec<u8> {
        let mut out = vec![0; StorageBackend::len(disk).unwrap() as usize];
        disk.read(0, &mut out).unwrap();
        out
    }

    #[test]
    fn it_holds_what_a_flat_file_would() {
        let (disk, mut flat, mut random) = (Disk::new(), Vec::new(), Random::new([2; 32]));
        for round in 0..2_000 {
            match random.below(10) {
                0 => {
                    let length = random.below(40_000);
                    flat.resize(length, 0);
                    disk.set_len(length as u64).unwrap();
                }
                1 => disk.sync_data().unwrap(),
                _ if flat.is_empty() => {}
                _ => {
                    let at = random.below(flat.len());
                    let count = 1 + random.below((flat.len() - at).min(9_000));
                    let data = vec![round as u8; count];
                    flat[at..at + count].copy_from_slice(&data);
                    disk.write(at as u64, &data).unwrap();
                }
            }
        }
        assert_eq!(content(&disk), flat);
        let mut past = [0; 2];
        assert!(disk.read(flat.len() as u64 - 1, &mut past).is_err());
    }

    #[test]
    fn a_crash_keeps_what_was_synced_and_tears_the_rest() {
        let (mut whole, mut torn, mut gone) = (0, 0, 0);
        for seed in 0..60 {
            let (disk, mut random) = (Disk::new(), Random::new([seed; 32]));
            disk.set_len(20_000).unwrap();
            disk.write(0, &[1; 20_000]).unwrap();
            disk.sync_data().unwrap();
            disk.write(4_000, &[2; 2_048]).unwrap();
            let after = disk.crash(Unsynced::Torn, &mut random);
            assert!(disk.write(0, &[3]).is_err() && disk.sync_data().is_err(), "the dead write nothing");
            let bytes = content(&after);
            assert!(bytes[..4_000].iter().chain(&bytes[6_048..]).all(|byte| *byte == 1));
            let sectors: Vec<u8> = bytes[4_000..6_048].chunks(SECTOR_BYTES).map(|sector| sector[0]).collect();
            assert!(bytes[4_000..6_048].chunks(SECTOR_BYTES).all(|sector| sector.iter().all(|b| *b == sector[0])));
            match sectors.iter().filter(|byte| **byte == 2).count() {
                4 => whole += 1,
                0 => gone += 1,
                _ => torn += 1,
            }
        }
        assert!(whole > 10 && torn > 20 && gone > 0, "{whole} {torn} {gone}");
    }

    #[test]
    fn a_process_that_dies_loses_nothing_of_what_it_wrote() {
        let (disk, mut random) = (Disk::new(), Random::new([1; 32]));
        disk.write(0, &[7; 100]).unwrap();
        assert_eq!(content(&disk.crash(Unsynced::Kept, &mut random)), [7; 100]);
    }

    #[test]
    fn it_can_be_full_and_can_break() {
        let disk = Disk::new();
        disk.fill_after(10);
        disk.write(0, &[1; 10]).unwrap();
        assert_eq!(disk.write(0, &[1]).unwrap_err().kind(), ErrorKind::StorageFull);
        assert_eq!(disk.set_len(100).unwrap_err().kind(), ErrorKind::StorageFull);
        disk.heal();
        disk.write(0, &[2]).unwrap();
        disk.fail_after(1);
        disk.sync_data().unwrap();
        assert_eq!(disk.sync_data().unwrap_err().kind(), ErrorKind::Other);
        assert_eq!(disk.counts().failures, 3);
    }
}
