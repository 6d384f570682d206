//! What libp2p lets a hostile peer do: memory stays flat, the others are served, and the offender is closed.

use crate::raw::{DATA, Manner, PING, RST, Raw, SYN, WINDOW, aside, data, frame, token};
use crate::toy::child::{in_a_child, resident_bytes};
use crate::toy::{Config, NAMES, Parrot, Toy, drain, frame as toy_frame, network, run, until, until_connected};
use polypeer_driver::{Budget, Handle, start};
use polypeer_engine::{BadFrame, ChannelId};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// More than any of these may cost, and far less than what is sent.
const GROWTH_MAX: usize = 6 << 20;
const FLOOD_BYTES: usize = 32 << 20;

// Runs one flood, while somebody else talks. How much of it the node took, in bytes.
async fn suffer(node: &Handle<Toy>, flood: impl FnOnce(SocketAddr) -> usize + Send + 'static) -> usize {
    let address = node.listening().expect("it listens");
    let mut bystander = aside(move || {
        let mut raw = Raw::try_connect(address, &Manner { seed: 78, ..Manner::default() }).expect("a connection");
        raw.open(1);
        raw
    })
    .await;
    let before = resident_bytes();
    let flooding = tokio::task::spawn_blocking(move || flood(address));
    let mut most = 0;
    while !flooding.is_finished() {
        bystander = aside(move || {
            bystander.ask(1, b"unhurt");
            bystander
        })
        .await;
        most = most.max(resident_bytes().saturating_sub(before));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let said = flooding.await.expect("the flood ends");
    assert!(most <= GROWTH_MAX, "{most} bytes of memory for {said} said");
    aside(move || bystander.ask(1, b"after")).await;
    until_connected(node, 0).await;
    said
}

async fn check(name: &str, piece: impl Fn(u32) -> Vec<u8> + Send + 'static) {
    if in_a_child(&format!("abuse::{name}")) {
        return;
    }
    let node = run(1, Config { linger_ms: 300, ..Config::default() });
    // What talking costs at all is there before it is measured.
    suffer(&node, |address| {
        Raw::connect(address).open(1);
        0
    })
    .await;
    let said = suffer(&node, move |address| {
        let mut raw = Raw::connect(address);
        raw.open(1);
        let mut number = 0;
        let batches = std::iter::from_fn(move || {
            let batch: Vec<u8> = (0..200).flat_map(|at| piece(number + at)).collect();
            number += 200;
            Some(batch)
        });
        let mut said = 0;
        raw.flood(batches.take_while(move |batch| {
            said += batch.len();
            said <= FLOOD_BYTES
        }))
    })
    .await;
    println!("{name}: closed after {said} bytes");
    assert!(said < FLOOD_BYTES / 2, "the offender is closed, after {said} bytes");
    let bad = node.read(|view| view.engine.protocol().bad.clone()).await.expect("it runs");
    assert_eq!(bad, [(ChannelId::ONLY, BadFrame::OF_TRANSPORT)], "and blamed");
    drain(node).await;
}

#[tokio::test]
async fn pings() {
    check("pings", |number| frame(PING, SYN, 0, number, b"")).await;
}

#[tokio::test]
async fn window_updates_of_nothing() {
    check("window_updates_of_nothing", |_| frame(WINDOW, 0, 1, 0, b"")).await;
}

#[tokio::test]
async fn empty_data() {
    check("empty_data", |_| frame(DATA, 0, 1, 0, b"")).await;
}

#[tokio::test]
async fn data_for_nobody() {
    check("data_for_nobody", |_| data(0, 999, &[1; 100])).await;
}

#[tokio::test]
async fn streams_opened_and_broken_off() {
    let piece = |number: u32| [frame(WINDOW, SYN, 3 + 2 * number, 0, b""), frame(DATA, RST, 3 + 2 * number, 0, b"")];
    check("streams_opened_and_broken_off", move |number| piece(number).concat()).await;
}

#[tokio::test]
async fn streams_without_end() {
    let opening = [token("/multistream/1.0.0"), token(NAMES[0])].concat();
    check("streams_without_end", move |number| data(SYN, 3 + 2 * number, &opening)).await;
}

#[tokio::test]
async fn proposals_without_end() {
    if in_a_child("abuse::proposals_without_end") {
        return;
    }
    let node = run(1, Config::default());
    let address = node.listening().expect("it listens");
    aside(move || {
        let mut raw = Raw::connect(address);
        raw.open(1);
        raw.say(&data(SYN, 3, &[token("/multistream/1.0.0"), token("/unknown").repeat(17)].concat()));
        while raw.receive().expect("an answer").flags & RST == 0 {}
        raw.ask(1, b"the connection stands");
    })
    .await;
    drain(node).await;
}

#[tokio::test]
async fn messages_of_nothing() {
    if in_a_child("abuse::messages_of_nothing") {
        return;
    }
    let node = run(1, Config { linger_ms: 300, ..Config::default() });
    let address = node.listening().expect("it listens");
    let said = aside(move || {
        let mut raw = Raw::connect(address);
        raw.open(1);
        let mut said = 0;
        // Each is a sealed message without a byte in it.
        while said < FLOOD_BYTES && raw.try_say_empty(1000).is_ok() {
            said += 18_000;
        }
        said
    })
    .await;
    assert!(said < FLOOD_BYTES / 2, "the offender is closed, after {said} bytes");
    until(&node, "blamed", |view| view.engine.protocol().bad == [(ChannelId::ONLY, BadFrame::OF_TRANSPORT)]).await;
    drain(node).await;
}

// RUSTSEC-2024-0011: a message that is not sealed moved the counter on, and the connection stood without a word.
#[tokio::test]
async fn what_is_not_sealed_ends_the_connection_and_nothing_behind_it_counts() {
    let node = run(1, Config::default());
    let address = node.listening().expect("it listens");
    aside(move || {
        let mut raw = Raw::connect(address);
        raw.open(1);
        raw.say_hidden(&[&[0, 20][..], &[7; 20]].concat()).expect("it reads");
        let _ = raw.try_say(&data(0, 1, &toy_frame(b'.', b"behind it")));
        while raw.next().is_some() {}
    })
    .await;
    until_connected(&node, 0).await;
    // Anyone on the way could have done that: nobody is blamed.
    let seen = node.read(|view| (view.engine.protocol().quiet, view.engine.protocol().bad.len())).await;
    assert_eq!(seen, Ok((0, 0)));
    drain(node).await;
}

// CVE-2022-23486: many small things at once, and no limit over all of them.
#[tokio::test]
async fn many_connections_full_of_streams_stay_within_the_budget() {
    if in_a_child("abuse::many_connections_full_of_streams_stay_within_the_budget") {
        return;
    }
    const PEERS: usize = 60;
    let mut network = network(1, Config { pending_per_ip_max: 1_000, linger_ms: 300, ..Config::default() });
    network.queue_budget = Budget::new(8 << 20);
    let budget = network.queue_budget.clone();
    let node = start(network, Parrot(Duration::ZERO), None).expect("a free port");
    let address = node.listening().expect("it listens");
    let before = resident_bytes();
    let peers: Vec<TcpStream> = aside(move || {
        let open = || {
            let mut raw = Raw::connect(address);
            // Frames of which all but a little comes, on every stream that there may be.
            for stream in (1..32).step_by(2) {
                raw.try_open(stream)?;
                raw.try_say(&data(0, stream, &toy_frame(b'.', &vec![1; 40_000])[..30_000])).ok()?;
            }
            Some(raw.socket)
        };
        (0..PEERS).filter_map(|_| open()).collect()
    })
    .await;
    until(&node, "some were closed for it", |view| view.meters.totals().shed > 0).await;
    assert!(budget.used() <= budget.limit() + (1 << 20), "{} bytes", budget.used());
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown <= 32 << 20, "{grown} bytes of memory");
    drop(peers);
    drain(node).await;
}

