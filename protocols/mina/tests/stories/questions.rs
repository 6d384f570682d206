//! Stories of questions and answers: what peers ask goes to the ledger and back, what we ask is learnt from. Mina spec,
//! section 5, rows 19 to 23 of section 11. The frames are built here from the spec.

use crate::make::{self, peer_id};
use crate::stage::*;
use bytes::Bytes;
use polypeer_engine::{ChannelEnd, ChannelId, ConnectionId};
use polypeer_mina::ledger::{Hash, Origin, Request};
use polypeer_mina::rpc::InitialPeer;
use polypeer_mina::streams::{IDENTIFY, MESH, PING, RPC};

const PEER: &str = "10.0.0.9:40000";
const HOST: &str = "10.0.0.9:8302";

fn framed(message: &[u8]) -> Bytes {
    [&(message.len() as u64).to_le_bytes()[..], message].concat().into()
}

fn handshake() -> Bytes {
    framed(&[2, 0xfd, 0x52, 0x50, 0x43, 0, 1])
}

fn query(tag: &str, version: u8, id: u8, payload: &[u8]) -> Bytes {
    let head = [&[1, tag.len() as u8][..], tag.as_bytes(), &[version, id]].concat();
    framed(&[&head[..], &nat0(payload.len()), payload].concat())
}

fn response(id: u8, payload: &[u8]) -> Bytes {
    framed(&[&[2, id, 0][..], &nat0(payload.len()), payload].concat())
}

fn nat0(number: usize) -> Vec<u8> {
    match number {
        0..0x80 => vec![number as u8],
        0x80..0x1_0000 => [&[0xfe][..], &(number as u16).to_le_bytes()].concat(),
        _ => [&[0xfd][..], &(number as u32).to_le_bytes()].concat(),
    }
}

// A peer that opened a stream for questions and shook hands on it.
fn asker(stage: &mut Stage) -> (ConnectionId, ChannelId) {
    let peer = stage.guest(PEER, 7);
    let channel = stage.opens(peer, RPC);
    assert_eq!(stage.hears_on(peer, channel), [handshake()], "we speak first too");
    stage.says(peer, channel, &handshake());
    (peer, channel)
}

#[test]
fn row_20_the_menu_lists_what_is_served_and_then_it_is() {
    let mut setting = setting();
    setting.ledger.served = Some(Bytes::from_static(&[7; 5]));
    story_of(&setting, |stage| {
        let (peer, channel) = asker(stage);
        stage.says(peer, channel, &query("__Versioned_rpc.Menu", 1, 0, &[0]));
        let [menu] = stage.hears_on(peer, channel).try_into().expect("one answer");
        for tag in ["get_best_tip", "get_transition_chain", "get_some_initial_peers", "ban_notify"] {
            assert!(menu.windows(tag.len()).any(|window| window == tag.as_bytes()), "{tag}");
        }
        stage.says(peer, channel, &query("get_best_tip", 2, 1, &[0]));
        assert_eq!(stage.hears_on(peer, channel), [response(1, &[1, 7, 7, 7, 7, 7])]);
        assert!(stage.all_asked.contains(&Request::BestTip));
        stage.stream_ends(peer, channel, ChannelEnd::Finished);
        assert!(stage.finished.contains(&(peer, channel)) && stage.faults(peer).is_empty());
    });
}

#[test]
fn what_is_not_here_is_said_to_be_not_here() {
    story(|stage| {
        let (peer, channel) = asker(stage);
        let hash = [9; 32];
        let asked: [(&str, u8, Vec<u8>); 4] = [
            ("get_best_tip", 2, vec![0]),
            ("get_transition_chain", 2, [&[1][..], &hash].concat()),
            ("get_transition_chain_proof", 1, hash.to_vec()),
            ("Get_transition_knowledge", 1, vec![0]),
        ];
        for (id, (tag, version, payload)) in (0..).zip(asked) {
            stage.says(peer, channel, &query(tag, version, id, &payload));
            assert_eq!(stage.hears_on(peer, channel), [response(id, &[0])], "{tag}");
        }
        assert!(stage.faults(peer).is_empty());
    });
}

#[test]
fn an_answer_waits_for_the_ledger_and_is_lost_with_its_peer() {
    let mut setting = setting();
    setting.is_asleep = true;
    story_of(&setting, |stage| {
        let (peer, channel) = asker(stage);
        stage.says(peer, channel, &query("get_best_tip", 2, 1, &[0]));
        stage.stream_ends(peer, channel, ChannelEnd::Finished);
        assert!(!stage.finished.contains(&(peer, channel)), "it is owed an answer");
        let (gone, its) = {
            let gone = stage.guest("10.0.0.8:40000", 8);
            let its = stage.opens(gone, RPC);
            stage.says(gone, its, &handshake());
            (gone, its)
        };
        stage.says(gone, its, &query("get_best_tip", 2, 1, &[0]));
        stage.hang_up(gone);
        stage.awakes();
        assert_eq!(stage.hears_on(peer, channel), [response(1, &[0])]);
        assert!(stage.finished.contains(&(peer, channel)));
    });
}

