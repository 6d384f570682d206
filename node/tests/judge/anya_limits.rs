//! Judges what AnYa's limits cost: lengths that lie, frames cut short, streams split anywhere, floods.

use super::anya::{Heard, Manner, NETWORK, Peer, address, frame, header, info, mempool, peers};
use super::anya_court::{Court, Stage, Then, row};
use super::ledger::{self, Block, Payment};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// What memory may grow beyond twice of what was received: the 64 KiB that is promised, and what pages and the
/// allocator add to a reading of the process. Measured: growth is about what was received, and up to 100 KiB more.
const SLACK: u64 = (64 << 10) + (128 << 10);

/// Every known type with its limit in bytes, section 2.
const LIMITS: [(&str, u32); 16] = [
    ("connect", 64),
    ("connection_accepted", 32),
    ("disconnect", 0),
    ("disconnect_ack", 0),
    ("ping", 0),
    ("pong", 0),
    ("tx", 1 << 20),
    ("block", 4 << 20),
    ("get_block", 32),
    ("get_blockchain_info", 0),
    ("blockchain_info", 163_949),
    ("get_mempool", 0),
    ("mempool", 32 << 20),
    ("get_peers", 0),
    ("peers", 32_004),
    ("error", 64),
];

#[test]
fn a_length_over_its_limit_ends_the_connection_before_the_payload() {
    let mut court = Court::new("", &[]);
    for (kind, limit) in LIMITS {
        for length in [limit + 1, (1 << 31) - 1, 1 << 31, u32::MAX] {
            let then = if kind == "error" { Then::Silent } else { Then::Ends(kind, "invalid_payload") };
            court.check(&row(format!("{kind} of {length}"), Stage::Open, header(kind.as_bytes(), length), then));
        }
    }
}

#[test]
fn a_payload_of_just_the_limit_is_read_and_judged() {
    let mut court = Court::new("", &[]);
    let of = |kind: &str, length: usize| frame(kind, &vec![7; length]);
    court.check(&row("tx", Stage::Open, of("tx", 1 << 20), Then::Kept("tx", "invalid_payload")));
    court.check(&row("block", Stage::Open, of("block", 4 << 20), Then::Ends("block", "invalid_payload")));
    court.check(&row("blockchain_info, unasked", Stage::Open, of("peers", 32_004), Then::Fine));
    court.check(&row("mempool, unasked", Stage::Open, of("mempool", 32 << 20), Then::Fine));
}

#[test]
fn the_last_word_is_not_lost_in_a_reset() {
    let mut court = Court::new("", &[]);
    let mut peer = Peer::open(court.node.address);
    let more = vec![frame("tx", &[7; 153]).repeat(1000); 10].concat();
    peer.say(&[header(b"tx", u32::MAX), more].concat());
    std::thread::sleep(Duration::from_millis(500));
    peer.error("tx", "invalid_payload");
    peer.closed();
    let mut stubborn = Peer::open(court.node.address);
    stubborn.say(&header(b"tx", u32::MAX));
    stubborn.error("tx", "invalid_payload");
    stubborn.closed();
    let started = Instant::now();
    while stubborn.try_say(&[0; 100]) {
        std::thread::sleep(Duration::from_millis(50));
        assert!(started.elapsed() < Duration::from_secs(5), "still listened to after {:?}", started.elapsed());
    }
    court.adjourn();
}

#[test]
fn limits_are_settings() {
    let mut court = Court::new("tx_bytes_max = 153\nblock_bytes_max = 1000\nmempool_bytes_max = 2000", &[]);
    for (kind, limit) in [("tx", 153), ("block", 1000), ("mempool", 2000)] {
        let say = header(kind.as_bytes(), limit + 1);
        court.check(&row(kind, Stage::Open, say, Then::Ends(kind, "invalid_payload")));
    }
    let good = Payment::new(1, 2, 0).sign(NETWORK);
    court.check(&row("a tx of the limit", Stage::Open, frame("tx", &good), Then::Fine));
}

#[test]
fn announced_lengths_cost_no_memory() {
    let court = Court::new("", &[]);
    let claims = || -> Vec<Vec<u8>> {
        let lengths = [("block", 4 << 20), ("mempool", 32 << 20), ("tx", 1 << 20), ("no_such_type", 1 << 20)];
        lengths.iter().map(|(kind, length)| [header(kind.as_bytes(), *length), vec![7; 1000]].concat()).collect()
    };
    let sent: u64 = claims().iter().map(|claim| claim.len() as u64 + 68).sum::<u64>() * 16;
    let flood = || {
        let mut held = Vec::new();
        for claim in claims().iter().cycle().take(64) {
            let mut peer = Peer::open(court.node.address);
            peer.say(claim);
            peer.hear(Duration::from_millis(5));
            held.push(peer);
        }
        std::thread::sleep(Duration::from_millis(300));
        court.node.memory()
    };
    let warm = flood();
    std::thread::sleep(Duration::from_millis(300));
    let grown = flood().saturating_sub(warm.min(court.node.memory()));
    println!("64 connections sent {sent} bytes, memory grew by {grown}");
    assert!(grown <= 2 * sent + SLACK, "{sent} bytes were sent, memory grew by {grown}");
}

