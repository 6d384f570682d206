//! Stories of PEERS: BUMO spec, sections 5.1 and 5.2, and rows 18 and 20 of the checklist in 10.3.

use crate::greeting::PEER;
use crate::make::data_of;
use crate::peers::Greeting;
use crate::stage::*;
use bytes::Bytes;
use polypeer_bumo::wire::{Kind, Message as _, PEERS_MAX, Peer, Peers};
use polypeer_engine::{P2pConfig, Reason};

fn push(places: &[(&str, i64)]) -> Bytes {
    Peers { peers: places.iter().map(|(ip, port)| Peer { ip, port: *port, ..Peer::default() }).collect() }.encode()
}

/// What the acceptor of a new peer tells it.
fn told(stage: &mut Stage, remote: &str) -> Vec<(String, i64)> {
    let peer = stage.accept(remote);
    let greeting = stage.new_greeting();
    stage.says(peer, Kind::Hello, &greeting.encode());
    let heard = stage.hears(peer);
    assert_eq!((heard[2].kind, heard[2].is_request), (Kind::Peers, true));
    let peers = Peers::decode(&heard[2].data).expect("peers");
    let told = |peer: &Peer<'_>| {
        let plain = Peer { ip: peer.ip, port: peer.port, ..Peer::default() };
        assert_eq!(*peer, plain, "our bookkeeping is nobody's business");
        (peer.ip.to_owned(), peer.port)
    };
    peers.peers.iter().map(told).collect()
}

#[test]
fn row_20_a_new_address_is_dialled_within_five_seconds() {
    story(|stage| {
        let peer = stage.settled(PEER);
        let dials = stage.dialled.len();
        stage.says(peer, Kind::Peers, &push(&[("10.7.0.1", 36_099)]));
        stage.wait(seconds(5));
        let dialled: Vec<_> = stage.dialled[dials..].iter().map(|(_, address)| *address).collect();
        assert_eq!(dialled, [address("10.7.0.1:36099")]);
        stage.hears(peer);
        stage.is_well(peer);
    });
}

#[test]
fn what_nobody_can_dial_is_left() {
    let places = [
        ("0.0.0.0", 36_001),
        ("10.7.0.1", 0),
        ("10.7.0.1", 65_536),
        ("10.0.0.1", 36_001),
        ("224.0.0.1", 1),
        ("not an address", 36_001),
        ("", 36_001),
        ("::1", 36_001),
        ("10.7.0.256", 36_001),
    ];
    story(|stage| {
        let peer = stage.settled(PEER);
        let dials = stage.dialled.len();
        stage.says(peer, Kind::Peers, &push(&places));
        stage.wait(seconds(10));
        assert_eq!((stage.dialled.len(), stage.slips(peer)), (dials, 0));
    });
}

#[test]
fn today_takes_the_low_sixteen_bits_of_a_port() {
    story(|stage| {
        let peer = stage.settled(PEER);
        stage.says(peer, Kind::Peers, &push(&[("10.7.0.1", 65_536 + 36_099)]));
        stage.wait(seconds(5));
        assert_eq!(stage.dialled.last().map(|(_, address)| *address), Some(address("10.7.0.1:36099")));
    });
}

#[test]
fn captured_pushes_are_understood() {
    story(|stage| {
        let peer = stage.settled(PEER);
        stage.says(peer, Kind::Peers, &data_of("peers_four.hex"));
        stage.says(peer, Kind::Peers, &data_of("peers_one.hex"));
        stage.says(peer, Kind::Peers, &data_of("peers_empty.hex"));
        assert_eq!(stage.slips(peer), 0);
        let known: Vec<_> = stage.engine.state().discovery.book.all().map(|(address, _)| address.to_string()).collect();
        assert_eq!(known, ["127.0.0.1:36011", "127.0.0.1:36031", "127.0.0.1:36041", "127.0.0.1:36051"]);
    });
}

#[test]
fn whoever_dials_us_is_told_who_is_here_and_not_of_itself() {
    story(|stage| {
        assert_eq!(told(stage, "10.0.0.8:40000"), []);
        let host = stage.host("10.0.0.7:36077");
        assert_eq!(told(stage, PEER), [("10.0.0.7".to_owned(), 36_077), ("10.0.0.8".to_owned(), 36_011)]);
        stage.hang_up(host);
        let mut told = told(stage, "10.0.0.6:40000");
        told.sort();
        assert_eq!(told, [("10.0.0.8".to_owned(), 36_011), ("10.0.0.9".to_owned(), 36_011)]);
    });
}

