//! Judges what Hello's limits cost: lines that do not end, lines cut short, streams split anywhere, floods.

use super::hello::{Heard, Manner, PATIENCE, Peer, fresh_nonce, hello, hex, line, raw};
use super::hello_court::{Court, Stage, Then, row};
use super::ledger::{self, Block, Payment};
use serde_json::json;
use std::time::{Duration, Instant};

/// What memory may grow beyond twice of what was received: the 64 KiB that is promised, and what pages and the
/// allocator add to a reading of the process. Measured: growth is about what was received, and up to 100 KiB more.
const SLACK: u64 = (64 << 10) + (128 << 10);

#[test]
fn a_line_over_its_limit_is_a_breach_as_soon_as_the_limit_is_passed() {
    let mut court = Court::new("line_bytes_max = 20000", &[]);
    let fits = format!("{{\"ADDR\":[]{}}}\n", " ".repeat(20_000 - 12));
    assert_eq!(fits.len(), 20_000);
    court.check(&row("20,000 bytes", Stage::Open, fits.clone().into_bytes(), Then::Fine));
    court.check(&row("20,001 bytes", Stage::Open, format!(" {fits}").into_bytes(), Then::Ends(String::new())));
    court.check(&row("no end", Stage::Open, vec![b'['; 20_001], Then::Ends(String::new())));
    let mut court = Court::new("", &[]);
    court.check(&row("8 MiB without an end", Stage::Open, vec![b'['; (8 << 20) + 1], Then::Ends(String::new())));
}

#[test]
fn memory_grows_with_what_arrives() {
    let mut court = Court::new("", &[]);
    for sent in [100_000usize, 4_000_000, 8_000_000] {
        let mut peer = Peer::open(court.node.address);
        peer.settle();
        let before = court.node.memory();
        for piece in vec![b' '; sent].chunks(10_000) {
            peer.say(piece);
        }
        std::thread::sleep(Duration::from_millis(300));
        let grown = court.node.memory().saturating_sub(before);
        println!("{sent} bytes of a line, memory grew by {grown}");
        assert!(grown <= 2 * sent as u64 + SLACK, "{sent} bytes were sent, memory grew by {grown}");
    }
    court.adjourn();
}

#[test]
fn lines_in_the_making_share_a_budget() {
    let mut court = Court::new("line_budget_bytes = 1048576", &[]);
    let mut small = Peer::open(court.node.address);
    small.say(&vec![b' '; 300_000]);
    let mut large = Peer::open(court.node.address);
    large.say(&vec![b' '; 600_000]);
    large.settle();
    let mut last = Peer::open(court.node.address);
    last.say(&vec![b' '; 200_000]);
    large.closed_somehow();
    for peer in [&mut small, &mut last] {
        peer.say(b"{\"ADDR\":[]}\n");
        peer.fine();
    }
    court.adjourn();
}

#[test]
fn a_line_that_was_begun_must_end() {
    let mut court = Court::new("", &[]);
    let mut dripping = Peer::ready(court.node.address, Manner::honest(&[]));
    let started = Instant::now();
    let mut heard = Heard::Silence;
    while heard == Heard::Silence && started.elapsed() < Duration::from_secs(40) {
        heard = if dripping.try_say(b" ") { dripping.hear(Duration::from_secs(1)) } else { Heard::Broken };
    }
    let took = started.elapsed();
    assert!(took > Duration::from_secs(28) && took < Duration::from_secs(34), "{heard:?} after {took:?}");
    dripping.closed_somehow();
    court.adjourn();
}

