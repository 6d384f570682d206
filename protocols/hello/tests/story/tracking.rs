//! The tracker (Hello spec, section 7).

use crate::stage::*;
use polypeer_engine::{
    Address, Close, Command, ConnectionId, DialFailure, DisconnectCause, Engine, P2pAction, Record, Table,
};
use polypeer_hello::tracker::{Config, NoLedger, Tracker, p2p};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

type Desk = Set<Tracker, NoLedger>;

fn settings() -> Config {
    Config { connections_max: 30_000, ..Config::default() }
}

fn desk_with(config: Config, records: &[Record]) -> Desk {
    let shell = p2p(Some(address("127.0.0.1:7440")), &config);
    Set::restarted(config, shell, NoLedger, 1, records)
}

fn track(tell: impl Fn(&mut Desk)) {
    story_of(|| desk_with(settings(), &[]), tell);
}

fn open(desk: &mut Desk, remote: &str, say: Value) -> ConnectionId {
    let guest = desk.accept(remote);
    desk.says(guest, say);
    desk.says(guest, hey(1));
    assert!(desk.is_open(guest));
    desk.hears(guest);
    guest
}

/// A member that is there when it is dialled.
fn member(desk: &mut Desk, remote: &str, port: u16) -> ConnectionId {
    let guest = open(desk, remote, hello_with(1, port, &[]));
    prove_all(desk);
    guest
}

/// Whoever is dialled completes the handshake. Whom that was.
fn prove_all(desk: &mut Desk) -> Vec<Address> {
    let mut proven = Vec::new();
    while !desk.dialled.is_empty() {
        for (proof, to) in std::mem::take(&mut desk.dialled) {
            prove(desk, proof, to);
            proven.push(to);
        }
    }
    proven
}

fn prove(desk: &mut Desk, proof: ConnectionId, to: Address) {
    desk.arrive(proof, to);
    assert_eq!(desk.hears_methods(proof), ["HELLO"]);
    desk.says(proof, hey(1));
    desk.says(proof, hello_with(1, to.port(), &[]));
    assert_eq!(desk.hears(proof), [hey(0)], "a whole handshake");
    assert_eq!(desk.end(proof), Some(Close::Flushed), "after which it is closed");
}

fn fail_all(desk: &mut Desk) -> usize {
    let dials = std::mem::take(&mut desk.dialled);
    for (connection, _) in &dials {
        desk.act(P2pAction::ConnectionFailed { connection: *connection, cause: DialFailure::Refused });
    }
    dials.len()
}

fn members(desk: &Desk) -> Vec<(Address, bool)> {
    desk.engine.protocol().members().all().collect()
}

fn asks(desk: &mut Desk, guest: ConnectionId) -> Vec<Address> {
    desk.says(guest, json!({"GETADDR": null}));
    let answer = desk.hears_one(guest);
    answer["ADDR"].as_array().expect("ADDR").iter().map(|one| address(one.as_str().expect("text"))).collect()
}

#[test]
fn the_handshake_says_that_it_holds_no_blocks_and_no_chain() {
    track(|desk| {
        let guest = desk.accept("10.0.0.1:40000");
        desk.says(guest, hello_with(5, 7444, &[("genesis", json!(hex([9; 32])))]));
        let heard = desk.hears(guest);
        assert_eq!(heard[0], hey(0));
        let ours = &heard[1]["HELLO"];
        assert_eq!((&ours["block_count"], &ours["port"], ours.get("genesis")), (&json!(0), &json!(7440), None));
        assert!(ours["nonce"].as_str().is_some_and(|nonce| nonce.len() == 16));
        desk.says(guest, hey(5));
        assert!(desk.is_open(guest) && desk.hears(guest).is_empty(), "and asks for nothing");
    });
}

#[test]
fn a_member_is_proven_by_dialling_before_it_is_handed_out() {
    track(|desk| {
        let one = open(desk, "10.0.0.1:40000", hello_with(1, 7001, &[]));
        let asker = open(desk, "10.0.0.9:40000", hello_with(1, 0, &[]));
        assert_eq!(members(desk), [(address("10.0.0.1:7001"), false)], "port 0 is no member");
        assert!(asks(desk, asker).is_empty());
        assert_eq!(prove_all(desk), [address("10.0.0.1:7001")]);
        assert_eq!(asks(desk, asker), [address("10.0.0.1:7001")]);
        assert!(asks(desk, one).is_empty(), "without the asker");
    });
}

