//! Opens connections, rightly and wrongly (AnYa spec, section 4).

use crate::story::{Story, address, config, info, p2p, story, story_with};
use polypeer_anya::wire::{self, Kind, Name, code, name};
use polypeer_anya::{Config, ConnectForm};
use polypeer_engine::{Address, Command, ConnectionId, P2pAction, P2pConfig};
use std::time::Duration;

const PEER: &str = "10.0.0.9:5000";
const HOUR: Duration = Duration::from_secs(3_600);

fn own(text: &str) -> [u8; 32] {
    wire::address(address(text))
}

/// One side of a handshake: what it waits for, and how to get there.
type Side = (Kind, fn(&mut Story) -> ConnectionId);

const SIDES: [Side; 2] = [
    (Kind::Connect, |story| story.accept(PEER)),
    (Kind::ConnectionAccepted, |story| {
        let connection = story.dial(PEER);
        story.hears(connection, Kind::Connect);
        connection
    }),
];

#[test]
fn the_acceptor_answers_and_both_ask_for_the_chain() {
    story(|story| {
        let peer = story.accept(PEER);
        story.hears_nothing(peer);
        story.says(peer, Kind::Connect, &own("10.0.0.9:7333"));
        assert_eq!(story.hears(peer, Kind::ConnectionAccepted), own("10.0.0.1:7333").as_slice());
        story.hears(peer, Kind::GetBlockchainInfo);
        story.hears_nothing(peer);
        story.says(peer, Kind::GetBlockchainInfo, &[]);
        let answer = story.hears(peer, Kind::BlockchainInfo);
        assert_eq!(answer, wire::payload(&info(&[])));
    });
}

#[test]
fn the_dialler_greets_then_asks_for_chain_and_peers() {
    story(|story| {
        let peer = story.dial(PEER);
        assert_eq!(story.hears(peer, Kind::Connect), own("10.0.0.1:7333").as_slice());
        story.says(peer, Kind::ConnectionAccepted, &own(PEER));
        story.hears(peer, Kind::GetBlockchainInfo);
        story.hears_nothing(peer);
        story.bytes(peer, &info(&[]));
        story.hears(peer, Kind::GetPeers);
        story.hears(peer, Kind::GetMempool);
        story.hears_nothing(peer);
    });
}

#[test]
fn the_long_form_names_the_receiver_first() {
    let config = Config { connect_form: ConnectForm::TwoAddresses, ..config() };
    story_with(config, p2p(), |story| {
        let peer = story.dial(PEER);
        let both = [own(PEER), own("10.0.0.1:7333")].concat();
        assert_eq!(story.hears(peer, Kind::Connect), both);
    });
}

#[test]
fn a_node_gives_its_external_address_or_else_where_it_is() {
    let external = P2pConfig { external: Some(address("99.1.2.3:4")), ..p2p() };
    story_with(config(), external, |story| {
        let peer = story.dial(PEER);
        assert_eq!(story.hears(peer, Kind::Connect), own("99.1.2.3:4").as_slice());
    });
    let deaf = P2pConfig { listen: None, ..p2p() };
    story_with(config(), deaf, |story| {
        let peer = story.dial(PEER);
        let local = story.engine.state().peers[&peer].ends.local;
        assert_eq!(story.hears(peer, Kind::Connect), wire::address(local).as_slice());
    });
}

#[test]
fn both_forms_of_connect_are_accepted_and_no_other_length() {
    for length in 0..=66 {
        story(|story| {
            let peer = story.accept(PEER);
            let payload = [own("10.0.0.9:7333"), own("10.0.0.9:7333"), [0; 32]].concat();
            story.says(peer, Kind::Connect, &payload[..length]);
            if length == 32 || length == 64 {
                story.hears(peer, Kind::ConnectionAccepted);
            } else {
                story.is_refused(peer, Kind::Connect.name(), code::INVALID_PAYLOAD);
            }
        });
    }
}

#[test]
fn connection_accepted_has_one_length() {
    for length in 0..=33 {
        story(|story| {
            let peer = story.dial(PEER);
            story.hears(peer, Kind::Connect);
            story.says(peer, Kind::ConnectionAccepted, &[own(PEER), own(PEER)].concat()[..length]);
            if length == 32 {
                story.hears(peer, Kind::GetBlockchainInfo);
            } else {
                story.is_refused(peer, Kind::ConnectionAccepted.name(), code::INVALID_PAYLOAD);
            }
        });
    }
}

fn bad_addresses() -> Vec<[u8; 32]> {
    let mut all = Vec::new();
    for text in ["0.0.0.0:1", "[::]:1", "224.0.0.1:1", "239.255.255.255:1", "[ff02::1]:1", "10.0.0.9:0", "[::1]:0"] {
        let socket: std::net::SocketAddr = text.parse().expect("an address");
        all.push(wire::address(Address::from(socket)));
    }
    for at in 18..32 {
        let mut padded = own("10.0.0.9:7333");
        padded[at] = 1;
        all.push(padded);
    }
    all
}

#[test]
fn addresses_at_which_nobody_can_be_end_the_handshake() {
    for bad in bad_addresses() {
        for (greeting, open) in SIDES {
            story(|story| {
                let peer = open(story);
                story.says(peer, greeting, &bad);
                story.is_refused(peer, greeting.name(), code::INVALID_NETWORK_ADDRESS);
            });
        }
        story(|story| {
            let peer = story.accept(PEER);
            story.says(peer, Kind::Connect, &[bad, own("10.0.0.9:7333")].concat());
            story.is_refused(peer, Kind::Connect.name(), code::INVALID_NETWORK_ADDRESS);
        });
    }
}