#[test]
fn lines_cut_at_every_byte_harm_nobody() {
    let mut court = Court::new("", &[]);
    let greeting = line("HELLO", hello(1, 0, fresh_nonce()));
    for end in 0..greeting.len() {
        let mut peer = Peer::dial(court.node.address);
        peer.say(&greeting[..end]);
        peer.finish();
        peer.closed_somehow();
    }
    court.adjourn();
    let genesis = Block::genesis(super::hello::NETWORK);
    let hash = hex(&genesis.hash());
    let lines = [
        line("PUSHTRANSACTION", json!([hex(&Payment::new(1, 2, 0).sign(super::hello::NETWORK))])),
        line("GETBLOCK", json!({ "hash": hash })),
        line("ADDR", json!(["127.0.0.1:9", "[::1]:9"])),
        line("LISTOFBLOCKS", json!({"from": 0, "latest": 1, "parent": hash, "hashes": [hash]})),
        line("REJECT", json!({"method": "HEY", "reason": ""})),
        raw("{\"HEY\":{\"block_count\":1,\"x\":\"\\ud83d\\ude00 é\"}}"),
    ];
    for whole in lines {
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
    let genesis = hex(&Block::genesis(super::hello::NETWORK).hash());
    let said = [
        line("GETBLOCK", json!({ "hash": genesis })),
        raw("{}"),
        line("GETBLOCK", json!({ "number": 77 })),
        raw("{\"HELLO\":{\"block_count\":1,\"time\":5,\"port\":0,\"agent\":\"é\"}}\r"),
        line("GETLISTOFBLOCKS", json!({"from": 0, "latest": 0})),
        raw("{\"é\":1}"),
    ]
    .concat();
    let mut heard = Vec::new();
    for piece in [1, 2, 3, 7, 64, said.len()] {
        let mut peer = Peer::open(court.node.address);
        peer.settle();
        for bytes in said.chunks(piece) {
            peer.say(bytes);
        }
        let mut answers: Vec<String> = (0..6).map(|_| peer.message()).map(|(method, _)| method).collect();
        answers.sort_unstable();
        heard.push(answers);
        court.adjourn();
    }
    for answers in heard {
        assert_eq!(answers, ["BLOCK", "HEY", "LISTOFBLOCKS", "NOTFOUND", "REJECT", "REJECT"]);
    }
}

#[test]
fn one_hundred_and_twenty_eight_questions_at_once_are_all_answered() {
    let mut court = Court::new("", &[]);
    let mut peer = Peer::ready(court.node.address, Manner::honest(&[]));
    let genesis = Block::genesis(super::hello::NETWORK);
    for _ in 0..3 {
        let mut questions = Vec::new();
        for number in 0..128u64 {
            let unknown = hex(&ledger::hash(&[&number.to_be_bytes()]));
            let question = match number % 4 {
                0 => json!({ "number": 0 }),
                1 => json!({ "hash": hex(&genesis.hash()) }),
                2 => json!({ "hash": unknown }),
                _ => json!({ "transaction": unknown }),
            };
            questions.extend(line("GETBLOCK", question));
        }
        peer.say(&questions);
        let mut answers: Vec<(String, serde_json::Value)> = (0..128).map(|_| peer.message()).collect();
        let blocks = answers.extract_if(.., |(method, _)| method == "BLOCK").collect::<Vec<_>>();
        assert_eq!((blocks.len(), answers.len()), (64, 64));
        assert!(blocks.iter().all(|(_, payload)| *payload == super::hello::block(&genesis)));
        assert!(answers.iter().all(|(method, _)| method == "NOTFOUND"), "{answers:?}");
    }
    peer.fine();
    court.adjourn();
}

#[test]
fn who_asks_and_does_not_read_is_closed_within_bounds() {
    let mut court = Court::new("", &[]);
    let transactions: Vec<Vec<u8>> =
        (0..60).map(|sequence| Payment::new(1, 2, sequence).sign(super::hello::NETWORK)).collect();
    let large = Block::genesis(super::hello::NETWORK).child(transactions);
    let mut giver = Peer::ready(court.node.address, Manner::honest(std::slice::from_ref(&large)));
    giver.settle();
    let before = court.node.memory();
    let mut asker = Peer::open(court.node.address);
    let questions = line("GETBLOCK", json!({ "hash": hex(&large.hash()) })).repeat(500);
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
fn what_nobody_asked_for_is_dropped() {
    let mut court = Court::new("", &[]);
    let hash = hex(&[7; 32]);
    let unasked = [
        line("HEY", json!({"block_count": 9})),
        line("NOTFOUND", json!({ "hash": hash })),
        line("NOTFOUND", json!({ "number": 9 })),
        line("NOTFOUND", json!({ "transaction": hash })),
    ];
    for say in unasked {
        let name = String::from_utf8_lossy(&say).into_owned();
        court.check(&row(name, Stage::Open, say.repeat(100), Then::Fine));
    }
    // An unasked list or block is a slip, without an answer.
    let parent = hex(&Block::genesis(super::hello::NETWORK).hash());
    let list = line("LISTOFBLOCKS", json!({"from": 0, "latest": 1, "parent": parent, "hashes": [hash]}));
    let block = line("BLOCK", json!({"number": 9, "data": "00"}));
    for say in [list, block] {
        let mut peer = Peer::ready(court.node.address, Manner::honest(&[]));
        peer.say(&say.repeat(19));
        peer.fine();
        peer.say(&say.repeat(20));
        peer.closed_somehow();
        court.adjourn();
    }
}

#[test]
fn a_flood_of_announcements_is_bounded() {
    let mut court = Court::new("", &[]);
    let mut flooder = Peer::ready(court.node.address, Manner { gives: false, ..Manner::honest(&[]) });
    let before = court.node.memory();
    let mut sent = 0u64;
    for round in 0..100u64 {
        let mut lines = Vec::new();
        for number in 0..1000u64 {
            let id = hex(&ledger::hash(&[&(round * 1000 + number).to_be_bytes()]));
            lines.extend(line("BROADCASTTRANSACTION", json!({ "id": id })));
        }
        sent += lines.len() as u64;
        if !flooder.try_say(&lines) {
            break;
        }
        while let Heard::Said(method, payload) = flooder.hear(Duration::from_millis(1)) {
            assert_ne!(method, "REJECT", "an announcement is a claim, no fault: {payload}");
        }
        court.adjourn();
    }
    let grown = court.node.memory().saturating_sub(before);
    println!("{sent} bytes of announcements, memory grew by {grown}");
    assert!(grown < 6 << 20, "5,000 are remembered a peer, yet memory grew by {grown}");
}

#[test]
fn greetings_and_questions_for_addresses_have_a_rate() {
    let mut court = Court::new("", &[]);
    let mut greeter = Peer::ready(court.node.address, Manner::honest(&[]));
    greeter.say(&line("HELLO", hello(1, 0, fresh_nonce())).repeat(10));
    for _ in 0..10 {
        greeter.message_of("HEY");
    }
    greeter.fine();
    let mut asker = Peer::ready(court.node.address, Manner::honest(&[]));
    asker.say(&line("GETADDR", json!(null)).repeat(5));
    for _ in 0..5 {
        asker.message_of("ADDR");
    }
    asker.fine();
    for say in [line("HELLO", hello(1, 0, fresh_nonce())), line("GETADDR", json!(7))] {
        let mut flooder = Peer::ready(court.node.address, Manner::honest(&[]));
        flooder.try_say(&say.repeat(40));
        flooder.closed_somehow();
        court.adjourn();
    }
}

#[test]
fn a_peer_that_goes_silent_is_greeted_and_then_closed() {
    let court = Court::new("liveness_interval = \"1s\"", &[]);
    let mut alive = Peer::ready(court.node.address, Manner::honest(&[]));
    let watched = std::thread::spawn(move || {
        let until = Instant::now() + Duration::from_secs(24);
        while Instant::now() < until {
            let heard = alive.hear(Duration::from_secs(1));
            assert!(!matches!(heard, Heard::Closed | Heard::Broken), "who answers is kept");
        }
    });
    let mut silent = Peer::ready(court.node.address, Manner { hey: false, ..Manner::honest(&[]) });
    silent.message_of("HELLO");
    let started = Instant::now();
    silent.closed_after(PATIENCE * 3);
    let took = started.elapsed();
    assert!(took > Duration::from_secs(18) && took < Duration::from_secs(23), "closed after {took:?}");
    watched.join().expect("the live peer has no complaint");
}
