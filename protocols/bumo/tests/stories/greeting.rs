//! Stories of the handshake: BUMO spec, sections 4.2 to 4.4, and rows 1 to 11, 19 and 21 of the checklist in 10.3.

use crate::make::{self, OURS, fixture};
use crate::peers::Greeting;
use crate::stage::*;
use polypeer_bumo::frame::pack;
use polypeer_bumo::wire::{GetLedgers, Hello, HelloResponse, Kind, Message as _, Ping};
use polypeer_engine::{Address, Close, ConnectionId, DialFailure, Direction, Event, P2pAction, Reason, Target};

pub(crate) const PEER: &str = "10.0.0.9:40000";
const LISTENER: &str = "10.0.0.9:36011";

/// Tells a story of someone who dialled us, then of someone whom we dialled.
fn both_ways(tell: impl Fn(&mut Stage, ConnectionId)) {
    story(|stage| {
        let peer = stage.accept(PEER);
        tell(stage, peer);
    });
    story(|stage| {
        let peer = stage.dial(LISTENER);
        stage.hears(peer);
        tell(stage, peer);
    });
}

#[test]
fn row_1_who_connects_and_says_nothing_is_pinged_within_a_second_and_closed_after_ten() {
    story(|stage| {
        let peer = stage.accept(PEER);
        stage.hears_nothing(peer);
        stage.wait(seconds(1));
        let ping = stage.hears_one(peer, Kind::Ping, true);
        assert_eq!(ping.sequence, 0);
        stage.wait(millis(8_999));
        assert!(stage.is_open(peer));
        stage.wait(millis(1));
        stage.is_cut(peer);
        assert_eq!(stage.severity(PEER), None);
    });
}

#[test]
fn row_2_hello_is_answered_with_hello_the_answer_and_peers_in_this_order() {
    story(|stage| {
        let peer = stage.accept(PEER);
        stage.says_raw(peer, &fixture("hello_request_dialer.hex"));
        let heard = stage.hears(peer);
        let kinds: Vec<_> = heard.iter().map(|said| (said.kind, said.is_request, said.sequence)).collect();
        assert_eq!(kinds, [(Kind::Hello, true, 0), (Kind::Hello, false, 0), (Kind::Peers, true, 1)]);
        assert_eq!(heard[1].payload, fixture("hello_response_ok.hex"));
        assert_eq!(heard[2].payload, fixture("peers_empty.hex"));
        let ours = Hello::decode(&heard[0].data).expect("a HELLO");
        assert_eq!((ours.network_id, ours.ledger_version, ours.overlay_version), (30_000, 1003, 1000));
        assert_eq!((ours.bumo_version, ours.listening_port), ("1.3.3", 36_001));
        assert_eq!(ours.node_address, make::node_address(OURS));
        assert!(ours.node_rand.starts_with("node-rand-1795172223000000-"), "{}", ours.node_rand);
        let ready = |event: &Event| matches!(event, Event::PeerReady { about, .. } if about == "1.3.3");
        assert!(stage.events.iter().any(ready));
        stage.wait(seconds(1));
        assert_eq!(stage.hears_kinds(peer), [(Kind::Ping, true), (Kind::Ledgers, true)]);
        stage.is_well(peer);
    });
}

#[test]
fn whoever_we_dialled_hears_hello_first_and_then_only_the_answer_to_its_own() {
    story(|stage| {
        let peer = stage.dial(LISTENER);
        let ours = stage.hears_one(peer, Kind::Hello, true);
        assert_eq!(ours.sequence, 0);
        stage.says_raw(peer, &fixture("hello_request_acceptor.hex"));
        assert_eq!(stage.hears_one(peer, Kind::Hello, false).payload, fixture("hello_response_ok.hex"));
        stage.says_raw(peer, &fixture("hello_response_ok.hex"));
        stage.says_raw(peer, &fixture("peers_one.hex"));
        stage.hears_nothing(peer);
        stage.is_well(peer);
    });
}

