//! Handshakes (Kaspa spec, section 3).

use crate::make;
use crate::stage::*;
use polypeer_engine::{Close, ConnectionId, Direction, Event, P2pAction};
use polypeer_kaspa::wire::{self, Kind, NetAddress, Nonce, OneHash, Version};
use std::time::Duration;

const PEER: &str = "10.0.0.9:40000";
const TOGETHER: [Kind; 3] = [Kind::Version, Kind::Verack, Kind::Ready];

fn said(version: &Version, kind: Kind) -> Vec<u8> {
    if kind == Kind::Version { version.encode().to_vec() } else { Vec::new() }
}

fn both_ways(tell: impl Fn(&mut Stage, ConnectionId)) {
    story(|stage| {
        let guest = stage.accept(PEER);
        tell(stage, guest);
    });
    story(|stage| {
        let host = stage.dial(PEER);
        tell(stage, host);
    });
}

/// A Version with something wrong in it is refused with this word, after a Verack.
fn refused(change: impl Fn(&mut Version), text: &str) {
    both_ways(|stage, peer| {
        let mut version = stage.new_version();
        change(&mut version);
        stage.says(peer, Kind::Verack, &[]);
        assert_eq!(stage.hears_kinds(peer), [Kind::Version]);
        stage.says(peer, Kind::Version, &version.encode());
        assert_eq!(stage.sent[&peer].first(), Some(&wire::pack(Kind::Verack, &[], 0, 0)));
        stage.is_rejected(peer, text);
    });
}

#[test]
fn both_sides_speak_at_once_and_ready_accepts() {
    both_ways(|stage, peer| {
        let ours = stage.hears_one(peer, Kind::Version);
        let ours = Version::decode(&ours.body).expect("our Version");
        assert_eq!((ours.protocol_version, ours.services, ours.network.as_str()), (11, 0, "kaspa-simnet"));
        assert_eq!(ours.timestamp, i64::try_from(stage.now.unix_ms).expect("not so late"));
        assert!(ours.user_agent.starts_with("/polypeer:") && ours.address.is_none() && ours.subnetwork_id.is_none());
        let version = stage.new_version();
        stage.says(peer, Kind::Version, &version.encode());
        stage.hears_one(peer, Kind::Verack);
        stage.says(peer, Kind::Verack, &[]);
        stage.hears_one(peer, Kind::Ready);
        assert!(!stage.events.iter().any(|event| matches!(event, Event::PeerReady { .. })));
        stage.says(peer, Kind::Ready, &[]);
        assert_eq!(stage.hears_kinds(peer), [Kind::RequestAddresses, Kind::InvRelayBlock]);
        assert!(
            stage
                .events
                .iter()
                .any(|event| matches!(event, Event::PeerReady { about, .. } if about == "/scripted:1.0.0/"))
        );
    });
}

#[test]
fn the_three_words_may_come_in_any_order() {
    let orders = [[0, 1, 2], [1, 0, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1], [0, 2, 1]];
    for order in orders {
        both_ways(|stage, peer| {
            let version = stage.new_version();
            for kind in order.map(|at| TOGETHER[at]) {
                stage.says(peer, kind, &said(&version, kind));
            }
            let heard = stage.hears_kinds(peer);
            assert_eq!(&heard[..3], &TOGETHER, "{order:?}");
            assert_eq!(&heard[3..], &[Kind::RequestAddresses, Kind::InvRelayBlock]);
            stage.is_well(peer);
        });
    }
}

#[test]
fn all_three_words_in_one_segment_byte_by_byte() {
    story(|stage| {
        let peer = stage.accept(PEER);
        let version = stage.new_version();
        for kind in TOGETHER {
            for byte in wire::pack(kind, &said(&version, kind), 0, 0) {
                stage.types(peer, &[byte]);
            }
        }
        stage.is_well(peer);
    });
}

#[test]
fn nothing_is_said_of_a_sink_that_is_genesis() {
    story_of(&holding(1), |stage| {
        let peer = stage.accept(PEER);
        let version = stage.new_version();
        stage.greets(peer, &version);
        assert_eq!(&stage.hears_kinds(peer)[3..], &[Kind::RequestAddresses]);
    });
}