#[test]
fn getaddr_with_a_port_registers_replaces_and_leaves() {
    track(|desk| {
        let guest = open(desk, "10.0.0.1:40000", hello_with(1, 0, &[]));
        for (port, expected) in [(7001, vec!["10.0.0.1:7001"]), (7002, vec!["10.0.0.1:7002"]), (0, vec![])] {
            desk.says(guest, json!({"GETADDR": port}));
            assert_eq!(desk.hears(guest), [json!({"ADDR": []})]);
            let expected: Vec<_> = expected.into_iter().map(|text| (address(text), false)).collect();
            assert_eq!(members(desk), expected);
        }
        desk.says(guest, hello_with(1, 7003, &[]));
        assert_eq!(members(desk), [(address("10.0.0.1:7003"), false)]);
        desk.says(guest, json!({"GETADDR": null}));
        assert_eq!(members(desk).len(), 1, "null says nothing of the port");
    });
}

#[test]
fn block_and_transaction_methods_are_rejected_without_a_slip() {
    let hash = hex([7; 32]);
    let messages = [
        json!({"BROADCASTBLOCK": {"number": 1, "hash": hash}}),
        json!({"GETBLOCK": {"number": 1}}),
        json!({"GETLISTOFBLOCKS": {"from": 0, "latest": 0}}),
        json!({"LISTOFBLOCKS": {"from": 0, "latest": 0, "parent": hash, "hashes": []}}),
        json!({"BLOCK": {"number": 1, "data": "00"}}),
        json!({"PUSHTRANSACTION": ["00"]}),
        json!({"BROADCASTTRANSACTION": {"id": hash}}),
    ];
    track(|desk| {
        let guest = open(desk, "10.0.0.1:40000", hello(1));
        for _ in 0..10 {
            for message in &messages {
                desk.says(guest, message.clone());
                assert_reject(&desk.hears_one(guest), &method(message));
            }
        }
        for message in [json!({"NOTFOUND": {"number": 1}}), json!({"ADDR": ["10.0.0.5:1"]}), hey(1)] {
            desk.says(guest, message);
        }
        assert!(desk.hears(guest).is_empty() && desk.is_open(guest));
        assert!(members(desk).is_empty());
        // What is malformed is a slip as anywhere.
        for _ in 0..20 {
            desk.types(guest, b"x\n");
        }
        assert_eq!(desk.end(guest), Some(Close::Lingering));
    });
}

#[test]
fn active_members_are_asked_every_interval_and_dropped_after_three_silences() {
    track(|desk| {
        let good = member(desk, "10.0.0.1:40000", 7001);
        let dead = member(desk, "10.0.0.2:40000", 7001);
        let mut silences = 0;
        while desk.is_open(dead) {
            desk.wait(seconds(30));
            let heard = desk.hears_methods(good);
            assert_eq!(heard, ["HELLO"], "once an interval");
            desk.says(good, hey(1));
            silences += desk.hears(dead).len();
        }
        assert_eq!(silences, 3);
        assert_eq!(desk.end(dead), Some(Close::Flushed));
        assert_eq!(members(desk), [(address("10.0.0.1:7001"), true)]);
        let asker = open(desk, "10.0.0.9:40000", hello(1));
        assert_eq!(asks(desk, asker), [address("10.0.0.1:7001")]);
    });
}

#[test]
fn two_silences_and_an_answer_are_forgiven() {
    track(|desk| {
        let guest = member(desk, "10.0.0.1:40000", 7001);
        for _ in 0..4 {
            desk.wait(seconds(60));
            assert_eq!(desk.hears(guest).len(), 2);
            desk.says(guest, hey(1));
        }
        assert!(desk.is_open(guest) && members(desk).len() == 1);
    });
}

#[test]
fn other_lines_are_no_answer() {
    track(|desk| {
        let guest = member(desk, "10.0.0.1:40000", 7001);
        for _ in 0..12 {
            desk.wait(seconds(10));
            desk.says(guest, json!({"GETADDR": null}));
        }
        assert!(!desk.is_open(guest), "only HEY is");
    });
}

