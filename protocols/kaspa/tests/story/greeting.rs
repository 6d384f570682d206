//! Handshakes (Kaspa spec, section 3).

use crate::make;
use crate::stage::*;
use polypeer_engine::{ConnectionId, Event};
use polypeer_kaspa::wire::{self, Kind, NetAddress, Nonce, OneHash, Version};
use std::time::Duration;

pub(crate) const PEER: &str = "10.0.0.9:40000";
const TOGETHER: [Kind; 3] = [Kind::Version, Kind::Verack, Kind::Ready];

fn said(version: &Version, kind: Kind) -> Vec<u8> {
    if kind == Kind::Version { version.encode().to_vec() } else { Vec::new() }
}

pub(crate) fn both_ways(tell: impl Fn(&mut Stage, ConnectionId)) {
    story(|stage| {
        let guest = stage.accept(PEER);
        tell(stage, guest);
    });
    story(|stage| {
        let host = stage.dial(PEER);
        tell(stage, host);
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
