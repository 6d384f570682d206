//! Measures what a million addresses cost, in a process of its own.

use polypeer_engine::shell::book::{Book, Which};
use polypeer_engine::{Address, AsMap, Now, Random};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses that the book must hold.
const ENTRIES: usize = 1_000_000;
/// What they may cost.
const BYTES_MAX: u64 = 128 << 20;

fn resident_peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("the status of this process");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("its peak of memory");
    let kib: u64 = line.split_whitespace().nth(1).and_then(|it| it.parse().ok()).expect("a number of KiB");
    kib * 1024
}

// The n-th of many addresses, one in five of them IPv6, in thousands of groups.
fn nth(n: u32) -> Address {
    let spread = n.wrapping_mul(0x9E37_79B1);
    if n.is_multiple_of(5) {
        let [a, b, c, d] = spread.to_be_bytes().map(u16::from);
        return Address::new(IpAddr::V6(Ipv6Addr::new(0x2a00 + a % 16, b, c << 8 | d, n as u16, 0, 0, 0, 1)), 8_333);
    }
    let [a, b, c, d] = spread.to_be_bytes();
    Address::new(IpAddr::V4(Ipv4Addr::new(11 + a % 80, b, c, d)), 8_333)
}

#[test]
fn a_million_addresses_fit_into_128_mib() {
    let mut random = Random::new([1; 32]);
    let now = Now { unix_ms: 1_767_225_600_000, ..Now::default() };
    let before = resident_peak();
    let mut book = Book::new([2; 32], 2_000_000, AsMap::default());
    let mut n = 0_u32;
    while book.len() < ENTRIES {
        // A hundred thousand sources: the more, the more is to be remembered.
        let source = nth(n.wrapping_mul(7) % 100_000).ip();
        book.learn(nth(n), Some(source), now.unix_ms, &mut random);
        if n.is_multiple_of(8) {
            book.good(nth(n), now);
        }
        if n.is_multiple_of(4_096) {
            book.take_changes();
        }
        n += 1;
        assert!(n < 4_000_000, "only {} of {n} addresses found a place", book.len());
    }
    let grown = resident_peak() - before;
    println!("{} entries, {} tried, {} bytes, {} each", book.len(), book.proven(), grown, grown / ENTRIES as u64);
    assert!(grown <= BYTES_MAX, "a million addresses cost {grown} bytes");
    assert!(book.proven() > 50_000, "{}", book.proven());
    assert!(book.select(Which::New, now, &mut random, |_, _| true).is_some());
    assert_eq!(book.sample_proven(1_000, now.unix_ms, &mut random).len(), 1_000);
}