#[test]
fn who_came_before_the_ledger_spoke_is_told_of_the_sink_then() {
    let setting = Setting { is_asleep: true, ..holding(make::dag().len()) };
    story_of(&setting, |stage| {
        let peer = stage.guest(PEER);
        stage.awakes();
        stage.hears_of(peer, stage.ledger.dag.sink());
    });
}

#[test]
fn ten_and_everything_from_eleven_on_is_spoken_and_nothing_below() {
    for (advertised, spoken) in [(10, 10), (11, 11), (99, 11)] {
        story(|stage| {
            let version = Version { protocol_version: advertised, ..stage.new_version() };
            let peer = stage.guest_as(PEER, &version);
            let known = stage.engine.state().peers[&peer].peer.as_ref().expect("no handler runs");
            let polypeer_kaspa::Peer::Ready(ready) = known else { panic!("it is ready") };
            assert_eq!((ready.advertised, ready.version), (advertised, spoken));
        });
    }
    for old in [0, 5, 9] {
        let text = format!("P2P protocol version mismatch - local: 11, remote: {old}");
        refused(|version| version.protocol_version = old, &text);
    }
}

#[test]
fn another_network_is_told_its_name() {
    for network in ["simnet", "Kaspa-simnet", "kaspa-devnet", ""] {
        let text = format!("Network mismatch - local: kaspa-simnet, remote: {network}");
        refused(|version| version.network = network.into(), &text);
    }
}

#[test]
fn what_does_not_decode_is_refused_in_todays_words() {
    let cases: [(&str, &dyn Fn(&Version) -> Vec<u8>); 4] = [
        ("IP has illegal length 5", &|version| [&version.encode()[..], &[0x22, 7, 0x1a, 5, 1, 2, 3, 4, 5]].concat()),
        ("Integer parsing error: out of range integral type conversion attempted", &|version| {
            [&version.encode()[..], &[0x22, 10, 0x1a, 4, 1, 2, 3, 4, 0x20, 0x80, 0x80, 0x04]].concat()
        }),
        ("invalid length: expected 16 bytes, found 15", &|version| {
            [&version.encode()[..], &[0x2a, 15], &[7; 15]].concat()
        }),
        ("could not convert slice to array", &|version| [&version.encode()[..], &[0x4a, 4, 0x0a, 2, 1, 2]].concat()),
    ];
    for (text, wrong) in cases {
        both_ways(|stage, peer| {
            let version = stage.new_version();
            stage.says(peer, Kind::Version, &wrong(&version));
            assert_eq!(stage.sent[&peer][1], wire::pack(Kind::Verack, &[], 0, 0));
            stage.is_rejected(peer, text);
        });
    }
}

#[test]
fn a_long_user_agent_is_cut_and_nothing_else_of_it_matters() {
    story(|stage| {
        let odd = Version {
            user_agent: "\u{1f980}".repeat(100),
            services: u64::MAX,
            timestamp: -5,
            disable_relay_tx: true,
            subnetwork_id: Some([9; 20]),
            address: Some(NetAddress::new([0, 0, 0, 0].into(), 0)),
            ..stage.new_version()
        };
        let peer = stage.guest_as(PEER, &odd);
        let about = stage.events.iter().find_map(|event| match event {
            Event::PeerReady { about, .. } => Some(about.len()),
            _ => None,
        });
        assert_eq!(about, Some(256));
        stage.is_well(peer);
    });
}

#[test]
fn the_checks_have_their_order() {
    // A duplicate is reported before a wrong network, that before an old version, and all three after what does not decode.
    story(|stage| {
        let version = stage.new_version();
        let first = stage.guest_as(PEER, &version);
        let second = stage.accept("10.0.0.9:40001");
        let wrong = Version { network: "kaspa-devnet".into(), protocol_version: 9, ..version.clone() };
        stage.greets(second, &wrong);
        stage.is_rejected(second, "DUPLICATE_CONNECTION");
        stage.is_well(first);
        let third = stage.accept("10.0.0.9:40002");
        let broken = [&wrong.encode()[..], &[0x4a, 4, 0x0a, 2, 1, 2]].concat();
        stage.says(third, Kind::Version, &broken);
        stage.is_rejected(third, "could not convert slice to array");
    });
    let text = "Network mismatch - local: kaspa-simnet, remote: kaspa-devnet";
    refused(|version| (version.network, version.protocol_version) = ("kaspa-devnet".into(), 9), text);
}