#[test]
fn one_who_is_no_member_is_asked_after_a_minutes_silence_only() {
    track(|desk| {
        let guest = open(desk, "10.0.0.1:40000", hello(1));
        desk.wait(seconds(59));
        assert!(desk.hears(guest).is_empty());
        desk.wait(seconds(1));
        assert_eq!(desk.hears_methods(guest), ["HELLO"]);
        desk.says(guest, json!({"GETADDR": null}));
        desk.wait(seconds(60));
        desk.hears(guest);
        desk.wait(seconds(20));
        assert_eq!(desk.end(guest), Some(Close::Now));
    });
}

#[test]
fn an_unproven_member_is_dropped_after_three_failed_dials() {
    track(|desk| {
        let guest = open(desk, "10.0.0.1:40000", hello_with(1, 7001, &[]));
        for dial in 1..=3 {
            assert_eq!(fail_all(desk), 1, "dial {dial}");
            if dial < 3 {
                assert_eq!(members(desk).len(), 1);
                desk.wait(seconds(30));
                desk.says(guest, hey(1));
            }
        }
        assert!(members(desk).is_empty() && desk.is_open(guest));
        assert!(desk.saved.last().is_some_and(|record| record.value.is_none()));
        // It may come again.
        desk.says(guest, json!({"GETADDR": 7001}));
        assert_eq!((members(desk).len(), prove_all(desk).len()), (1, 1));
    });
}

#[test]
fn a_half_handshake_is_no_proof() {
    track(|desk| {
        open(desk, "10.0.0.1:40000", hello_with(1, 7001, &[]));
        let (proof, to) = desk.dialled.pop().expect("a dial");
        desk.arrive(proof, to);
        desk.says(proof, hey(1));
        desk.wait(seconds(5));
        assert_eq!(desk.end(proof), Some(Close::Now));
        assert_eq!(members(desk), [(to, false)]);
        desk.wait(seconds(30));
        let (proof, to) = desk.dialled.pop().expect("the next dial");
        desk.arrive(proof, to);
        desk.act(P2pAction::Disconnected { connection: proof, cause: DisconnectCause::Theirs });
        assert_eq!(members(desk), [(to, false)]);
        desk.wait(seconds(30));
        assert_eq!(prove_all(desk).len(), 1);
        assert_eq!(members(desk), [(to, true)]);
    });
}

#[test]
fn proof_is_repeated_every_60_intervals() {
    track(|desk| {
        let guest = member(desk, "10.0.0.1:40000", 7001);
        let mut proofs = Vec::new();
        for interval in 1..=130 {
            desk.wait(seconds(30));
            desk.says(guest, hey(1));
            proofs.extend((!prove_all(desk).is_empty()).then_some(interval));
        }
        assert_eq!(proofs, [60, 120]);
    });
}

#[test]
fn a_member_without_a_connection_is_dialled_instead() {
    track(|desk| {
        let guest = member(desk, "10.0.0.1:40000", 7001);
        desk.hang_up(guest);
        assert_eq!(members(desk), [(address("10.0.0.1:7001"), true)], "it is its address, not its connection");
        for _ in 0..5 {
            desk.wait(seconds(30));
            assert_eq!(prove_all(desk).len(), 1, "every interval");
        }
        for dial in 1..=3 {
            desk.wait(seconds(30));
            assert_eq!((fail_all(desk), members(desk).len()), (1, usize::from(dial < 3)));
        }
    });
}

#[test]
fn a_convicted_member_is_dialled_too() {
    track(|desk| {
        let guest = member(desk, "10.0.0.1:40000", 7001);
        desk.types(guest, &vec![b'x'; 8 << 20]);
        assert!(!desk.is_open(guest));
        desk.wait(seconds(60));
        assert!(fail_all(desk) <= 1);
        desk.wait(seconds(60));
        fail_all(desk);
        desk.wait(seconds(60));
        assert!(members(desk).is_empty(), "its address is refused, which counts as a failed dial");
    });
}

#[test]
fn a_second_connection_takes_the_members_seat() {
    track(|desk| {
        let old = member(desk, "10.0.0.1:40000", 7001);
        let new = open(desk, "10.0.0.1:40001", hello_with(1, 7001, &[]));
        assert_eq!(members(desk).len(), 1);
        desk.hang_up(old);
        desk.wait(seconds(30));
        assert!(desk.dialled.is_empty(), "it has a connection");
        assert_eq!(desk.hears_methods(new), ["HELLO"]);
    });
}

