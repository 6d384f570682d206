//! Judges AnYa on the wire: a test client written from the spec alone, against the program itself.
//!
//! Rows are data; `Court::check` says them to a running `polypeer run` over a real socket, holds it to the error and
//! the price that the spec names, and asks an honest observer whether anything was noticed. Nothing here shares code
//! with the protocols or the ledger.

mod judge {
    pub(crate) mod anya;
    pub(crate) mod anya_court;
    mod anya_exchange;
    mod anya_limits;
    pub(crate) mod ledger;
    pub(crate) mod node;
}

use judge::anya::{
    Heard, Manner, Message, NETWORK, PATIENCE, Peer, address, frame, header, info, info_with, mempool, peers,
};
use judge::anya_court::{Court, Row, Stage, Then, judge, row};
use judge::ledger::{self, Block, Payment};
use judge::node::{Node, free_listener};
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

const MESSAGE: &str = "invalid_message";
const PAYLOAD: &str = "invalid_payload";
const UNKNOWN: &str = "unknown_message_type";
const UNSERVED: &str = "unsupported_message_type";
const ADDRESS: &str = "invalid_network_address";

#[test]
fn the_judge_knows_the_ledger() {
    ledger::vectors_hold();
}

// Section 4, 1: what may come first, from either side. `first` is the type that is due.
fn greeting_rows(first: &'static str) -> Vec<Row> {
    let fresh = |name: &str, say: Vec<u8>, then: Then| row(format!("{first}: {name}"), Stage::Fresh, say, then);
    let mut rows = Vec::new();
    for kind in ["tx", "ping", "get_block", "disconnect", "peers", "no_such_type", "x"] {
        rows.push(fresh(&format!("{kind} first"), frame_of(kind), Then::Ends(kind, MESSAGE)));
    }
    let other = if first == "connect" { "connection_accepted" } else { "connect" };
    rows.push(fresh("the other side's word", frame(other, &good_address()), Then::Ends(other, MESSAGE)));
    rows.push(fresh("an overlong tx first", header(b"tx", u32::MAX), Then::Ends("tx", MESSAGE)));
    rows.push(fresh("an error first", frame("error", &[0; 64]), Then::Silent));
    rows.push(fresh("an overlong error first", header(b"error", 65), Then::Silent));
    rows.push(fresh("a malformed type first", header(b"Connect", 32), Then::Ends("", MESSAGE)));
    for length in [0, 1, 31, 33, 63] {
        let payload = vec![0; length];
        rows.push(fresh(&format!("{length} bytes"), frame(first, &payload), Then::Ends(first, PAYLOAD)));
    }
    for length in [65, 1 << 20, (1 << 31) - 1, 1 << 31, u32::MAX] {
        rows.push(fresh(
            &format!("{length} bytes announced"),
            header(first.as_bytes(), length),
            Then::Ends(first, PAYLOAD),
        ));
    }
    for (name, wrong) in wrong_addresses() {
        rows.push(fresh(name, frame(first, &wrong), Then::Ends(first, ADDRESS)));
    }
    rows
}

fn frame_of(kind: &str) -> Vec<u8> {
    match kind {
        "tx" => frame(kind, &Payment::new(1, 2, 0).sign(NETWORK)),
        "get_block" => frame(kind, &[0; 32]),
        "peers" => frame(kind, &peers(&[])),
        _ => frame(kind, &[]),
    }
}

fn good_address() -> Vec<u8> {
    address(SocketAddr::from(([127, 0, 0, 1], 9)))
}

fn wrong_addresses() -> Vec<(&'static str, Vec<u8>)> {
    let of = |text: &str| address(text.parse().expect("an address"));
    let padded = |at: usize| {
        let mut bytes = good_address();
        bytes[at] = 1;
        bytes
    };
    vec![
        ("padding not zero at its start", padded(18)),
        ("padding not zero at its end", padded(31)),
        ("port 0", of("127.0.0.1:0")),
        ("unspecified", of("[::]:9")),
        ("unspecified, v4-mapped", of("0.0.0.0:9")),
        ("multicast", of("[ff02::1]:9")),
        ("multicast, v4-mapped", of("224.0.0.1:9")),
        ("multicast, v4-mapped, the last", of("239.255.255.255:9")),
    ]
}

