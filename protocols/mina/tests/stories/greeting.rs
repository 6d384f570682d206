//! Stories of the ladder to ready: Mina spec, sections 2.1 and 2.2, rows 8 and 9 of section 11.

use crate::make::{self, identify, names};
use crate::stage::*;
use polypeer_engine::{ChannelEnd, Direction, Event};
use polypeer_mina::streams::{IDENTIFY, IDENTIFY_PUSH, KAD, MESH, MESH_OLD, PING, RPC};
use polypeer_mina::{Config, Stage as Step};

const PEER: &str = "10.0.0.9:40000";

/// What identify may announce: section 2.2.
const CLOSED_LIST: [&str; 13] = [
    "/ipfs/id/1.0.0",
    "/ipfs/id/push/1.0.0",
    "/ipfs/ping/1.0.0",
    "/coda/kad/1.0.0",
    "/floodsub/1.0.0",
    "/meshsub/1.0.0",
    "/meshsub/1.1.0",
    "coda/rpcs/0.0.1",
    "/mina/node-status",
    "/mina/bitswap-exchange/ipfs/bitswap",
    "/mina/bitswap-exchange/ipfs/bitswap/1.0.0",
    "/mina/bitswap-exchange/ipfs/bitswap/1.1.0",
    "/mina/bitswap-exchange/ipfs/bitswap/1.2.0",
];

#[test]
fn a_peer_is_met_then_known_then_ready() {
    story(|stage| {
        let peer = stage.accepts(PEER, 7, &[IDENTIFY, MESH]);
        assert!(matches!(stage.peer(peer).map(|peer| &peer.stage), Some(Step::Met)));
        let (_, channel, kind) = stage.opened[0];
        assert_eq!(kind, IDENTIFY, "nothing else is asked of a stranger");
        assert_eq!(stage.opened.len(), 1);
        stage.says(peer, channel, &identify(7, &names(&[IDENTIFY, MESH]), &[]));
        assert!(stage.is_ready(peer), "the stream for gossip was agreed on at once");
        assert_eq!(stage.peer(peer).and_then(|peer| peer.about()).map(|about| &*about.agent), Some("example/0.1"));
        let is_told = |event: &Event| matches!(event, Event::PeerReady { about, .. } if about == "example/0.1");
        assert!(stage.events.iter().any(is_told));
    });
}

#[test]
fn the_same_with_someone_whom_we_dialled() {
    story(|stage| {
        let peer = stage.dial("10.0.0.9:8302", 7);
        assert!(stage.is_ready(peer));
        assert_eq!(stage.engine.protocol().ready_peers(), 1);
    });
}

#[test]
fn row_8_identify_has_the_closed_set_and_nothing_else_in_4096_bytes() {
    for (external, agent) in [(None, "a".repeat(10_000)), (Some(address("192.0.2.1:8302")), "polypeer".into())] {
        let mut setting = setting();
        setting.p2p.external = external;
        setting.config.agent = agent;
        story_of(&setting, |stage| {
            let peer = stage.guest(PEER, 7);
            let frame = stage.identity(peer);
            let (length, protocols) = read_identify(&frame);
            assert!(length <= 4096, "{length}");
            assert!(protocols.contains(&"coda/rpcs/0.0.1".to_owned()));
            for protocol in &protocols {
                assert!(CLOSED_LIST.contains(&&**protocol), "{protocol}");
            }
            assert_eq!(protocols.len(), 8);
        });
    }
}

#[test]
fn whoever_listens_everywhere_says_where_it_was_reached() {
    for (listen, said) in [("0.0.0.0:8302", OWN), ("10.0.0.77:8302", "10.0.0.77:8302")] {
        let mut setting = setting();
        setting.p2p.listen = Some(address(listen));
        story_of(&setting, |stage| {
            let peer = stage.guest(PEER, 7);
            let frame = stage.identity(peer);
            let own = polypeer_mina::multiaddr::of_address(address(said));
            assert!(frame.windows(own.len()).any(|window| window == &own[..]), "{listen}");
        });
    }
}

#[test]
fn the_identify_vector_is_read_and_is_what_its_parts_make() {
    let vector = make::vector("identify_frame");
    let protocols = ["/ipfs/id/1.0.0", "/meshsub/1.1.0", "coda/rpcs/0.0.1", "/coda/kad/1.0.0"];
    let address = [0x04, 0xc0, 0x00, 0x02, 0x01, 0x06, 0x20, 0x6e];
    assert_eq!(identify(1, &protocols, &[&address]), vector);
    story_of(&of_another(), |stage| {
        let peer = stage.accepts(PEER, 1, &[IDENTIFY, MESH, KAD, RPC]);
        let (_, channel, _) = stage.opened[0];
        stage.says(peer, channel, &vector);
        assert!(stage.is_ready(peer));
        let about = stage.peer(peer).and_then(|peer| peer.about()).expect("it said who it is");
        assert!([IDENTIFY, MESH, RPC, KAD].iter().all(|kind| about.speaks.has(*kind)) && !about.speaks.has(PING));
        assert_eq!(about.listens, [crate::stage::address("192.0.2.1:8302")]);
    });
}

// Ours is another key than the vectors'.
fn of_another() -> Setting {
    let mut setting = setting();
    setting.config = Config { peer_id: make::peer_id(2), ..setting.config };
    setting.ledger.signer = Some(2);
    setting
}