#[tokio::test]
async fn who_reads_nothing_fills_no_memory() {
    if in_a_child("abuse::who_reads_nothing_fills_no_memory") {
        return;
    }
    let node = run(1, Config { queue_bytes_max: 1 << 20, linger_ms: 300, ..Config::default() });
    let address = node.listening().expect("it listens");
    let mut raw = aside(move || {
        let mut raw = Raw::connect(address);
        raw.open(1);
        raw
    })
    .await;
    let before = resident_bytes();
    aside(move || {
        raw.socket.set_write_timeout(Some(Duration::from_millis(500))).expect("a socket");
        let ask = data(0, 1, &toy_frame(b'r', &10_000_u32.to_be_bytes()));
        // Answers are made as it reads, which it does not.
        raw.say(&ask);
        let pings = frame(PING, SYN, 0, 1, b"").repeat(100);
        while raw.try_say(&pings).is_ok() {}
    })
    .await;
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown <= GROWTH_MAX, "{grown} bytes of memory");
    drain(node).await;
}

#[tokio::test]
async fn who_must_wait_for_the_ledger_fills_no_memory() {
    if in_a_child("abuse::who_must_wait_for_the_ledger_fills_no_memory") {
        return;
    }
    let slow = Parrot(Duration::from_secs(2));
    let node = start(network(1, Config::default()), slow, None).expect("a free port");
    let address = node.listening().expect("it listens");
    let mut raw = aside(move || {
        let mut raw = Raw::connect(address);
        raw.open(1);
        raw
    })
    .await;
    let before = resident_bytes();
    aside(move || {
        raw.socket.set_write_timeout(Some(Duration::from_millis(500))).expect("a socket");
        let asks = toy_frame(b'a', b"?").repeat(2_000);
        let mut said = 0;
        // As far as its window and the socket go.
        while said < 200_000 && raw.try_say(&data(0, 1, &asks)).is_ok() {
            said += asks.len();
        }
    })
    .await;
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown <= GROWTH_MAX, "{grown} bytes of memory");
    let waiting = node.read(|view| view.meters.totals().asks_waiting).await.expect("it runs");
    assert!(waiting <= 4_096 + 1_024, "{waiting} questions wait");
    drain(node).await;
}

