//! Remembers where peers may be: what others named in one table, what was dialled in another, both in buckets that
//! nobody outside can aim at.
//!
//! ```text
//!            named                    dialled, spoke our protocol
//!   nobody ────────► new ◄───────────────────────────────► tried
//!                  1 to 4 places      lost its place to     one place
//!                  by source, group   another, after a      by group
//!                                     dial that failed
//! ```
//!
//! A bucket and the position in it follow from a keyed hash. In the new table the bucket depends on the group of who
//! named the address, so that one group reaches a sixteenth of it however much it names. In the tried table it
//! depends on the address's own group, so that one group reaches a thirty-second of it however many nodes it runs.
//! Whoever is at a tried position stays there until a dial shows that it is gone.
//!
//! On private networks and loopback groups mean nothing: there each address counts as a group of its own.

mod audit;
mod census;
mod layout;
mod record;
mod select;
mod stored;
mod table;

pub use census::{CENSUS_MAX, Census, Tally};
pub use layout::{BOOK_MAX, Which};

use crate::{Address, AsMap, NetworkGroup, Now, Random, Record, Time};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::ops::Bound;
use core::time::Duration;
use layout::Layout;
use stored::{Key, Millis, Slab, Stored};
use table::Table;

/// Addresses that one source may have in the book unproven: a source that names thousands cannot fill it.
pub const PER_SOURCE_MAX: usize = 2_000;
/// Addresses of one host, an IPv4 address or an IPv6 /64: more ports or more addresses on one line are one operator.
pub const PER_HOST_MAX: usize = 16;
/// Places in the new table that one address can have, each from another source. Every further one is half as likely.
pub const NEW_REFERENCES_MAX: usize = 4;
/// Addresses that wait for the one at their tried position to be tested. One test in two minutes decides about these
/// in half an hour; more are not taken.
pub const COLLISIONS_MAX: usize = 16;
/// An address that waits longer than this stays where it is.
pub const COLLISION_PATIENCE: Duration = Duration::from_secs(40 * 60);
/// One that answered within this time keeps its tried position without a test.
pub const TESTED_RECENTLY: Duration = Duration::from_secs(4 * 60 * 60);
/// Being named again is written down this often: what peers repeat costs no disk.
pub const SEEN_AGAIN: Duration = Duration::from_secs(4 * 60 * 60);

/// What is known of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Who named it first; nothing when the operator or the network's preset did.
    pub source: Option<IpAddr>,
    /// Whether a handshake with it was finished once.
    pub proven: bool,
    /// Whether it is in the tried table.
    pub is_tried: bool,
    /// Milliseconds since 1970 of the last dial; 0 when there was none.
    pub last_tried_ms: u64,
    /// Milliseconds since 1970 of the last finished handshake; 0 when there was none.
    pub last_success_ms: u64,
    /// Milliseconds since 1970 at which it was last named or reached, to within [`SEEN_AGAIN`].
    pub last_seen_ms: u64,
    /// Dials that failed since the last success.
    pub failures: u32,
    /// Not dialled before this time. Not saved: a restart tries again.
    pub not_before: Time,
}

impl From<&Stored> for Entry {
    fn from(stored: &Stored) -> Self {
        let last_success_ms = stored.last_success.get();
        Self {
            source: stored.source(),
            proven: last_success_ms > 0,
            is_tried: stored.is_tried,
            last_tried_ms: stored.last_tried.get(),
            last_success_ms,
            last_seen_ms: stored.last_seen.get(),
            failures: stored.failures.into(),
            not_before: stored.not_before(),
        }
    }
}

// One that answered and whose tried position another one has.
#[derive(Clone, Copy, Debug)]
struct Collision {
    challenger: Key,
    incumbent: Key,
    since: Time,
}

