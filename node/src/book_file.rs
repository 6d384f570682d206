//! Reads and writes an address book as a file: JSON, one entry a line.

use crate::view::KnownAddress;
use polypeer_engine::Address;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The format of an exported book; another one is refused.
const VERSION: u32 = 1;
/// A file in bytes: a million entries of 250 bytes, and room to spare.
const FILE_BYTES_MAX: u64 = 512 << 20;
/// Entries of a book that is taken over: as many as a book can have.
const ENTRIES_MAX: usize = 2_000_000;

/// Why a file is no address book.
#[derive(Debug, Error)]
pub enum BookFileError {
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] io::Error),
    /// It is longer than any can be.
    #[error("it is larger than 512 MiB")]
    TooLarge,
    /// It is no JSON, or an entry means nothing. The parser's word names line and column.
    #[error(transparent)]
    Damaged(#[from] serde_json::Error),
    /// Another version wrote it.
    #[error("its version is {0}, this program reads {VERSION}")]
    Version(u32),
    /// It has more entries than any book.
    #[error("it has more than {ENTRIES_MAX} addresses")]
    TooMany,
}

// A book as a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exported {
    version: u32,
    addresses: Vec<Checked>,
}

// An entry whose every field means something. What does not is found while the file is read, so that the parser says
// where it stands.
struct Checked(KnownAddress);

impl<'de> Deserialize<'de> for Checked {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let known = KnownAddress::deserialize(from)?;
        let is_dialable = known.address.parse().is_ok_and(|address: Address| address.is_dialable());
        if !is_dialable {
            return Err(D::Error::custom(format!("`{}` is no `IP:PORT` where a peer can be", known.address)));
        }
        if known.source.as_ref().is_some_and(|source| source.parse::<IpAddr>().is_err()) {
            return Err(D::Error::custom("the source is no IP address"));
        }
        Ok(Self(known))
    }
}

/// Reads a file.
///
/// # Errors
/// See [`BookFileError`].
pub fn read(file: &Path) -> Result<Vec<KnownAddress>, BookFileError> {
    let mut bytes = Vec::new();
    File::open(file)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(BookFileError::TooLarge);
    }
    parse(&bytes)
}

/// Reads a file's bytes: every entry is an address where a peer can be, named by an IP address or by nobody.
///
/// # Errors
/// All of [`BookFileError`] but those of files.
pub fn parse(bytes: &[u8]) -> Result<Vec<KnownAddress>, BookFileError> {
    let exported: Exported = serde_json::from_slice(bytes)?;
    if exported.version != VERSION {
        return Err(BookFileError::Version(exported.version));
    }
    if exported.addresses.len() > ENTRIES_MAX {
        return Err(BookFileError::TooMany);
    }
    Ok(exported.addresses.into_iter().map(|Checked(known)| known).collect())
}

/// The file's text: one entry a line, so that people and their tools can work with it.
///
/// # Errors
/// None that is known: every entry has an encoding.
pub fn text(entries: &[KnownAddress]) -> Result<String, serde_json::Error> {
    let lines: Result<Vec<_>, _> = entries.iter().map(serde_json::to_string).collect();
    Ok(format!("{{\"version\":{VERSION},\"addresses\":[\n{}\n]}}\n", lines?.join(",\n")))
}

/// Writes a file, whole or not at all: one that is there stays until the new one is whole.
///
/// # Errors
/// Those of files.
pub fn write(file: &Path, text: &str) -> io::Result<()> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(".part");
    let beside = PathBuf::from(beside);
    let mut out = File::create(&beside)?;
    out.write_all(text.as_bytes())?;
    out.sync_all()?;
    fs::rename(&beside, file)
}
