//! Counts what fills the slots: by kind, by host and by network group, so that no cap needs a walk.

use crate::{Address, Direction, NetworkGroup, P2pConfig, Target};
use alloc::collections::{BTreeMap, BTreeSet};
use core::net::{IpAddr, Ipv6Addr};

/// What a connection counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    /// Accepted: one of [`crate::P2pConfig::inbound_max`], and may have to make room for another.
    Inbound,
    /// Dialled to keep [`crate::P2pConfig::outbound_target`] up.
    Outbound,
    /// Named by the operator, whoever dialled: competes with nobody and never makes room.
    Reserved,
    /// Counts in no target: a tracker, a dial that only proves an address.
    Extra,
    /// Was inbound and has been told to go: its slot is another's already.
    Leaving,
}

impl Slot {
    /// Whether it is one of those that a node wants to keep up by dialling.
    pub fn is_kept(self) -> bool {
        matches!(self, Self::Outbound | Self::Reserved)
    }
}

/// Who holds addresses together: one IPv4 address, or an IPv6 /64, which a single customer is given whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host(IpAddr);

impl Host {
    /// The host of an IP address.
    pub fn of(ip: IpAddr) -> Self {
        Self(match ip.to_canonical() {
            IpAddr::V4(ip) => ip.into(),
            IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
        })
    }
}

/// Counts of what fills the slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotCount {
    /// Connections accepted, less those that have been told to go.
    pub inbound: usize,
    /// Connections dialled that fill a slot, standing or under way.
    pub outbound: usize,
    /// Connections with peers that the operator named, standing or under way; in neither of the others.
    pub reserved: usize,
    /// Accepted connections that have been told to go and have not gone yet.
    pub leaving: usize,
}

/// The counts that caps are held against. All of them can be had again by a walk; `P2pState::check` does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slots {
    count: SlotCount,
    per_host: BTreeMap<(Direction, Host), u32>,
    per_group: BTreeMap<(Direction, NetworkGroup), u32>,
    reserved_per_host: BTreeMap<(Direction, Host), u32>,
}

impl Slots {
    /// What fills the slots now.
    pub fn count(&self) -> SlotCount {
        self.count
    }

    /// Connections of this direction with one host that caps count.
    pub fn with_host(&self, direction: Direction, ip: IpAddr) -> u32 {
        self.per_host.get(&(direction, Host::of(ip))).copied().unwrap_or(0)
    }

    /// Connections of this direction with one network group that caps count.
    pub fn in_group(&self, direction: Direction, ip: IpAddr) -> u32 {
        self.per_group.get(&(direction, NetworkGroup::of(ip))).copied().unwrap_or(0)
    }

    /// Reserved connections of this direction with one host.
    pub fn reserved_with(&self, direction: Direction, ip: IpAddr) -> u32 {
        self.reserved_per_host.get(&(direction, Host::of(ip))).copied().unwrap_or(0)
    }

    /// Whether the caps of the configuration hold.
    pub(crate) fn is_within(&self, direction: Direction, config: &P2pConfig) -> bool {
        let of = |other: Direction| other == direction;
        let hosts = self.per_host.iter().filter(|((other, _), _)| of(*other)).map(|(_, count)| *count);
        let groups = self.per_group.iter().filter(|((other, _), _)| of(*other)).map(|(_, count)| *count);
        hosts.into_iter().all(|count| count <= config.inbound_per_ip_max)
            && groups.into_iter().all(|count| count <= config.inbound_per_group_max)
    }

    /// A connection, or a dial, begins to count.
    pub(crate) fn taken(&mut self, slot: Slot, direction: Direction, ip: IpAddr, is_capped: bool) {
        if let Some(count) = self.counter(slot) {
            *count += 1;
        }
        for_each_count(self, slot, direction, ip, is_capped, |count| *count += 1);
    }

    /// A connection, or a dial, counts no more.
    pub(crate) fn freed(&mut self, slot: Slot, direction: Direction, ip: IpAddr, is_capped: bool) {
        if let Some(count) = self.counter(slot) {
            *count -= 1;
        }
        for_each_count(self, slot, direction, ip, is_capped, |count| *count -= 1);
    }

    fn counter(&mut self, slot: Slot) -> Option<&mut usize> {
        match slot {
            Slot::Inbound => Some(&mut self.count.inbound),
            Slot::Outbound => Some(&mut self.count.outbound),
            Slot::Reserved => Some(&mut self.count.reserved),
            Slot::Leaving => Some(&mut self.count.leaving),
            Slot::Extra => None,
        }
    }
}

// Changes what a connection counts in. A reserved one is capped by how often it was named, one that leaves by how many
// may be on their way out.
fn for_each_count(
    slots: &mut Slots,
    slot: Slot,
    direction: Direction,
    ip: IpAddr,
    is_capped: bool,
    change: impl Fn(&mut u32),
) {
    match slot {
        Slot::Leaving => {}
        Slot::Reserved => adjust(&mut slots.reserved_per_host, (direction, Host::of(ip)), change),
        Slot::Inbound | Slot::Outbound | Slot::Extra if is_capped => {
            adjust(&mut slots.per_host, (direction, Host::of(ip)), &change);
            adjust(&mut slots.per_group, (direction, NetworkGroup::of(ip)), &change);
        }
        Slot::Inbound | Slot::Outbound | Slot::Extra => {}
    }
}

fn adjust<K: Ord + Copy>(counts: &mut BTreeMap<K, u32>, key: K, change: impl Fn(&mut u32)) {
    let count = counts.entry(key).or_default();
    change(count);
    if *count == 0 {
        counts.remove(&key);
    }
}

/// Whom the operator named. What a network's preset names is dialled alike, but reserves nothing.
#[derive(Clone, Debug, Default)]
pub struct Named(BTreeSet<Target>);

impl Named {
    /// The operator names a peer; as many as the dialer keeps.
    pub(crate) fn add(&mut self, target: Target) {
        if self.0.len() < super::dialer::WANTED_MAX {
            self.0.insert(target);
        }
    }

    /// The operator takes it back.
    pub(crate) fn remove(&mut self, target: &Target) {
        self.0.remove(target);
    }

    /// How many named peers are at this IP address. Loopback is everyone on this machine, so that being named there
    /// says nothing about who comes from there.
    pub(crate) fn at_ip(&self, dialer: &super::dialer::Dialer, ip: IpAddr) -> u32 {
        if ip.is_loopback() {
            return 0;
        }
        let ip = ip.to_canonical();
        let is_there = |target: &&Target| match target {
            Target::Address(address) => address.ip() == ip,
            Target::Name(..) => {
                dialer.wanted.get(*target).is_some_and(|wanted| wanted.addresses.iter().any(|a| a.ip() == ip))
            }
        };
        u32::try_from(self.0.iter().filter(is_there).count()).unwrap_or(u32::MAX)
    }

    /// Whether the operator named this address.
    pub(crate) fn is_named(&self, dialer: &super::dialer::Dialer, address: Address) -> bool {
        self.0.contains(&Target::Address(address))
            || self.0.iter().any(|target| dialer.wanted.get(target).is_some_and(|w| w.addresses.contains(&address)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_an_ipv4_address_or_an_ipv6_64() {
        let same = |a: &str, b: &str| Host::of(a.parse().expect("an IP address")) == Host::of(b.parse().expect("one"));
        assert!(same("10.1.1.1", "::ffff:10.1.1.1"));
        assert!(!same("10.1.1.1", "10.1.1.2"));
        assert!(same("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"));
        assert!(!same("2001:db8:1:2::1", "2001:db8:1:3::1"));
    }
}