#[test]
fn any_other_message_first_is_refused_at_its_header() {
    let unknown: [Name; 2] = [name("hello"), name("a_type_that_has_thirty_two_bytes")];
    let others = Kind::ALL.iter().map(|kind| kind.name()).chain(unknown);
    for other in others {
        for (greeting, open) in SIDES {
            if other == greeting.name() || other == Kind::Error.name() {
                continue;
            }
            for length in [0_u32, 5, u32::MAX] {
                story(|story| {
                    let peer = open(story);
                    story.bytes(peer, &[other.as_slice(), &length.to_be_bytes()].concat());
                    story.is_refused(peer, other, code::INVALID_MESSAGE);
                });
            }
        }
    }
}

#[test]
fn an_error_first_ends_it_without_a_word() {
    for (_, open) in SIDES {
        for payload in [&[][..], &[0; 64], &[0; 65]] {
            story(|story| {
                let peer = open(story);
                story.says(peer, Kind::Error, payload);
                story.is_cut(peer);
            });
        }
    }
}

#[test]
fn a_malformed_type_is_refused_with_a_type_of_nuls() {
    let mut hole = name("tx");
    hole[5] = b'x';
    let mut high = name("tx");
    high[31] = 0xff;
    for bad in [[0; 32], hole, high, name("Connect"), name("get-block"), name("a b"), [0xff; 32]] {
        for (_, open) in SIDES {
            story(|story| {
                let peer = open(story);
                story.bytes(peer, &[bad.as_slice(), &[0xff; 4]].concat());
                story.is_refused(peer, [0; 32], code::INVALID_MESSAGE);
            });
        }
        story(|story| {
            let peer = story.friend(PEER);
            story.bytes(peer, &[bad.as_slice(), &[0; 4]].concat());
            story.is_refused(peer, [0; 32], code::INVALID_MESSAGE);
        });
    }
}

#[test]
fn silence_ends_the_handshake_after_five_seconds_without_a_word_or_blame() {
    for (greeting, open) in SIDES {
        story(|story| {
            let peer = open(story);
            story.wait(Duration::from_millis(4_999));
            assert!(story.is_open(peer));
            story.wait(Duration::from_millis(1));
            story.is_cut(peer);
            assert!(story.engine.state().bans.all(story.both_clocks()).next().is_none());
        });
        story(|story| {
            let peer = open(story);
            for byte in &wire::frame(greeting, &own("10.0.0.9:7333"))[..5] {
                story.bytes(peer, &[*byte]);
                story.wait(Duration::from_secs(1));
            }
            story.is_cut(peer);
        });
    }
}

#[test]
fn meeting_oneself_ends_without_a_word_and_is_not_repeated() {
    story(|story| {
        let out = story.dial("10.0.0.77:8000");
        let greeting = story.hears(out, Kind::Connect);
        let local = story.engine.state().peers[&out].ends.local;
        let back = story.accept(&local.to_string());
        story.says(back, Kind::Connect, &greeting);
        story.is_cut(back);
        story.gone(out);
        let before = story.dialled.len();
        for again in ["10.0.0.77:8000", "10.0.0.1:7333"] {
            story.act(P2pAction::Connect { address: address(again) });
        }
        story.wait(HOUR);
        assert_eq!(story.dialled.len(), before);
        assert!(story.engine.state().bans.all(story.both_clocks()).next().is_none());
    });
}

#[test]
fn strangers_get_a_disconnect_and_no_blame() {
    let infos = [
        (Config { genesis: [9; 32].into(), ..config() }, "another genesis"),
        (Config { network_id: *b"elsewhere\0\0\0\0\0\0\0", ..config() }, "another network"),
    ];
    for (theirs, why) in infos {
        story(|story| {
            let peer = story.dial(PEER);
            story.says(peer, Kind::ConnectionAccepted, &own(PEER));
            story.skip(peer);
            let tip =
                polypeer_engine::kit::chain::Tip { hash: theirs.genesis, height: 0, work: 1, genesis: theirs.genesis };
            story.bytes(peer, &wire::info(&theirs.network_id, &tip, &[(0, theirs.genesis)]));
            story.hears(peer, Kind::Disconnect);
            story.hears_nothing(peer);
            assert!(story.is_open(peer), "{why}: waits for the answer");
            story.says(peer, Kind::DisconnectAck, &[]);
            assert!(!story.is_open(peer));
            story.gone(peer);
            story.wait(HOUR - Duration::from_secs(1));
            assert_eq!(story.dialled.len(), 1, "{why}: dialled again");
            assert!(story.engine.state().bans.all(story.both_clocks()).next().is_none());
        });
    }
}

#[test]
fn a_full_node_and_a_banning_one_close_without_a_word() {
    story_with(config(), P2pConfig { inbound_max: 1, ..p2p() }, |story| {
        story.friend(PEER);
        let late = story.accept("10.0.0.8:1");
        story.is_cut(late);
    });
    story(|story| {
        let ip = address(PEER).ip();
        story.act(P2pAction::Command(Command::Ban { ip, duration: HOUR }));
        let banned = story.accept(PEER);
        story.is_cut(banned);
    });
}

#[test]
fn two_connections_with_the_same_peer_are_both_kept() {
    story(|story| {
        let first = story.ready(PEER, &[]);
        let second = story.ready("10.0.0.9:5001", &[]);
        assert!(story.is_open(first) && story.is_open(second));
        // It was dialled to prove what it claimed.
        let out = story.dial_stands();
        assert!(story.is_open(out) && story.is_open(first));
    });
}