#[test]
fn row_3_hello_again_is_answered_and_changes_nothing() {
    story(|stage| {
        // Connection numbers are even for those that we dial; the captured one is 12.
        for number in 0..6 {
            stage.dial(&format!("10.1.0.{number}:36001"));
        }
        let peer = stage.dial("127.0.0.1:36011");
        assert_eq!(peer.as_u64(), 12);
        stage.says(peer, Kind::Hello, &Greeting::of(1).encode());
        stage.hears(peer);
        let before = stage.engine.state().peers[&peer].is_ready;
        let other = Greeting { network_id: 5, listening_port: 0, ..Greeting::of(2) };
        for greeting in [Greeting::of(1), other] {
            stage.types(peer, &pack(Kind::Hello, true, 1, &greeting.encode()));
            let again = stage.hears_one(peer, Kind::Hello, false);
            assert_eq!(again.payload, fixture("hello_response_already_active.hex"));
        }
        assert!(before && stage.slips(peer) == 0);
        stage.is_well(peer);
    });
}

#[test]
fn row_4_a_second_connection_of_one_node_is_refused_and_the_first_stays() {
    story(|stage| {
        let first = stage.guest_as(PEER, &Greeting::of(3));
        stage.wait(seconds(5));
        while stage.dialled.last().is_none_or(|(dial, _)| dial.as_u64() < 12) {
            stage.dial(&format!("10.1.0.{}:36001", stage.dialled.len()));
        }
        let second = stage.dial("127.0.0.1:36011");
        assert_eq!(second.as_u64(), 14);
        stage.hears(second);
        stage.types(second, &pack(Kind::Hello, true, 0, &Greeting::of(3).encode()));
        let heard = stage.hears(second);
        assert_eq!(heard[0].payload, fixture("hello_response_err_duplicate.hex"));
        assert_eq!((heard.len(), stage.closed.get(&second)), (1, Some(&Close::Lingering)));
        stage.is_well(first);
        assert_eq!(stage.severity("127.0.0.1:1"), None);
    });
}

/// What a captured refusal says, byte for byte.
fn is_refused_as(name: &str, change: impl Fn(&mut Greeting)) {
    both_ways(|stage, peer| {
        let mut greeting = Greeting::of(1);
        change(&mut greeting);
        stage.types(peer, &pack(Kind::Hello, true, 0, &greeting.encode()));
        let heard = stage.hears(peer);
        assert_eq!(heard.len(), 1, "a refusal is all that is said");
        assert_eq!(heard[0].payload, fixture(name));
        assert_eq!(stage.closed.get(&peer), Some(&Close::Lingering), "the answer is the last word");
        assert_eq!(stage.severity(PEER), None);
    });
}

#[test]
fn row_5_another_network_is_refused() {
    is_refused_as("hello_response_err_network_id.hex", |hello| hello.network_id = 5);
}

#[test]
fn row_6_our_own_address_is_refused() {
    is_refused_as("hello_response_err_self_address.hex", |hello| hello.node_address = make::node_address(OURS));
}

#[test]
fn row_7_an_old_overlay_is_refused_and_a_newer_one_is_not() {
    is_refused_as("hello_response_err_overlay_version.hex", |hello| hello.overlay_version = 999);
    for overlay_version in [1000, 2000, i64::MAX] {
        story(|stage| {
            let peer = stage.guest_as(PEER, &Greeting { overlay_version, ..Greeting::of(1) });
            stage.is_well(peer);
        });
    }
}