#[test]
fn row_21_an_unknown_method_gets_error_4_and_the_stream_stays() {
    story(|stage| {
        let (peer, channel) = asker(stage);
        stage.says(peer, channel, &query("get_best_tip", 1, 5, &[0]));
        let [answer] = stage.hears_on(peer, channel).try_into().expect("one answer");
        assert_eq!(answer[8..12], [2, 5, 1, 4]);
        stage.says(peer, channel, &query("get_best_tip", 2, 6, &[0]));
        assert_eq!(stage.hears_on(peer, channel), [response(6, &[0])]);
    });
}

#[test]
fn row_23_twenty_one_hashes_and_a_hundred_questions_a_second_are_refused() {
    story(|stage| {
        let (peer, channel) = asker(stage);
        let hashes = [&[21][..], &[3; 21 * 32]].concat();
        stage.says(peer, channel, &query("get_transition_chain", 2, 1, &hashes));
        let [answer] = stage.hears_on(peer, channel).try_into().expect("one answer");
        assert_eq!(answer[8..11], [2, 1, 1], "an error");
        assert!(stage.all_asked.iter().all(|request| !matches!(request, Request::TransitionChain { .. })));
        for id in 0..100 {
            stage.says(peer, channel, &query("get_best_tip", 2, id, &[0]));
        }
        let asked = stage.all_asked.iter().filter(|request| matches!(request, Request::BestTip)).count();
        assert_eq!(asked, 3, "three a minute");
        assert!(!stage.is_open(peer), "and whoever goes on is let go");
    });
}

#[test]
fn row_19_a_handshake_in_pieces_is_one_and_anything_else_ends_the_stream() {
    story(|stage| {
        let peer = stage.guest(PEER, 7);
        let channel = stage.opens(peer, RPC);
        for byte in handshake() {
            stage.says(peer, channel, &[byte]);
        }
        stage.says(peer, channel, &query("get_best_tip", 2, 1, &[0]));
        assert_eq!(stage.hears_on(peer, channel).len(), 2);
        for wrong in [framed(&[2, 0xfd, 0x51, 0x50, 0x43, 0, 1]), query("get_best_tip", 2, 1, &[0])] {
            let channel = stage.opens(peer, RPC);
            stage.says(peer, channel, &wrong);
            assert!(stage.reset.contains(&(peer, channel)));
        }
        assert_eq!(stage.faults(peer).len(), 2);
        assert!(stage.is_open(peer));
    });
}

#[test]
fn the_initial_peers_are_those_who_are_here() {
    story(|stage| {
        stage.dial("10.0.0.8:8302", 8);
        let (peer, channel) = asker(stage);
        stage.says(peer, channel, &query("get_some_initial_peers", 1, 1, &[0]));
        let [answer] = stage.hears_on(peer, channel).try_into().expect("one answer");
        let read = polypeer_mina::rpc::read_peers(&answer[8 + 4..]);
        let expected = InitialPeer { address: address("10.0.0.8:8302"), peer: peer_id(8) };
        assert_eq!(read, Ok(vec![expected]));
    });
}

// Our stream for the question of this method: its number, once handshake and menu are through.
fn asked_for(stage: &mut Stage, peer: ConnectionId, tag: &str) -> (ChannelId, u8) {
    let ours: Vec<_> = stage.opened.iter().filter(|(to, _, kind)| *to == peer && *kind == RPC).cloned().collect();
    for (_, channel, _) in ours {
        let frames = stage.hears_on(peer, channel);
        if frames.first() == Some(&handshake()) {
            stage.says(peer, channel, &handshake());
        }
        let mut frames = stage.hears_on(peer, channel);
        if frames.first().is_some_and(|frame| frame.windows(4).any(|window| window == b"Menu")) {
            stage.says(peer, channel, &response(0, MENU));
            frames = stage.hears_on(peer, channel);
        }
        if let Some(frame) = frames.iter().find(|frame| frame.windows(tag.len()).any(|window| window == tag.as_bytes()))
        {
            return (channel, frame[8 + 2 + tag.len() + 1]);
        }
    }
    panic!("nobody asked for {tag}");
}

