//! Keeps the list of members: who is proven, who answered last, who leaves first.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::net::IpAddr;
use polypeer_engine::kit::chain::Hash;
use polypeer_engine::{Address, ConnectionId, Random, Time};

/// Members in all (Hello spec, section 7); about 300 bytes each.
pub const MEMBERS_MAX: usize = 20_000;
/// Members with one IP address.
pub(super) const PER_IP_MAX: usize = 64;
/// Members on this machine: private networks and tests live there.
const PER_LOOPBACK_MAX: usize = 4096;

/// The list of members.
#[derive(Debug, Default)]
pub struct Members {
    members: BTreeMap<Address, Member>,
    // Which member each connection is.
    seats: BTreeMap<ConnectionId, Address>,
    per_ip: BTreeMap<IpAddr, usize>,
    // Unproven ones in the order in which they came: the first to leave.
    unproven: BTreeSet<(u64, Address)>,
    // Proven ones by the interval of their last answer; a member knows its place in the list.
    fresh: BTreeMap<u64, Vec<Address>>,
    // When each is to be dialled.
    due: BTreeSet<(Time, Address)>,
    next: u64,
}

#[derive(Debug)]
struct Member {
    genesis: Option<Hash>,
    connection: Option<ConnectionId>,
    // The interval of its last answer and its place among those of the same; nothing while unproven.
    place: Option<(u64, usize)>,
    number: u64,
    // When it is to be dialled; nothing while it is.
    due: Option<Time>,
    failures: u32,
}

impl Members {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// All members, and whether each is proven.
    pub fn all(&self) -> impl Iterator<Item = (Address, bool)> {
        self.members.iter().map(|(address, member)| (*address, member.place.is_some()))
    }

    /// Adds a member that is not there yet; it is to be dialled at `due`. Room was made.
    pub(super) fn add(&mut self, address: Address, genesis: Option<Hash>, connection: Option<ConnectionId>, due: Time) {
        if self.members.len() >= MEMBERS_MAX || self.members.contains_key(&address) {
            return;
        }
        let number = self.next;
        self.next += 1;
        self.unproven.insert((number, address));
        self.due.insert((due, address));
        *self.per_ip.entry(address.ip()).or_default() += 1;
        self.seats.extend(connection.map(|connection| (connection, address)));
        let member = Member { genesis, connection, place: None, number, due: Some(due), failures: 0 };
        self.members.insert(address, member);
    }

    /// A member has another connection. Nothing if it is none; else whether its genesis is another one.
    pub(super) fn rejoin(&mut self, address: Address, genesis: Option<Hash>, connection: ConnectionId) -> Option<bool> {
        let member = self.members.get_mut(&address)?;
        if let Some(before) = member.connection.replace(connection) {
            self.seats.remove(&before);
        }
        self.seats.insert(connection, address);
        let before = member.genesis;
        member.genesis = genesis.or(before);
        Some(member.genesis != before)
    }

    /// Who has to leave so that a member with this IP address can come: the unproven first, then the stalest.
    pub(super) fn too_many_with(&self, ip: IpAddr) -> Vec<Address> {
        let max = if ip.is_loopback() { PER_LOOPBACK_MAX } else { PER_IP_MAX };
        if self.per_ip.get(&ip).is_some_and(|count| *count >= max) {
            let all = Address::new(ip, 0)..=Address::new(ip, u16::MAX);
            let rank = |member: &Member| (member.place.map(|(epoch, _)| epoch), member.number);
            let first = self.members.range(all).min_by_key(|(_, member)| rank(member));
            return first.map(|(address, _)| *address).into_iter().collect();
        }
        if self.members.len() < MEMBERS_MAX {
            return Vec::new();
        }
        let stalest = || self.fresh.first_key_value().and_then(|(_, list)| list.first().copied());
        self.unproven.first().map(|(_, address)| *address).or_else(stalest).into_iter().collect()
    }

    /// Forgets a member. Whether it was one.
    pub(super) fn remove(&mut self, address: Address) -> bool {
        self.unplace(address);
        let Some(member) = self.members.remove(&address) else { return false };
        member.connection.map(|connection| self.seats.remove(&connection));
        self.unproven.remove(&(member.number, address));
        if let Some(due) = member.due {
            self.due.remove(&(due, address));
        }
        if let Some(count) = self.per_ip.get_mut(&address.ip()) {
            *count -= 1;
            if *count == 0 {
                self.per_ip.remove(&address.ip());
            }
        }
        true
    }

