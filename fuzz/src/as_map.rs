//! Breaks maps of autonomous systems.

use polypeer::as_map;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// Prefixes whose borders are looked up: each is compared with all others.
const PROBED_MAX: usize = 16;

/// A prefix in the upper bits of 64, and the number of its system.
struct Prefix {
    is_v4: bool,
    first: u64,
    bits: u8,
    number: u32,
}

/// Any bytes are a map or an error with its line, and a map says what going through all prefixes says: the longest
/// decides, the last of equal ones.
pub fn map(input: &[u8]) {
    let map = match as_map::parse(Path::new("as.map"), input) {
        Ok(map) => map,
        Err(error) => return assert!(error.to_string().starts_with("as.map:"), "{error}"),
    };
    let text = std::str::from_utf8(input).expect("a map is text");
    let prefixes: Vec<Prefix> = text.lines().filter_map(prefix).collect();
    for prefix in prefixes.iter().take(PROBED_MAX) {
        let last = prefix.first | !mask(prefix.bits);
        for place in [prefix.first, last, prefix.first.wrapping_sub(1 << 32), last.wrapping_add(1)] {
            let ip = match prefix.is_v4 {
                true => IpAddr::V4(Ipv4Addr::from((place >> 32) as u32)),
                false => IpAddr::V6(Ipv6Addr::from(u128::from(place) << 64)),
            };
            assert_eq!(map.number(ip), number(&prefixes, ip), "{ip}");
        }
    }
}

fn prefix(line: &str) -> Option<Prefix> {
    let line = line.split('#').next()?;
    let (prefix, number) = line.trim().split_once(char::is_whitespace)?;
    let (ip, bits) = prefix.split_once('/')?;
    let (ip, bits): (IpAddr, u8) = (ip.parse().ok()?, bits.parse().ok()?);
    let number = number.trim();
    let number = number.strip_prefix("AS").unwrap_or(number).parse().ok()?;
    let (is_v4, place) = place(ip);
    let bits = match is_v4 {
        true => if ip.is_ipv4() { bits } else { bits.saturating_sub(96) }.min(32),
        // Longer ones count as their /64.
        false => bits.min(64),
    };
    Some(Prefix { is_v4, first: place & mask(bits), bits, number })
}

fn number(prefixes: &[Prefix], ip: IpAddr) -> Option<u32> {
    let (is_v4, place) = place(ip);
    let covers = |prefix: &&Prefix| prefix.is_v4 == is_v4 && place & mask(prefix.bits) == prefix.first;
    let longest = prefixes.iter().filter(covers).max_by_key(|prefix| prefix.bits)?;
    Some(longest.number).filter(|number| *number != 0)
}

fn place(ip: IpAddr) -> (bool, u64) {
    match ip.to_canonical() {
        IpAddr::V4(ip) => (true, u64::from(u32::from(ip)) << 32),
        IpAddr::V6(ip) => (false, (u128::from(ip) >> 64) as u64),
    }
}

fn mask(bits: u8) -> u64 {
    u64::MAX.checked_shl(64 - u32::from(bits)).unwrap_or(0)
}

/// Maps as they are published.
pub fn written() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("nested", b"# IPv4\n1.0.0.0/8 1\n1.2.0.0/16 AS2 # inside\n1.2.3.4/32 0\n0.0.0.0/0 4294967295\n".to_vec()),
        ("ipv6", b"2a00::/16\t3\n2a00:1::/32 4\n2a00:1::/65 5\n::ffff:1.2.0.0/112 6\n::/0 7\n".to_vec()),
    ]
}
