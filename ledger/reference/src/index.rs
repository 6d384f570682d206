//! Indexes by hash in two tables, so that storing new things touches few pages.
//!
//! Hashes come in no order, so that each insertion into a large table touches a page of its own, and each commit then
//! writes as many pages as it has new rows. New rows therefore go into a small table first, whose few pages all of a
//! commit's rows share, and move on in one sorted sweep when there are many of them.

use crate::tables::Result;
use redb::{ReadableTable, ReadableTableMetadata, Table};

type Rows<'t, const N: usize> = Table<'t, &'static [u8; N], ()>;

/// An index whose rows are their keys: some bytes of a hash, then a place.
pub(crate) struct Index<'t, const N: usize> {
    pub(crate) fresh: Rows<'t, N>,
    pub(crate) settled: Rows<'t, N>,
    /// How many rows may be fresh between two commits.
    fresh_max: u64,
}

impl<'t, const N: usize> Index<'t, N> {
    pub(crate) fn new(fresh: Rows<'t, N>, settled: Rows<'t, N>, fresh_max: u64) -> Self {
        Self { fresh, settled, fresh_max }
    }

    pub(crate) fn insert(&mut self, key: &[u8; N]) -> Result<()> {
        self.fresh.insert(key, ())?;
        Ok(())
    }

    pub(crate) fn remove(&mut self, key: &[u8; N]) -> Result<()> {
        if self.fresh.remove(key)?.is_none() {
            self.settled.remove(key)?;
        }
        Ok(())
    }

    /// Moves the fresh rows on when there are many.
    pub(crate) fn sweep(&mut self) -> Result<()> {
        if self.fresh.len()? <= self.fresh_max {
            return Ok(());
        }
        for row in self.fresh.iter()? {
            self.settled.insert(row?.0.value(), ())?;
        }
        self.fresh.retain(|_, ()| false)?;
        Ok(())
    }
}

/// The keys between two, fresh ones first.
pub(crate) fn between<const N: usize>(
    tables: [&impl ReadableTable<&'static [u8; N], ()>; 2],
    low: &[u8; N],
    high: &[u8; N],
) -> Result<Vec<[u8; N]>> {
    let mut keys = Vec::new();
    for table in tables {
        for row in table.range::<&[u8; N]>(low..=high)? {
            keys.push(*row?.0.value());
        }
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use redb::TableDefinition;
    use redb::backends::InMemoryBackend;

    const FRESH: TableDefinition<&[u8; 2], ()> = TableDefinition::new("fresh");
    const SETTLED: TableDefinition<&[u8; 2], ()> = TableDefinition::new("settled");

    #[test]
    fn rows_are_found_and_removed_wherever_they_are() {
        let database = redb::Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let transaction = database.begin_write().unwrap();
        let tables = (transaction.open_table(FRESH).unwrap(), transaction.open_table(SETTLED).unwrap());
        let mut index = Index::new(tables.0, tables.1, 4);
        let found = |index: &Index<'_, 2>| {
            let mut keys = between([&index.fresh, &index.settled], &[7, 0], &[7, 255]).unwrap();
            keys.sort_unstable();
            keys.iter().map(|key| key[1]).collect::<Vec<u8>>()
        };
        for place in [9, 1, 5, 3] {
            index.insert(&[7, place]).unwrap();
        }
        index.insert(&[6, 2]).unwrap();
        assert_eq!(index.settled.len().unwrap(), 0);
        index.sweep().unwrap();
        assert_eq!((index.fresh.len().unwrap(), index.settled.len().unwrap()), (0, 5));
        index.insert(&[7, 4]).unwrap();
        index.sweep().unwrap();
        assert_eq!(index.fresh.len().unwrap(), 1, "few stay");
        assert_eq!(found(&index), [1, 3, 4, 5, 9]);
        index.remove(&[7, 4]).unwrap();
        index.remove(&[7, 5]).unwrap();
        index.remove(&[7, 200]).unwrap();
        assert_eq!(found(&index), [1, 3, 9]);
    }
}
