//! Stores entries in 72 bytes each, in chunks, so that a million of them fit and growing copies nothing.

use crate::shell::book::NEW_REFERENCES_MAX;
use crate::{Address, Time};
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;

/// Entries of a chunk.
const CHUNK: usize = 1024;
/// The end of the list of free places.
const NONE: u32 = u32::MAX;

/// An address in 19 bytes, in the order of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key([u8; 19]);

impl Key {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn address(&self) -> Address {
        let [four_or_six, ip @ .., high, low] = self.0;
        Address::new(unpacked(four_or_six, ip), u16::from_be_bytes([high, low]))
    }
}

impl From<Address> for Key {
    fn from(address: Address) -> Self {
        let mut bytes = [0; 19];
        bytes[..17].copy_from_slice(&packed(Some(address.ip())));
        bytes[17..].copy_from_slice(&address.port().to_be_bytes());
        Self(bytes)
    }
}

/// An IP address in 17 bytes; all zero for none.
pub(super) fn packed(ip: Option<IpAddr>) -> [u8; 17] {
    let mut bytes = [0; 17];
    match ip {
        None => {}
        Some(IpAddr::V4(ip)) => {
            bytes[0] = 4;
            bytes[1..5].copy_from_slice(&ip.octets());
        }
        Some(IpAddr::V6(ip)) => {
            bytes[0] = 6;
            bytes[1..].copy_from_slice(&ip.octets());
        }
    }
    bytes
}

fn unpacked(four_or_six: u8, ip: [u8; 16]) -> IpAddr {
    let [a, b, c, d, ..] = ip;
    if four_or_six == 4 { Ipv4Addr::new(a, b, c, d).into() } else { Ipv6Addr::from(ip).into() }
}

/// Milliseconds since 1970 in 6 bytes: good for 8,900 years, and what is later is the last of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Millis([u8; 6]);

impl Millis {
    pub(super) fn new(unix_ms: u64) -> Self {
        let [_, _, bytes @ ..] = unix_ms.min((1 << 48) - 1).to_be_bytes();
        Self(bytes)
    }

    pub(super) fn get(self) -> u64 {
        let [a, b, c, d, e, f] = self.0;
        u64::from_be_bytes([0, 0, a, b, c, d, e, f])
    }
}

/// One entry as it lies in memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stored {
    pub(super) key: Key,
    source: [u8; 17],
    pub(super) last_tried: Millis,
    pub(super) last_success: Millis,
    pub(super) last_seen: Millis,
    /// Dials that failed since the last success and say something about the address.
    pub(super) misses: u8,
    pub(super) is_tried: bool,
    /// Whether a failure of the dial under way says something about the address.
    pub(super) counts: bool,
    references: u8,
    /// Dials that failed since the last success.
    pub(super) failures: u16,
    buckets: [u16; NEW_REFERENCES_MAX],
    // Quarters of a second since the host started; a free place's next one.
    not_before: u32,
}

const _: () = assert!(size_of::<Stored>() <= 72, "the bound on memory counts with 72 bytes an entry");

impl Stored {
    pub(super) fn new(address: Address, source: Option<IpAddr>) -> Self {
        Self {
            key: address.into(),
            source: packed(source),
            last_tried: Millis::default(),
            last_success: Millis::default(),
            last_seen: Millis::default(),
            misses: 0,
            is_tried: false,
            counts: false,
            references: 0,
            failures: 0,
            buckets: [0; NEW_REFERENCES_MAX],
            not_before: 0,
        }
    }

    pub(super) fn address(&self) -> Address {
        self.key.address()
    }

    pub(super) fn source(&self) -> Option<IpAddr> {
        let [four_or_six, ip @ ..] = self.source;
        (four_or_six != 0).then(|| unpacked(four_or_six, ip))
    }

    pub(super) fn not_before(&self) -> Time {
        Time::from_micros(u64::from(self.not_before) * 250_000)
    }

    /// Rounds up to a quarter of a second; what is later than 34 years is the last of them.
    pub(super) fn put_off(&mut self, until: Time) {
        let quarters = until.since(Time::ZERO).as_micros().div_ceil(Duration::from_millis(250).as_micros());
        self.not_before = u32::try_from(quarters).unwrap_or(u32::MAX);
    }

    /// The new buckets that it is in.
    pub(super) fn buckets(&self) -> &[u16] {
        &self.buckets[..usize::from(self.references)]
    }

    /// Notes a new bucket. There must be room.
    pub(super) fn refer(&mut self, bucket: u16) {
        self.buckets[usize::from(self.references)] = bucket;
        self.references += 1;
    }

    /// Strikes a new bucket off.
    pub(super) fn unrefer(&mut self, bucket: u16) {
        if let Some(place) = self.buckets().iter().position(|other| *other == bucket) {
            self.buckets.copy_within(place + 1.., place);
            self.references -= 1;
        }
    }

    /// Strikes all of them off.
    pub(super) fn unrefer_all(&mut self) {
        self.references = 0;
    }
}

/// All entries, by number.
#[derive(Clone, Debug)]
pub(super) struct Slab {
    chunks: Vec<Vec<Stored>>,
    first_free: u32,
    places: u32,
}

impl Default for Slab {
    fn default() -> Self {
        Self { chunks: Vec::new(), first_free: NONE, places: 0 }
    }
}

impl Slab {
    /// Places, taken or free: every number is below it.
    pub(super) fn places(&self) -> u32 {
        self.places
    }

    pub(super) fn get(&self, id: u32) -> Option<&Stored> {
        let stored = self.chunks.get(id as usize / CHUNK)?.get(id as usize % CHUNK)?;
        (!is_free(stored)).then_some(stored)
    }

    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut Stored> {
        let stored = self.chunks.get_mut(id as usize / CHUNK)?.get_mut(id as usize % CHUNK)?;
        (!is_free(stored)).then_some(stored)
    }

    pub(super) fn add(&mut self, stored: Stored) -> u32 {
        if self.first_free != NONE {
            let id = self.first_free;
            let place = &mut self.chunks[id as usize / CHUNK][id as usize % CHUNK];
            self.first_free = place.not_before;
            *place = stored;
            return id;
        }
        let id = self.places;
        if (id as usize).is_multiple_of(CHUNK) {
            // The first chunk grows as it must: most books are small.
            self.chunks.push(if id == 0 { Vec::new() } else { Vec::with_capacity(CHUNK) });
        }
        self.chunks[id as usize / CHUNK].push(stored);
        self.places += 1;
        id
    }

    pub(super) fn remove(&mut self, id: u32) {
        let first_free = self.first_free;
        if let Some(stored) = self.get_mut(id) {
            stored.key.0 = [0; 19];
            stored.not_before = first_free;
            self.first_free = id;
        }
    }
}

fn is_free(stored: &Stored) -> bool {
    stored.key.0[0] == 0
}