#[test]
fn fifty_are_told_at_most_and_those_that_we_reached_first() {
    story(|stage| {
        let host = stage.host("10.9.9.9:36077");
        for number in 0..60 {
            stage.guest(&format!("10.3.{number}.1:40000"));
        }
        let told = told(stage, PEER);
        assert_eq!((told.len(), &told[0]), (50, &("10.9.9.9".to_owned(), 36_077)));
        assert!(stage.is_open(host));
    });
}

#[test]
fn the_dialler_tells_nobody() {
    story(|stage| {
        stage.guest("10.0.0.8:40000");
        let host = stage.dial("10.0.0.7:36077");
        stage.hears(host);
        let greeting = stage.new_greeting();
        stage.says(host, Kind::Hello, &greeting.encode());
        assert_eq!(stage.hears_kinds(host), [(Kind::Hello, false)]);
    });
}

#[test]
fn whoever_dialled_us_is_dialled_when_it_is_gone_and_not_before() {
    story(|stage| {
        let greeting = Greeting { listening_port: 36_055, ..Greeting::of(5) };
        let peer = stage.guest_as(PEER, &greeting);
        stage.wait(seconds(10));
        assert_eq!(stage.dialled, []);
        stage.hang_up(peer);
        stage.wait(seconds(5));
        assert_eq!(stage.dialled.last().map(|(_, address)| *address), Some(address("10.0.0.9:36055")));
    });
    story(|stage| {
        let peer = stage.guest_as(PEER, &Greeting { listening_port: 36_055, ..Greeting::of(5) });
        let dial = stage.dial("10.0.0.9:36055");
        stage.hears_nothing(dial);
        assert!(!stage.is_open(dial) && stage.is_open(peer), "a second connection would be refused");
        assert!(stage.reasons(PEER).contains(&Reason::Closed("that peer dialled us".into())));
    });
}

#[test]
fn row_18_a_push_that_does_not_decode_is_borne() {
    story(|stage| {
        let peer = stage.settled(PEER);
        for data in [&[0xff][..], &[0x0a, 9], &[0x0a, 2, 0x0a, 1]] {
            stage.says(peer, Kind::Peers, data);
        }
        assert_eq!(stage.slips(peer), 3);
        stage.is_well(peer);
    });
}

#[test]
fn lists_without_end_teach_nothing_and_cost_their_sender() {
    let ips: Vec<String> =
        (0..=PEERS_MAX).map(|number| format!("10.8.{}.{}", number / 250, number % 250 + 1)).collect();
    let places: Vec<_> = ips.iter().map(|ip| (&**ip, 36_001)).collect();
    story(|stage| {
        let peer = stage.settled(PEER);
        stage.says(peer, Kind::Peers, &push(&places));
        assert_eq!((stage.slips(peer), stage.engine.state().discovery.book.len()), (1, 0));
        stage.says(peer, Kind::Peers, &vec![0x0a; 100 << 10]);
        assert_eq!(stage.slips(peer), 2);
        stage.says(peer, Kind::Peers, &push(&places[1..]));
        assert_eq!(stage.slips(peer), 2);
        // Some find their place in the book taken.
        assert!((900..=1_000).contains(&stage.engine.state().discovery.book.len()));
    });
}

#[test]
fn a_flood_of_addresses_runs_out_of_credit_and_fills_no_book() {
    let p2p = P2pConfig { book_max: 5_000, ..holding(20).p2p };
    let mut stage = Stage::new(Setting { p2p, ..holding(20) });
    let [honest, peer] = ["10.0.0.8:40000", PEER].map(|peer| stage.settled(peer));
    for push_number in 0..500 {
        let ips: Vec<String> =
            (0..1_000).map(|n| format!("10.{}.{}.{}", push_number % 200, n / 250, n % 250 + 1)).collect();
        let places: Vec<_> = ips.iter().map(|ip| (&**ip, 1 + push_number)).collect();
        stage.says(peer, Kind::Peers, &push(&places));
        assert!(stage.engine.state().discovery.book.len() <= 2_000, "a source has so many at most");
    }
    let refused = stage.engine.state().costs.refused.iter().sum::<u64>();
    assert!((100..200).contains(&refused), "{refused}: two seconds of six milliseconds each are taken");
    stage.is_well(honest);
    stage.ends();
}

#[test]
fn a_node_that_may_not_learn_takes_nothing() {
    let p2p = P2pConfig { discovery: false, ..holding(20).p2p };
    story_of(&Setting { p2p, ..holding(20) }, |stage| {
        let peer = stage.settled(PEER);
        stage.says(peer, Kind::Peers, &push(&[("10.7.0.1", 36_099)]));
        stage.wait(seconds(10));
        assert_eq!((stage.dialled.len(), stage.engine.state().discovery.book.len()), (0, 0));
        stage.hang_up(peer);
        assert_eq!(stage.engine.state().discovery.book.len(), 0);
    });
}