#[test]
fn row_8_a_port_that_nobody_listens_on_is_refused() {
    is_refused_as("hello_response_err_listen_port.hex", |hello| hello.listening_port = 0);
    for listening_port in [-1, 65_536, i64::MAX] {
        both_ways(|stage, peer| {
            stage.says(peer, Kind::Hello, &Greeting { listening_port, ..Greeting::of(1) }.encode());
            stage.is_refused(peer, &format!("Peer's listen port({listening_port}) is not valid"));
        });
    }
    story(|stage| {
        let peer = stage.guest_as(PEER, &Greeting { listening_port: 65_535, ..Greeting::of(1) });
        stage.is_well(peer);
    });
}

#[test]
fn row_9_odd_versions_and_names_are_taken() {
    story(|stage| {
        let odd = Greeting { ledger_version: 1, bumo_version: "\u{1f980}".repeat(100), ..Greeting::of(1) };
        let malformed = Greeting { node_address: "no address".into(), ..Greeting::of(2) };
        let empty = Greeting { node_address: String::new(), ..Greeting::of(3) };
        let silent = stage.accept("10.0.0.1:40001");
        let peers = [odd, malformed, empty].map(|greeting| stage.guest_as(PEER, &greeting));
        peers.into_iter().for_each(|peer| stage.is_well(peer));
        let about = stage.events.iter().find_map(|event| match event {
            Event::PeerReady { about, .. } => Some(about.len()),
            _ => None,
        });
        assert_eq!(about, Some(256));
        stage.hang_up(silent);
    });
}

#[test]
fn the_first_check_that_fails_is_told() {
    story(|stage| {
        stage.guest_as("10.0.0.8:40000", &Greeting::of(1));
        let all_wrong = Greeting { network_id: 1, overlay_version: 1, listening_port: 0, ..Greeting::of(1) };
        let peer = stage.accept(PEER);
        stage.says(peer, Kind::Hello, &all_wrong.encode());
        stage.is_refused(peer, &format!("Duplicated connection with ip(10.0.0.9), id({peer})"));
        let peer = stage.accept(PEER);
        let own = Greeting { node_address: make::node_address(OURS), overlay_version: 1, ..all_wrong };
        stage.says(peer, Kind::Hello, &own.encode());
        stage.is_refused(peer, "Different network id, remote id(1) is not equal to the local id(30000)");
    });
}

#[test]
fn row_10_a_ping_before_hello_is_answered() {
    both_ways(|stage, peer| {
        stage.says_raw(peer, &fixture("ping_request.hex"));
        assert_eq!(stage.hears_one(peer, Kind::Ping, false).payload, fixture("ping_response.hex"));
    });
}

#[test]
fn row_11_nothing_else_is_heard_before_hello() {
    let ledgers = GetLedgers { begin: 2, end: 2, ..GetLedgers::default() }.encode();
    let transaction = make::transaction(1);
    let early = [
        (Kind::Ledgers, &ledgers[..]),
        (Kind::Transaction, &transaction),
        (Kind::Transaction, &[0xff]),
        (Kind::Pbft, &[]),
        (Kind::LedgerUpgradeNotify, &[0xff]),
        (Kind::Peers, &[0xff]),
    ];
    both_ways(|stage, peer| {
        for (kind, data) in early {
            stage.says(peer, kind, data);
            stage.answers(peer, kind, data);
        }
        stage.hears_nothing(peer);
        assert!(stage.is_open(peer) && stage.slips(peer) == 0 && stage.ledger.pool.is_empty());
        stage.says(peer, Kind::Hello, &Greeting::of(1).encode());
        stage.is_well(peer);
    });
}

#[test]
fn a_message_before_hello_is_short() {
    both_ways(|stage, peer| {
        stage.says(peer, Kind::Transaction, &[0; 16 << 10]);
        assert!(!stage.is_open(peer));
    });
}