#[test]
fn a_wrong_first_word_of_a_dialler_ends_the_connection() {
    let mut court = Court::new("", &[]);
    court.try_all(&greeting_rows("connect"));
    let two = |first: &[u8], own: &[u8]| frame("connect", &[first, own].concat());
    for (name, wrong) in wrong_addresses() {
        let ends = Then::Ends("connect", ADDRESS);
        court.check(&row(format!("first of two: {name}"), Stage::Fresh, two(&wrong, &good_address()), ends.clone()));
        court.check(&row(format!("second of two: {name}"), Stage::Fresh, two(&good_address(), &wrong), ends));
    }
}

#[test]
fn a_wrong_first_word_of_an_acceptor_ends_the_connection() {
    let mut rows = greeting_rows("connection_accepted");
    let two = [good_address(), good_address()].concat();
    let ends = Then::Ends("connection_accepted", PAYLOAD);
    rows.push(row("two addresses", Stage::Fresh, frame("connection_accepted", &two), ends));
    let listeners: Vec<TcpListener> = rows.iter().map(|_| free_listener()).collect();
    let targets: Vec<String> =
        listeners.iter().map(|listener| listener.local_addr().expect("a socket").to_string()).collect();
    let arguments: Vec<&str> = targets.iter().flat_map(|target| ["--connect", target]).collect();
    let node = Node::start(NETWORK, "handshake_timeout = \"60s\"", &arguments);
    for (listener, row) in listeners.iter().zip(&rows) {
        println!("row: {}", row.name);
        let mut peer = Peer::accept(listener);
        let connect = peer.message();
        assert_eq!(connect, Message { kind: "connect".into(), payload: address(node.address) });
        judge(&mut peer, row);
    }
}

#[test]
fn both_forms_of_connect_are_accepted() {
    let mut court = Court::new("", &[]);
    for payload in [good_address(), [good_address(), good_address()].concat()] {
        let mut peer = Peer::dial(court.node.address);
        peer.say(&frame("connect", &payload));
        let expected = Message { kind: "connection_accepted".into(), payload: address(court.node.address) };
        assert_eq!(peer.message(), expected);
        assert_eq!(peer.message().kind, "get_blockchain_info");
        peer.fine();
    }
    court.adjourn();
}

#[test]
fn the_setting_connect_form_sends_two_addresses() {
    let listener = free_listener();
    let there = listener.local_addr().expect("a socket");
    let node = Node::start(NETWORK, "connect_form = \"two-addresses\"", &["--connect", &there.to_string()]);
    let mut peer = Peer::accept(&listener);
    assert_eq!(peer.message().payload, [address(there), address(node.address)].concat());
}

#[test]
fn silence_and_dripping_bytes_end_when_the_handshake_is_overdue() {
    let mut court = Court::new("handshake_timeout = \"1500ms\"", &[]);
    let mut silent = Peer::dial(court.node.address);
    let mut half = Peer::dial(court.node.address);
    half.say(&frame("connect", &good_address())[..67]);
    let mut dripping = Peer::dial(court.node.address);
    let started = Instant::now();
    for byte in frame("connect", &good_address()) {
        if !dripping.try_say(&[byte]) || dripping.hear(Duration::from_secs(1)) != Heard::Silence {
            break;
        }
    }
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(1400) && took < Duration::from_secs(4), "closed after {took:?}");
    silent.closed_silently();
    half.closed_silently();
    court.adjourn();
}

#[test]
fn a_dialled_peer_that_stays_silent_is_left() {
    let listener = free_listener();
    let there = listener.local_addr().expect("a socket").to_string();
    let _node = Node::start(NETWORK, "handshake_timeout = \"1s\"", &["--connect", &there]);
    let mut peer = Peer::accept(&listener);
    let started = Instant::now();
    assert_eq!(peer.message().kind, "connect");
    peer.closed_silently();
    assert!(started.elapsed() < Duration::from_secs(3));
    let mut again = Peer::accept(&listener);
    assert_eq!(again.message().kind, "connect", "a named peer is dialled again");
}

#[test]
fn a_node_that_is_full_or_meets_itself_closes_without_a_word() {
    let mut court = Court::new("", &["--max-in-peers", "1"]);
    court.check(&row("full", Stage::Fresh, frame("connect", &good_address()), Then::Silent));
    let mut court = Court::new("", &[]);
    let own = address(court.node.address);
    court.check(&row("itself", Stage::Fresh, frame("connect", &own), Then::Silent));
    court.check(&row("itself, two", Stage::Fresh, frame("connect", &[own.clone(), own].concat()), Then::Silent));
}

#[test]
fn who_is_banned_is_closed_without_a_word() {
    let court = Court::new("", &[]);
    let path = format!("/api/v1/networks/{NETWORK}/bans/127.0.0.1");
    assert!(court.node.put(&path, "{\"duration\": 60}"), "the operator may ban loopback too");
    let mut observer = court.observer;
    observer.closed_somehow();
    let mut banned = Peer::dial(court.node.address);
    banned.try_say(&frame("connect", &good_address()));
    banned.closed_silently();
}

