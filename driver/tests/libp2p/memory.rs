//! What libp2p costs the process, in processes of their own.

use crate::raw::{Raw, aside};
use crate::toy::child::{in_a_child, open_descriptors, resident_bytes};
use crate::toy::{Config, drain, run, until_connected};
use std::net::TcpStream;

// A peer with a few streams that has talked a little. Only its socket stays, so that the memory measured is the node's.
fn open(address: std::net::SocketAddr, bytes: usize) -> TcpStream {
    let mut raw = Raw::connect(address);
    for stream in [1, 3, 5] {
        raw.open(stream);
    }
    raw.ask(1, &vec![1; bytes]);
    raw.socket
}

#[tokio::test]
async fn an_idle_peer_with_a_few_streams_takes_less_than_16_kib() {
    if in_a_child("memory::an_idle_peer_with_a_few_streams_takes_less_than_16_kib") {
        return;
    }
    const PEERS: usize = 500;
    let node = run(1, Config { pending_per_ip_max: 10_000, ..Config::default() });
    let address = node.listening().expect("it listens");
    // What the first hundred bring with them is the process's, not a peer's.
    let first: Vec<_> = aside(move || (0..100).map(|_| open(address, 200)).collect()).await;
    let before = resident_bytes();
    let quiet: Vec<_> = aside(move || (0..PEERS).map(|_| open(address, 200)).collect()).await;
    until_connected(&node, (PEERS + 100) as u64).await;
    let each = resident_bytes().saturating_sub(before) / PEERS;
    // What it took to carry more than small talk is given back.
    let before = resident_bytes();
    let busy: Vec<_> = aside(move || (0..PEERS).map(|_| open(address, 100_000)).collect()).await;
    until_connected(&node, (2 * PEERS + 100) as u64).await;
    let each_busy = resident_bytes().saturating_sub(before) / PEERS;
    println!("{each} bytes for each idle peer with three streams, {each_busy} for one that has carried 200 kB");
    assert!(each <= 16 << 10, "{each} bytes for each idle peer");
    assert!(each_busy <= 16 << 10, "{each_busy} bytes for each peer that has talked");
    drop((first, quiet, busy));
    drain(node).await;
}

#[tokio::test]
async fn churn_leaks_neither_descriptors_nor_memory() {
    if in_a_child("memory::churn_leaks_neither_descriptors_nor_memory") {
        return;
    }
    let node = run(1, Config { linger_ms: 300, ..Config::default() });
    let address = node.listening().expect("it listens");
    let round = || async {
        aside(move || {
            for number in 0..60 {
                let mut raw = Raw::connect(address);
                raw.open(1);
                match number % 4 {
                    0 => raw.tell(1, b'e', b"x"),
                    1 => raw.tell(1, b'n', b""),
                    2 => raw.tell(1, b'l', b""),
                    _ => raw.reset(),
                }
            }
        })
        .await;
        until_connected(&node, 0).await;
    };
    round().await;
    round().await;
    let (descriptors, bytes) = (open_descriptors(), resident_bytes());
    for _ in 0..5 {
        round().await;
    }
    assert!(open_descriptors() <= descriptors + 2, "{} and {descriptors}", open_descriptors());
    let grown = resident_bytes().saturating_sub(bytes);
    // The engine's ring of reasons may still fill.
    assert!(grown < 2 << 20, "{grown} bytes after 300 connections");
    drain(node).await;
}
