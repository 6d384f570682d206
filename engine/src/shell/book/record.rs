//! Writes the book down, entry by entry, and takes it back, also from older files.

use crate::shell::book::layout::Layout;
use crate::shell::book::stored::{Key, Millis, Stored};
use crate::shell::book::{Book, PER_HOST_MAX, Which};
use crate::{Address, AsMap, ImportedAddress, Random, Record, Table};
use alloc::vec::Vec;
use bytes::Bytes;
use core::net::IpAddr;
use serde::{Deserialize, Serialize};

/// The first byte of an entry. The first format had none and began with 0 or 1.
const VERSION: u8 = 2;
/// The key of the secret's record: no address begins like this.
const SECRET_KEY: &[u8] = b"\xffsecret";

// An entry as it is written, after the version.
#[derive(Serialize, Deserialize)]
struct Saved {
    source: Option<IpAddr>,
    is_tried: bool,
    last_tried_ms: u64,
    last_success_ms: u64,
    last_seen_ms: u64,
    failures: u16,
    misses: u8,
    // Which layout the buckets are of.
    tag: u32,
    buckets: Vec<u16>,
}

// An entry as the first format had it.
#[derive(Deserialize)]
struct First {
    source: Option<IpAddr>,
    proven: bool,
    last_tried_ms: u64,
    last_success_ms: u64,
    failures: u32,
}

impl Book {
    /// The book that these records hold; a new secret is drawn when they have none. Damaged records are left out one
    /// by one. What could not be taken over as it was written is among the changes.
    pub fn load(records: &[Record], max: usize, as_map: AsMap, now_ms: u64, random: &mut Random) -> Self {
        let own = || records.iter().filter(|record| record.table == Table::Addresses);
        let saved = own().find(|record| record.key == SECRET_KEY).and_then(|record| record.value.as_deref());
        let secret = saved.and_then(|value| <[u8; 32]>::try_from(value).ok());
        let mut book = Self::new(secret.unwrap_or_else(|| drawn(random)), max, as_map);
        for record in own().filter(|record| record.key != SECRET_KEY) {
            book.take_back(record, now_ms);
        }
        book
    }

    /// Takes over an address from another book, as it was there. Whether there was a place for it; a known one stays as
    /// it is.
    pub fn import(&mut self, imported: &ImportedAddress, now_ms: u64) -> bool {
        if self.index.contains_key(&imported.address.into()) {
            return false;
        }
        let failures = u16::try_from(imported.failures).unwrap_or(u16::MAX);
        let saved = Saved {
            source: imported.source,
            // Only who answered once is handed out.
            is_tried: imported.is_tried && imported.last_success_ms > 0,
            last_tried_ms: imported.last_tried_ms,
            last_success_ms: imported.last_success_ms,
            last_seen_ms: if imported.last_seen_ms == 0 { now_ms } else { imported.last_seen_ms },
            failures,
            misses: u8::try_from(failures).unwrap_or(u8::MAX),
            tag: 0,
            buckets: Vec::new(),
        };
        self.settle(imported.address, &saved);
        self.index.contains_key(&imported.address.into())
    }

    /// The record of the secret by which addresses are spread.
    pub fn secret(&self) -> Record {
        let value = Some(Bytes::copy_from_slice(self.layout.key()));
        Record { table: Table::Addresses, key: Bytes::from_static(SECRET_KEY), value }
    }

    /// The record of an address as it is; one that is not in the book is deleted.
    pub(super) fn record(&self, key: Key) -> Record {
        let stored = self.index.get(&key).and_then(|id| self.slab.get(*id));
        let value = stored.and_then(|stored| {
            let saved = Saved {
                source: stored.source(),
                is_tried: stored.is_tried,
                last_tried_ms: stored.last_tried.get(),
                last_success_ms: stored.last_success.get(),
                last_seen_ms: stored.last_seen.get(),
                failures: stored.failures,
                misses: stored.misses,
                tag: self.layout.tag(),
                buckets: stored.buckets().to_vec(),
            };
            let mut value = alloc::vec![VERSION];
            value.extend(postcard::to_allocvec(&saved).ok()?);
            Some(Bytes::from(value))
        });
        let key = postcard::to_allocvec(&key.address()).map(Bytes::from).unwrap_or_default();
        Record { table: Table::Addresses, key, value }
    }

