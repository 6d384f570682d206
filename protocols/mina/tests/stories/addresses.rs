//! Stories of where peers are: identify, Kademlia, questions and peer exchange feed the book, and the engine dials. Mina
//! spec, sections 2.2 to 2.4 and 5.3.

use crate::make::{self, framed, identify, peer_id};
use crate::stage::*;
use polypeer_engine::kit::protobuf::Writer;
use polypeer_engine::{ChannelEnd, Close, ConnectionId, DialFailure, Direction, P2pAction};
use polypeer_mina::multiaddr::of_address;
use polypeer_mina::peer_exchange;
use polypeer_mina::streams::{IDENTIFY, KAD, MESH, PEER_EXCHANGE};

const PEER: &str = "10.0.0.9:40000";
const HOST: &str = "10.0.0.9:8302";

fn knows(stage: &Stage, place: &str) -> bool {
    stage.engine.state().discovery.book.get(address(place)).is_some()
}

#[test]
fn whoever_dials_us_tells_where_it_listens() {
    story(|stage| {
        let peer = stage.accepts(PEER, 7, &[IDENTIFY]);
        let (_, channel, _) = stage.opened[0];
        let listens = of_address(address(HOST));
        stage.says(peer, channel, &identify(7, &[], &[&listens, &[1, 2, 3]]));
        assert!(!knows(stage, HOST), "while it is here it is not to be dialled");
        stage.hang_up(peer);
        assert!(knows(stage, HOST), "and what cannot be dialled is left out");
    });
}

#[test]
fn whom_others_name_is_not_dialled_while_it_is_here() {
    story(|stage| {
        let here = stage.guest(PEER, 8);
        let peer = in_the_table(stage);
        let channel = kad_stream(stage, peer);
        let dials = stage.dialled.len();
        stage.says(peer, channel, &kad_answer(4, 8, "10.9.0.9:8302"));
        stage.wait(seconds(10));
        assert!(!knows(stage, "10.9.0.9:8302") && stage.is_open(here));
        assert_eq!(stage.dialled.len(), dials);
    });
}

#[test]
fn without_discovery_nothing_is_learnt() {
    let mut setting = setting();
    setting.p2p.discovery = false;
    story_of(&setting, |stage| {
        let peer = stage.accepts(PEER, 7, &[IDENTIFY]);
        let (_, channel, _) = stage.opened[0];
        stage.says(peer, channel, &identify(7, &[], &[&of_address(address(HOST))]));
        assert!(stage.is_ready(peer));
        stage.hang_up(peer);
        assert!(!knows(stage, HOST));
    });
}

// A Kademlia answer with this one peer in it.
fn kad_answer(kind: u64, key: u8, place: &str) -> bytes::Bytes {
    let mut contact = Writer::default();
    contact.message(1, &peer_id(key).to_bytes());
    contact.message(2, &of_address(address(place)));
    contact.present(3, 1_u64);
    let contact = contact.finish();
    let mut message = Writer::default();
    message.present(1, kind);
    message.message(8, &contact);
    framed(&message.finish())
}

// Our stream for Kademlia to a peer, once a question was written on it.
fn kad_stream(stage: &mut Stage, peer: ConnectionId) -> polypeer_engine::ChannelId {
    stage.wait(seconds(1));
    let ours = stage.opened.iter().rev().find(|(to, _, kind)| *to == peer && *kind == KAD);
    let (_, channel, _) = *ours.expect("it is asked");
    assert!(!stage.hears_on(peer, channel).is_empty());
    channel
}

// A guest that says where it listens, so that it is in the table.
fn in_the_table(stage: &mut Stage) -> ConnectionId {
    let peer = stage.dial(HOST, 7);
    assert!(stage.engine.protocol().kad().knows(&peer_id(7)));
    peer
}

#[test]
fn whom_kademlia_names_goes_into_the_book_and_is_dialled_for_the_question() {
    story(|stage| {
        let peer = in_the_table(stage);
        let channel = kad_stream(stage, peer);
        stage.says(peer, channel, &kad_answer(4, 8, "10.9.0.9:8302"));
        assert!(knows(stage, "10.9.0.9:8302"));
        stage.wait(seconds(1));
        let dialled = stage.dialled.last().map(|(_, address)| *address);
        assert_eq!(dialled, Some(address("10.9.0.9:8302")));
    });
}

#[test]
fn somebody_else_where_kademlia_expected_a_peer_is_let_go() {
    story(|stage| {
        let peer = in_the_table(stage);
        let channel = kad_stream(stage, peer);
        stage.says(peer, channel, &kad_answer(4, 8, "10.9.0.9:8302"));
        stage.wait(seconds(1));
        let other = stage.arrives(9, &ORDINARY);
        assert_eq!((stage.is_open(other), stage.faults(other)), (false, vec!["other_peer".to_owned()]));
        assert!(stage.is_open(peer));
    });
}

#[test]
fn a_dial_that_fails_is_told_to_kademlia() {
    story(|stage| {
        let peer = in_the_table(stage);
        let channel = kad_stream(stage, peer);
        stage.says(peer, channel, &kad_answer(4, 8, "10.9.0.9:8302"));
        stage.wait(seconds(1));
        let (connection, _) = *stage.dialled.last().expect("a dial");
        stage.act(P2pAction::ConnectionFailed { connection, cause: DialFailure::Refused });
        let stock = stage.engine.stock();
        let dials = stock.iter().find(|stock| stock.name == "dials for questions").expect("it is counted");
        assert_eq!(dials.count, 0);
        assert!(stage.is_open(peer));
    });
}