#[test]
fn row_19_a_refusal_of_ours_ends_the_connection_at_any_time() {
    let refusal = HelloResponse::refusal("Duplicated\nconnection with ip(10.0.0.1), id(7)").encode();
    both_ways(|stage, peer| {
        stage.answers(peer, Kind::Hello, &refusal);
        assert_eq!(stage.closed.get(&peer), Some(&Close::Flushed));
        assert_eq!(stage.severity(PEER), None);
    });
    both_ways(|stage, peer| {
        stage.says(peer, Kind::Hello, &Greeting::of(1).encode());
        stage.wait(seconds(30));
        stage.answers(peer, Kind::Hello, &refusal);
        assert_eq!(stage.closed.get(&peer), Some(&Close::Flushed));
        let told = "refused us: Duplicatedconnection with ip(10.0.0.1), id(7)";
        assert!(stage.reasons(PEER).contains(&Reason::Closed(told.into())), "{:?}", stage.reasons(PEER));
    });
}

#[test]
fn an_answer_that_refuses_nothing_changes_nothing() {
    both_ways(|stage, peer| {
        let nothing = HelloResponse { error_code: 0, error_desc: "fine" }.encode();
        for data in [&nothing[..], &[], &[0xff]] {
            stage.answers(peer, Kind::Hello, data);
        }
        assert!(stage.is_open(peer));
        stage.wait(seconds(10));
        stage.is_cut(peer);
    });
}

#[test]
fn row_21_whoever_refuses_us_is_dialled_again_later_each_time() {
    story(|stage| {
        stage.act(polypeer_engine::P2pAction::Command(polypeer_engine::Command::AddPeer(
            polypeer_engine::Target::Address(address(LISTENER)),
        )));
        stage.wait(seconds(1));
        let mut waits = Vec::new();
        for number in 1..=5 {
            assert_eq!(stage.dialled.len(), number);
            let peer = stage.arrives();
            stage.answers(peer, Kind::Hello, &HelloResponse::refusal("no").encode());
            assert!(!stage.is_open(peer));
            let before = stage.now.monotonic;
            while stage.dialled.len() == number {
                stage.wait(millis(100));
            }
            waits.push(stage.now.monotonic.since(before));
        }
        assert!(waits.is_sorted() && waits[4] >= seconds(10) && waits[4] <= seconds(45), "{waits:?}");
        assert_eq!(stage.severity(PEER), None);
    });
}

#[test]
fn a_node_that_meets_itself_ends_both_and_never_dials_there_again() {
    story(|stage| {
        let there = "10.0.0.1:36009";
        let out = stage.dial(there);
        let ours = stage.hears_one(out, Kind::Hello, true);
        let inbound = ConnectionId::nth(Direction::Inbound, 500);
        let far = Address::new(address(OWN).ip(), 40_000);
        stage.connected(inbound, address(there), far, None);
        stage.says(inbound, Kind::Hello, &ours.data);
        stage.is_refused(inbound, "The peer connection is broken because it connects itself");
        assert!(!stage.is_open(out));
        let dials = stage.dialled.len();
        stage.act(polypeer_engine::P2pAction::Connect { address: address(there) });
        assert_eq!(stage.dialled.len(), dials);
    });
}

/// Two nodes that dial each other at once keep the connection that the smaller address dialled, as both can tell.
#[test]
fn of_two_connections_that_cross_one_is_kept() {
    let ours = make::node_address(OURS);
    let larger = (1..).find(|number| make::node_address(*number) > ours).expect("one of two");
    let smaller = (1..).find(|number| make::node_address(*number) < ours).expect("one of two");
    for (theirs, ours_is_kept) in [(larger, true), (smaller, false)] {
        // Whichever of the two is greeted first.
        for inbound_first in [true, false] {
            story(|stage| {
                let outbound = stage.dial(LISTENER);
                stage.hears(outbound);
                let inbound = stage.accept(PEER);
                let order = if inbound_first { [inbound, outbound] } else { [outbound, inbound] };
                for peer in order {
                    stage.says(peer, Kind::Hello, &Greeting::of(theirs).encode());
                }
                assert_eq!((stage.is_open(outbound), stage.is_open(inbound)), (ours_is_kept, !ours_is_kept));
            });
        }
    }
}

