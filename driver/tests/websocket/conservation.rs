//! Nothing is lost without a word, also when WebSockets are broken off in every way there is.

use crate::raw::{BINARY, CLOSE, FIN, MORE, PING, Raw, masked};
use crate::toy::{Config, Parrot, Toy, check, drain, network, run, until};
use polypeer_driver::{Handle, start};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Clients at work at one time.
const CLIENTS: usize = 8;

// What one client does until it is told to stop: talks, asks, gossips, is unreadable, hangs up, breaks off in the
// middle of a frame.
fn behave(address: SocketAddr, number: usize, is_over: &AtomicBool) {
    for round in number.. {
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        let Some(mut raw) = Raw::try_open(address) else { continue };
        let whole = |body: &[u8]| masked(FIN | BINARY, body);
        let work = [
            whole(&[b'e'; 900]),
            whole(&[b'b'; 500]),
            masked(PING, b""),
            masked(BINARY, b"as"),
            masked(FIN | MORE, b"k"),
            whole(b"."),
        ]
        .concat();
        // It may be gone at any moment.
        let _ = raw.socket.write_all(&work.repeat(30));
        let end = match round % 8 {
            0 => masked(FIN | BINARY, &[b'e'; 20])[..9].to_vec(),
            1 => masked(0xc2, b"x"),
            2 => whole(b"l"),
            3 => whole(b"fbye"),
            4 => masked(CLOSE, b""),
            5 => whole(&[b'e'; 2000]),
            6 => masked(BINARY, &[b'.'; 300]),
            _ => whole(b"n")[..5].to_vec(),
        };
        let _ = raw.socket.write_all(&[end, work].concat());
        if round % 3 == 0 {
            raw.reset();
            continue;
        }
        let _ = raw.socket.set_read_timeout(Some(Duration::from_millis(50)));
        let mut sink = [0; 4096];
        for _ in 0..200 {
            if !matches!(raw.socket.read(&mut sink), Ok(1..)) {
                break;
            }
        }
        let _ = raw.socket.shutdown(Shutdown::Both);
    }
}

struct Load(Arc<AtomicBool>, Vec<JoinHandle<()>>);

impl Load {
    fn on(node: &Handle<Toy>) -> Self {
        let (address, is_over) = (node.listening().expect("it listens"), Arc::new(AtomicBool::new(false)));
        let clients = (0..CLIENTS).map(|number| {
            let is_over = is_over.clone();
            std::thread::spawn(move || behave(address, number, &is_over))
        });
        let clients = clients.collect();
        Self(is_over, clients)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        for client in self.1.drain(..) {
            client.join().expect("no client panics");
        }
    }
}

#[tokio::test]
async fn what_comes_and_goes_adds_up_under_load_and_at_the_end() {
    let node = run(Config { queue_bytes_max: 64 << 10, ..Config::default() });
    let load = Load::on(&node);
    for _ in 0..300 {
        node.read(check).await.expect("the network runs");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let seen = node.read(|view| view.meters.totals().all).await.expect("the network runs");
    let seen = [seen.frames_received, seen.frames_sent, seen.bad_frames, seen.bytes_discarded, seen.frames_lost];
    assert!(seen.iter().all(|count| *count > 0), "the load had all of it: {seen:?}");
    drop(load);
    drain(node).await;
}

#[tokio::test]
async fn an_end_in_the_middle_of_everything_leaves_nothing_on_its_way() {
    let slow = Parrot(Duration::from_millis(30));
    let node = start(network(Config::default()), slow, None).expect("a free port");
    let load = Load::on(&node);
    until(&node, "it is busy", |view| view.meters.totals().asks_waiting > 0).await;
    drain(node).await;
    drop(load);
}
