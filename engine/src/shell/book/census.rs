//! Counts the book by group and source, for whoever judges how one-sided it is.

use crate::shell::book::Book;
use crate::shell::book::stored::Stored;
use crate::shell::book::table::Table;
use crate::{Address, NetworkGroup};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::IpAddr;

/// Entries of a table that are looked at: enough to tell a share to within two percent, whatever the book's size.
pub const CENSUS_MAX: usize = 4_096;

/// Both tables, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// What others named.
    pub new: Tally,
    /// What was dialled.
    pub tried: Tally,
}

/// One table, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Entries that it has.
    pub entries: usize,
    /// Entries that were counted: all of them, or about [`CENSUS_MAX`], those of evenly spread buckets.
    pub counted: usize,
    /// Of those counted, how many are in each group. An address for which groups mean nothing is not in here.
    pub by_group: BTreeMap<NetworkGroup, u32>,
    /// Of those counted, how many were first named by each group of sources; nothing is the operator.
    pub by_source: BTreeMap<Option<NetworkGroup>, u32>,
}

impl Tally {
    fn count(&mut self, book: &Book, address: Address, source: Option<IpAddr>) {
        self.counted += 1;
        if let Some(group) = book.group_of(address) {
            *self.by_group.entry(group).or_default() += 1;
        }
        *self.by_source.entry(source.map(|ip| book.group(ip))).or_default() += 1;
    }
}

impl Book {
    /// Counts the book: exactly where a table has up to [`CENSUS_MAX`] entries, by a sample of buckets otherwise.
    /// Looks at no more than twice that many, so that it may be asked for on the engine's thread.
    pub fn census(&self) -> Census {
        let mut census = Census::default();
        census.tried.entries = self.tried.len();
        census.new.entries = self.len() - self.tried.len();
        let some = |table: &Table| {
            let step = table.len().div_ceil(CENSUS_MAX).max(1);
            table.every(step).take(CENSUS_MAX).collect::<Vec<_>>()
        };
        for (_, id) in some(&self.tried) {
            if let Some(stored) = self.slab.get(id) {
                census.tried.count(self, stored.address(), stored.source());
            }
        }
        // One with several places is counted at its first.
        for (bucket, id) in some(&self.new) {
            let is_first = |stored: &&Stored| stored.buckets().first().map(|first| u32::from(*first)) == Some(bucket);
            if let Some(stored) = self.slab.get(id).filter(is_first) {
                census.new.count(self, stored.address(), stored.source());
            }
        }
        census
    }
}
