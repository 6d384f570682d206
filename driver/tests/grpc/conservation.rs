//! Nothing is lost without a word, also when calls are broken off in every way there is.

use crate::raw::{CANCEL, DATA, END_STREAM, RST_STREAM, Raw, frame};
use crate::toy::{Config, Parrot, Toy, check, drain, message, network, run, until};
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
        let Some(mut raw) = Raw::try_call(address) else { continue };
        let messages =
            [message(b'e', &[1; 900]), message(b'b', &[2; 500]), message(b'a', b"ask"), message(b'.', b"")].concat();
        let work = frame(DATA, 0, 1, &messages);
        // It may be gone at any moment.
        let _ = raw.0.write_all(&work.repeat(30));
        let end = match round % 7 {
            0 => frame(DATA, 0, 1, &[0, 0, 0, 0, 9, b'e', 1]),
            1 => frame(DATA, 0, 1, &[9; 9]),
            2 => frame(DATA, 0, 1, &message(b'l', b"")),
            3 => frame(DATA, 0, 1, &message(b'f', b"bye")),
            4 => frame(DATA, END_STREAM, 1, b""),
            5 => frame(RST_STREAM, 0, 1, &CANCEL.to_be_bytes()),
            _ => frame(DATA, 0, 1, &message(b'n', b""))[..12].to_vec(),
        };
        let _ = raw.0.write_all(&[end, work].concat());
        if round % 3 == 0 {
            raw.reset();
            continue;
        }
        let _ = raw.0.set_read_timeout(Some(Duration::from_millis(50)));
        let mut sink = [0; 4096];
        for _ in 0..200 {
            if !matches!(raw.0.read(&mut sink), Ok(1..)) {
                break;
            }
        }
        let _ = raw.0.shutdown(Shutdown::Both);
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
    let seen = [seen.frames_received, seen.frames_sent, seen.bytes_refused, seen.bytes_discarded, seen.frames_lost];
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