/// The address book.
#[derive(Clone, Debug)]
pub struct Book {
    layout: Layout,
    index: BTreeMap<Key, u32>,
    slab: Slab,
    new: Table,
    tried: Table,
    collisions: Vec<Collision>,
    proven: usize,
    tried_by_group: BTreeMap<NetworkGroup, u32>,
    // New entries by source, and entries by host, each counted at a place that the keyed hash gives: two that share
    // one share its cap. So the counts cost what the book may have, not what is named.
    named: Vec<u32>,
    hosts: Vec<u16>,
    // Milliseconds since 1970 at which anybody was last reached; what fails after it says something.
    last_good_ms: u64,
    changed: Vec<Key>,
}

impl Book {
    /// An empty book of at most `max` entries, spread by this secret.
    pub fn new(secret: [u8; 32], max: usize, as_map: AsMap) -> Self {
        Self {
            layout: Layout::new(secret, max, as_map),
            index: BTreeMap::new(),
            slab: Slab::default(),
            new: Table::default(),
            tried: Table::default(),
            collisions: Vec::new(),
            proven: 0,
            tried_by_group: BTreeMap::new(),
            named: Vec::new(),
            hosts: Vec::new(),
            last_good_ms: 1,
            changed: Vec::new(),
        }
    }

    /// What is known of an address.
    pub fn get(&self, address: Address) -> Option<Entry> {
        self.stored(address).map(Entry::from)
    }

    /// All addresses, in order.
    pub fn all(&self) -> impl Iterator<Item = (Address, Entry)> {
        self.after(None)
    }

    /// All addresses after this one, in order.
    pub fn after(&self, after: Option<Address>) -> impl Iterator<Item = (Address, Entry)> {
        let start = after.map_or(Bound::Unbounded, |address| Bound::Excluded(Key::from(address)));
        let entries = self.index.range((start, Bound::Unbounded));
        entries.filter_map(|(key, id)| Some((key.address(), Entry::from(self.slab.get(*id)?))))
    }

    /// How many addresses there are.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// How many of them finished a handshake once.
    pub fn proven(&self) -> usize {
        self.proven
    }

    /// The group by which an address is spread and counted; nothing where groups mean nothing.
    pub fn group_of(&self, address: Address) -> Option<NetworkGroup> {
        self.layout.group_of(address)
    }

    /// The network group of an IP address, its AS where the operator's map has it.
    pub fn group(&self, ip: IpAddr) -> NetworkGroup {
        self.layout.group(ip)
    }

    /// The records of what has changed since this was last asked.
    pub fn take_changes(&mut self) -> Vec<Record> {
        let mut changed = core::mem::take(&mut self.changed);
        changed.sort_unstable();
        changed.dedup();
        changed.into_iter().map(|key| self.record(key)).collect()
    }
}

/// What happens to addresses.
impl Book {
    /// Somebody named an address. Whether it is new and was taken.
    pub fn learn(&mut self, address: Address, source: Option<IpAddr>, now_ms: u64, random: &mut Random) -> bool {
        let key = Key::from(address);
        let bucket = self.layout.new_bucket(address, source.unwrap_or(address.ip()));
        let position = self.layout.position(Which::New, bucket, &key);
        if let Some(id) = self.index.get(&key).copied() {
            self.hear_again(id, (bucket, position), now_ms, random);
            return false;
        }
        if !self.may_take(address, source) || !self.clear_for_newcomer(bucket, position, now_ms) {
            return false;
        }
        let mut stored = Stored::new(address, source);
        stored.last_seen = Millis::new(now_ms);
        let id = self.insert(stored);
        self.refer(id, bucket, position);
        true
    }

    /// An address is being dialled.
    pub fn dialled(&mut self, address: Address, now_ms: u64) {
        let last_good_ms = self.last_good_ms;
        self.change(address, |stored| {
            // While nobody at all can be reached, failures say something about us: one of them counts, not each.
            stored.counts = stored.last_tried.get() < last_good_ms;
            stored.last_tried = Millis::new(now_ms);
        });
    }

    /// A dial came to nothing. How many did so in a row. `is_ours`: a fault of this machine says nothing.
    pub fn failed(&mut self, address: Address, is_ours: bool) -> Option<u32> {
        let stored = self.change(address, |stored| {
            stored.failures = stored.failures.saturating_add(1);
            if stored.counts && !is_ours {
                stored.misses = stored.misses.saturating_add(1);
            }
            *stored
        })?;
        if stored.counts && !is_ours {
            let lost = self.collisions.iter().position(|collision| collision.incumbent == stored.key);
            if let Some(place) = lost {
                let collision = self.collisions.remove(place);
                self.replace(collision);
            }
        }
        Some(stored.failures.into())
    }