#[tokio::test]
async fn who_drips_a_frame_is_refused_on_that_channel() {
    let node = run(1, Config { frame_ms_max: Some(300), ..Config::default() });
    let address = node.listening().expect("it listens");
    aside(move || {
        let mut raw = Raw::connect(address);
        raw.open(1);
        raw.open(3);
        raw.say(&data(0, 3, b"\0\0\0\x40."));
        // Frames on another channel do not make up for it.
        for _ in 0..4 {
            std::thread::sleep(Duration::from_millis(40));
            raw.say(&data(0, 3, b"x"));
            raw.ask(1, b"whole");
        }
        while raw.receive().expect("its end").flags & RST == 0 {}
        raw.ask(1, b"unhurt");
    })
    .await;
    let bad = node.read(|view| view.engine.protocol().bad.clone()).await.expect("it runs");
    assert_eq!(bad.iter().map(|bad| bad.1).collect::<Vec<_>>(), [BadFrame::TOO_SLOW]);
    drain(node).await;
}

#[tokio::test]
async fn the_longest_of_the_frames_in_the_making_goes_when_they_are_too_much() {
    let node = run(1, Config { partial_bytes_budget: Some(100_000), ..Config::default() });
    let address = node.listening().expect("it listens");
    let raw = aside(move || {
        let mut raw = Raw::connect(address);
        for (stream, bytes) in [(1, 20_000), (3, 60_000), (5, 30_000)] {
            raw.open(stream);
            raw.say(&data(0, stream, &toy_frame(b'.', &vec![1; 90_000])[..bytes]));
        }
        loop {
            let came = raw.receive().expect("an end");
            if came.flags & RST != 0 {
                assert_eq!(came.stream, 3);
                return raw;
            }
        }
    })
    .await;
    let bad = node.read(|view| view.engine.protocol().bad.clone()).await.expect("it runs");
    assert_eq!(bad.iter().map(|bad| bad.1).collect::<Vec<_>>(), [BadFrame::OVER_BUDGET]);
    drop(raw);
    drain(node).await;
}

#[tokio::test]
async fn many_who_begin_and_stop_leave_room_for_one_who_goes_on() {
    let node = run(1, Config { nonce_ms_max: 500, select_ms_max: 500, ..Config::default() });
    let address = node.listening().expect("it listens");
    let idle: Vec<TcpStream> = (0..40).filter_map(|_| TcpStream::connect(address).ok()).collect();
    aside(move || {
        for (at, mut socket) in idle.iter().enumerate() {
            // Some say a part of a nonce, and some garbage behind one.
            let _ = socket.write_all(&vec![at as u8; at * 20]);
        }
        let mut raw = Raw::connect(address);
        raw.open(1);
        raw.ask(1, b"in the middle of it");
        for mut socket in idle {
            let _ = socket.set_read_timeout(Some(crate::toy::LIMIT));
            let mut sink = Vec::new();
            let _ = socket.read_to_end(&mut sink);
            assert_eq!(sink.len(), 24, "a nonce and no more");
        }
    })
    .await;
    until(&node, "all failed", |view| view.meters.totals().calls_failed == 40).await;
    drain(node).await;
}
