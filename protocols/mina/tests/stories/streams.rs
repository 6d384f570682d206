//! Stories of streams: how many, how long their frames may be, what replaces what. Mina spec, sections 1.5, 2.1 and 3.4.

use crate::make;
use crate::stage::*;
use polypeer_engine::{BadFrame, ChannelEnd, ChannelId, P2pAction};
use polypeer_engine::{Protocol as _, Transport};
use polypeer_mina::Mina;
use polypeer_mina::streams::{IDENTIFY, MESH, MESH_BYTES_MAX, MESH_OLD, NODE_STATUS, PING, RPC, STREAMS};

const PEER: &str = "10.0.0.9:40000";

#[test]
fn every_kind_is_known_to_the_transport_and_rpc_has_no_slash() {
    let Transport::Libp2p(libp2p) = Mina::profile(&setting().config).transport else { panic!("another transport") };
    assert_eq!(libp2p.muxer, "/coda/yamux/1.0.0");
    for stream in STREAMS {
        assert!(libp2p.channels.iter().any(|channel| (channel.kind, channel.name) == (stream.kind, stream.protocol)));
    }
    let slashless: Vec<_> = STREAMS.iter().filter(|stream| !stream.protocol.starts_with('/')).collect();
    assert!(slashless.len() == 1 && slashless[0].protocol == "coda/rpcs/0.0.1");
    let opened: usize = STREAMS.iter().map(|stream| stream.open_max).sum();
    assert!(opened <= libp2p.their_streams_max);
}

#[test]
fn the_network_key_is_that_of_the_chain() {
    let key = setting().config.network_key();
    assert_eq!(const_hex::encode(key), "45818b1ab9bc781268800a92ee9f1155d4c779861924d99354c7cba83cb9d874");
}

#[test]
fn more_streams_of_a_kind_than_anyone_needs_are_reset_and_borne() {
    for stream in STREAMS.iter().filter(|stream| ![MESH, MESH_OLD, RPC].contains(&stream.kind)) {
        story(|stage| {
            let peer = stage.guest(PEER, 7);
            let opened: Vec<_> = (0..=stream.open_max).map(|_| stage.opens(peer, stream.kind)).collect();
            let last = *opened.last().expect("at least one");
            assert!(stage.reset.contains(&(peer, last)), "{}", stream.protocol);
            if stream.kind != polypeer_mina::streams::PEER_EXCHANGE {
                assert_eq!(stage.faults(peer), ["too_many_streams"], "{}", stream.protocol);
            }
            assert!(stage.is_open(peer));
        });
    }
}

#[test]
fn a_flood_of_streams_ends_the_connection() {
    story(|stage| {
        let peer = stage.guest(PEER, 7);
        for _ in 0..30 {
            stage.opens(peer, PING);
        }
        assert!(!stage.is_open(peer));
        assert!(stage.severity(PEER).is_some());
    });
}

#[test]
fn the_newest_stream_for_gossip_counts() {
    story(|stage| {
        let peer = stage.guest(PEER, 7);
        let first = stage.opens(peer, MESH);
        let second = stage.opens(peer, MESH);
        assert!(stage.reset.contains(&(peer, first)));
        stage.says(peer, second, &make::vector("subscribe_frame"));
        stage.says(peer, second, &make::vector("graft_frame"));
        let topic = stage.engine.protocol().mesh().topic(make::TOPIC.as_bytes()).expect("it is followed");
        assert_eq!(stage.engine.protocol().mesh().members(topic), [peer]);
    });
}

#[test]
fn row_11_subscribe_graft_and_prune_of_the_vectors_are_heard() {
    story(|stage| {
        let (peer, channel) = stage.gossip(PEER, 7);
        stage.says(peer, channel, &make::vector("graft_frame"));
        let topic = stage.engine.protocol().mesh().topic(make::TOPIC.as_bytes()).expect("it is followed");
        assert_eq!(stage.engine.protocol().mesh().members(topic), [peer]);
        stage.says(peer, channel, &make::vector("prune_backoff60_frame"));
        assert!(stage.engine.protocol().mesh().members(topic).is_empty());
        stage.says(peer, channel, &make::vector("ihave_frame"));
        stage.says(peer, channel, &make::vector("iwant_frame"));
        assert!(stage.faults(peer).is_empty() && stage.is_open(peer));
    });
}

#[test]
fn row_15_a_message_above_32_mib_ends_its_stream() {
    story(|stage| {
        let (peer, channel) = stage.gossip(PEER, 7);
        let mut frame = Vec::new();
        let mut length = MESH_BYTES_MAX as u64 + 1;
        while length >= 0x80 {
            frame.push(length as u8 | 0x80);
            length >>= 7;
        }
        frame.push(length as u8);
        stage.says(peer, channel, &frame);
        assert!(stage.reset.contains(&(peer, channel)) && stage.is_open(peer));
        assert_eq!(stage.faults(peer), ["frame_too_long"]);
    });
}

#[test]
fn nothing_may_come_on_a_stream_that_we_write() {
    story(|stage| {
        let peer = stage.guest(PEER, 7);
        for kind in [IDENTIFY, NODE_STATUS] {
            let channel = stage.opens(peer, kind);
            stage.says(peer, channel, b"x");
            assert!(stage.reset.contains(&(peer, channel)));
        }
        assert_eq!(stage.faults(peer), ["frame_too_long"; 2]);
    });
}

#[test]
fn lengths_without_end_end_the_stream() {
    story(|stage| {
        let (peer, channel) = stage.gossip(PEER, 7);
        stage.says(peer, channel, &[0xff; 5]);
        assert_eq!(stage.faults(peer), ["bad_length"]);
        assert!(stage.reset.contains(&(peer, channel)));
    });
}

#[test]
fn what_the_host_finds_wrong_with_frames_is_borne_and_with_the_transport_is_not() {
    for (reason, fault) in [(BadFrame::TOO_SLOW, "frame_too_slow"), (BadFrame::OVER_BUDGET, "frame_over_budget")] {
        story(|stage| {
            let (connection, channel) = stage.gossip(PEER, 7);
            stage.act(P2pAction::BadFrame { connection, channel, bad: BadFrame::of_host(reason) });
            assert_eq!(stage.faults(connection), [fault]);
            assert!(stage.is_open(connection) && stage.reset.contains(&(connection, channel)));
        });
    }
    story(|stage| {
        let connection = stage.guest(PEER, 7);
        let bad = BadFrame::of_host(BadFrame::OF_TRANSPORT);
        stage.act(P2pAction::BadFrame { connection, channel: ChannelId::ONLY, bad });
        assert_eq!((stage.is_open(connection), stage.faults(connection)), (false, vec!["transport".to_owned()]));
    });
}

#[test]
fn every_split_of_a_stream_has_the_same_frames() {
    let frames = [make::vector("subscribe_frame"), make::vector("graft_frame"), make::vector("prune_backoff60_frame")];
    let all = frames.concat();
    for split in 1..all.len() {
        story(|stage| {
            let peer = stage.guest(PEER, 7);
            let channel = stage.opens(peer, MESH);
            stage.says(peer, channel, &all[..split]);
            stage.says(peer, channel, &all[split..]);
            let mesh = stage.engine.protocol().mesh();
            let topic = mesh.topic(make::TOPIC.as_bytes()).expect("it is followed");
            assert!(mesh.members(topic).is_empty() && mesh.followers(topic).count() == 1);
            stage.stream_ends(peer, channel, ChannelEnd::Finished);
            assert!(stage.faults(peer).is_empty());
        });
    }
}