#[test]
fn two_connections_that_claim_one_address_are_both_kept() {
    let court = Court::new("", &[]);
    let mut claimants = Vec::new();
    for _ in 0..3 {
        let mut peer = Peer::dial(court.node.address);
        peer.say(&frame("connect", &good_address()));
        assert_eq!(peer.message().kind, "connection_accepted");
        claimants.push(peer);
    }
    claimants.iter_mut().for_each(Peer::fine);
}

#[test]
fn a_stranger_is_sent_away_without_blame() {
    let mut court = Court::new("disconnect_timeout = \"1s\"", &[]);
    let genesis = Block::genesis(NETWORK).hash();
    let mut other_network = info(&[]);
    other_network[1] ^= 1;
    let other_genesis = info_with(&[7; 32], &[7; 32], 0, vec![(0, [7; 32])]);
    assert_eq!(info(&[]), info_with(&genesis, &genesis, 0, vec![(0, genesis)]));
    for claim in [other_network, other_genesis] {
        let mut stranger = Peer::open(court.node.address);
        stranger.manner.info = Some(claim);
        stranger.message_of("disconnect");
        stranger.say(&frame("disconnect_ack", &[]));
        stranger.closed();
        court.adjourn();
    }
}

#[test]
fn goodbye_is_answered_and_nothing_follows() {
    let mut court = Court::new("disconnect_timeout = \"1s\"", &[]);
    let mut peer = Peer::ready(court.node.address, Manner::honest(&[]));
    peer.say(&[frame("disconnect", &[]), frame("ping", &[]), frame("get_block", &[0; 32])].concat());
    assert_eq!(peer.message().kind, "disconnect_ack");
    assert_eq!(peer.hear(PATIENCE), Heard::Closed);
    court.adjourn();
}

#[test]
fn a_node_that_goes_says_goodbye() {
    for acknowledges in [true, false] {
        let mut node = Node::start(NETWORK, "disconnect_timeout = \"1s\"", &["--no-discovery"]);
        let mut peer = Peer::ready(node.address, Manner::honest(&[]));
        node.terminate();
        peer.message_of("disconnect");
        if acknowledges {
            peer.say(&frame("disconnect_ack", &[]));
        }
        peer.closed();
        drop(peer);
        assert_eq!(node.wait(Duration::from_secs(6)), Some(143), "the exit code of a termination");
    }
}

#[test]
fn a_header_is_judged_as_soon_as_it_is_complete() {
    let mut court = Court::new("", &[]);
    let mut rows = Vec::new();
    let mut hole = header(b"ping", 0);
    hole[5] = b'x';
    let malformed = |name: &str, bytes: Vec<u8>| row(name, Stage::Open, bytes, Then::Ends("", MESSAGE));
    rows.push(malformed("a NUL within", hole));
    rows.push(malformed("empty", header(b"", 0)));
    for kind in [&b"Ping"[..], b"get-block", b"p ing", b"ping\n", b"ping\xff", b"\xc3\xa9", b"ping~", &[b'A'; 32]] {
        rows.push(malformed(&format!("{:?}", String::from_utf8_lossy(kind)), header(kind, 0)));
    }
    rows.push(row(
        "32 letters",
        Stage::Open,
        header(&[b'z'; 32], 0),
        Then::Kept("zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz", UNKNOWN),
    ));
    let unknown = |length: u32, sent: usize| [header(b"no_such_type", length), vec![7; sent]].concat();
    let kept = Then::Kept("no_such_type", UNKNOWN);
    rows.push(row("unknown, empty", Stage::Open, unknown(0, 0), kept.clone()));
    rows.push(row("unknown, 1 MiB skipped", Stage::Open, unknown(1 << 20, 1 << 20), kept));
    for length in [(1 << 20) + 1, 1 << 31, u32::MAX] {
        rows.push(row(format!("unknown, {length} bytes"), Stage::Open, unknown(length, 0), Then::Closed));
    }
    court.try_all(&rows);
    let mut patient = Peer::open(court.node.address);
    patient.say(&header(b"no_such_type", 1 << 20));
    patient.error("no_such_type", UNKNOWN);
    patient.say(&[vec![7; 1 << 20], frame("ping", &[])].concat());
    patient.message_of("pong");
}

