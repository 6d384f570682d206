//! Tells what a node costs its process: memory of idle peers, file descriptors, and the lack of them.
//!
//! Limits and memory belong to a whole process, so each of these stories runs in a process of its own: the test
//! starts this very program again, for the one story whose name it gives.

mod support;

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};
use support::{Client, Config, LIMIT, run, until};

const STORY: &str = "POLYPEER_TEST_STORY";

// Runs the test of this name again, in a child with so many file descriptors. False in that child, which is to tell
// the story itself.
fn in_a_child(name: &str, descriptors: u32) -> bool {
    if std::env::var(STORY).is_ok_and(|story| story == name) {
        return false;
    }
    let program = std::env::current_exe().expect("this program");
    let shell = format!("ulimit -n {descriptors} && exec \"$0\" --exact {name} --nocapture");
    let output = Command::new("sh").arg("-c").arg(shell).arg(program).env(STORY, name).output().expect("a shell");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{out}\n{err}");
    true
}

#[tokio::test]
async fn accepting_goes_on_within_a_second_after_descriptors_ran_out() {
    if in_a_child("accepting_goes_on_within_a_second_after_descriptors_ran_out", 64) {
        return;
    }
    let node = run(Config::default());
    let mut first = Client::connect(&node).await;
    first.ask(b'e', b"").await;
    // Client and node share the process and its 64 descriptors: both run out.
    let mut clients = Vec::new();
    while let Ok(stream) = tokio::net::TcpStream::connect(node.listening().expect("it listens")).await {
        clients.push(stream);
    }
    until(&node, "accepting failed", |view| view.meters.totals().accept_failures >= 3).await;
    let inside = first.ask(b'e', b"those inside notice nothing").await;
    assert_eq!(inside, Some((b'e', b"those inside notice nothing".to_vec())));
    clients.clear();
    let begun = Instant::now();
    let mut late = Client::connect(&node).await;
    assert_eq!(late.ask(b'e', b"").await, Some((b'e', Vec::new())));
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    drop((clients, first, late));
    node.drain(LIMIT).await;
}

#[tokio::test]
async fn an_idle_ready_peer_takes_less_than_four_kib() {
    if in_a_child("an_idle_ready_peer_takes_less_than_four_kib", 20_000) {
        return;
    }
    const PEERS: usize = 2000;
    let node = run(Config::default());
    let address = node.listening().expect("it listens");
    // The clients are plain sockets, so that the memory measured is the node's.
    let mut clients: Vec<std::net::TcpStream> = Vec::with_capacity(PEERS);
    // What the first hundred bring with them is the process's, not a peer's.
    let mut before = 0;
    for count in 0..PEERS + 100 {
        if count == 100 {
            before = resident_bytes();
        }
        let mut client = std::net::TcpStream::connect(address).expect("loopback works");
        let (said, mut back) = (support::frame(b'e', &[1; 200]), [0; 205]);
        std::io::Write::write_all(&mut client, &said).expect("loopback works");
        std::io::Read::read_exact(&mut client, &mut back).expect("loopback works");
        clients.push(client);
    }
    until(&node, "all are there", |view| view.meters.totals().connections as usize == PEERS + 100).await;
    let each = (resident_bytes() - before) / PEERS;
    println!("{each} bytes for each idle peer");
    assert!(each <= 4 << 10, "{each} bytes for each idle peer");
    drop(clients);
    node.drain(LIMIT).await;
}

#[tokio::test]
async fn churn_leaks_neither_descriptors_nor_memory() {
    if in_a_child("churn_leaks_neither_descriptors_nor_memory", 4096) {
        return;
    }
    let node = run(Config::default());
    round(&node, 500).await;
    let (descriptors, bytes) = (open_descriptors(), resident_bytes());
    for _ in 0..10 {
        round(&node, 500).await;
    }
    assert_eq!(open_descriptors(), descriptors);
    let grown = resident_bytes().saturating_sub(bytes);
    // The engine's ring of reasons may still fill; a leak of only 400 bytes a connection would show.
    assert!(grown < 2 << 20, "{grown} bytes after 5,000 connections");
    node.drain(LIMIT).await;
}

// Connections that end in every way there is.
async fn round(node: &polypeer_driver::Handle<support::Echo>, count: usize) {
    for number in 0..count {
        let mut client = Client::connect(node).await;
        match number % 5 {
            0 => {}
            1 => drop(client.ask(b'e', b"x").await),
            2 => client.send(b'n', b"").await,
            3 => {
                client.send(b'l', b"").await;
                client.receive().await;
            }
            _ => client.0.set_zero_linger().expect("loopback works"),
        }
    }
    until(node, "all are gone", |view| view.meters.totals().connections == 0).await;
    node.read(support::check_conservation).await.expect("loopback works");
}

fn resident_bytes() -> usize {
    let pages = fs::read_to_string("/proc/self/statm").expect("Linux");
    let resident: usize = pages.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number");
    resident * 4096
}

fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("Linux").count()
}
