//! Keeps the peers that answer, sorted by how near they are: the routing table (Mina spec, section 2.3).
//!
//! A bucket has those that share as many leading bits with us as its number says, the one longest unheard of first. Only
//! who has answered gets in, so a name that someone gave us costs nothing here. A full bucket keeps who it has: the one
//! longest unheard of is asked whether it is there, and only when it is not does the newcomer take its place.

use super::key::{Distance, Key};
use super::message::{ADDRESSES_MAX, Contact};
use crate::keys::PeerId;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use polypeer_engine::{Address, NetworkGroup, Time};

/// Peers of a bucket, and of an answer: k (section 2.3).
pub const BUCKET_MAX: usize = 20;
/// Peers of a bucket from one network group: else whoever has a /16 has every bucket that it finds keys for.
pub const BUCKET_PER_GROUP_MAX: usize = 4;
/// Questions in a row that a peer may leave unanswered.
const FAILURES_MAX: u8 = 3;

/// A peer in the table.
#[derive(Clone, Debug)]
struct Entry {
    peer: PeerId,
    key: Key,
    addresses: Vec<Address>,
    last_heard: Time,
    failures: u8,
}

impl Entry {
    fn group(&self) -> Option<NetworkGroup> {
        self.addresses.first().map(Address::group)
    }
}

/// One bucket: at most [`BUCKET_MAX`] entries and one that waits.
#[derive(Clone, Debug, Default)]
struct Bucket {
    // The longest unheard of first.
    entries: Vec<Entry>,
    waiting: Option<Entry>,
}

/// What became of a peer that answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entered {
    /// It is in the table, now or before.
    Kept,
    /// The bucket is full: it waits until this one, the longest unheard of, was asked whether it is there.
    WaitsFor(PeerId),
    /// There is no room: another waits already, its group has its share, or it is this node itself.
    NoRoom,
}

/// The routing table. It has a bucket for each number of shared bits that there is a peer for, 256 at most.
#[derive(Clone, Debug)]
pub(super) struct Table {
    own: Key,
    // How many of a bucket may be of one group.
    per_group_max: usize,
    buckets: BTreeMap<u16, Bucket>,
}

impl Table {
    /// An empty one, for who is at `own`. Where addresses are private their groups mean nothing.
    pub(super) fn new(own: Key, are_groups_told: bool) -> Self {
        let per_group_max = if are_groups_told { BUCKET_PER_GROUP_MAX } else { BUCKET_MAX };
        Self { own, per_group_max, buckets: BTreeMap::new() }
    }

    /// A peer has answered: it is heard of now, and in the table if there is room.
    pub(super) fn answered(&mut self, now: Time, peer: PeerId, addresses: &[Address]) -> Entered {
        let key = Key::of_peer(&peer);
        let number = self.own.shared_bits(&key);
        if key == self.own {
            return Entered::NoRoom;
        }
        let per_group_max = self.per_group_max;
        let bucket = self.buckets.entry(number).or_default();
        if let Some(at) = bucket.entries.iter().position(|entry| entry.peer == peer) {
            let mut entry = bucket.entries.remove(at);
            entry.hears(now, addresses);
            bucket.entries.push(entry);
            return Entered::Kept;
        }
        let mut entry = Entry { peer, key, addresses: Vec::new(), last_heard: now, failures: 0 };
        entry.hears(now, addresses);
        let is_alike = |other: &&Entry| entry.group().is_some() && other.group() == entry.group();
        if bucket.entries.iter().filter(is_alike).count() >= per_group_max {
            return Entered::NoRoom;
        }
        if bucket.entries.len() < BUCKET_MAX {
            bucket.entries.push(entry);
            return Entered::Kept;
        }
        match (&bucket.waiting, bucket.entries.first()) {
            (None, Some(oldest)) => {
                let oldest = oldest.peer;
                bucket.waiting = Some(entry);
                Entered::WaitsFor(oldest)
            }
            _ => Entered::NoRoom,
        }
    }

    /// A peer in the table did not answer. It leaves when another waits for its place, or at the third time in a row.
    pub(super) fn failed(&mut self, peer: &PeerId) {
        let number = self.own.shared_bits(&Key::of_peer(peer));
        let Some(bucket) = self.buckets.get_mut(&number) else { return };
        let Some(at) = bucket.entries.iter().position(|entry| entry.peer == *peer) else { return };
        let entry = &mut bucket.entries[at];
        entry.failures = entry.failures.saturating_add(1);
        let is_tested = at == 0 && bucket.waiting.is_some();
        if is_tested || entry.failures >= FAILURES_MAX {
            bucket.entries.remove(at);
            bucket.entries.extend(bucket.waiting.take());
        }
        if bucket.entries.is_empty() {
            self.buckets.remove(&number);
        }
    }

    /// The peer that was asked whether it is there has answered: who waited for its place is let go.
    pub(super) fn stays(&mut self, peer: &PeerId) {
        if let Some(bucket) = self.buckets.get_mut(&self.own.shared_bits(&Key::of_peer(peer))) {
            bucket.waiting = None;
        }
    }

    /// Up to `count` peers that are nearest to a place, the nearest first, without `but`.
    pub(super) fn nearest(&self, place: &Key, count: usize, but: Option<&PeerId>) -> Vec<Contact> {
        let entries = self.entries().filter(|entry| but != Some(&entry.peer));
        let mut near: Vec<(Distance, &Entry)> = entries.map(|entry| (entry.key.distance(place), entry)).collect();
        near.sort_unstable_by_key(|(distance, _)| *distance);
        let contact = |(_, entry): &(Distance, &Entry)| Contact {
            peer: entry.peer,
            addresses: entry.addresses.clone(),
            is_connected: false,
        };
        near.iter().take(count).map(contact).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.buckets.values().map(|bucket| bucket.entries.len()).sum()
    }

    pub(super) fn contains(&self, peer: &PeerId) -> bool {
        self.entries().any(|entry| entry.peer == *peer)
    }

    /// What must always hold; for tests and debug builds.
    pub(super) fn check(&self) {
        for (number, bucket) in &self.buckets {
            assert!(bucket.entries.len() <= BUCKET_MAX, "a bucket has at most {BUCKET_MAX}");
            for (at, entry) in bucket.entries.iter().enumerate() {
                assert_eq!(self.own.shared_bits(&entry.key), *number, "a peer is in the bucket of its distance");
                assert!(entry.addresses.len() <= ADDRESSES_MAX, "a peer has at most {ADDRESSES_MAX} addresses");
                assert!(bucket.entries.iter().skip(at + 1).all(|other| other.peer != entry.peer), "and is there once");
            }
            let heard = bucket.entries.iter().map(|entry| entry.last_heard);
            assert!(heard.is_sorted(), "the one longest unheard of comes first");
        }
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.buckets.values().flat_map(|bucket| &bucket.entries)
    }
}

impl Entry {
    // The newest addresses stand first; the oldest make room.
    fn hears(&mut self, now: Time, addresses: &[Address]) {
        self.last_heard = now;
        self.failures = 0;
        for address in addresses.iter().take(ADDRESSES_MAX).rev() {
            self.addresses.retain(|other| other != address);
            self.addresses.insert(0, *address);
        }
        self.addresses.truncate(ADDRESSES_MAX);
    }
}