#[test]
fn memory_grows_with_what_arrives() {
    let court = Court::new("", &[]);
    for (kind, limit) in [("block", 4u32 << 20), ("tx", 1 << 20)] {
        let mut peer = Peer::open(court.node.address);
        peer.settle();
        let before = court.node.memory();
        let sent = limit as usize - 1;
        peer.say(&header(kind.as_bytes(), limit));
        for piece in vec![7; sent].chunks(10_000) {
            peer.say(piece);
        }
        std::thread::sleep(Duration::from_millis(300));
        let grown = court.node.memory().saturating_sub(before);
        println!("{kind}: {sent} bytes sent, memory grew by {grown}");
        assert!(grown <= 2 * sent as u64 + SLACK, "{kind}: {sent} bytes were sent, memory grew by {grown}");
    }
}

#[test]
fn frames_cut_at_every_byte_harm_nobody() {
    let mut court = Court::new("", &[]);
    let greeting = frame("connect", &address(SocketAddr::from(([127, 0, 0, 1], 9))));
    for end in 0..greeting.len() {
        let mut peer = Peer::dial(court.node.address);
        peer.say(&greeting[..end]);
        peer.finish();
        peer.closed_somehow();
    }
    court.adjourn();
    let genesis = Block::genesis(NETWORK);
    let frames = [
        frame("tx", &Payment::new(1, 2, 0).sign(NETWORK)),
        frame("block", &genesis.draft(vec![]).bytes()),
        frame("get_block", &genesis.hash()),
        frame("blockchain_info", &info(&[])),
        frame("mempool", &mempool(&[])),
        frame("peers", &peers(&[SocketAddr::from(([127, 0, 0, 1], 9))])),
        frame("error", &[0; 64]),
        frame("no_such_type", &[1, 2, 3]),
        frame("ping", &[]),
    ];
    for whole in frames {
        for end in 0..whole.len() {
            let mut peer = Peer::open(court.node.address);
            peer.say(&whole[..end]);
            if end % 2 == 0 {
                peer.finish();
                peer.closed_somehow();
            }
        }
        court.adjourn();
    }
    court.observer.settle();
}

#[test]
fn any_split_of_the_stream_gives_the_same_messages() {
    let mut court = Court::new("", &[]);
    let genesis = Block::genesis(NETWORK);
    let said = [
        frame("ping", &[]),
        frame("get_block", &genesis.hash()),
        frame("no_such_type", &[5; 100]),
        frame("get_block", &[3; 32]),
        frame("connect", &address(SocketAddr::from(([127, 0, 0, 1], 9)))),
        frame("ping", &[]),
    ]
    .concat();
    let mut heard = Vec::new();
    for piece in [1, 2, 35, 36, 37, 100, said.len()] {
        let mut peer = Peer::open(court.node.address);
        peer.manner = Manner::honest(&[]);
        for bytes in said.chunks(piece) {
            peer.say(bytes);
        }
        let mut answers = Vec::new();
        while answers.len() < 6 {
            let message = peer.message();
            answers.push((message.kind, message.payload));
        }
        answers.sort_unstable();
        heard.push(answers);
        court.adjourn();
    }
    assert!(heard.windows(2).all(|pair| pair[0] == pair[1]), "another split gave another answer");
    let kinds: Vec<&str> = heard[0].iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["block", "error", "error", "error", "pong", "pong"]);
}

#[test]
fn five_thousand_frames_at_once_are_all_served() {
    let mut court = Court::new("", &[]);
    let mut peer = Peer::ready(court.node.address, Manner::honest(&[]));
    peer.say(&frame("ping", &[]).repeat(5000));
    for _ in 0..5000 {
        peer.message_of("pong");
    }
    court.adjourn();
}

#[test]
fn a_flood_of_pings_costs_others_nothing() {
    let mut court = Court::new("", &[]);
    let mut flooder = Peer::ready(court.node.address, Manner::honest(&[]));
    let before = court.node.memory();
    let pings = frame("ping", &[]).repeat(1000);
    for round in 0..300 {
        if !flooder.try_say(&pings) {
            break; // It may be closed; nothing says that it must be borne.
        }
        while let Heard::Said(_) = flooder.hear(Duration::from_micros(200)) {}
        if round % 30 == 0 {
            let asked = Instant::now();
            court.adjourn();
            let took = asked.elapsed();
            assert!(took < Duration::from_secs(2), "the observer waited {took:?}");
        }
    }
    let grown = court.node.memory().saturating_sub(before);
    assert!(grown < 4 << 20, "memory grew by {grown}");
}