#[test]
fn a_claim_pushes_out_nobody_who_is_here_for_long() {
    let ours = make::node_address(OURS);
    let larger = (1..).find(|number| make::node_address(*number) > ours).expect("one of two");
    story(|stage| {
        let first = stage.guest_as("10.0.0.8:40000", &Greeting::of(larger));
        stage.wait(seconds(5));
        let second = stage.dial(LISTENER);
        stage.says(second, Kind::Hello, &Greeting::of(larger).encode());
        assert!(stage.is_open(first) && !stage.is_open(second));
    });
    story(|stage| {
        let first = stage.guest_as("10.0.0.8:40000", &Greeting::of(larger));
        let second = stage.accept(PEER);
        stage.says(second, Kind::Hello, &Greeting::of(larger).encode());
        assert!(stage.is_open(first) && !stage.is_open(second), "nor one that comes the same way");
    });
}

#[test]
fn each_side_counts_its_requests_and_echoes_the_others() {
    story(|stage| {
        let peer = stage.accept(PEER);
        stage.types(peer, &pack(Kind::Hello, true, 41, &Greeting::of(1).encode()));
        stage.types(peer, &pack(Kind::Ping, true, -3, &Ping { nonce: -1 }.encode()));
        stage.lively.push(peer);
        stage.wait(seconds(31));
        let heard = stage.hears(peer);
        let answers: Vec<_> = heard.iter().filter(|it| !it.is_request).map(|it| it.sequence).collect();
        assert_eq!(answers, [41, -3]);
        let requests: Vec<_> = heard.iter().filter(|it| it.is_request).map(|it| it.sequence).collect();
        // The pings in between were taken out: 2, 4 and 6; the questions are 3 and, after three intervals, 5.
        assert_eq!(requests, [0, 1, 3, 5]);
    });
}

#[test]
fn a_connection_that_no_hello_came_on_holds_no_name() {
    story(|stage| {
        let silent = stage.accept("10.0.0.8:40000");
        let first = stage.guest_as(PEER, &Greeting { node_address: String::new(), ..Greeting::of(1) });
        stage.is_well(first);
        assert!(stage.is_open(silent));
        let second = stage.accept("10.0.0.7:40000");
        stage.says(second, Kind::Hello, &Greeting { node_address: String::new(), ..Greeting::of(2) }.encode());
        stage.is_refused(second, &format!("Duplicated connection with ip(10.0.0.7), id({second})"));
    });
}

/// Two nodes that each name the other have one connection, and neither dials while it stands.
#[test]
fn a_named_peer_that_dialled_us_is_not_dialled_until_it_is_gone() {
    const NAMED: &str = "10.7.0.9:36011";
    let mut setting = holding(20);
    setting.p2p.add_peers = vec![Target::Address(address(NAMED))];
    story_of(&setting, |stage| {
        stage.wait(seconds(1));
        let (connection, dialled) = stage.dialled[0];
        assert_eq!(dialled, address(NAMED));
        stage.act(P2pAction::ConnectionFailed { connection, cause: DialFailure::Refused });
        // Nobody can say of another host that it is here.
        let liar = stage.guest("10.7.0.8:5000");
        stage.lively.push(liar);
        stage.wait(seconds(60));
        let dials = stage.dialled.len();
        assert!(dials > 1, "it is dialled again and again");
        let (connection, _) = stage.dialled[dials - 1];
        stage.act(P2pAction::ConnectionFailed { connection, cause: DialFailure::Refused });
        let guest = stage.guest("10.7.0.9:5000");
        stage.lively.push(guest);
        let dials = stage.dialled.len();
        stage.wait(seconds(600));
        assert_eq!(stage.dialled.len(), dials, "it is here");
        stage.hang_up(guest);
        stage.wait(seconds(40));
        assert_eq!(stage.dialled.len(), dials + 1, "it is gone");
    });
}
