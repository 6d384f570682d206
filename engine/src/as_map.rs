//! Maps IP addresses to the autonomous systems that announce them, as far as the operator knows.

use crate::NetworkGroup;
use alloc::vec::Vec;
use core::net::IpAddr;
use serde::{Deserialize, Serialize};

/// Prefixes that a map takes: the whole routing table of the internet has 1.3 million, and each costs at most 32
/// bytes.
pub const AS_PREFIXES_MAX: usize = 2_000_000;

/// A range of addresses and the number of the system that announces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AsPrefix {
    /// An address in it; bits below the length are ignored.
    pub ip: IpAddr,
    /// Bits that count, at most 32 for IPv4 and 128 for IPv6. What is longer than an IPv6 /64 counts as that /64.
    pub bits: u8,
    /// The autonomous system's number; 0 for none.
    pub number: u32,
}

/// Which system announces an address: the longest prefix decides. Part of a recording.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AsMap {
    // Where each run of addresses with one number begins, in order.
    v4: Vec<(u32, u32)>,
    v6: Vec<(u64, u32)>,
}

impl AsMap {
    /// The map of these prefixes, of which those beyond [`AS_PREFIXES_MAX`] are left out. The last of two equal ones
    /// counts.
    pub fn new(prefixes: impl IntoIterator<Item = AsPrefix>) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for prefix in prefixes.into_iter().take(AS_PREFIXES_MAX) {
            match prefix.ip.to_canonical() {
                IpAddr::V4(ip) => {
                    let first = u64::from(u32::from(ip)) << 32;
                    v4.push((
                        first,
                        if prefix.ip.is_ipv4() { prefix.bits } else { prefix.bits.saturating_sub(96) }.min(32),
                        prefix.number,
                    ));
                }
                IpAddr::V6(ip) => v6.push(((u128::from(ip) >> 64) as u64, prefix.bits.min(64), prefix.number)),
            }
        }
        let v4 = runs(v4).into_iter().map(|(first, number)| ((first >> 32) as u32, number)).collect();
        Self { v4, v6: runs(v6) }
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// The number of the system that announces an address.
    pub fn number(&self, ip: IpAddr) -> Option<u32> {
        let number = match ip.to_canonical() {
            IpAddr::V4(ip) => at(&self.v4, u32::from(ip)),
            IpAddr::V6(ip) => at(&self.v6, (u128::from(ip) >> 64) as u64),
        };
        number.filter(|number| *number != 0)
    }

    /// The group of an address: its system where that is known, else its /16 or /32.
    pub fn group(&self, ip: IpAddr) -> NetworkGroup {
        self.number(ip).map_or_else(|| NetworkGroup::of(ip), NetworkGroup::As)
    }
}

fn at<T: Ord + Copy>(runs: &[(T, u32)], place: T) -> Option<u32> {
    let after = runs.partition_point(|(first, _)| *first <= place);
    Some(runs.get(after.checked_sub(1)?)?.1)
}

// Cuts nested prefixes, aligned to the top of 64 bits, into runs. A prefix that ends uncovers the one around it.
fn runs(mut prefixes: Vec<(u64, u8, u32)>) -> Vec<(u64, u32)> {
    for (first, bits, _) in &mut prefixes {
        *first &= mask(*bits);
    }
    prefixes.sort_by_key(|(first, bits, _)| (*first, *bits));
    let mut runs: Vec<(u64, u32)> = Vec::new();
    let mut around: Vec<(u64, u32)> = Vec::new();
    for (first, bits, number) in prefixes {
        uncover(&mut runs, &mut around, Some(first));
        put(&mut runs, first, number);
        around.push((first | !mask(bits), number));
    }
    uncover(&mut runs, &mut around, None);
    runs.shrink_to_fit();
    runs
}

// Ends every prefix whose last address lies before `next`; all of them when there is no next.
fn uncover(runs: &mut Vec<(u64, u32)>, around: &mut Vec<(u64, u32)>, next: Option<u64>) {
    while let Some((last, _)) = around.last().copied().filter(|(last, _)| next.is_none_or(|next| *last < next)) {
        around.pop();
        let outer = around.last().map_or(0, |(_, number)| *number);
        if let Some(after) = last.checked_add(1) {
            put(runs, after, outer);
        }
    }
}

// Begins a run; one that begins at the same place had no addresses, and one with the same number goes on.
fn put(runs: &mut Vec<(u64, u32)>, first: u64, number: u32) {
    if runs.last().is_some_and(|(begun, _)| *begun == first) {
        runs.pop();
    }
    if runs.last().map_or(0, |(_, before)| *before) != number {
        runs.push((first, number));
    }
}

fn mask(bits: u8) -> u64 {
    if bits == 0 { 0 } else { u64::MAX << (64 - u32::from(bits.min(64))) }
}