#[test]
fn members_survive_a_restart_unproven() {
    track(|desk| {
        member(desk, "10.0.0.1:40000", 7001);
        member(desk, "10.0.0.2:40000", 7002);
        let genesis = [("genesis", json!(hex([5; 32])))];
        open(desk, "10.0.0.3:40000", hello_with(1, 7003, &genesis));
        let gone = open(desk, "10.0.0.4:40000", hello_with(1, 7004, &[]));
        desk.says(gone, json!({"GETADDR": 0}));
        prove_all(desk);
        let mut records: Vec<Record> = Vec::new();
        for record in desk.saved.iter().filter(|record| record.table == Table::Protocol) {
            records.retain(|kept| kept.key != record.key);
            records.extend(record.value.is_some().then(|| record.clone()));
        }
        let mut again = desk_with(settings(), &records);
        let expected = ["10.0.0.1:7001", "10.0.0.2:7002", "10.0.0.3:7003"].map(|text| (address(text), false));
        assert_eq!(members(&again), expected);
        let asker = open(&mut again, "10.0.0.9:40000", hello_with(1, 0, &genesis));
        assert!(asks(&mut again, asker).is_empty());
        assert_eq!(prove_all(&mut again).len(), 3);
        assert_eq!(asks(&mut again, asker).len(), 3);
        let stranger = open(&mut again, "10.0.0.8:40000", hello_with(1, 0, &[("genesis", json!(hex([6; 32])))]));
        assert_eq!(asks(&mut again, stranger).len(), 2, "another genesis was saved with its member");
    });
}

#[test]
fn members_of_another_chain_are_left_out() {
    let of = |byte: u8| [("genesis", json!(hex([byte; 32])))];
    track(|desk| {
        for (ip, genesis) in [(1, 1), (2, 1), (3, 2)] {
            open(desk, &format!("10.0.0.{ip}:40000"), hello_with(1, 7000, &of(genesis)));
        }
        member(desk, "10.0.0.4:40000", 7000);
        // The proof's HELLO names no genesis: what was said before stands.
        let one = open(desk, "10.0.1.1:40000", hello_with(1, 0, &of(1)));
        let two = open(desk, "10.0.1.2:40000", hello_with(1, 0, &of(2)));
        let any = open(desk, "10.0.1.3:40000", hello_with(1, 0, &[]));
        assert_eq!([one, two, any].map(|asker| asks(desk, asker).len()), [3, 2, 4]);
    });
}

#[test]
fn the_freshest_come_first_by_chance_among_equals() {
    track(|desk| {
        let guests: Vec<_> = (1..=20).map(|ip| member(desk, &format!("10.0.{ip}.1:40000"), 7000)).collect();
        desk.wait(seconds(30));
        let fresh: BTreeSet<_> = guests[5..9].iter().map(|guest| ip_of(desk, *guest)).collect();
        for guest in &guests[5..9] {
            desk.says(*guest, hey(1));
        }
        let asker = open(desk, "10.0.99.1:40000", hello(1));
        let answers: Vec<Vec<_>> = (0..4)
            .map(|_| {
                desk.wait(seconds(1));
                asks(desk, asker).iter().map(|address| IpAddr::V4(v4(address))).collect()
            })
            .collect();
        for answer in &answers {
            assert_eq!(answer.len(), 20);
            assert_eq!(answer[..4].iter().copied().collect::<BTreeSet<_>>(), fresh);
        }
        assert!(answers.iter().any(|answer| answer != &answers[0]), "by chance");
    });
}

fn v4(address: &Address) -> Ipv4Addr {
    match address.ip() {
        IpAddr::V4(ip) => ip,
        IpAddr::V6(ip) => panic!("{ip} is none of ours"),
    }
}

fn ip_of(desk: &Desk, connection: ConnectionId) -> IpAddr {
    desk.engine.state().peers[&connection].ends.remote.ip()
}

#[test]
fn one_address_holds_64_members_the_unproven_leave_first() {
    track(|desk| {
        for port in 1..=64_u16 {
            member(desk, &format!("10.0.0.1:{}", 40_000 + port), port);
        }
        let hangups: Vec<_> = desk.engine.state().peers.keys().copied().collect();
        assert_eq!(hangups.len(), 64);
        hangups.into_iter().for_each(|guest| desk.hang_up(guest));
        open(desk, "10.0.0.1:50001", hello_with(1, 1001, &[]));
        assert_eq!(members(desk).len(), 64);
        let is_member = |desk: &Desk, port: u16| members(desk).iter().any(|(member, _)| member.port() == port);
        assert!(is_member(desk, 1001), "the stalest has left for it");
        open(desk, "10.0.0.1:50002", hello_with(1, 1002, &[]));
        assert!(is_member(desk, 1002) && !is_member(desk, 1001), "the unproven one has");
        open(desk, "10.0.0.2:50001", hello_with(1, 1, &[]));
        assert_eq!(members(desk).len(), 65);
    });
}

