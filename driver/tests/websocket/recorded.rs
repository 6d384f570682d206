//! What a real node of the BUMO network said to another over one connection, byte by byte: each side is played to us.

use crate::raw::{Raw, aside};
use crate::toy::{Config, Toy, connect, drain, run, until, until_connected};
use polypeer_driver::View;
use std::io::Write;
use std::time::Duration;

/// From the dialler: the request, then ten messages.
const DIALLER: &[u8] = include_bytes!("fixtures/stream_dialer_to_acceptor.bin");
/// From whom it dialled: the answer, then eleven messages.
const ACCEPTOR: &[u8] = include_bytes!("fixtures/stream_acceptor_to_dialer.bin");
/// How their messages are long, headers aside.
const DIALLERS: [usize; 10] = [103, 2, 17, 15, 247, 202, 202, 202, 200, 200];
const ACCEPTORS: [usize; 11] = [103, 2, 34, 15, 17, 202, 202, 202, 202, 202, 202];

fn head(stream: &[u8]) -> (&str, &[u8]) {
    let at = stream.windows(4).position(|window| window == b"\r\n\r\n").expect("a head") + 4;
    (std::str::from_utf8(&stream[..at]).expect("text"), &stream[at..])
}

fn field<'a>(head: &'a str, name: &str) -> &'a str {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).expect("a field")
}

fn frame_bytes(payloads: &[usize]) -> u64 {
    payloads.iter().map(|payload| (payload + if *payload < 126 { 2 } else { 4 }) as u64).sum()
}

// All that came are messages that the toy has nothing to say to.
fn all_came(payloads: &'static [usize]) -> impl Fn(&View<'_, Toy>) -> bool + Clone + Send + 'static {
    move |view| {
        let (toy, all) = (view.engine.protocol(), view.meters.totals().all);
        toy.quiet == payloads.len() as u64 && all.bytes_framed == frame_bytes(payloads)
    }
}

#[tokio::test]
async fn a_node_that_dialled_is_answered_like_by_a_node_and_heard() {
    let (asked, frames) = head(DIALLER);
    let (answered, _) = head(ACCEPTOR);
    for piece in [1, 7, DIALLER.len()] {
        let node = run(Config::default());
        let address = node.listening().expect("it listens");
        let mut raw = Raw::connect(address);
        let (raw, answer) = aside(move || {
            for piece in asked.as_bytes().chunks(piece) {
                raw.send(piece);
            }
            let answer = raw.head().expect("an answer");
            for piece in frames.chunks(piece) {
                raw.send(piece);
                if piece.len() == 1 {
                    std::thread::sleep(Duration::from_micros(200));
                }
            }
            (raw, answer)
        })
        .await;
        // What a client looks at is the same.
        assert!(answer.starts_with("HTTP/1.1 101 Switching Protocols\r\n"));
        assert_eq!(field(&answer, "sec-websocket-accept"), field(answered, "Sec-WebSocket-Accept"));
        until(&node, "all came", all_came(&DIALLERS)).await;
        // The recording ends at the end of a message; the peer stands.
        assert_eq!(node.read(|view| view.meters.totals().all.partial_bytes).await, Ok(0));
        until_connected(&node, 1).await;
        drop(raw);
        drain(node).await;
    }
}

#[tokio::test]
async fn a_node_that_we_dialled_is_heard() {
    let (answered, frames) = head(ACCEPTOR);
    for piece in [1, 7, ACCEPTOR.len()] {
        let node = run(Config::default());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let theirs = listener.local_addr().expect("a socket");
        let answering = tokio::task::spawn_blocking(move || {
            let (mut raw, accepted) = Raw::asked(&listener);
            // Ours is another key than the node was asked with.
            let answer = answered.replace(field(answered, "Sec-WebSocket-Accept"), &accepted);
            for piece in answer.as_bytes().chunks(piece).chain(frames.chunks(piece)) {
                raw.socket.write_all(piece).expect("it reads");
                if piece.len() == 1 {
                    std::thread::sleep(Duration::from_micros(200));
                }
            }
            raw
        });
        connect(&node, theirs).await;
        let raw = answering.await.expect("it dials");
        until(&node, "all came", all_came(&ACCEPTORS)).await;
        assert_eq!(node.read(|view| view.meters.totals().all.partial_bytes).await, Ok(0));
        drop(raw);
        drain(node).await;
    }
}