    fn take_back(&mut self, record: &Record, now_ms: u64) {
        let Ok(address) = postcard::from_bytes::<Address>(&record.key) else { return };
        let Some((saved, is_current)) = record.value.as_deref().and_then(|value| decode(value, now_ms)) else {
            return;
        };
        if self.index.contains_key(&address.into()) {
            return;
        }
        let before = self.changed.len();
        let is_as_written = self.settle(address, &saved) && is_current;
        if is_as_written {
            self.changed.truncate(before);
        }
    }

    // Puts an entry where it was; failing that where it would be if it were named now. Whether it is where it was.
    fn settle(&mut self, address: Address, saved: &Saved) -> bool {
        let mut stored = Stored::new(address, saved.source);
        stored.last_tried = Millis::new(saved.last_tried_ms);
        stored.last_success = Millis::new(saved.last_success_ms);
        stored.last_seen = Millis::new(saved.last_seen_ms);
        (stored.failures, stored.misses) = (saved.failures, saved.misses);
        if self.host_of(address).is_some_and(|count| usize::from(*count) >= PER_HOST_MAX && !saved.is_tried) {
            self.changed.push(stored.key);
            return false;
        }
        let places = self.written_places(&stored, saved);
        let is_free = self.tried.get(self.tried_place(&stored).0, self.tried_place(&stored).1).is_none();
        self.proven += usize::from(saved.last_success_ms > 0);
        let id = self.insert(stored);
        if saved.is_tried && is_free {
            self.promote(id);
            return true;
        }
        let mut taken = 0;
        for (bucket, position) in &places {
            if self.new.get(*bucket, *position).is_none() {
                self.refer(id, *bucket, *position);
                taken += 1;
            }
        }
        if taken == 0 {
            self.remove(id);
        }
        !saved.is_tried && saved.tag == self.layout.tag() && taken == saved.buckets.len()
    }

    // The places in the new table that were written, if they are of this layout; else the one of its source.
    fn written_places(&self, stored: &Stored, saved: &Saved) -> Vec<(u32, u32)> {
        let mut buckets: Vec<u32> = saved.buckets.iter().map(|bucket| u32::from(*bucket)).collect();
        buckets.truncate(super::NEW_REFERENCES_MAX);
        buckets.dedup();
        let is_known =
            |layout: &Layout| saved.tag == layout.tag() && buckets.iter().all(|bucket| *bucket < layout.new_buckets);
        if buckets.is_empty() || !is_known(&self.layout) {
            return alloc::vec![self.new_place(stored)];
        }
        buckets.iter().map(|bucket| (*bucket, self.layout.position(Which::New, *bucket, &stored.key))).collect()
    }
}

fn drawn(random: &mut Random) -> [u8; 32] {
    let mut secret = [0; 32];
    for part in secret.chunks_exact_mut(8) {
        part.copy_from_slice(&random.number().to_be_bytes());
    }
    secret
}

// An entry, and whether its format is today's.
fn decode(value: &[u8], now_ms: u64) -> Option<(Saved, bool)> {
    match value.split_first()? {
        (&VERSION, rest) => Some((postcard::from_bytes(rest).ok()?, true)),
        (0 | 1, _) => {
            let first: First = postcard::from_bytes(value).ok()?;
            let failures = u16::try_from(first.failures).unwrap_or(u16::MAX);
            let saved = Saved {
                source: first.source,
                is_tried: first.proven,
                last_tried_ms: first.last_tried_ms,
                last_success_ms: first.last_success_ms.max(u64::from(first.proven)),
                // The first format did not say.
                last_seen_ms: now_ms,
                failures,
                misses: u8::try_from(failures).unwrap_or(u8::MAX),
                tag: 0,
                buckets: Vec::new(),
            };
            Some((saved, false))
        }
        _ => None,
    }
}