const MENU: &[u8] = b"\x03\x0cget_best_tip\x02\x16get_some_initial_peers\x01\x14get_transition_chain\x02";

#[test]
fn a_new_peer_is_asked_whom_it_knows_and_what_it_says_goes_into_the_book() {
    story(|stage| {
        let peer = stage.guest_that(PEER, 7, &[IDENTIFY, PING, MESH, RPC]);
        assert!(has_questions(stage, peer));
        let (channel, id) = asked_for(stage, peer, "get_some_initial_peers");
        let (here, elsewhere) = (address("10.7.0.7:8302"), address("10.7.0.9:8302"));
        let told = [(here, 7), (elsewhere, 9)].map(|(address, key)| InitialPeer { address, peer: peer_id(key) });
        stage.says(peer, channel, &response(id, &polypeer_mina::rpc::write_peers(&told)));
        let book = &stage.engine.state().discovery.book;
        assert!(book.get(elsewhere).is_some() && book.get(here).is_none(), "who is here is not dialled");
        assert!(stage.faults(peer).is_empty());
    });
}

#[test]
fn peers_that_do_not_decode_are_borne() {
    story(|stage| {
        let peer = stage.guest_that(PEER, 7, &[IDENTIFY, PING, MESH, RPC]);
        let (channel, id) = asked_for(stage, peer, "get_some_initial_peers");
        stage.says(peer, channel, &response(id, &[5, 1]));
        assert_eq!(stage.faults(peer), ["malformed_answer"]);
        assert!(stage.is_open(peer));
    });
}

#[test]
fn who_does_not_speak_it_is_asked_nothing() {
    story(|stage| {
        let peer = stage.guest(PEER, 7);
        stage.wait(seconds(300));
        assert!(!has_questions(stage, peer));
    });
}

// The fixture's block as tip and root, with its own body listed as real nodes do: that proves nothing, and says what the
// best block is.
fn best_tip() -> Vec<u8> {
    let block = make::fixture("v2-current/derived/block-devnet-357934.bin");
    let body = const_hex::decode("da2618b71f468305e5e41d7e7a38f9b5ae7a9a76040c27b62e3865d9aa8c7d38").expect("hex");
    [&[1][..], &block, &[1], &body, &block].concat()
}

#[test]
fn a_best_tip_goes_to_the_ledger_and_what_is_missing_is_fetched() {
    let hash = Hash(make::state_hash());
    let mut setting = setting();
    setting.ledger.missing = vec![hash];
    story_of(&setting, |stage| {
        let peer = stage.dial_that(HOST, 7, &[IDENTIFY, PING, MESH, RPC]);
        let (channel, id) = asked_for(stage, peer, "get_best_tip");
        stage.says(peer, channel, &response(id, &best_tip()));
        let is_candidate = |request: &Request| matches!(request, Request::Candidate { path, .. } if path.is_empty());
        assert!(stage.all_asked.iter().any(is_candidate));
        let is_block = |request: &Request| matches!(request, Request::Block { hash: block, origin: Origin::Sync, .. } if *block == hash);
        assert!(stage.all_asked.iter().any(is_block), "the tip itself came with the answer");
        assert!(stage.faults(peer).is_empty());
    });
}

#[test]
fn a_best_tip_that_does_not_follow_from_its_root_ends_the_connection() {
    story(|stage| {
        let peer = stage.dial_that(HOST, 7, &[IDENTIFY, PING, MESH, RPC]);
        let (channel, id) = asked_for(stage, peer, "get_best_tip");
        let block = make::fixture("v2-current/derived/block-devnet-357934.bin");
        let mut root = block.to_vec();
        // Another draw of its producer's: another block, which keeps the cheap rules too.
        root[1_090] ^= 1;
        let forged = [&[1][..], &block, &[1], &[9; 31], &[0], &root].concat();
        stage.says(peer, channel, &response(id, &forged));
        assert_eq!((stage.is_open(peer), stage.faults(peer)), (false, vec!["unproven_tip".to_owned()]));
    });
}

#[test]
fn the_first_block_of_all_is_a_root_though_it_names_another_genesis() {
    let mut setting = setting();
    setting.config.genesis = Hash(make::state_hash());
    story_of(&setting, |stage| {
        let peer = stage.dial_that(HOST, 7, &[IDENTIFY, PING, MESH, RPC]);
        let (channel, id) = asked_for(stage, peer, "get_best_tip");
        stage.says(peer, channel, &response(id, &best_tip()));
        assert!(stage.all_asked.iter().any(|request| matches!(request, Request::Candidate { .. })));
        assert!(stage.is_open(peer) && stage.faults(peer).is_empty());
    });
}