#[test]
fn what_is_out_of_place_is_refused_and_borne() {
    let mut court = Court::new("", &[]);
    for (kind, payload) in [("connect", 32), ("connect", 64), ("connection_accepted", 32), ("disconnect_ack", 0)] {
        let payload =
            if payload == 64 { [good_address(), good_address()].concat() } else { good_address()[..payload].to_vec() };
        court.check(&row(kind, Stage::Open, frame(kind, &payload), Then::Kept(kind, MESSAGE)));
    }
    court.check(&row("overlong connect", Stage::Open, header(b"connect", 65), Then::Ends("connect", PAYLOAD)));
}

#[test]
fn five_faults_in_a_minute_are_borne() {
    let mut court = Court::new("", &[]);
    let mut peer = Peer::open(court.node.address);
    for _ in 0..5 {
        peer.say(&frame("connect", &good_address()));
        peer.error("connect", MESSAGE);
    }
    peer.fine();
    court.adjourn();
}

#[test]
fn an_error_is_never_answered() {
    let mut court = Court::new("", &[]);
    let named = [&header(b"tx", 0)[..32], &header(b"invalid_payload", 0)[..32]].concat();
    let mut rows = vec![row("a proper one", Stage::Open, frame("error", &named), Then::Fine)];
    for length in [0, 1, 32, 63, 64] {
        rows.push(row(
            format!("{length} bytes of garbage"),
            Stage::Open,
            frame("error", &vec![0xff; length]),
            Then::Fine,
        ));
    }
    let many = frame("error", &named).repeat(100);
    rows.push(row("a hundred", Stage::Open, many, Then::Fine));
    rows.push(row("65 bytes", Stage::Open, frame("error", &[0; 65]), Then::Silent));
    rows.push(row("2^32 - 1 bytes", Stage::Open, header(b"error", u32::MAX), Then::Silent));
    court.try_all(&rows);
}

#[test]
fn payloads_that_do_not_parse_are_refused_and_borne() {
    let mut court = Court::new("", &[]);
    let kept = |kind: &'static str| Then::Kept(kind, PAYLOAD);
    for length in [0, 1, 31] {
        let say = frame("get_block", &vec![0; length]);
        court.check(&row(format!("get_block of {length}"), Stage::Open, say, kept("get_block")));
    }
    court.check(&row("unknown hash", Stage::Open, frame("get_block", &[9; 32]), kept("get_block")));
    for (name, transaction) in ledger::never_valid(NETWORK) {
        court.check(&row(format!("tx: {name}"), Stage::Open, frame("tx", &transaction), kept("tx")));
    }
    for (name, transaction) in ledger::not_now(NETWORK) {
        court.check(&row(format!("tx: {name}"), Stage::Open, frame("tx", &transaction), Then::Fine));
    }
    let good = Payment::new(9, 10, 0).sign(NETWORK);
    court.check(&row("tx: good", Stage::Open, frame("tx", &good), Then::Fine));
    court.check(&row("tx: known", Stage::Open, frame("tx", &good), Then::Fine));
}

#[test]
fn answers_that_were_asked_for_are_judged() {
    let mut court = Court::new("", &[]);
    let genesis = Block::genesis(NETWORK).hash();
    let claim = |change: fn(&mut Vec<u8>)| {
        let mut bytes = info(&ledger::chain(&Block::genesis(NETWORK), 2));
        change(&mut bytes);
        bytes
    };
    let infos: Vec<(&str, Vec<u8>)> = vec![
        ("empty", Vec::new()),
        ("version 2", claim(|bytes| bytes[0] = 2)),
        ("a byte missing", claim(|bytes| bytes.truncate(bytes.len() - 1))),
        ("a byte left over", claim(|bytes| bytes.push(0))),
        ("no waypoint", info_with(&genesis, &genesis, 0, vec![])),
        ("waypoints not from genesis", info_with(&genesis, &[2; 32], 2, vec![(1, [1; 32]), (2, [2; 32])])),
        ("waypoints not to the tip", info_with(&genesis, &[2; 32], 2, vec![(0, genesis), (1, [1; 32])])),
        ("waypoints down", info_with(&genesis, &[2; 32], 2, vec![(0, genesis), (3, [3; 32]), (2, [2; 32])])),
        ("a waypoint twice", info_with(&genesis, &[2; 32], 2, vec![(0, genesis), (2, [2; 32]), (2, [2; 32])])),
        ("another tip hash", info_with(&genesis, &[3; 32], 2, vec![(0, genesis), (2, [2; 32])])),
        ("2^32 - 1 waypoints", claim(|bytes| bytes[105..109].fill(0xff))),
    ];
    for (name, wrong) in infos {
        println!("row: blockchain_info: {name}");
        let mut peer = Peer::open(court.node.address);
        peer.manner.info = Some(wrong);
        peer.error("blockchain_info", PAYLOAD);
        peer.say(&frame("ping", &[]));
        peer.message_of("pong");
        court.adjourn();
    }
    let good = Payment::new(11, 12, 0).sign(NETWORK);
    let bad = Payment::new(11, 12, 1).sign("elsewhere");
    let pools: Vec<(&str, Vec<u8>)> = vec![
        ("empty", Vec::new()),
        ("a byte left over", [mempool(&[]), vec![0]].concat()),
        ("more announced", [1, 0, 0, 0].to_vec()),
        ("2^32 - 1 announced", [0xff; 4].to_vec()),
        ("a length too long", [&[0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff][..], &good].concat()),
        ("never valid", mempool(&[bad])),
    ];
    for (name, wrong) in pools {
        println!("row: mempool: {name}");
        let mut peer = Peer::open(court.node.address);
        peer.manner = Manner { mempool: Some(wrong), ..Manner::honest(&[]) };
        peer.error("mempool", PAYLOAD);
        peer.fine();
        court.adjourn();
    }
}