#[test]
fn row_10_kademlia_is_answered_and_what_is_no_request_ends_its_stream() {
    story(|stage| {
        let peer = stage.guest(PEER, 8);
        let other = in_the_table(stage);
        let channel = stage.opens(peer, KAD);
        stage.says(peer, channel, &make::vector("kad_find_node_self_frame"));
        let [answer] = stage.hears_on(peer, channel).try_into().expect("one answer");
        assert!(answer.len() > 40, "it names the one who is in the table");
        stage.says(peer, channel, &make::vector("kad_get_providers_rendezvous_devnet_frame"));
        assert_eq!(stage.hears_on(peer, channel).len(), 1);
        stage.says(peer, channel, &framed(&vec![0; 90_000]));
        assert!(stage.reset.contains(&(peer, channel)) && stage.is_open(peer) && stage.is_open(other));
        assert_eq!(stage.faults(peer), ["frame_too_long"]);
    });
}

#[test]
fn streams_for_kademlia_end_with_the_peer_s_half() {
    story(|stage| {
        let peer = stage.guest(PEER, 7);
        for _ in 0..50 {
            let channel = stage.opens(peer, KAD);
            stage.says(peer, channel, &make::vector("kad_find_node_self_frame"));
            assert_eq!(stage.hears_on(peer, channel).len(), 1);
            stage.stream_ends(peer, channel, ChannelEnd::Finished);
            assert!(stage.finished.contains(&(peer, channel)));
        }
        assert!(stage.faults(peer).is_empty());
    });
}

#[test]
fn whoever_is_evicted_is_told_where_others_are_if_it_wants_to_know() {
    let mut setting = setting();
    setting.p2p.inbound_max = 20;
    setting.p2p.inbound_per_group_max = 1_000;
    for speaks in [vec![IDENTIFY, MESH], vec![IDENTIFY, MESH, PEER_EXCHANGE]] {
        story_of(&setting, |stage| {
            let mut peers = Vec::new();
            for key in 10..30_u8 {
                peers.push(stage.guest_that(&format!("10.0.{key}.9:40000"), key, &speaks));
                stage.wait(seconds(61));
            }
            let newcomer = stage.guest("10.200.0.9:40000", 99);
            assert!(stage.is_open(newcomer));
            stage.wait(seconds(1));
            let [victim] =
                peers.into_iter().filter(|peer| !stage.is_open(*peer)).collect::<Vec<_>>().try_into().expect("one");
            assert_eq!(stage.closed.get(&victim), Some(&Close::Flushed));
            let told = stage.hears(victim, PEER_EXCHANGE);
            assert_eq!(told.len(), usize::from(speaks.contains(&PEER_EXCHANGE)), "nobody is asked for what it lacks");
            for document in told {
                assert!(peer_exchange::decode(&document).is_some());
            }
        });
    }
}

#[test]
fn an_exchange_is_taken_from_whom_we_dialled_while_slots_are_free() {
    let document = peer_exchange::encode(&[(peer_id(9), vec![address("10.9.0.9:8302")])]);
    for (slots, is_taken) in [(8, true), (0, false)] {
        let mut setting = setting();
        setting.p2p.outbound_target = slots;
        story_of(&setting, |stage| {
            let peer = stage.dial(HOST, 7);
            let channel = stage.opens(peer, PEER_EXCHANGE);
            assert_eq!(stage.reset.contains(&(peer, channel)), !is_taken);
            let (one, two) = document.split_at(20);
            stage.says(peer, channel, one);
            stage.says(peer, channel, two);
            stage.stream_ends(peer, channel, ChannelEnd::Finished);
            assert_eq!(knows(stage, "10.9.0.9:8302"), is_taken);
        });
        story_of(&setting, |stage| {
            let peer = stage.guest(PEER, 7);
            let channel = stage.opens(peer, PEER_EXCHANGE);
            assert!(stage.reset.contains(&(peer, channel)), "nobody who dialled us is heard");
        });
    }
}

#[test]
fn an_exchange_that_is_too_long_or_no_document_is_borne() {
    let mut setting = setting();
    setting.p2p.outbound_target = 8;
    story_of(&setting, |stage| {
        let peer = stage.dial(HOST, 7);
        let channel = stage.opens(peer, PEER_EXCHANGE);
        stage.says(peer, channel, b"[{]");
        stage.stream_ends(peer, channel, ChannelEnd::Finished);
        assert_eq!(stage.faults(peer), ["malformed_exchange"]);
        let channel = stage.opens(peer, PEER_EXCHANGE);
        stage.says(peer, channel, &vec![b' '; 8_193]);
        assert_eq!(stage.faults(peer)[1..], ["too_many_addresses"]);
        assert!(stage.reset.contains(&(peer, channel)) && stage.is_open(peer));
    });
}

#[test]
fn a_connection_for_a_question_goes_when_it_is_answered() {
    story(|stage| {
        let peer = in_the_table(stage);
        let channel = kad_stream(stage, peer);
        stage.says(peer, channel, &kad_answer(4, 8, "10.9.0.9:8302"));
        stage.wait(seconds(1));
        let asked = stage.arrives(8, &[IDENTIFY, KAD]);
        let channel = kad_stream(stage, asked);
        stage.says(asked, channel, &framed(&[8, 4]));
        stage.wait(seconds(1));
        assert!(!stage.is_open(asked), "it filled no slot");
        assert!(stage.is_open(peer));
        assert_eq!(asked.direction(), Direction::Outbound);
    });
}