#[test]
fn loopback_holds_4096() {
    track(|desk| {
        for port in 1..=4_100_u16 {
            let guest = open(desk, &format!("127.0.0.1:{}", 10_000 + port), hello_with(1, port, &[]));
            desk.hang_up(guest);
        }
        assert_eq!(members(desk).len(), 4096);
    });
}

#[test]
fn at_most_256_are_dialled_at_once() {
    track(|desk| {
        for ip in 0..300 {
            open(desk, &format!("10.1.{}.{}:40000", ip / 100, ip % 100 + 1), hello_with(1, 7000, &[]));
        }
        assert_eq!(desk.dialled.len(), 256);
        let (proof, to) = desk.dialled.remove(0);
        prove(desk, proof, to);
        assert_eq!(desk.dialled.len(), 256, "the end of one begins the next");
        assert_eq!(prove_all(desk).len(), 299);
    });
}

#[test]
fn the_longest_silent_connection_leaves_when_there_are_too_many() {
    let config = Config { connections_max: 3, ..settings() };
    story_of(
        || desk_with(config.clone(), &[]),
        |desk| {
            let guests: Vec<_> = (1..=3).map(|ip| open(desk, &format!("10.0.0.{ip}:40000"), hello(1))).collect();
            desk.wait(seconds(1));
            desk.says(guests[0], json!({"GETADDR": null}));
            let new = open(desk, "10.0.0.4:40000", hello(1));
            assert_eq!(desk.end(guests[1]), Some(Close::Flushed));
            assert!([guests[0], guests[2], new].iter().all(|guest| desk.is_open(*guest)));
        },
    );
}

#[test]
fn storms_are_limited() {
    track(|desk| {
        let guest = open(desk, "10.0.0.1:40000", hello(1));
        for _ in 0..11 {
            desk.says(guest, hello(1));
        }
        let heard = desk.hears(guest);
        assert!(heard[..10].iter().all(|heard| *heard == hey(0)));
        assert_reject(&heard[10], "HELLO");
        for _ in 0..6 {
            desk.says(guest, json!({"GETADDR": 7000}));
        }
        let heard = desk.hears_methods(guest);
        assert_eq!(heard, ["ADDR", "ADDR", "ADDR", "ADDR", "ADDR", "REJECT"]);
    });
}

#[test]
fn a_tracker_that_meets_itself_parts_and_forgets() {
    track(|desk| {
        let guest = desk.accept("10.0.0.1:40000");
        desk.says(guest, hello_with(1, 7440, &[]));
        let nonce = desk.hears(guest)[1]["HELLO"]["nonce"].clone();
        desk.says(guest, hey(1));
        let (proof, to) = desk.dialled.pop().expect("a dial");
        desk.arrive(proof, to);
        desk.says(proof, hey(0));
        desk.hears(proof);
        desk.says(proof, hello_with(0, 7440, &[("nonce", nonce.clone())]));
        assert!(desk.hears(proof).is_empty() && members(desk).is_empty());
        assert_eq!(desk.end(proof), Some(Close::Now));
        let into = desk.accept("10.0.0.2:40000");
        desk.says(into, hello_with(0, 7440, &[("nonce", nonce)]));
        assert!(desk.hears(into).is_empty());
        assert_eq!(desk.end(into), Some(Close::Now));
    });
}

#[test]
fn a_drained_tracker_lets_everyone_go() {
    track(|desk| {
        let guest = member(desk, "10.0.0.1:40000", 7000);
        desk.act(P2pAction::Command(Command::Drain));
        assert_eq!(desk.end(guest), Some(Close::Flushed));
    });
}

fn ip_nth(nth: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x0b00_0001 + nth * 7)
}

