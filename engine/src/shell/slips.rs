//! Remembers the slips of peers that left, so that reconnecting does not wash them off.

use crate::Time;
use crate::shell::slots::Host;
use alloc::collections::{BTreeMap, VecDeque};
use core::net::IpAddr;
use core::time::Duration;

/// Hosts whose slips are remembered, about 300 bytes each. The one whose last slip is oldest leaves: whoever has more
/// addresses than that needs no patience with any of them.
pub const HOSTS_MAX: usize = 1024;

/// Slips by the host that made them.
#[derive(Clone, Debug, Default)]
pub struct Slips(BTreeMap<Host, VecDeque<Time>>);

impl Slips {
    /// A connection of this host ended with these slips, oldest first; the last `max` are kept.
    pub(crate) fn remember(&mut self, ip: IpAddr, slips: VecDeque<Time>, max: u32) {
        if slips.is_empty() {
            return;
        }
        let host = Host::of(ip);
        if self.0.len() >= HOSTS_MAX && !self.0.contains_key(&host) {
            let oldest = self.0.iter().min_by_key(|(_, slips)| slips.back().copied()).map(|(host, _)| *host);
            oldest.map(|host| self.0.remove(&host));
        }
        let held = self.0.entry(host).or_default();
        held.extend(slips);
        // Two connections of a host can have slipped in turns.
        held.make_contiguous().sort_unstable();
        while held.len() > max as usize {
            held.pop_front();
        }
    }

    /// What the next connection of this host starts with: the slips that have not faded, once.
    pub(crate) fn take(&mut self, ip: IpAddr, now: Time, fade: Duration) -> VecDeque<Time> {
        let mut slips = self.0.remove(&Host::of(ip)).unwrap_or_default();
        slips.retain(|at| now.since(*at) < fade);
        slips
    }

    /// How many hosts are remembered.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