#[test]
fn a_peer_that_speaks_more_or_less_than_we_do_is_taken_as_it_is() {
    story(|stage| {
        let all = ["/meshsub/1.2.0", "/coda/lan/kad/1.0.0", "/ipfs/id/1.0.0", "/x"];
        let peer = stage.accepts(PEER, 7, &[IDENTIFY]);
        let (_, channel, _) = stage.opened[0];
        stage.says(peer, channel, &identify(7, &all, &[&[0xff; 900]]));
        assert!(stage.is_ready(peer), "it speaks nothing that needs a stream");
        assert_eq!(stage.opened.len(), 1, "nobody is asked for what it did not announce");
        assert!(stage.faults(peer).is_empty());
    });
}

#[test]
fn who_speaks_only_the_older_gossip_is_met_in_it() {
    story(|stage| {
        let peer = stage.guest_that(PEER, 7, &[IDENTIFY, MESH_OLD]);
        assert!(stage.opened.iter().any(|(_, _, kind)| *kind == MESH_OLD));
        assert!(stage.opened.iter().all(|(_, _, kind)| *kind != MESH));
        assert!(stage.is_ready(peer));
    });
}

#[test]
fn who_announces_gossip_and_refuses_it_is_offered_the_older_and_then_taken_without() {
    story(|stage| {
        let peer = stage.accepts(PEER, 7, &[IDENTIFY]);
        let (_, channel, _) = stage.opened[0];
        stage.says(peer, channel, &identify(7, &names(&[IDENTIFY, MESH, MESH_OLD]), &[]));
        let kinds: Vec<u16> = stage.opened.iter().map(|(_, _, kind)| *kind).collect();
        assert_eq!(kinds, [IDENTIFY, MESH, MESH_OLD]);
        assert!(stage.is_ready(peer));
    });
}

#[test]
fn who_does_not_say_who_it_is_is_let_go() {
    for end in [ChannelEnd::Refused, ChannelEnd::Finished, ChannelEnd::Reset] {
        story(|stage| {
            let peer = stage.accepts(PEER, 7, &[IDENTIFY]);
            let (_, channel, _) = stage.opened[0];
            stage.stream_ends(peer, channel, end);
            assert!(!stage.is_open(peer));
            assert_eq!(stage.faults(peer), ["no_identify"]);
            assert_eq!(stage.severity(PEER), None, "that is no reason to ban anyone");
        });
    }
}

#[test]
fn who_takes_too_long_to_be_ready_is_let_go() {
    story(|stage| {
        let peer = stage.accepts(PEER, 7, &[IDENTIFY]);
        stage.wait(seconds(14));
        assert!(stage.is_open(peer));
        stage.wait(seconds(1));
        assert_eq!((stage.is_open(peer), stage.faults(peer)), (false, vec!["not_ready".to_owned()]));
    });
}

#[test]
fn what_is_wrong_in_identify_is_borne_and_a_push_corrects_it() {
    story(|stage| {
        let peer = stage.guest(PEER, 7);
        let push = stage.opens(peer, IDENTIFY_PUSH);
        stage.says(peer, push, &make::framed(&[0xff; 30]));
        assert_eq!(stage.faults(peer), ["malformed_identify"]);
        let push = stage.opens(peer, IDENTIFY_PUSH);
        stage.says(peer, push, &identify(8, &names(&ORDINARY), &[]));
        assert_eq!(stage.faults(peer)[1..], ["other_key"]);
        stage.stream_ends(peer, push, ChannelEnd::Finished);
        let push = stage.opens(peer, IDENTIFY_PUSH);
        stage.says(peer, push, &identify(7, &names(&[IDENTIFY, RPC]), &[]));
        assert!(stage.peer(peer).and_then(|peer| peer.about()).is_some_and(|about| about.speaks.has(RPC)));
        assert!(stage.is_open(peer) && stage.is_ready(peer));
    });
}

#[test]
fn identify_that_is_longer_than_any_ends_its_stream() {
    story(|stage| {
        let peer = stage.accepts(PEER, 7, &[IDENTIFY]);
        let (_, channel, _) = stage.opened[0];
        stage.says(peer, channel, &make::framed(&vec![0; 8_193]));
        assert_eq!(stage.faults(peer), ["frame_too_long", "no_identify"]);
        assert!(!stage.is_open(peer));
    });
}

#[test]
fn what_a_peer_opens_is_answered_before_it_is_ready() {
    story(|stage| {
        let peer = stage.accepts(PEER, 7, &[IDENTIFY]);
        stage.identity(peer);
        let channel = stage.opens(peer, PING);
        stage.says(peer, channel, &[5; 32]);
        assert_eq!(stage.hears_on(peer, channel), [vec![5; 32]]);
        assert!(stage.opened.iter().all(|(.., kind)| *kind == IDENTIFY));
        assert!(stage.opened.iter().all(|(_, channel, _)| channel.opener() == Direction::Outbound));
    });
}

#[test]
fn a_stream_for_gossip_that_broke_is_opened_again() {
    story(|stage| {
        let peer = stage.guest(PEER, 7);
        let (_, channel, _) = *stage.opened.iter().find(|(_, _, kind)| *kind == MESH).expect("it is open");
        stage.hears(peer, MESH);
        stage.stream_ends(peer, channel, ChannelEnd::Reset);
        stage.wait(seconds(8));
        assert_eq!(stage.opened.iter().filter(|(_, _, kind)| *kind == MESH).count(), 2);
        assert_eq!(stage.hears(peer, MESH)[0], make::vector("subscribe_frame"), "it hears again what we follow");
    });
}
