//! Remembers all that was done to a disk, so that a test can see what every moment of its past would have left.

use polypeer_engine::Random;
use redb::StorageBackend;
use std::io::{Error, ErrorKind, Result};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// A disk in memory with its whole past. Clones are the same disk.
///
/// It grows with all that is ever written; a world of many nodes has [`crate::Disk`]s.
#[derive(Clone, Debug, Default)]
pub struct Tape(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    bytes: Vec<u8>,
    done: Vec<Done>,
    // How many more changes succeed, and how the next one fails.
    fails: Option<(usize, ErrorKind)>,
}

#[derive(Clone, Debug)]
enum Done {
    Length(u64),
    Write(u64, Vec<u8>),
    Sync,
}

impl Tape {
    /// A disk that holds this and has no past.
    pub fn holding(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(State { bytes, ..State::default() })))
    }

    /// Another disk that holds the same and has the same past.
    pub fn copy(&self) -> Self {
        let State { bytes, done, .. } = &*self.state();
        Self(Arc::new(Mutex::new(State { bytes: bytes.clone(), done: done.clone(), fails: None })))
    }

    /// What it holds.
    pub fn bytes(&self) -> Vec<u8> {
        self.state().bytes.clone()
    }

    /// How often it was changed so far: a moment of its past.
    pub fn changes(&self) -> usize {
        self.state().done.len()
    }

    /// Lets so many changes succeed from now on; those after them fail like this.
    pub fn fail_after(&self, changes: usize, how: ErrorKind) {
        self.state().fails = Some((changes, how));
    }

    /// Lets every change succeed again.
    pub fn heal(&self) {
        self.state().fails = None;
    }

    /// Shows each of the last writes cut off at every sector: the moment before it, and what the disk would hold.
    pub fn each_torn(&self, writes: usize, mut look: impl FnMut(usize, Self)) {
        let done = self.state().done.clone();
        let is_write = |moment: &usize| matches!(done[*moment], Done::Write(..));
        let first = (0..done.len()).rev().filter(is_write).take(writes).last().unwrap_or(done.len());
        let mut before = State::default();
        for (moment, change) in done.iter().enumerate() {
            if let (true, Done::Write(at, data)) = (moment >= first, change) {
                for cut in (0..=data.len()).step_by(SECTOR_BYTES) {
                    let mut torn = State { bytes: before.bytes.clone(), ..State::default() };
                    torn.apply(&Done::Write(*at, data[..cut].to_vec()));
                    look(moment, Self::holding(torn.bytes));
                }
            }
            before.apply(change);
        }
    }

    /// What a crash at that moment may leave: everything before the last sync, of the changes since any, and of each
    /// of those any of its sectors.
    pub fn crashed(&self, moment: usize, random: &mut Random) -> Self {
        let done = &self.state().done[..moment];
        let synced = done.iter().rposition(|change| matches!(change, Done::Sync)).unwrap_or(0);
        let mut left = State::default();
        let is_whole = random.below(3) == 0;
        for (place, change) in done.iter().enumerate() {
            match change {
                Done::Write(at, data) if place >= synced && !is_whole => {
                    for (sector, data) in data.chunks(SECTOR_BYTES).enumerate().filter(|_| random.below(2) == 0) {
                        left.apply(&Done::Write(at + (SECTOR_BYTES * sector) as u64, data.to_vec()));
                    }
                }
                _ if place < synced || is_whole || random.below(2) == 0 => left.apply(change),
                _ => {}
            }
        }
        Self::holding(left.bytes)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here leaves it half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn change(&mut self, change: Done) -> Result<()> {
        if let Some((left, how)) = &mut self.fails {
            *left = left.checked_sub(1).ok_or_else(|| Error::from(*how))?;
        }
        self.apply(&change);
        self.done.push(change);
        Ok(())
    }

    fn apply(&mut self, change: &Done) {
        match change {
            Done::Length(length) => self.bytes.resize(*length as usize, 0),
            Done::Write(at, data) => {
                let at = *at as usize;
                // What a lost change would have made room for.
                let length = self.bytes.len().max(at + data.len());
                self.bytes.resize(length, 0);
                self.bytes[at..at + data.len()].copy_from_slice(data);
            }
            Done::Sync => {}
        }
    }
}

impl StorageBackend for Tape {
    fn len(&self) -> Result<u64> {
        Ok(self.state().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let (state, at) = (self.state(), offset as usize);
        out.copy_from_slice(state.bytes.get(at..at + out.len()).ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.state().change(Done::Length(len))
    }

    fn sync_data(&self) -> Result<()> {
        self.state().change(Done::Sync)
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
        self.state().change(Done::Write(offset, data.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written() -> Tape {
        let tape = Tape::default();
        tape.set_len(2_048).unwrap();
        tape.write(0, &[1; 2_048]).unwrap();
        tape.sync_data().unwrap();
        tape.write(512, &[2; 1_024]).unwrap();
        tape
    }

    #[test]
    fn each_moment_of_a_torn_write_is_shown() {
        let (mut seen, tape) = (Vec::new(), written());
        tape.each_torn(1, |moment, torn| seen.push((moment, torn.bytes().iter().filter(|byte| **byte == 2).count())));
        assert_eq!(seen, [(3, 0), (3, 512), (3, 1_024)]);
        tape.each_torn(9, |moment, torn| assert!(moment > 0 && torn.changes() == 0));
        assert_eq!((tape.changes(), tape.copy().changes()), (4, 4));
    }

    #[test]
    fn a_crash_keeps_what_was_synced_and_sectors_of_the_rest() {
        let (mut found, tape) = ([0; 3], written());
        for seed in 0..60 {
            let bytes = tape.crashed(4, &mut Random::new([seed; 32])).bytes();
            assert!(bytes[..512].iter().chain(&bytes[1_536..]).all(|byte| *byte == 1));
            found[bytes[512..1_536].chunks(512).filter(|sector| **sector == [2; 512]).count()] += 1;
        }
        assert!(found.iter().all(|count| *count > 5), "{found:?}");
    }

    #[test]
    fn it_fails_as_it_is_told() {
        let tape = written();
        tape.fail_after(1, ErrorKind::StorageFull);
        tape.write(0, &[3]).unwrap();
        assert_eq!(tape.sync_data().unwrap_err().kind(), ErrorKind::StorageFull);
        tape.heal();
        tape.sync_data().unwrap();
        assert_eq!(tape.changes(), 6);
    }
}
