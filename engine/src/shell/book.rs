//! Remembers where peers may be: addresses, who named them, and how dialling them went.

use crate::{Address, Random, Record, Table, Time};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use bytes::Bytes;
use core::net::IpAddr;
use serde::{Deserialize, Serialize};

/// Addresses that one source may have in the book unproven: a source that names thousands cannot fill it.
pub const PER_SOURCE_MAX: usize = 2_000;

/// What is known of an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Who named it first; nothing when the operator or the network's preset did.
    pub source: Option<IpAddr>,
    /// Whether a handshake with it was finished once.
    pub proven: bool,
    /// Milliseconds since 1970 of the last dial; 0 when there was none.
    pub last_tried_ms: u64,
    /// Milliseconds since 1970 of the last finished handshake; 0 when there was none.
    pub last_success_ms: u64,
    /// Dials that failed since the last success.
    pub failures: u32,
    /// Not dialled before this time. Not saved: a restart tries again.
    #[serde(skip)]
    pub not_before: Time,
}

/// The address book.
#[derive(Clone, Debug, Default)]
pub struct Book {
    entries: BTreeMap<Address, Entry>,
    unproven_by_source: BTreeMap<IpAddr, usize>,
}

impl Book {
    /// Learns an address. Whether it is new and was taken.
    pub fn learn(&mut self, address: Address, source: Option<IpAddr>, max: usize, random: &mut Random) -> bool {
        if self.entries.contains_key(&address) {
            return false;
        }
        let named = source.map_or(0, |source| self.unproven_by_source.get(&source).copied().unwrap_or(0));
        if named >= PER_SOURCE_MAX || self.entries.len() >= max && !self.make_room(random) {
            return false;
        }
        if let Some(source) = source {
            *self.unproven_by_source.entry(source).or_default() += 1;
        }
        let entry =
            Entry { source, proven: false, last_tried_ms: 0, last_success_ms: 0, failures: 0, not_before: Time::ZERO };
        self.entries.insert(address, entry);
        true
    }

    /// Changes what is known of an address, and gives the record to save.
    pub fn update(&mut self, address: Address, change: impl FnOnce(&mut Entry)) -> Option<Record> {
        let entry = self.entries.get_mut(&address)?;
        let was_proven = entry.proven;
        change(entry);
        if entry.proven && !was_proven {
            let source = entry.source;
            self.uncount(source);
        }
        self.record(address)
    }

    /// Forgets an address.
    pub fn forget(&mut self, address: Address) -> Option<Record> {
        let entry = self.entries.remove(&address)?;
        if !entry.proven {
            self.uncount(entry.source);
        }
        Some(Record { table: Table::Addresses, key: key(address), value: None })
    }

    /// What is known of an address.
    pub fn get(&self, address: Address) -> Option<&Entry> {
        self.entries.get(&address)
    }

    /// All addresses, in order.
    pub fn all(&self) -> impl Iterator<Item = (Address, &Entry)> {
        self.entries.iter().map(|(address, entry)| (*address, entry))
    }

    /// How many addresses there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Up to `count` proven addresses in random order.
    pub fn sample_proven(&self, count: usize, random: &mut Random) -> Vec<Address> {
        let proven: Vec<_> = self.all().filter(|(_, entry)| entry.proven).map(|(address, _)| address).collect();
        random.sample(proven, count)
    }

    /// The record of an address as it is.
    pub fn record(&self, address: Address) -> Option<Record> {
        let value = postcard::to_allocvec(self.entries.get(&address)?).ok()?;
        Some(Record { table: Table::Addresses, key: key(address), value: Some(Bytes::from(value)) })
    }

    /// Takes back what was saved.
    pub fn load(&mut self, record: &Record, max: usize) {
        let address = postcard::from_bytes::<Address>(&record.key);
        let entry = record.value.as_ref().and_then(|value| postcard::from_bytes::<Entry>(value).ok());
        let (Ok(address), Some(entry)) = (address, entry) else { return };
        if self.entries.len() >= max || self.entries.contains_key(&address) {
            return;
        }
        if let (Some(source), false) = (entry.source, entry.proven) {
            *self.unproven_by_source.entry(source).or_default() += 1;
        }
        self.entries.insert(address, entry);
    }

    fn uncount(&mut self, source: Option<IpAddr>) {
        let Some(source) = source else { return };
        if let Some(count) = self.unproven_by_source.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                self.unproven_by_source.remove(&source);
            }
        }
    }

    // Drops the worst of a few entries near a random place: an unproven one that failed most. A proven one never
    // leaves for a newcomer. Few are looked at, so that a flood costs little.
    fn make_room(&mut self, random: &mut Random) -> bool {
        const LOOKED_AT: usize = 16;
        let place = Address::new(IpAddr::V4((random.number() as u32).into()), 0);
        let (before, after) = (self.entries.range(..place), self.entries.range(place..));
        let worst = after
            .chain(before)
            .take(LOOKED_AT)
            .filter(|(_, entry)| !entry.proven)
            .max_by_key(|(_, entry)| entry.failures)
            .map(|(address, _)| *address);
        worst.is_some_and(|address| self.forget(address).is_some())
    }
}

fn key(address: Address) -> Bytes {
    postcard::to_allocvec(&address).map(Bytes::from).unwrap_or_default()
}
