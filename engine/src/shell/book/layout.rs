//! Says where an address belongs: buckets and positions from a secret key, so that nobody outside can aim.

use crate::shell::book::stored::Key;
use crate::{Address, AsMap, NetworkGroup};
use core::net::IpAddr;

/// Entries that a book can be told to have: beyond it a bucket's number does not fit its 16 bits.
pub const BOOK_MAX: usize = 4_000_000;
/// Positions of a bucket, as the most widely run address manager has them; small books have fewer.
const POSITIONS: usize = 64;
/// One group of sources reaches one sixteenth of the new buckets: 64 of 1,024.
const SOURCE_SHARE: u32 = 16;
/// One group of addresses reaches one thirty-second of the tried buckets: 8 of 256.
const GROUP_SHARE: u32 = 32;

/// Which of the two tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Which {
    /// What others named.
    New,
    /// What was dialled and spoke our protocol.
    Tried,
}

/// The sizes of the tables, and the key that spreads addresses over them.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    key: [u8; 32],
    as_map: AsMap,
    /// Positions in each bucket.
    pub(super) positions: u32,
    /// Buckets of the new table.
    pub(super) new_buckets: u32,
    /// Buckets of the tried table.
    pub(super) tried_buckets: u32,
}

impl Layout {
    /// The layout of a book with at most `max` entries, a fifth of which can be tried.
    pub(super) fn new(key: [u8; 32], max: usize, as_map: AsMap) -> Self {
        let max = max.clamp(2, BOOK_MAX);
        let positions = (max / POSITIONS).clamp(1, POSITIONS);
        let tried_buckets = (max / 5 / positions).max(1);
        let new_buckets = (max / positions - tried_buckets).max(1);
        let fits = |buckets: usize| u32::try_from(buckets).expect("at most BOOK_MAX");
        let (new_buckets, tried_buckets) = (fits(new_buckets), fits(tried_buckets));
        Self { key, as_map, positions: fits(positions), new_buckets, tried_buckets }
    }

    /// Positions of both tables: the most entries that there can be.
    pub(super) fn capacity(&self) -> usize {
        (self.positions * (self.new_buckets + self.tried_buckets)) as usize
    }

    /// The secret.
    pub(super) fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// Tells a record's bucket numbers of this layout from those of another.
    pub(super) fn tag(&self) -> u32 {
        let sizes = [self.positions.to_be_bytes(), self.new_buckets.to_be_bytes(), self.tried_buckets.to_be_bytes()];
        self.hash(0, &sizes.concat()) as u32
    }

    /// The network group of an IP address.
    pub(super) fn group(&self, ip: IpAddr) -> NetworkGroup {
        self.as_map.group(ip)
    }

    /// The network group of an address; nothing where groups mean nothing, on private networks and loopback.
    pub(super) fn group_of(&self, address: Address) -> Option<NetworkGroup> {
        address.is_public().then(|| self.group(address.ip()))
    }

    /// The new bucket of an address that this source named.
    pub(super) fn new_bucket(&self, address: Address, source: IpAddr) -> u32 {
        let Some(group) = self.group_of(address) else { return self.alone(1, address, self.new_buckets) };
        let source = coded(self.group(source));
        let share = (self.new_buckets / SOURCE_SHARE).max(1);
        let spread = self.hash(2, &[source, coded(group)].concat()) % u64::from(share);
        below(self.hash(3, &[&source[..], &spread.to_be_bytes()].concat()), self.new_buckets)
    }

    /// The tried bucket of an address.
    pub(super) fn tried_bucket(&self, address: Address) -> u32 {
        let Some(group) = self.group_of(address) else { return self.alone(4, address, self.tried_buckets) };
        let share = (self.tried_buckets / GROUP_SHARE).max(1);
        let spread = self.hash(5, Key::from(address).bytes()) % u64::from(share);
        below(self.hash(6, &[&coded(group)[..], &spread.to_be_bytes()].concat()), self.tried_buckets)
    }

    /// The only position that an address can have in a bucket.
    pub(super) fn position(&self, which: Which, bucket: u32, key: &Key) -> u32 {
        let domain = if which == Which::New { 7 } else { 8 };
        below(self.hash(domain, &[&bucket.to_be_bytes()[..], key.bytes()].concat()), self.positions)
    }

    /// A place among `count` for a source or a host.
    pub(super) fn counter(&self, domain: u8, bytes: &[u8], count: usize) -> usize {
        (self.hash(domain, bytes) % (count.max(1) as u64)) as usize
    }

    fn alone(&self, domain: u8, address: Address, buckets: u32) -> u32 {
        below(self.hash(domain, Key::from(address).bytes()), buckets)
    }

    fn hash(&self, domain: u8, bytes: &[u8]) -> u64 {
        let mut input = [0; 64];
        let length = bytes.len().min(63);
        input[0] = domain;
        input[1..=length].copy_from_slice(&bytes[..length]);
        let hash = blake3::keyed_hash(&self.key, &input[..=length]);
        let [a, b, c, d, e, f, g, h, ..] = *hash.as_bytes();
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

fn below(hash: u64, end: u32) -> u32 {
    (hash % u64::from(end.max(1))) as u32
}

// A group in bytes of one length, so that no two run together.
fn coded(group: NetworkGroup) -> [u8; 5] {
    match group {
        NetworkGroup::V4([a, b]) => [4, a, b, 0, 0],
        NetworkGroup::V6([a, b, c, d]) => [6, a, b, c, d],
        NetworkGroup::As(number) => {
            let [a, b, c, d] = number.to_be_bytes();
            [1, a, b, c, d]
        }
    }
}
