//! Bounds the log: no source fills the disk, however it behaves.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Bytes of lines that one source may cause in an hour: 1 MiB, less what the lines about left-out lines take.
const BYTES_AN_HOUR: u64 = 960 << 10;
/// Of them at once: some two hundred lines, so that how an attack began is in the log.
const BURST_BYTES: u64 = 32 << 10;
/// Sources with an account of their own, about 100 bytes each; those that come later share one.
const SOURCES_MAX: usize = 1_024;
/// Left-out lines are told of this often, if there were any.
const TELL_EVERY: Duration = Duration::from_secs(60);
/// What a line has besides its text: time, level, module.
const LINE_OVERHEAD: u64 = 64;

const HOUR_MICROS: u128 = 3_600_000_000;

/// What each source may still log. A source is an IP address, an IPv6 one with its whole /64.
#[derive(Debug, Default)]
pub struct LogQuota {
    sources: BTreeMap<IpAddr, Account>,
    others: Account,
    left_out: u64,
    told: Option<Instant>,
}

#[derive(Debug)]
struct Account {
    left: u64,
    filled: Option<Instant>,
}

impl Default for Account {
    fn default() -> Self {
        Self { left: BURST_BYTES, filled: None }
    }
}

impl Account {
    fn fill(&mut self, now: Instant) {
        let filled = *self.filled.get_or_insert(now);
        let gained = now.saturating_duration_since(filled).as_micros() * u128::from(BYTES_AN_HOUR) / HOUR_MICROS;
        if gained > 0 {
            self.left = u64::try_from(gained).unwrap_or(u64::MAX).saturating_add(self.left).min(BURST_BYTES);
            self.filled = Some(now);
        }
    }

    fn take(&mut self, now: Instant, bytes: u64) -> bool {
        self.fill(now);
        let fits = bytes <= self.left;
        self.left -= if fits { bytes } else { 0 };
        fits
    }
}

impl LogQuota {
    /// Whether a line of so many bytes that this source caused may be logged; without a source it is the node's own.
    pub fn admits(&mut self, now: Instant, source: Option<IpAddr>, bytes: usize) -> bool {
        let bytes = bytes as u64 + LINE_OVERHEAD;
        let admits = match source.map(of) {
            Some(source) => self.account(now, source).take(now, bytes),
            None => self.others.take(now, bytes),
        };
        self.left_out += u64::from(!admits);
        admits
    }

    /// How many lines were left out since this was told last, now and then.
    pub fn left_out(&mut self, now: Instant) -> Option<u64> {
        let is_due = self.told.is_none_or(|told| now.saturating_duration_since(told) >= TELL_EVERY);
        if self.left_out == 0 || !is_due {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.left_out))
    }

    fn account(&mut self, now: Instant, source: IpAddr) -> &mut Account {
        if !self.sources.contains_key(&source) && self.sources.len() >= SOURCES_MAX {
            self.sources.retain(|_, account| {
                account.fill(now);
                account.left < BURST_BYTES
            });
            if self.sources.len() >= SOURCES_MAX {
                return &mut self.others;
            }
        }
        self.sources.entry(source).or_default()
    }
}

fn of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
        ip @ IpAddr::V4(_) => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_of_flood_from_one_source_is_a_mebibyte_of_log() {
        let (mut quota, start) = (LogQuota::default(), Instant::now());
        let mut logged = 0;
        for tenth in 0..36_000 {
            let now = start + Duration::from_millis(100 * tenth);
            for _ in 0..100 {
                logged += if quota.admits(now, Some([10, 0, 0, 1].into()), 120) { 120 + LINE_OVERHEAD } else { 0 };
            }
            logged += if quota.left_out(now).is_some() { 200 } else { 0 };
        }
        assert!((900 << 10..=1 << 20).contains(&logged), "{logged} bytes");
        assert!(quota.admits(start, Some([10, 0, 0, 2].into()), 120), "another source has its own");
    }

    #[test]
    fn a_whole_network_of_ipv6_is_one_source_and_the_table_is_bounded() {
        let (mut quota, now) = (LogQuota::default(), Instant::now());
        for number in 0..1_000u128 {
            quota.admits(now, Some(Ipv6Addr::from_bits(0x2001 << 112 | number).into()), 120);
        }
        assert_eq!(quota.sources.len(), 1);
        for number in 0..100_000u32 {
            quota.admits(now, Some(IpAddr::from(number.to_be_bytes())), 120);
        }
        assert_eq!(quota.sources.len(), SOURCES_MAX);
        assert!(quota.left_out(now).is_some_and(|lines| lines > 90_000));
        assert!(quota.left_out(now).is_none(), "told once a minute");
    }
}