#[test]
fn the_same_id_from_another_ip_is_another_peer() {
    story(|stage| {
        let version = stage.new_version();
        let first = stage.guest_as(PEER, &version);
        let second = stage.guest_as("10.0.0.8:40000", &version);
        stage.is_well(first);
        stage.is_well(second);
    });
}

#[test]
fn of_two_handshakes_that_race_the_later_one_stays() {
    story(|stage| {
        let version = stage.new_version();
        let [first, second] = ["10.0.0.9:40000", "10.0.0.9:40001"].map(|remote| stage.accept(remote));
        for peer in [first, second] {
            stage.says(peer, Kind::Version, &version.encode());
            stage.says(peer, Kind::Verack, &[]);
        }
        stage.says(first, Kind::Ready, &[]);
        assert!(stage.is_open(first));
        stage.says(second, Kind::Ready, &[]);
        stage.is_rejected(first, "DUPLICATE_CONNECTION");
        stage.is_well(second);
        assert_eq!(stage.severity(PEER), None);
    });
}

#[test]
fn whoever_has_our_id_is_this_node_itself() {
    story(|stage| {
        let us = stage.dial("10.0.0.5:16511");
        let ours = Version::decode(&stage.hears_one(us, Kind::Version).body).expect("our Version");
        let wrong = Version { network: "kaspa-devnet".into(), ..ours };
        stage.greets(us, &wrong);
        stage.is_rejected(us, "LOOPBACK_CONNECTION");
        assert_eq!(stage.severity("10.0.0.5:1"), None);
        let dials = stage.dialled.len();
        stage.act(P2pAction::Connect { address: address("10.0.0.5:16511") });
        assert_eq!(stage.dialled.len(), dials, "an address that leads here is not dialled again");
    });
}

/// Our dial comes in at our own door: both ends end, and the dialled address is known as ours.
#[test]
fn a_dial_that_comes_back_to_us_ends_at_both_ends() {
    story(|stage| {
        let dialled = stage.dial("10.0.0.5:16511");
        let local = stage.engine.state().peers[&dialled].ends.local;
        let accepted = ConnectionId::nth(Direction::Inbound, 90);
        stage.connected(accepted, address("10.0.0.1:16511"), local, None);
        let ours = stage.hears_one(dialled, Kind::Version);
        stage.says(accepted, Kind::Version, &ours.body);
        stage.says(accepted, Kind::Verack, &[]);
        stage.is_rejected(accepted, "LOOPBACK_CONNECTION");
        assert_eq!(stage.closed.get(&dialled), Some(&Close::Now));
        let dials = stage.dialled.len();
        stage.act(P2pAction::Connect { address: address("10.0.0.5:16511") });
        assert_eq!(stage.dialled.len(), dials);
    });
}

#[test]
fn version_and_verack_must_come_within_four_seconds() {
    for half in [None, Some(Kind::Version), Some(Kind::Verack), Some(Kind::Ready)] {
        both_ways(|stage, peer| {
            let version = stage.new_version();
            if let Some(kind) = half {
                stage.says(peer, kind, &said(&version, kind));
            }
            stage.wait(Duration::from_millis(3_999));
            assert!(stage.is_open(peer));
            stage.wait(Duration::from_millis(1));
            stage.is_rejected(peer, "timeout expired after 4s");
            assert_eq!(stage.severity(PEER), None);
        });
    }
}

#[test]
fn ready_must_come_within_eight_seconds() {
    both_ways(|stage, peer| {
        let version = stage.new_version();
        stage.says(peer, Kind::Version, &version.encode());
        stage.says(peer, Kind::Verack, &[]);
        stage.wait(Duration::from_millis(7_999));
        assert!(stage.is_open(peer));
        stage.wait(Duration::from_millis(1));
        stage.is_rejected(peer, "timeout expired after 8s");
        assert_eq!(stage.severity(PEER), None);
    });
}

