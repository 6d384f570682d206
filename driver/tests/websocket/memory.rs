//! What WebSockets cost the process, in processes of their own.

use crate::raw::{BINARY, FIN, MORE, Raw, masked};
use crate::toy::child::{in_a_child, open_descriptors, resident_bytes};
use crate::toy::{Config, drain, run, until_connected};

#[tokio::test]
async fn an_idle_ready_peer_takes_less_than_8_kib() {
    if in_a_child("memory::an_idle_ready_peer_takes_less_than_8_kib") {
        return;
    }
    const PEERS: usize = 1000;
    let node = run(Config { needs_greeting: true, ..Config::default() });
    let address = node.listening().expect("it listens");
    // The clients are plain sockets, so that the memory measured is the node's.
    let open = || {
        let mut client = Raw::open(address);
        client.ask(b'h', b"");
        client.ask(b'e', &[1; 200]);
        client
    };
    // What the first hundred bring with them is the process's, not a peer's.
    let first: Vec<Raw> = (0..100).map(|_| open()).collect();
    let before = resident_bytes();
    let mut clients: Vec<Raw> = (0..PEERS).map(|_| open()).collect();
    until_connected(&node, (PEERS + 100) as u64).await;
    let quiet = (resident_bytes() - before) / PEERS;
    // What it took to carry more than small talk is given back, fragments too.
    let large = [vec![b'e'], vec![1; 200_000]].concat();
    let whole = masked(FIN | BINARY, &large);
    let parts = [masked(BINARY, &large[..100_000]), masked(FIN | MORE, &large[100_000..])].concat();
    for client in &mut clients {
        for frames in [&whole, &parts] {
            client.send(frames);
            client.expect(b'e', &large[1..]);
        }
    }
    let each = (resident_bytes() - before) / PEERS;
    println!("{quiet} bytes for each idle peer, {each} after each has sent and received 400 kB");
    assert!(each <= 8 << 10, "{each} bytes for each idle peer");
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
            let mut client = Raw::open(address);
            match number % 5 {
                0 => client.message(b'e', b"x"),
                1 => client.message(b'n', b""),
                2 => client.message(b'l', b""),
                3 => client.send_frame(BINARY, b"never whole"),
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
    // The engine's ring of reasons may still fill; a leak of only 700 bytes a connection would show.
    assert!(grown < 2 << 20, "{grown} bytes after 3,000 connections");
    drain(node).await;
}
