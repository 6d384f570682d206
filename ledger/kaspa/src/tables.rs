//! Names the store's tables, and reads them.

use crate::node::Number;
use bytes::Bytes;
use polypeer_store::file::META;
use redb::{Database, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition};
use std::borrow::Borrow;

pub(crate) type StoreError = redb::Error;
pub(crate) type Result<T, E = StoreError> = std::result::Result<T, E>;

/// The tables of a DAG; there are two sets, of which one holds what is served and one what is being imported.
pub(crate) struct Set {
    /// A `BlockHeader` by the block's number.
    pub(crate) headers: TableDefinition<'static, u64, &'static [u8]>,
    /// What was computed from the headers, by the block's number.
    pub(crate) nodes: TableDefinition<'static, u64, &'static [u8]>,
    /// A `BlockBodyMessage` by the block's number.
    pub(crate) bodies: TableDefinition<'static, u64, &'static [u8]>,
    /// [`FULL`] or [`INVALID`] by the block's number; nothing for a header that waits for its body.
    pub(crate) held: TableDefinition<'static, u64, u8>,
    /// What an import brought, as it came, by part and place.
    pub(crate) kept: TableDefinition<'static, (u16, u64), &'static [u8]>,
}

pub(crate) const SETS: [Set; 2] = [
    Set {
        headers: TableDefinition::new("headers"),
        nodes: TableDefinition::new("nodes"),
        bodies: TableDefinition::new("bodies"),
        held: TableDefinition::new("held"),
        kept: TableDefinition::new("kept"),
    },
    Set {
        headers: TableDefinition::new("other headers"),
        nodes: TableDefinition::new("other nodes"),
        bodies: TableDefinition::new("other bodies"),
        held: TableDefinition::new("other held"),
        kept: TableDefinition::new("other kept"),
    },
];
/// Transactions of the operator's that wait, by identifier.
pub(crate) const OPERATOR: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("operator");

pub(crate) const FULL: u8 = 1;
pub(crate) const INVALID: u8 = 2;

/// What the last commit left of one DAG.
pub(crate) struct Reading {
    headers: ReadOnlyTable<u64, &'static [u8]>,
    bodies: ReadOnlyTable<u64, &'static [u8]>,
    kept: ReadOnlyTable<(u16, u64), &'static [u8]>,
    // The tables' pages stay as long as it lives.
    _snapshot: ReadTransaction,
}

impl Reading {
    /// Of the set that is served, or of the other.
    pub(crate) fn open(database: &Database, is_served: bool) -> Result<Self> {
        let snapshot = database.begin_read()?;
        let counters = Counters::of(&snapshot)?;
        let set = &SETS[if is_served { counters.served() } else { 1 - counters.served() }];
        let (headers, bodies) = (snapshot.open_table(set.headers)?, snapshot.open_table(set.bodies)?);
        Ok(Self { headers, bodies, kept: snapshot.open_table(set.kept)?, _snapshot: snapshot })
    }

    pub(crate) fn header(&self, number: Number) -> Result<Option<Bytes>> {
        row(&self.headers, u64::from(number))
    }

    pub(crate) fn body(&self, number: Number) -> Result<Option<Bytes>> {
        row(&self.bodies, u64::from(number))
    }

    pub(crate) fn kept(&self, part: u16, place: u64) -> Result<Option<Bytes>> {
        row(&self.kept, (part, place))
    }

    /// Bytes of parts, from one to another.
    pub(crate) fn kept_bytes(&self, (first, last): (u16, u16)) -> Result<u64> {
        let rows = self.kept.range((first, 0)..=(last, u64::MAX))?;
        rows.map(|row| Ok(row?.1.value().len() as u64)).sum()
    }

    /// Items of a part from a place on, until so many or so many bytes; and whether none follows.
    pub(crate) fn page(&self, part: u16, from: u64, count_max: usize, bytes_max: usize) -> Result<(Vec<Bytes>, bool)> {
        let (mut items, mut bytes) = (Vec::new(), 0);
        for row in self.kept.range((part, from)..=(part, u64::MAX))? {
            if items.len() >= count_max || bytes >= bytes_max && !items.is_empty() {
                return Ok((items, false));
            }
            let item = Bytes::copy_from_slice(row?.1.value());
            bytes += item.len();
            items.push(item);
        }
        Ok((items, true))
    }
}

fn row<K: redb::Key + 'static>(
    table: &impl ReadableTable<K, &'static [u8]>,
    key: impl for<'k> Borrow<K::SelfType<'k>>,
) -> Result<Option<Bytes>> {
    Ok(table.get(key)?.map(|row| Bytes::copy_from_slice(row.value())))
}

/// Numbers that every commit moves on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Commits so far: it tells whether one that failed has come through all the same.
    pub(crate) commits: u64,
    /// Bytes of headers, rows and bodies, and of what an import brought.
    pub(crate) bytes: u64,
    /// The same of what is being imported.
    pub(crate) staged: u64,
    /// The pruning point's number.
    pub(crate) base: u64,
    /// Imports so far. What is served is in the first set of tables after an even number of them.
    pub(crate) imports: u64,
}

impl Counters {
    pub(crate) const NAME: &str = "counters";

    pub(crate) fn load(database: &Database) -> Result<Self> {
        Self::of(&database.begin_read()?)
    }

    fn of(snapshot: &ReadTransaction) -> Result<Self> {
        let meta = snapshot.open_table(META)?;
        let row = meta.get(Self::NAME)?;
        Ok(row.and_then(|row| Self::decode(row.value())).unwrap_or_default())
    }

    /// Whether the same was acknowledged: whatever is staged.
    pub(crate) fn promises_as(&self, other: &Self) -> bool {
        Self { staged: other.staged, ..*self } == *other
    }

    /// The set of tables that is served.
    pub(crate) fn served(&self) -> usize {
        usize::from(self.imports % 2 == 1)
    }

    pub(crate) fn encode(self) -> Vec<u8> {
        [self.commits, self.bytes, self.staged, self.base, self.imports].map(u64::to_be_bytes).concat()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let [commits, bytes, staged, base, imports] = bytes.as_chunks::<8>().0 else { return None };
        let [commits, bytes, staged, base, imports] =
            [commits, bytes, staged, base, imports].map(|number| u64::from_be_bytes(*number));
        Some(Self { commits, bytes, staged, base, imports })
    }
}

/// The file does not hold together.
pub(crate) fn torn(what: &str) -> StoreError {
    StoreError::Corrupted(format!("{what} is missing or cannot be read"))
}
