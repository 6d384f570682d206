//! Names the store's tables, and reads them.

use crate::node::Number;
use bytes::Bytes;
use redb::{Database, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition};

pub(crate) type StoreError = redb::Error;
pub(crate) type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Layout, network and counters, by name.
pub(crate) const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
/// A `BlockHeader` by the block's number.
pub(crate) const HEADERS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("headers");
/// What was computed from the headers, by the block's number.
pub(crate) const NODES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("nodes");
/// A `BlockBodyMessage` by the block's number.
pub(crate) const BODIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("bodies");
/// [`FULL`] or [`INVALID`] by the block's number; nothing for a header that waits for its body.
pub(crate) const HELD: TableDefinition<'_, u64, u8> = TableDefinition::new("held");
/// Transactions of the operator's that wait, by identifier.
pub(crate) const OPERATOR: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("operator");

pub(crate) const FULL: u8 = 1;
pub(crate) const INVALID: u8 = 2;

/// What the last commit left.
pub(crate) struct Reading {
    headers: ReadOnlyTable<u64, &'static [u8]>,
    bodies: ReadOnlyTable<u64, &'static [u8]>,
    // The tables' pages stay as long as it lives.
    _snapshot: ReadTransaction,
}

impl Reading {
    pub(crate) fn open(database: &Database) -> Result<Self> {
        let snapshot = database.begin_read()?;
        let (headers, bodies) = (snapshot.open_table(HEADERS)?, snapshot.open_table(BODIES)?);
        Ok(Self { headers, bodies, _snapshot: snapshot })
    }

    pub(crate) fn header(&self, number: Number) -> Result<Option<Bytes>> {
        row(&self.headers, number)
    }

    pub(crate) fn body(&self, number: Number) -> Result<Option<Bytes>> {
        row(&self.bodies, number)
    }
}

fn row(table: &impl ReadableTable<u64, &'static [u8]>, number: Number) -> Result<Option<Bytes>> {
    Ok(table.get(u64::from(number))?.map(|row| Bytes::copy_from_slice(row.value())))
}

/// Numbers that every commit moves on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Commits so far: it tells whether one that failed has come through all the same.
    pub(crate) commits: u64,
    /// Bytes of headers, rows and bodies.
    pub(crate) bytes: u64,
}

impl Counters {
    pub(crate) const NAME: &str = "counters";

    pub(crate) fn load(database: &Database) -> Result<Self> {
        let meta = database.begin_read()?.open_table(META)?;
        let row = meta.get(Self::NAME)?;
        Ok(row.and_then(|row| Self::decode(row.value())).unwrap_or_default())
    }

    pub(crate) fn encode(self) -> [u8; 16] {
        (u128::from(self.commits) << 64 | u128::from(self.bytes)).to_be_bytes()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let both = u128::from_be_bytes(bytes.try_into().ok()?);
        // The upper and the lower half.
        Some(Self { commits: (both >> 64) as u64, bytes: both as u64 })
    }
}

/// The file does not hold together.
pub(crate) fn torn(what: &str) -> StoreError {
    StoreError::Corrupted(format!("{what} is missing or cannot be read"))
}
