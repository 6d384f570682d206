//! Reads and writes simulations: a journal with a plan, the marks of a run, and how it ended.
//!
//! The plan and the outcome stand in their entries as JSON, so that a file can be read by people and by other versions
//! as long as the words mean the same.

use crate::outcome::{Mark, Outcome};
use crate::plan::Plan;
use polypeer_engine::journal::{self, Damage, Head, HeadError, Holds, MAGIC};
use serde::de::DeserializeOwned;
use std::path::Path;
use std::{fs, io};
use thiserror::Error;

/// The longest file that is read, in bytes. A plan with its most faults and marks is below 64 MiB.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// A simulation as it stands in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Simulation {
    /// What was to be.
    pub plan: Plan,
    /// What came of it.
    pub outcome: Outcome,
}

/// Why a file is no simulation that can be run.
#[derive(Debug, Error)]
pub enum FileError {
    /// It cannot be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is longer than any can be.
    #[error("it has {0} bytes, more than any simulation")]
    TooLong(u64),
    /// It is no journal.
    #[error("this is no recording (at byte 0)")]
    Foreign,
    /// Another version wrote it.
    #[error("this simulation of {protocol} has format {version}, and this version reads format {}", journal::VERSION)]
    Version {
        /// The protocol.
        protocol: String,
        /// The format.
        version: u16,
    },
    /// It holds something else.
    #[error("this is a recording of a node of {0}, not a simulation")]
    OtherKind(String),
    /// An entry is damaged, or is not what belongs there.
    #[error("the simulation is damaged at byte {offset}: {what}")]
    Damaged {
        /// Where the entry begins.
        offset: usize,
        /// How.
        what: String,
    },
}

impl Simulation {
    /// The file's bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, FileError> {
        let mut bytes = MAGIC.to_vec();
        let offset = bytes.len();
        let put = |bytes: &mut Vec<u8>| -> Result<(), Box<dyn std::error::Error>> {
            journal::put(&Head::new(&self.plan.protocol, Holds::Simulation), bytes)?;
            journal::put(&serde_json::to_string(&self.plan)?, bytes)?;
            journal::put(&self.outcome.marks, bytes)?;
            journal::put(&serde_json::to_string(&self.outcome)?, bytes)?;
            Ok(())
        };
        put(&mut bytes).map_err(|error| FileError::Damaged { offset, what: error.to_string() })?;
        Ok(bytes)
    }

    /// Reads a file's bytes.
    ///
    /// # Errors
    /// See [`FileError`]; the first damage is named with its place.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FileError> {
        let mut entries = Entries { bytes, offset: MAGIC.len() };
        if !bytes.starts_with(&MAGIC) {
            return Err(FileError::Foreign);
        }
        let head = Head::read(entries.next()?).map_err(|error| match error {
            HeadError::Damaged(damage) => damaged(MAGIC.len(), &damage),
            HeadError::Version { version, protocol } => FileError::Version { protocol, version },
        })?;
        if head.holds != Holds::Simulation {
            return Err(FileError::OtherKind(head.protocol));
        }
        let place = entries.offset;
        let plan: Plan = entries.json()?;
        plan.check().map_err(|unfit| damaged(place, &unfit))?;
        if plan.protocol != head.protocol {
            return Err(damaged(place, &"the plan is another protocol's"));
        }
        let place = entries.offset;
        let marks: Vec<Mark> = journal::take(entries.next()?).map_err(|damage| damaged(place, &damage))?;
        let outcome = Outcome { marks, ..entries.json()? };
        if entries.offset != bytes.len() {
            return Err(damaged(entries.offset, &"something follows the end"));
        }
        Ok(Self { plan, outcome })
    }

    /// Reads a file.
    ///
    /// # Errors
    /// See [`FileError`].
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let length = fs::metadata(path)?.len();
        if length > FILE_BYTES_MAX {
            return Err(FileError::TooLong(length));
        }
        Self::from_bytes(&fs::read(path)?)
    }

    /// Writes a file, whole or not at all: what was there before is replaced at the end.
    ///
    /// # Errors
    /// [`FileError::Io`].
    pub fn write(&self, path: &Path) -> Result<(), FileError> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".part");
        fs::write(&beside, self.to_bytes()?)?;
        Ok(fs::rename(&beside, path)?)
    }
}

struct Entries<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Entries<'a> {
    fn next(&mut self) -> Result<&'a [u8], FileError> {
        let rest = &self.bytes[self.offset..];
        let (payload, length) = journal::entry(rest).map_err(|damage| damaged(self.offset, &damage))?;
        self.offset += length;
        Ok(payload)
    }

    fn json<T: DeserializeOwned>(&mut self) -> Result<T, FileError> {
        let place = self.offset;
        let text: String = journal::take(self.next()?).map_err(|damage: Damage| damaged(place, &damage))?;
        serde_json::from_str(&text).map_err(|error| damaged(place, &error))
    }
}

fn damaged(offset: usize, what: &dyn std::fmt::Display) -> FileError {
    FileError::Damaged { offset, what: what.to_string() }
}