    /// Which member this connection is.
    pub fn of(&self, connection: ConnectionId) -> Option<Address> {
        self.seats.get(&connection).copied()
    }

    /// A connection is gone: the member that it was, if any, is dialled at `due` at the latest.
    pub(super) fn disconnect(&mut self, connection: ConnectionId, due: Time) {
        let Some(address) = self.seats.remove(&connection) else { return };
        if let Some(member) = self.members.get_mut(&address) {
            member.connection = None;
            if member.due.is_some_and(|set| set > due) {
                self.set_due(address, due);
            }
        }
    }

    /// When the next member is to be dialled.
    pub(super) fn next_due(&self) -> Option<Time> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Takes a member that is to be dialled now.
    pub(super) fn take_due(&mut self, now: Time) -> Option<Address> {
        let (due, address) = *self.due.first().filter(|(due, _)| *due <= now)?;
        self.due.remove(&(due, address));
        self.members.get_mut(&address)?.due = None;
        Some(address)
    }

    /// A dial failed; the next one is at `due`. How many have failed in a row.
    pub(super) fn failed(&mut self, address: Address, due: Time) -> u32 {
        let Some(member) = self.members.get_mut(&address) else { return 0 };
        member.failures += 1;
        let failures = member.failures;
        self.set_due(address, due);
        failures
    }

    /// A dial succeeded in this interval. `again` says when the next one is, for a member with a connection and for
    /// one without. Whether its genesis is another one.
    pub(super) fn proven(&mut self, address: Address, genesis: Option<Hash>, epoch: u64, again: (Time, Time)) -> bool {
        let Some(member) = self.members.get_mut(&address) else { return false };
        member.failures = 0;
        let before = member.genesis;
        member.genesis = genesis.or(before);
        let has_changed = member.genesis != before;
        let due = if member.connection.is_some() { again.0 } else { again.1 };
        let number = member.number;
        self.unproven.remove(&(number, address));
        self.set_due(address, due);
        self.place(address, epoch);
        has_changed
    }

    /// A member answered in this interval.
    pub(super) fn answered(&mut self, address: Address, epoch: u64) {
        if self.members.get(&address).is_some_and(|member| member.place.is_some_and(|(at, _)| at != epoch)) {
            self.place(address, epoch);
        }
    }

    /// What the member said its chain begins with.
    pub(super) fn genesis_of(&self, address: Address) -> Option<Hash> {
        self.members.get(&address)?.genesis
    }

    /// Up to `count` proven members of the same chain, the freshest first, by chance among equals; without `asker`.
    pub(super) fn freshest(
        &self,
        count: usize,
        asker: Option<Address>,
        genesis: Option<Hash>,
        random: &mut Random,
    ) -> Vec<Address> {
        let mut chosen = Vec::with_capacity(count.min(self.members.len()));
        let fits = |address: &Address| {
            let other = self.genesis_of(*address).zip(genesis).is_some_and(|(its, ours)| its != ours);
            Some(*address) != asker && !other
        };
        for list in self.fresh.values().rev() {
            let mut list = list.clone();
            // As far as is needed of a shuffle.
            for at in 0..list.len() {
                if chosen.len() == count {
                    return chosen;
                }
                let other = at + random.below(list.len() - at);
                list.swap(at, other);
                if fits(&list[at]) {
                    chosen.push(list[at]);
                }
            }
        }
        chosen
    }

    fn set_due(&mut self, address: Address, due: Time) {
        let Some(member) = self.members.get_mut(&address) else { return };
        if let Some(before) = member.due.replace(due) {
            self.due.remove(&(before, address));
        }
        self.due.insert((due, address));
    }

    fn place(&mut self, address: Address, epoch: u64) {
        self.unplace(address);
        let list = self.fresh.entry(epoch).or_default();
        list.push(address);
        let place = (epoch, list.len() - 1);
        if let Some(member) = self.members.get_mut(&address) {
            member.place = Some(place);
        }
    }

    // Takes it out of its list; the last one of the list takes its place.
    fn unplace(&mut self, address: Address) {
        let place = self.members.get_mut(&address).and_then(|member| member.place.take());
        let Some((epoch, at)) = place else { return };
        let Some(list) = self.fresh.get_mut(&epoch) else { return };
        list.swap_remove(at);
        if let Some(moved) = list.get(at)
            && let Some(member) = self.members.get_mut(moved)
        {
            member.place = Some((epoch, at));
        }
        if list.is_empty() {
            self.fresh.remove(&epoch);
        }
    }
}