    /// A dial led to a peer that finished the handshake. It moves to the tried table when its position there is free;
    /// when another one has it, that one is to be tested, and this one waits.
    pub fn good(&mut self, address: Address, now: Now) {
        self.last_good_ms = now.unix_ms.max(1);
        let key = Key::from(address);
        let id = match self.index.get(&key) {
            Some(id) => *id,
            None => self.insert(Stored::new(address, None)),
        };
        let Some(stored) = self.slab.get_mut(id) else { return };
        let was_proven = stored.last_success.get() > 0;
        let is_tried = stored.is_tried;
        stored.last_success = Millis::new(now.unix_ms.max(1));
        stored.last_seen = Millis::new(now.unix_ms);
        stored.failures = 0;
        stored.misses = 0;
        self.proven += usize::from(!was_proven);
        self.changed.push(key);
        self.collisions.retain(|collision| collision.incumbent != key);
        if !is_tried {
            self.enter_tried(id, now);
        }
    }

    /// An address is left alone until then.
    pub fn put_off(&mut self, address: Address, until: Time) {
        if let Some(stored) = self.index.get(&address.into()).and_then(|id| self.slab.get_mut(*id)) {
            stored.put_off(stored.not_before().max(until));
        }
    }

    /// Forgets an address.
    pub fn forget(&mut self, address: Address) {
        if let Some(id) = self.index.get(&address.into()).copied() {
            self.remove(id);
        }
    }

    /// An address whose tried position another one wants: a dial decides. Those that waited too long are dropped.
    pub fn to_test(&mut self, now: Time, random: &mut Random) -> Option<Address> {
        self.collisions.retain(|collision| now.since(collision.since) < COLLISION_PATIENCE);
        let collision = self.collisions.get(random.below(self.collisions.len()))?;
        Some(collision.incumbent.address())
    }
}

impl Book {
    fn stored(&self, address: Address) -> Option<&Stored> {
        self.slab.get(*self.index.get(&address.into())?)
    }

    fn change<T>(&mut self, address: Address, change: impl FnOnce(&mut Stored) -> T) -> Option<T> {
        let key = Key::from(address);
        let stored = self.slab.get_mut(*self.index.get(&key)?)?;
        self.changed.push(key);
        Some(change(stored))
    }

    // Named again: notes when, and gives it another place in the new table with a chance that halves with each.
    fn hear_again(&mut self, id: u32, (bucket, position): (u32, u32), now_ms: u64, random: &mut Random) {
        let Some(stored) = self.slab.get_mut(id) else { return };
        let key = stored.key;
        if now_ms.saturating_sub(stored.last_seen.get()) >= SEEN_AGAIN.as_millis() as u64 {
            stored.last_seen = Millis::new(now_ms);
            self.changed.push(key);
        }
        let references = stored.buckets().len();
        let is_there = stored.buckets().iter().any(|other| u32::from(*other) == bucket);
        if stored.is_tried || is_there || references == NEW_REFERENCES_MAX || random.below(1 << references) != 0 {
            return;
        }
        let is_free = match self.new.get(bucket, position) {
            None => true,
            Some(other) if self.is_terrible(other, now_ms) => {
                self.leave_new(other, bucket, position);
                true
            }
            Some(_) => false,
        };
        if is_free {
            self.refer(id, bucket, position);
            self.changed.push(key);
        }
    }

    // Whoever has this position goes if it is hopeless or has other places.
    fn clear_for_newcomer(&mut self, bucket: u32, position: u32, now_ms: u64) -> bool {
        let Some(other) = self.new.get(bucket, position) else { return true };
        let has_others = self.slab.get(other).is_some_and(|stored| stored.buckets().len() > 1);
        let goes = has_others || self.is_terrible(other, now_ms);
        if goes {
            self.leave_new(other, bucket, position);
        }
        goes
    }

