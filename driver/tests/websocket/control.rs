//! Control frames: answered, between the fragments of a message too, and never a sign of life.

use crate::raw::{BINARY, Came, FIN, MORE, PING, PONG, Raw, aside};
use crate::toy::{Config, Parrot, Toy, check, connect, drain, network, run, until, until_connected};
use polypeer_driver::{Handle, View, start};
use std::time::Duration;

// A peer that dialled, and one that was dialled.
async fn both(node: &Handle<Toy>) -> [Raw; 2] {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let (address, theirs) = (node.listening().expect("it listens"), listener.local_addr().expect("a socket"));
    let accepting = tokio::task::spawn_blocking(move || Raw::accept(&listener));
    connect(node, theirs).await;
    let accepted = accepting.await.expect("it dials");
    until_connected(node, 1).await;
    let dialled = aside(move || Raw::open(address)).await;
    until_connected(node, 2).await;
    [accepted, dialled]
}

#[tokio::test]
async fn a_ping_is_answered_with_what_it_says() {
    let node = run(Config::default());
    for mut raw in both(&node).await {
        aside(move || {
            for payload in [&b""[..], b"once", &[9; 125]] {
                raw.send_frame(PING, payload);
                assert_eq!(raw.receive(), Some(Came { first: PONG, body: payload.to_vec() }));
            }
            // Several at once, and a message among them, in order.
            let frames =
                [raw.frame(PING, b"1"), raw.frame(PING, b"2"), raw.frame(FIN | BINARY, b"e"), raw.frame(PING, b"3")];
            raw.send(&frames.concat());
            let mut came: Vec<_> = (0..4).map(|_| raw.receive().expect("it stands").body).collect();
            came.sort();
            assert_eq!(came, [&b"1"[..], b"2", b"3", b"e"]);
        })
        .await;
    }
    drain(node).await;
}

#[tokio::test]
async fn control_frames_come_between_fragments_and_change_nothing() {
    let node = run(Config::default());
    for mut raw in both(&node).await {
        aside(move || {
            raw.send_frame(BINARY, b"e o");
            raw.send_frame(PONG, b"nobody asked");
            raw.send_frame(PING, b"still there?");
            assert_eq!(raw.receive(), Some(Came { first: PONG, body: b"still there?".to_vec() }));
            raw.send_frame(MORE, b"n");
            raw.send_frame(PING, b"");
            assert_eq!(raw.receive(), Some(Came { first: PONG, body: vec![] }));
            raw.send_frame(FIN | MORE, b"e");
            raw.expect(b'e', b" one");
        })
        .await;
    }
    drain(node).await;
}

#[tokio::test]
async fn a_pong_waits_for_the_end_of_what_was_begun() {
    let node = run(Config { needs_greeting: true, ..Config::default() });
    for mut raw in both(&node).await {
        let large = 8_000_000;
        let body = aside(move || {
            raw.ask(b'h', b"");
            let mut body = vec![6; large];
            body[0] = b'e';
            raw.send_frame(FIN | BINARY, &body);
            (raw, body)
        });
        let (mut raw, body) = body.await;
        // Its echo is in the socket partly, and the rest waits for us to read.
        until(&node, "it waits", |view| view.meters.totals().all.queue_bytes > 0).await;
        aside(move || {
            raw.send_frame(PING, b"in the middle");
            raw.expect(b'e', &body[1..]);
            assert_eq!(raw.receive(), Some(Came { first: PONG, body: b"in the middle".to_vec() }));
            raw.ask(b'e', b"after");
        })
        .await;
    }
    node.read(check).await.expect("it runs");
    drain(node).await;
}

#[tokio::test]
async fn no_control_frame_is_a_sign_of_life() {
    let node = run(Config::default());
    for mut raw in both(&node).await {
        raw = aside(move || {
            raw.ask(b'e', b"");
            raw
        })
        .await;
        let seen = |view: &View<'_, Toy>| {
            let all = view.meters.totals().all;
            (all.frames_received, all.bytes_received, all.last_received, all.frames_sent, all.last_sent)
        };
        let before = node.read(seen).await.expect("it runs");
        aside(move || {
            for _ in 0..50 {
                raw.send_frame(PONG, b"");
                raw.send_frame(PING, b"");
                assert_eq!(raw.receive().expect("it stands").first, PONG);
            }
            raw
        })
        .await;
        assert_eq!(node.read(seen).await.expect("it runs"), before);
    }
    drain(node).await;
}

#[tokio::test]
async fn who_reads_no_pong_gets_no_more_than_some() {
    let node = run(Config { needs_greeting: true, ..Config::default() });
    for mut raw in both(&node).await {
        let raw = aside(move || {
            raw.ask(b'h', b"");
            // Fills the socket with what it does not read.
            raw.message(b'r', &[0, 0, 1, 0]);
            raw
        });
        let mut raw = raw.await;
        until(&node, "it waits", |view| view.meters.totals().all.queue_bytes > 0).await;
        aside(move || {
            for number in 0..500_u32 {
                raw.send_frame(PING, &number.to_be_bytes());
            }
            for chunk in (0..256_u32).rev() {
                let mut came = raw.receive().expect("it stands");
                while came.first == PONG {
                    came = raw.receive().expect("it stands");
                }
                assert_eq!((came.body[0], came.body[1]), (b'R', chunk as u8));
            }
            raw.ask_past_pongs();
        })
        .await;
    }
    drain(node).await;
}

impl Raw {
    // Asks, and counts the pongs that come first.
    fn ask_past_pongs(&mut self) {
        self.message(b'e', b"end");
        let mut pongs = 0;
        loop {
            let came = self.receive().expect("it stands");
            if came.first != PONG {
                assert_eq!(came.body, b"eend");
                break;
            }
            pongs += 1;
        }
        assert!(pongs < 500, "all {pongs} were kept");
    }
}

#[tokio::test]
async fn a_ping_is_answered_while_the_ledger_is_behind_as_soon_as_it_is_read() {
    let node = start(network(Config::default()), Parrot(Duration::from_millis(300)), None).expect("a free port");
    let address = node.listening().expect("it listens");
    aside(move || {
        let mut raw = Raw::open(address);
        raw.message(b'a', b"slow");
        raw.send_frame(PING, b"now");
        let came: Vec<_> = (0..2).map(|_| raw.receive().expect("it stands").first).collect();
        assert_eq!(came, [PONG, FIN | BINARY]);
    })
    .await;
    drain(node).await;
}