#[test]
fn who_asks_and_does_not_read_is_closed_within_bounds() {
    let mut court = Court::new("", &[]);
    let blocks = ledger::chain(&Block::genesis(NETWORK), 1);
    let transactions: Vec<Vec<u8>> = (0..60).map(|sequence| Payment::new(1, 2, sequence).sign(NETWORK)).collect();
    let large = blocks[0].child(transactions);
    let mut giver = Peer::ready(court.node.address, Manner::honest(&[blocks[0].clone(), large.clone()]));
    giver.settle();
    let before = court.node.memory();
    let mut asker = Peer::open(court.node.address);
    let questions = frame("get_block", &large.hash()).repeat(500);
    let mut asked = 0;
    while asked < 200_000 && asker.try_say(&questions) {
        asked += 500;
        court.adjourn();
    }
    println!("closing after at most {asked} questions");
    asker.closed_somehow();
    let grown = court.node.memory().saturating_sub(before);
    assert!(grown < 8 << 20, "memory grew by {grown}");
}

#[test]
fn unasked_answers_are_dropped_unread() {
    let mut court = Court::new("", &[]);
    let mut peer = Peer::ready(court.node.address, Manner::honest(&[]));
    let before = court.node.memory();
    for kind in ["pong", "blockchain_info", "mempool", "peers"] {
        let garbage = if kind == "pong" { 0 } else { 30_000 };
        for _ in 0..100 {
            peer.say(&frame(kind, &vec![0xa5; garbage]));
        }
    }
    peer.fine();
    let grown = court.node.memory().saturating_sub(before);
    println!("9 MB of unasked answers, memory grew by {grown}");
    assert!(grown < 2 << 20, "memory grew by {grown}");
    court.adjourn();
}

#[test]
fn one_thousand_requests_at_once_are_answered_in_order() {
    let mut court = Court::new("", &[]);
    let blocks = ledger::chain(&Block::genesis(NETWORK), 3);
    let mut peer = Peer::ready(court.node.address, Manner::honest(&blocks));
    peer.settle();
    let genesis = Block::genesis(NETWORK);
    let mut questions = Vec::new();
    for number in 0..1000usize {
        let known = [&genesis, &blocks[0], &blocks[1], &blocks[2]];
        let hash = if number % 5 == 4 { [number as u8; 32] } else { known[number % 5].hash() };
        questions.extend(frame("get_block", &hash));
    }
    peer.manner.blocks.clear();
    peer.say(&questions);
    for number in 0..1000usize {
        let expected = [genesis.bytes(), blocks[0].bytes(), blocks[1].bytes(), blocks[2].bytes()];
        if number % 5 == 4 {
            peer.error("get_block", "invalid_payload");
        } else {
            let answer = peer.message();
            assert_eq!((answer.kind.as_str(), &answer.payload), ("block", &expected[number % 5]), "answer {number}");
        }
    }
    peer.fine();
    court.adjourn();
}

#[test]
fn a_peer_that_goes_silent_is_pinged_and_then_closed() {
    let court = Court::new("liveness_interval = \"1s\"\nping_timeout = \"1s\"", &[]);
    let node = court.node.address;
    let mut observer = court.observer;
    let watched = std::thread::spawn(move || {
        for _ in 0..60 {
            let heard = observer.hear(Duration::from_millis(100));
            assert!(!matches!(heard, Heard::Closed | Heard::Broken), "who answers pings is kept");
        }
    });
    let mute = Manner { pong: false, ..Manner::honest(&[]) };
    let mut silent = Peer::ready(node, mute.clone());
    let started = Instant::now();
    assert_eq!(silent.message().kind, "ping");
    silent.closed_somehow();
    assert!(started.elapsed() < Duration::from_secs(4), "closed after {:?}", started.elapsed());
    let mut dripping = Peer::ready(node, mute);
    let started = Instant::now();
    for byte in frame("tx", &Payment::new(1, 2, 0).sign(NETWORK)) {
        let heard = if dripping.try_say(&[byte]) { dripping.hear(Duration::from_millis(100)) } else { Heard::Broken };
        if matches!(heard, Heard::Closed | Heard::Broken) {
            break;
        }
    }
    assert!(started.elapsed() < Duration::from_secs(4), "a dripping frame is no sign of life");
    watched.join().expect("the observer has no complaint");
}
