//! Nothing is lost without a word, also when streams and connections are broken off in every way there is.

use crate::raw::{DATA, FIN, GO_AWAY, Manner, PING, RST, Raw, SYN, data, frame};
use crate::toy::{Config, Parrot, TALK, Toy, check, drain, frame as toy_frame, network, run, until};
use polypeer_driver::{Handle, start};
use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Clients at work at one time.
const CLIENTS: usize = 6;

// What one client does until it is told to stop: talks on several streams, asks, gossips, is unreadable, breaks off
// streams and the connection in the middle of anything.
fn behave(address: SocketAddr, number: usize, is_over: &AtomicBool) {
    for round in number.. {
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        let manner = Manner { seed: 100 + (number as u8), ..Manner::default() };
        let Ok(mut raw) = Raw::try_connect(address, &manner) else { continue };
        if [1, 3, 5].into_iter().any(|stream| raw.try_open(stream).is_none()) {
            continue;
        }
        let on = |stream, letter, payload: &[u8]| data(0, stream, &toy_frame(letter, payload));
        let work = [
            on(1, b'e', &[b'e'; 900]),
            on(3, b'b', &[b'b'; 500]),
            frame(PING, SYN, 0, 1, b""),
            on(5, b'a', b"sk"),
            on(1, b'o', &[TALK as u8]),
            on(3, b'.', b""),
        ]
        .concat();
        // It may be gone at any moment.
        let _ = raw.try_say(&work.repeat(10));
        let end = match round % 8 {
            0 => data(0, 1, &toy_frame(b'e', &[b'e'; 20])[..9]),
            1 => data(0, 1, b"\xff\xff\xff\xff"),
            2 => on(1, b'l', b""),
            3 => on(3, b'f', b"bye"),
            4 => frame(GO_AWAY, 0, 0, 0, b""),
            5 => [frame(DATA, RST, 1, 0, b""), data(FIN, 3, &toy_frame(b'e', b"last"))].concat(),
            6 => [on(1, b'R', b""), on(3, b'F', b"")].concat(),
            _ => on(5, b'n', b""),
        };
        let _ = raw.try_say(&[end, work].concat());
        if round % 3 == 0 {
            raw.reset();
            continue;
        }
        let _ = raw.socket.set_read_timeout(Some(Duration::from_millis(50)));
        let mut sink = [0; 4096];
        for _ in 0..100 {
            if !matches!(raw.socket.read(&mut sink), Ok(1..)) {
                break;
            }
        }
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
    let node = run(1, Config { queue_bytes_max: 64 << 10, linger_ms: 300, ..Config::default() });
    let load = Load::on(&node);
    for _ in 0..300 {
        node.read(check).await.expect("the network runs");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    until(&node, "the load had all of it", |view| {
        let seen = view.meters.totals().all;
        [seen.frames_received, seen.frames_sent, seen.bad_frames, seen.bytes_discarded, seen.frames_lost]
            .iter()
            .all(|count| *count > 0)
    })
    .await;
    drop(load);
    drain(node).await;
}

#[tokio::test]
async fn an_end_in_the_middle_of_everything_leaves_nothing_on_its_way() {
    let slow = Parrot(Duration::from_millis(30));
    let node = start(network(1, Config { linger_ms: 300, ..Config::default() }), slow, None).expect("a free port");
    let load = Load::on(&node);
    until(&node, "it is busy", |view| view.meters.totals().asks_waiting > 0).await;
    drain(node).await;
    drop(load);
}