#[test]
fn a_flow_message_before_our_ready_ends_the_connection_in_silence() {
    let messages = [
        (Kind::Ping, Nonce(1).encode()),
        (Kind::RequestAddresses, Default::default()),
        (Kind::InvRelayBlock, OneHash(make::hash(1)).encode()),
        (Kind::Addresses, Default::default()),
    ];
    for (kind, body) in messages {
        both_ways(|stage, peer| {
            stage.says(peer, kind, &body);
            stage.is_cut(peer);
        });
        both_ways(|stage, peer| {
            let version = stage.new_version();
            stage.says(peer, Kind::Version, &version.encode());
            stage.says(peer, kind, &body);
            stage.is_cut(peer);
        });
    }
}

/// Today's nodes keep it until the handshake is complete, and so do we, a few of them.
#[test]
fn a_flow_message_between_our_ready_and_theirs_waits_for_theirs() {
    both_ways(|stage, peer| {
        let version = stage.new_version();
        stage.says(peer, Kind::Version, &version.encode());
        stage.says(peer, Kind::Verack, &[]);
        stage.hears(peer);
        for nonce in 1..=3 {
            stage.says(peer, Kind::Ping, &Nonce(nonce).encode());
        }
        stage.hears_nothing(peer);
        stage.says(peer, Kind::Ready, &[]);
        let heard = stage.hears(peer);
        let pongs: Vec<_> = heard.iter().filter(|it| it.kind == Kind::Pong).map(|it| Nonce::decode(&it.body)).collect();
        assert_eq!(pongs, [1, 2, 3].map(|nonce| Ok(Nonce(nonce))));
        stage.is_well(peer);
    });
    both_ways(|stage, peer| {
        let version = stage.new_version();
        stage.says(peer, Kind::Version, &version.encode());
        stage.says(peer, Kind::Verack, &[]);
        for nonce in 0..=8 {
            assert!(stage.is_open(peer));
            stage.says(peer, Kind::Ping, &Nonce(nonce).encode());
        }
        stage.is_cut(peer);
    });
}

#[test]
fn the_words_of_the_handshake_come_once() {
    for kind in TOGETHER {
        both_ways(|stage, peer| {
            let version = stage.new_version();
            stage.greets(peer, &version);
            stage.says(peer, kind, &said(&version, kind));
            stage.is_cut(peer);
        });
        both_ways(|stage, peer| {
            let version = stage.new_version();
            stage.says(peer, kind, &said(&version, kind));
            stage.says(peer, kind, &said(&version, kind));
            stage.is_cut(peer);
        });
    }
}

#[test]
fn a_frame_of_the_greeting_is_short() {
    story(|stage| {
        let peer = stage.accept(PEER);
        stage.types(peer, &[0, 0, 1, 0, 1]);
        stage.is_cut(peer);
    });
}

#[test]
fn a_stranger_that_was_dialled_is_left_alone_for_an_hour() {
    let changes: [fn(&mut Version); 2] =
        [|version| version.network = "kaspa-mainnet".into(), |version| version.protocol_version = 9];
    for change in changes {
        story(|stage| {
            let peer = stage.dial(PEER);
            let mut version = stage.new_version();
            change(&mut version);
            stage.greets(peer, &version);
            assert!(!stage.is_open(peer));
            assert_eq!(stage.severity(PEER), None, "a stranger is not to blame");
        });
    }
}

#[test]
fn a_real_nodes_version_is_understood() {
    story(|stage| {
        let peer = stage.accept(PEER);
        let mut frames = Vec::new();
        for name in ["version.bin", "verack.bin", "ready.bin"] {
            let payload = make::fixture(name);
            frames.extend_from_slice(&[0, 0, 0, 0, payload.len() as u8]);
            frames.extend_from_slice(&payload);
        }
        stage.types(peer, &frames);
        assert!(stage.ledger.meets_full_nodes, "it checks outputs, and the ledger is told so");
        stage.is_well(peer);
        stage.hang_up(peer);
        assert!(!stage.ledger.meets_full_nodes);
    });
}
