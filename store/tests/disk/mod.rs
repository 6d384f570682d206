//! A disk in memory that remembers what was done to it, and fails as it is told.

#![allow(dead_code, reason = "every test file uses a part of it")]

use polypeer_store::StorageBackend;
use std::io::{Error, ErrorKind, Result};
use std::sync::{Arc, Mutex, MutexGuard};

/// What was done to a disk.
#[derive(Clone, Debug)]
pub(crate) enum Done {
    Length(u64),
    Write(u64, Vec<u8>),
    Sync,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) bytes: Vec<u8>,
    pub(crate) done: Vec<Done>,
    /// How many more changes succeed, and how the next one fails.
    pub(crate) fails: Option<(usize, ErrorKind)>,
}

impl State {
    fn change(&mut self, done: Done) -> Result<()> {
        if let Some((left, kind)) = &mut self.fails {
            *left = left.checked_sub(1).ok_or_else(|| Error::from(*kind))?;
        }
        self.apply(&done);
        self.done.push(done);
        Ok(())
    }

    pub(crate) fn apply(&mut self, done: &Done) {
        match done {
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

#[derive(Clone, Debug, Default)]
pub(crate) struct Disk(Arc<Mutex<State>>);

impl Disk {
    pub(crate) fn with(bytes: Vec<u8>, done: Vec<Done>) -> Self {
        Self(Arc::new(Mutex::new(State { bytes, done, fails: None })))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nothing panics under the lock")
    }

    /// What it holds, and what was done to it.
    pub(crate) fn history(&self) -> (Vec<u8>, Vec<Done>) {
        let state = self.state();
        (state.bytes.clone(), state.done.clone())
    }

    /// Lets `left` changes succeed from now on.
    pub(crate) fn fail_after(&self, left: usize, kind: ErrorKind) {
        self.state().fails = Some((left, kind));
    }

    pub(crate) fn heal(&self) {
        self.state().fails = None;
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64> {
        Ok(self.state().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let state = self.state();
        let at = offset as usize;
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