#[test]
fn ten_thousand_members_are_held_proven_asked_and_told_of() {
    let mut desk = desk_with(settings(), &[]);
    let mut guests = Vec::new();
    for nth in 0..10_000 {
        guests.push(member(&mut desk, &format!("{}:40000", ip_nth(nth)), 7444));
    }
    assert_eq!(members(&desk).iter().filter(|(_, proven)| *proven).count(), 10_000);
    let asker = guests[17];
    let told = asks(&mut desk, asker);
    assert_eq!(told.iter().collect::<BTreeSet<_>>().len(), 1000);
    assert!(!told.contains(&Address::new(IpAddr::V4(ip_nth(17)), 7444)));
    // An interval: each is asked once, and not all in the same moment.
    let mut moments = BTreeSet::new();
    let end = desk.now.after(seconds(30));
    let mut heard = 0;
    while let Some(wake) = desk.engine.next_wake().filter(|wake| *wake < end.monotonic) {
        let skipped = wake.since(desk.now.monotonic);
        desk.now = desk.now.after(skipped);
        desk.act(P2pAction::Wake);
        for (guest, said) in std::mem::take(&mut desk.sent) {
            assert!(said.iter().all(|said| method(said) == "HELLO"));
            heard += said.len();
            moments.insert(desk.now.monotonic);
            desk.says(guest, hey(1));
        }
    }
    assert!((10_000..=12_000).contains(&heard) && moments.len() > 5_000, "{heard} {}", moments.len());
    let bytes = Engine::<Tracker>::state(&desk.engine).peers.len();
    assert_eq!(bytes, 10_000);
}

#[test]
fn of_more_than_twenty_thousand_the_unproven_leave_first() {
    let mut desk = desk_with(settings(), &[]);
    for nth in 0..10 {
        member(&mut desk, &format!("{}:40000", ip_nth(nth)), 7444);
    }
    for nth in 10..20_100 {
        let guest = desk.accept(&format!("{}:40000", ip_nth(nth)));
        desk.says(guest, hello_with(1, 7444, &[]));
        desk.says(guest, hey(1));
        desk.hang_up(guest);
    }
    let all = members(&desk);
    assert_eq!((all.len(), all.iter().filter(|(_, proven)| *proven).count()), (20_000, 10));
}

/// Guests come and go, say where they listen, answer or do not; dials succeed or fail; time goes by.
fn tumult(desk: &mut Desk, guests: &mut Vec<ConnectionId>, (what, whom, number): (u8, u8, u8)) {
    let guest = guests.get(usize::from(whom) % guests.len().max(1)).copied();
    match (what % 8, guest) {
        (0, _) | (_, None) => {
            let guest = desk.accept(&format!("10.0.0.{}:{}", number % 4, 1000 + u16::from(whom)));
            desk.says(guest, hello_with(1, u16::from(number % 7), &[]));
            desk.says(guest, hey(1));
            guests.push(guest);
        }
        (1, _) => desk.wait(seconds(u64::from(number % 40))),
        (2, Some(guest)) => desk.hang_up(guest),
        (3, Some(guest)) => desk.says(guest, json!({"GETADDR": number % 7})),
        (4, Some(guest)) => desk.says(guest, hey(1)),
        (5, Some(guest)) => desk.says(guest, hello_with(1, u16::from(number % 7), &[])),
        (6, _) => drop(fail_all(desk)),
        _ => drop(prove_all(desk)),
    }
    for (guest, heard) in std::mem::take(&mut desk.sent) {
        let own = desk.engine.protocol().members().of(guest);
        for told in heard.iter().filter_map(|heard| heard["ADDR"].as_array()) {
            let told: Vec<_> = told.iter().map(|one| address(one.as_str().expect("text"))).collect();
            assert!(told.iter().all(|told| Some(*told) != own && told.port() != 0), "never the asker's own");
            assert_eq!(told.iter().collect::<BTreeSet<_>>().len(), told.len(), "each once");
        }
    }
    guests.retain(|guest| desk.is_open(*guest));
}

proptest! {
    #[test]
    fn any_tumult_is_survived_and_ends(deeds in prop::collection::vec(any::<(u8, u8, u8)>(), 1..200)) {
        let mut desk = desk_with(settings(), &[]);
        let mut guests = Vec::new();
        for deed in deeds {
            tumult(&mut desk, &mut guests, deed);
        }
        for guest in guests {
            desk.hang_up(guest);
        }
        // Nobody answers any more: after three intervals nobody is a member.
        for _ in 0..6 {
            fail_all(&mut desk);
            desk.wait(seconds(30));
        }
        prop_assert!(members(&desk).is_empty());
    }
}