    fn enter_tried(&mut self, id: u32, now: Now) {
        let Some(stored) = self.slab.get(id).copied() else { return };
        let (bucket, position) = self.tried_place(&stored);
        let Some(incumbent) = self.tried.get(bucket, position).and_then(|id| self.slab.get(id)).copied() else {
            return self.promote(id);
        };
        let silent_ms = now.unix_ms.saturating_sub(incumbent.last_success.get());
        let waits = self.collisions.iter().any(|collision| collision.challenger == stored.key);
        if u128::from(silent_ms) >= TESTED_RECENTLY.as_millis() && !waits && self.collisions.len() < COLLISIONS_MAX {
            let (challenger, incumbent) = (stored.key, incumbent.key);
            self.collisions.push(Collision { challenger, incumbent, since: now.monotonic });
        }
        if stored.buckets().is_empty() {
            self.enter_new(id, now.unix_ms);
        }
    }

    // A place in the new table for one that has none; it is forgotten when there is none for it.
    fn enter_new(&mut self, id: u32, now_ms: u64) {
        let Some(stored) = self.slab.get(id).copied() else { return };
        let (bucket, position) = self.new_place(&stored);
        if self.clear_for_newcomer(bucket, position, now_ms) {
            self.refer(id, bucket, position);
        } else {
            self.remove(id);
        }
    }

    // The test failed: the challenger gets the tried position, the incumbent goes back to the new table, over
    // whoever is there.
    fn replace(&mut self, collision: Collision) {
        let of = |key: &Key| self.index.get(key).and_then(|id| Some((*id, *self.slab.get(*id)?)));
        let (Some((challenger, its)), Some((incumbent, own))) = (of(&collision.challenger), of(&collision.incumbent))
        else {
            return;
        };
        if its.is_tried || !own.is_tried || self.tried_place(&its) != self.tried_place(&own) {
            return;
        }
        self.leave_tried(incumbent);
        self.promote(challenger);
        let (bucket, position) = self.new_place(&own);
        if let Some(other) = self.new.get(bucket, position) {
            self.leave_new(other, bucket, position);
        }
        self.refer(incumbent, bucket, position);
        self.changed.extend([own.key, its.key]);
    }

    fn tried_place(&self, stored: &Stored) -> (u32, u32) {
        let bucket = self.layout.tried_bucket(stored.address());
        (bucket, self.layout.position(Which::Tried, bucket, &stored.key))
    }

    fn new_place(&self, stored: &Stored) -> (u32, u32) {
        let address = stored.address();
        let bucket = self.layout.new_bucket(address, stored.source().unwrap_or(address.ip()));
        (bucket, self.layout.position(Which::New, bucket, &stored.key))
    }
}

/// How entries come and go: every count is kept here.
impl Book {
    // An entry with no place yet.
    fn insert(&mut self, stored: Stored) -> u32 {
        let key = stored.key;
        if let Some(count) = self.named_by(&stored) {
            *count += 1;
        }
        if let Some(count) = self.host_of(stored.address()) {
            *count = count.saturating_add(1);
        }
        let id = self.slab.add(stored);
        self.index.insert(key, id);
        self.changed.push(key);
        id
    }

    fn remove(&mut self, id: u32) {
        let Some(stored) = self.slab.get(id).copied() else { return };
        for bucket in stored.buckets() {
            let position = self.layout.position(Which::New, (*bucket).into(), &stored.key);
            self.new.clear((*bucket).into(), position);
        }
        if stored.is_tried {
            self.leave_tried(id);
        }
        if let Some(count) = self.named_by(&stored) {
            *count = count.saturating_sub(1);
        }
        if let Some(count) = self.host_of(stored.address()) {
            *count = count.saturating_sub(1);
        }
        self.proven -= usize::from(stored.last_success.get() > 0);
        self.index.remove(&stored.key);
        self.slab.remove(id);
        self.collisions.retain(|it| it.challenger != stored.key && it.incumbent != stored.key);
        self.changed.push(stored.key);
    }

