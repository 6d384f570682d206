//! What calls cost the process, in processes of their own.

use crate::raw::Raw;
use crate::toy::child::{in_a_child, open_descriptors, resident_bytes};
use crate::toy::{Config, drain, run, until_connected};

#[tokio::test]
async fn an_idle_ready_peer_takes_less_than_32_kib() {
    if in_a_child("memory::an_idle_ready_peer_takes_less_than_32_kib") {
        return;
    }
    const PEERS: usize = 1000;
    let node = run(Config { needs_greeting: true, ..Config::default() });
    let address = node.listening().expect("it listens");
    // The clients are plain sockets, so that the memory measured is the node's.
    let call = || {
        let mut client = Raw::call(address);
        client.widen(1 << 20);
        client.message(b'h', b"");
        client.message(b'e', &[1; 200]);
        client.expect_bytes(6 + 206);
        client
    };
    // What the first hundred bring with them is the process's, not a peer's.
    let first: Vec<Raw> = (0..100).map(|_| call()).collect();
    let before = resident_bytes();
    let mut clients: Vec<Raw> = (0..PEERS).map(|_| call()).collect();
    until_connected(&node, (PEERS + 100) as u64).await;
    let quiet = (resident_bytes() - before) / PEERS;
    // What it took to carry more than small talk is given back.
    for client in &mut clients {
        client.message(b'e', &[1; 200_000]);
        client.expect_bytes(200_006);
    }
    let each = (resident_bytes() - before) / PEERS;
    println!("{quiet} bytes for each idle peer, {each} after each has sent and received 200 kB");
    assert!(each <= 32 << 10, "{each} bytes for each idle peer");
    drop(first);
    drop(clients);
    drain(node).await;
}

#[tokio::test]
async fn churn_leaks_neither_descriptors_nor_memory() {
    if in_a_child("memory::churn_leaks_neither_descriptors_nor_memory") {
        return;
    }
    let node = run(Config::default());
    let address = node.listening().expect("it listens");
    let round = || async {
        for number in 0..300 {
            let mut client = Raw::call(address);
            match number % 4 {
                0 => client.message(b'e', b"x"),
                1 => client.message(b'n', b""),
                2 => client.message(b'l', b""),
                _ => client.reset(),
            }
        }
        until_connected(&node, 0).await;
    };
    round().await;
    round().await;
    let (descriptors, bytes) = (open_descriptors(), resident_bytes());
    for _ in 0..10 {
        round().await;
    }
    assert_eq!(open_descriptors(), descriptors);
    let grown = resident_bytes().saturating_sub(bytes);
    // The engine's ring of reasons may still fill; a leak of only 700 bytes a call would show.
    assert!(grown < 2 << 20, "{grown} bytes after 3,000 calls");
    drain(node).await;
}
