//! Keeps a simulated disk: what was synced is safe, of the rest a crash leaves what chance decides.
//!
//! Pages that were never written take no memory, so that a thousand small files cost what is in them. A disk outlives
//! the process that writes it: [`Disk::crash`] cuts off all handles that are about, and new ones see what is left. It has
//! as many files as are asked for ([`Disk::file`]): each is synced by itself, while room, faults and crashes are the
//! disk's.

use polypeer_engine::Random;
use redb::StorageBackend;
use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Result};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a file system reads and writes at once.
const PAGE_BYTES: usize = 4096;
/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// A file of a disk, or one process's handle to it. Clones are the same handle.
#[derive(Clone, Debug)]
pub struct Disk {
    drive: Arc<Mutex<Drive>>,
    file: u8,
    life: u64,
}

type Page = Box<[u8; PAGE_BYTES]>;

/// What all files of a disk share.
#[derive(Debug, Default)]
struct Drive {
    files: BTreeMap<u8, File>,
    life: u64,
    room: Option<u64>,
    operations_left: Option<u64>,
    counts: DiskCounts,
}

#[derive(Default)]
struct File {
    pages: BTreeMap<u64, Page>,
    length: u64,
    /// What pages were when the file was last synced, of those that were changed since.
    synced: BTreeMap<u64, Option<Page>>,
    synced_length: u64,
    /// What was changed since, in order.
    changes: Vec<Change>,
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
    /// An empty disk, and the first of its files.
    pub fn new() -> Self {
        Self { drive: Arc::default(), file: 0, life: 0 }
    }

    /// Another file of the same disk, empty until it is written. The first has the number 0.
    pub fn file(&self, number: u8) -> Self {
        Self { file: number, ..self.clone() }
    }

    /// The machine or the process that writes to it dies: every handle so far fails from now on, to whichever file.
    /// Returns a new one.
    pub fn crash(&self, unsynced: Unsynced, random: &mut Random) -> Self {
        let mut drive = self.drive();
        drive.life += 1;
        let piece = match unsynced {
            Unsynced::Kept => None,
            Unsynced::Some => Some(SECTOR_BYTES * (1 << 20)),
            Unsynced::Torn => Some(SECTOR_BYTES),
        };
        if let Some(piece) = piece {
            drive.files.values_mut().for_each(|file| file.lose(piece, random));
        }
        Self { life: drive.life, ..self.clone() }
    }

    /// Takes so many bytes more, then is full.
    pub fn fill_after(&self, bytes: u64) {
        self.drive().room = Some(bytes);
    }

    /// Fails every operation after so many more.
    pub fn fail_after(&self, operations: u64) {
        self.drive().operations_left = Some(operations);
    }

    /// Has room again and fails no more.
    pub fn heal(&self) {
        let mut drive = self.drive();
        (drive.room, drive.operations_left) = (None, None);
    }

    /// What was done to it, to all its files.
    pub fn counts(&self) -> DiskCounts {
        self.drive().counts
    }

    /// Bytes of memory that its pages and its unsynced writes take.
    pub fn held_bytes(&self) -> usize {
        self.drive().files.values().map(File::held_bytes).sum()
    }

    fn drive(&self) -> MutexGuard<'_, Drive> {
        // Nothing that can panic runs under the lock.
        self.drive.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn operate<T>(&self, work: impl FnOnce(&mut File, &mut Means<'_>) -> Result<T>) -> Result<T> {
        let mut drive = self.drive();
        let done = if drive.life == self.life {
            drive.tick().and_then(|()| {
                let Drive { files, room, counts, .. } = &mut *drive;
                work(files.entry(self.file).or_default(), &mut Means { room, counts })
            })
        } else {
            Err(Error::other("whoever wrote to this disk is dead"))
        };
        if done.is_err() {
            drive.counts.failures += 1;
        }
        done
    }
}

/// What an operation on a file draws on.
struct Means<'d> {
    room: &'d mut Option<u64>,
    counts: &'d mut DiskCounts,
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64> {
        self.operate(|file, _| Ok(file.length))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        self.operate(|file, _| {
            if offset.saturating_add(out.len() as u64) > file.length {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            file.read(offset, out);
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.operate(|file, means| {
            if len > file.length && *means.room == Some(0) {
                return Err(ErrorKind::StorageFull.into());
            }
            file.apply(&Change::Length(len));
            file.changes.push(Change::Length(len));
            Ok(())
        })
    }

    fn sync_data(&self) -> Result<()> {
        self.operate(|file, means| {
            means.counts.syncs += 1;
            file.synced.clear();
            file.changes.clear();
            file.synced_length = file.length;
            Ok(())
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
        self.operate(|file, means| {
            if let Some(room) = means.room {
                *room = room.checked_sub(data.len() as u64).ok_or_else(|| Error::from(ErrorKind::StorageFull))?;
            }
            means.counts.writes += 1;
            means.counts.bytes_written += data.len() as u64;
            let change = Change::Write(offset, data.into());
            file.apply(&change);
            file.changes.push(change);
            Ok(())
        })
    }
}

impl Drive {
    fn tick(&mut self) -> Result<()> {
        if let Some(left) = &mut self.operations_left {
            *left = left.checked_sub(1).ok_or_else(|| Error::other("the disk is broken"))?;
        }
        Ok(())
    }
}

impl File {
    fn held_bytes(&self) -> usize {
        let unsynced: usize =
            self.changes.iter().map(|change| if let Change::Write(_, data) = change { data.len() } else { 0 }).sum();
        (self.pages.len() + self.synced.len()) * PAGE_BYTES + unsynced
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

    // Keeps what a page was when the file was last synced.
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

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("File").field("length", &self.length).finish_non_exhaustive()
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
    fn files_are_synced_one_by_one_and_die_together() {
        let (mut random, mut lost) = (Random::new([3; 32]), 0);
        for _ in 0..40 {
            let disk = Disk::new();
            let [one, other] = [1, 2].map(|number| disk.file(number));
            one.write(0, &[1; 100]).unwrap();
            other.write(0, &[2; 100]).unwrap();
            assert_eq!((content(&disk), content(&one), content(&other)), (vec![], vec![1; 100], vec![2; 100]));
            one.sync_data().unwrap();
            let after = disk.crash(Unsynced::Some, &mut random);
            assert!(one.write(0, &[9]).is_err() && other.sync_data().is_err(), "the dead write nothing");
            assert_eq!(content(&after.file(1)), [1; 100]);
            lost += usize::from(content(&after.file(2)).is_empty());
            after.fill_after(0);
            assert!([1, 2].iter().all(|number| after.file(*number).write(0, &[1]).is_err()), "they share the room");
        }
        assert!((1..40).contains(&lost), "{lost}");
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