#[test]
fn addresses_that_were_asked_for_are_judged() {
    let rows: Vec<(String, Vec<u8>, &str)> = wrong_addresses()
        .into_iter()
        .map(|(name, wrong)| (name.to_owned(), [&[0, 0, 0, 1][..], &wrong].concat(), ADDRESS))
        .chain([
            ("empty".to_owned(), Vec::new(), PAYLOAD),
            ("one announced, none there".to_owned(), [0, 0, 0, 1].to_vec(), PAYLOAD),
            ("none announced, one there".to_owned(), [&[0; 4][..], &good_address()].concat(), PAYLOAD),
            ("2^32 - 1 announced".to_owned(), [0xff; 4].to_vec(), PAYLOAD),
            ("half an address".to_owned(), [&[0, 0, 0, 1][..], &good_address()[..16]].concat(), PAYLOAD),
        ])
        .collect();
    let listeners: Vec<TcpListener> = rows.iter().map(|_| free_listener()).collect();
    let targets: Vec<String> =
        listeners.iter().map(|listener| listener.local_addr().expect("a socket").to_string()).collect();
    let arguments: Vec<&str> = targets.iter().flat_map(|target| ["--add-peer", target]).collect();
    let _node = Node::start(NETWORK, "handshake_timeout = \"60s\"", &arguments);
    for (listener, (name, wrong, code)) in listeners.iter().zip(rows) {
        println!("row: peers: {name}");
        let mut peer = Peer::accept(listener);
        assert_eq!(peer.message().kind, "connect");
        peer.manner = Manner { peers: Some(wrong), ..Manner::honest(&[]) };
        peer.say(&frame("connection_accepted", &address(listener.local_addr().expect("a socket"))));
        peer.error("peers", code);
        peer.fine();
    }
}

#[test]
fn blocks_that_break_a_rule_end_the_connection() {
    let mut court = Court::new("", &[]);
    let genesis = Block::genesis(NETWORK);
    for breakage in ledger::breakages() {
        let bytes = (breakage.bytes)(NETWORK, &genesis);
        court.check(&row(breakage.name, Stage::Open, frame("block", &bytes), Then::Ends("block", PAYLOAD)));
    }
    let blocks = ledger::chain(&genesis, 3);
    let orphan = frame("block", &blocks[2].bytes());
    court.check(&row("its parent unknown", Stage::Open, orphan, Then::Fine));
    let soon = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let time = u64::try_from(soon.as_millis()).expect("now") + 600_000;
    let future = Block { time, ..genesis.draft(vec![]) }.mined();
    court.check(&row("from the future", Stage::Open, frame("block", &future.bytes()), Then::Fine));
    court.check(&row("good", Stage::Open, frame("block", &blocks[0].bytes()), Then::Fine));
    court.check(&row("known", Stage::Open, frame("block", &blocks[0].bytes()), Then::Fine));
    court.check(&row("genesis", Stage::Open, frame("block", &genesis.bytes()), Then::Fine));
}

#[test]
fn what_is_not_served_is_unsupported() {
    let mut court = Court::new("serve_mempool = false\nserve_peers = false", &[]);
    for kind in ["get_mempool", "get_peers"] {
        court.check(&row(kind, Stage::Open, frame(kind, &[]), Then::Kept(kind, UNSERVED)));
    }
}