    fn refer(&mut self, id: u32, bucket: u32, position: u32) {
        let Some(stored) = self.slab.get_mut(id) else { return };
        stored.refer(u16::try_from(bucket).expect("BOOK_MAX sees to it"));
        self.new.put(self.layout.new_buckets, bucket, position, id);
    }

    // Takes one place from an entry; the last one takes the entry with it.
    fn leave_new(&mut self, id: u32, bucket: u32, position: u32) {
        let Some(stored) = self.slab.get_mut(id) else { return };
        let key = stored.key;
        if stored.buckets().len() <= 1 {
            return self.remove(id);
        }
        stored.unrefer(u16::try_from(bucket).expect("BOOK_MAX sees to it"));
        self.new.clear(bucket, position);
        self.changed.push(key);
    }

    // From the new table, or from nowhere, to its free position in the tried one.
    fn promote(&mut self, id: u32) {
        let Some(stored) = self.slab.get(id).copied() else { return };
        for bucket in stored.buckets() {
            let position = self.layout.position(Which::New, (*bucket).into(), &stored.key);
            self.new.clear((*bucket).into(), position);
        }
        self.collisions.retain(|collision| collision.challenger != stored.key);
        let (bucket, position) = self.tried_place(&stored);
        self.tried.put(self.layout.tried_buckets, bucket, position, id);
        if let Some(group) = self.layout.group_of(stored.address()) {
            *self.tried_by_group.entry(group).or_default() += 1;
        }
        if let Some(count) = self.named_by(&stored) {
            *count = count.saturating_sub(1);
        }
        if let Some(stored) = self.slab.get_mut(id) {
            stored.is_tried = true;
            stored.unrefer_all();
        }
    }

    // From the tried table to nowhere.
    fn leave_tried(&mut self, id: u32) {
        let Some(stored) = self.slab.get(id).copied() else { return };
        let (bucket, position) = self.tried_place(&stored);
        self.tried.clear(bucket, position);
        self.collisions.retain(|collision| collision.incumbent != stored.key);
        if let Some(group) = self.layout.group_of(stored.address())
            && let Some(count) = self.tried_by_group.get_mut(&group)
        {
            *count -= 1;
            if *count == 0 {
                self.tried_by_group.remove(&group);
            }
        }
        if let Some(stored) = self.slab.get_mut(id) {
            stored.is_tried = false;
        }
        if let Some(count) = self.named_by(&stored) {
            *count += 1;
        }
    }

    fn may_take(&mut self, address: Address, source: Option<IpAddr>) -> bool {
        let stored = Stored::new(address, source);
        self.named_by(&stored).is_none_or(|count| (*count as usize) < PER_SOURCE_MAX)
            && self.host_of(address).is_none_or(|count| usize::from(*count) < PER_HOST_MAX)
    }

    // Where the unproven entries of this one's source are counted.
    fn named_by(&mut self, stored: &Stored) -> Option<&mut u32> {
        /// A source that keeps to its limit shares its counter with sixteen average entries.
        const SHARED_BY: usize = 16;
        let source = stored::packed(Some(stored.source()?));
        let count = (self.layout.capacity() / SHARED_BY).max(256);
        if self.named.is_empty() {
            self.named.resize(count, 0);
        }
        let place = self.layout.counter(9, &source, count);
        self.named.get_mut(place)
    }

    // Where the entries of this host are counted; nothing where each address is a host of its own.
    fn host_of(&mut self, address: Address) -> Option<&mut u16> {
        /// Twice as many entries as counters leave one with 16 strangers in it once in a million.
        const SHARED_BY: usize = 2;
        self.layout.group_of(address)?;
        let host = stored::packed(Some(address.ip()));
        let bytes = if address.ip().is_ipv4() { &host[..5] } else { &host[..9] };
        let count = (self.layout.capacity() / SHARED_BY).max(256);
        let place = self.layout.counter(10, bytes, count);
        if self.hosts.is_empty() {
            self.hosts.resize(count, 0);
        }
        self.hosts.get_mut(place)
    }
}
